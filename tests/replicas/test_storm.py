"""Two whole replicas, many callers, and every token expired at once: one token call for each account, all answered.

Hundreds of callers of four replicas are `bench/replicas.py`'s (docs/reliability.md).
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable

import httpx
import pytest

from qrelay.simulator.server import Simulator
from tests.accounts.stored import execute
from tests.cli.process import Command, Running
from tests.replicas.conftest import Replicas
from tests.replicas.test_outage import ASKED
from tests.replicas.test_starting import new_account

pytestmark = pytest.mark.anyio

ACCOUNTS, CALLERS = 4, 60


async def test_one_token_call_for_each_account(
    replica: Replicas, started: Callable[[Command], Running], service: Simulator, postgres_url: str
) -> None:
    quiet = {"QRELAY_REFRESH_CHECK_SECONDS": "86400"}
    running = [started(replica(name, **quiet)) for name in ("one", "two")]
    urls = [server.url() for server in running]
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None)) as http:

        async def storm(tokens: str) -> None:
            """`tokens` are those that the service is asked with now."""
            before = len(service.requests)
            asked = [
                http.post(f"{urls[number % 2]}/v1/messages", json=ASKED, headers={"x-session-id": f"{tokens} {number}"})
                for number in range(CALLERS)
            ]
            answers = await asyncio.gather(*asked)
            assert Counter(answer.status_code for answer in answers) == {200: CALLERS}
            calls = [request for request in service.requests[before:] if request.path == "/token"]
            used = Counter(json.loads(call.raw)["refreshToken"] for call in calls)
            assert sorted(used.values()) == [1] * ACCOUNTS

        async def until_everywhere(member: str, value: str | None) -> None:
            for url in urls:
                while True:
                    rows = (await http.get(f"{url}/v2/accounts")).json()
                    if len(rows) == ACCOUNTS and all((row[member] or "")[:4] == (value or "") for row in rows):
                        break
                    await asyncio.sleep(0.05)

        for number in range(ACCOUNTS):
            await http.post(f"{urls[0]}/v2/accounts", json=new_account(service) | {"label": str(number)})
        await until_everywhere("expiresAt", None)
        await storm("first")
        execute(postgres_url, "UPDATE accounts SET expires_at = 0, revision = revision + 1")
        await until_everywhere("expiresAt", "1970")
        await storm("expired")
        service.expire_access_tokens()
        await storm("refused")
