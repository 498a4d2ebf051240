"""`qrelay serve` is killed while an account rests: what comes after it knows, on both engines."""

import time
from collections.abc import Callable

import httpx
import pytest

from qrelay.simulator.scenario import Refuse, Scenario
from qrelay.simulator.server import Simulator
from tests.cli.process import Command, Running
from tests.replicas.conftest import Replicas
from tests.replicas.test_outage import ASKED
from tests.replicas.test_starting import new_account


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    return "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


def test_an_account_rests_on_after_a_kill(
    replica: Replicas, started: Callable[[Command], Running], service: Simulator
) -> None:
    qrelay = replica()
    server = started(qrelay)
    url = server.url()
    httpx.post(f"{url}/v2/accounts", json=new_account(service))
    assert httpx.post(f"{url}/v1/messages", json=ASKED).status_code == 200
    service.next(Scenario([Refuse("throttled", headers={"retry-after": "600"})]))
    began = time.time()
    limited = httpx.post(f"{url}/v1/messages", json=ASKED)
    server.process.kill()  # at once: what it knew is in the database by then
    ended = time.time()
    server.process.wait()
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "600")
    calls = len(service.requests)

    again = started(qrelay).url()
    for path in ("/v1/messages", "/v1/chat/completions", "/v1/messages"):
        asked = time.time()
        told = httpx.post(f"{again}{path}", json=ASKED)
        assert told.status_code == 429, told.text
        left = int(told.headers["retry-after"])
        assert began + 600 - time.time() - 1 <= left <= ended + 600 - asked + 1
    (row,) = httpx.get(f"{again}/v2/accounts").json()
    assert [(rest["code"], rest["model"]) for rest in row["cooldowns"]] == [("account_throttled", "claude-sonnet-4.5")]
    assert len(service.requests) == calls
