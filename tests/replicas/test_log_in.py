"""A log-in that one replica began: any other says how it stands, and claims it."""

import asyncio
import json
import signal
from collections.abc import Callable

import httpx
import pytest

from qrelay.simulator.server import Simulator
from tests.cli.process import Command, Running
from tests.postgres import Postgres
from tests.replicas.conftest import Replicas

pytestmark = pytest.mark.anyio


async def test_any_replica_answers_for_a_log_in(
    replica: Replicas,
    started: Callable[[Command], Running],
    service: Simulator,
    postgres: Postgres,
    postgres_url: str,
) -> None:
    running = [started(replica(name)) for name in ("one", "two")]
    one, other = [server.url() for server in running]
    async with httpx.AsyncClient(timeout=30) as http:
        begun = (await http.post(f"{one}/v2/auth/start", json={"label": "mine"})).json()
        status, claim = f"{other}/v2/auth/status/{begun['authId']}", f"{other}/v2/auth/claim/{begun['authId']}"
        waiting = (await http.get(status)).json()
        assert waiting["status"] == "pending"
        assert 0 < waiting["remaining"] <= 300
        assert (await http.get(f"{other}/v2/auth/qr/{begun['authId']}")).text.startswith("<svg")
        claiming = asyncio.create_task(http.post(claim))
        page = await http.post(begun["verificationUri"], data={"user_code": begun["userCode"]})
        assert "approved" in page.text
        claimed = await claiming
        assert claimed.status_code == 200, claimed.text
        assert claimed.json()["account"]["label"] == "mine"
        told = (await http.get(status)).json()
        assert (told["status"], told["accountId"]) == ("completed", claimed.json()["accountId"])

        # One whose process ends is told by the others; one whose process was killed, by its time.
        ended, killed = [(await http.post(f"{one}/v2/auth/start", json={})).json() for _ in range(2)]
        database = postgres_url.partition("@/")[2].partition("?")[0]
        rows = json.dumps(postgres.execute("SELECT row_to_json(logins) FROM logins", database))
        secrets = [client.client_secret for client in service.oidc.clients.values()] + list(service.oidc.devices)
        assert len(secrets) >= 6
        assert not any(secret in rows for secret in secrets)
        done = await asyncio.to_thread(running[0].end, signal.SIGTERM)
        assert done.code == 0
        told = (await http.get(f"{other}/v2/auth/status/{ended['authId']}")).json()
        assert (told["status"], told["error"]) == ("error", "The server has ended before the log-in was approved.")
        over = f"UPDATE logins SET status = 'pending', ends_at = ends_at - 1000 WHERE id = '{killed['authId']}'"
        postgres.execute(over, database)
        late = await http.post(f"{other}/v2/auth/claim/{killed['authId']}")
        assert (late.status_code, late.json()["status"]) == (408, "timeout")
        postgres.execute(f"UPDATE logins SET ends_at = ends_at - 9000 WHERE id = '{killed['authId']}'", database)
        gone = await http.get(f"{other}/v2/auth/status/{killed['authId']}")
        assert gone.json()["error"]["code"] == "login_unknown"
        await http.post(f"{other}/v2/auth/start", json={})
        assert postgres.execute(f"SELECT 1 FROM logins WHERE id = '{killed['authId']}'", database) == []
