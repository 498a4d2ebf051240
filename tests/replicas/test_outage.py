"""What one replica changes the other sees; PostgreSQL goes and comes back."""

import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from qrelay.simulator.server import Simulator
from tests.cli.process import DEADLINE, Command, Running
from tests.postgres import Postgres
from tests.replicas.conftest import Replicas
from tests.replicas.test_starting import new_account

Started = Callable[[Command], Running]

ASKED = {"model": "claude-sonnet-4.5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


def until(what: Callable[[], bool]) -> float:
    """Seconds until it is so."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < DEADLINE
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.fixture
def two(replica: Replicas, started: Started) -> tuple[str, str]:
    running = [started(replica(name)) for name in ("one", "two")]
    return running[0].url(), running[1].url()


def rows(url: str) -> dict[str, Any]:
    return {row["label"]: row for row in httpx.get(f"{url}/v2/accounts", timeout=30).json()}


def test_what_one_changes_the_other_sees(two: tuple[str, str], service: Simulator) -> None:
    one, other = two
    made = httpx.post(f"{one}/v2/accounts", json=new_account(service)).json()
    until(lambda: "mine" in rows(other))
    assert httpx.post(f"{other}/v1/messages", json=ASKED).status_code == 200
    until(lambda: rows(one)["mine"]["success_count"] == 1)
    httpx.patch(f"{other}/v2/accounts/{made['id']}", json={"enabled": False, "label": "theirs"})
    until(lambda: "theirs" in rows(one) and not rows(one)["theirs"]["enabled"])
    second = httpx.post(f"{one}/v2/accounts", json=new_account(service) | {"label": "second"}).json()
    until(lambda: "second" in rows(other))
    httpx.patch(f"{other}/v2/accounts/{second['id']}", json={"is_active": True})
    until(lambda: rows(one)["second"]["is_active"] and not rows(one)["theirs"]["is_active"])
    httpx.delete(f"{one}/v2/accounts/{made['id']}")
    until(lambda: "theirs" not in rows(other))


def test_without_its_database_it_goes_on_serving(two: tuple[str, str], service: Simulator, postgres: Postgres) -> None:
    one, other = two
    httpx.post(f"{one}/v2/accounts", json=new_account(service))
    until(lambda: "mine" in rows(other))
    for url in two:
        assert httpx.post(f"{url}/v1/messages", json=ASKED).status_code == 200
    postgres.stop("immediate")
    try:
        for url in (one, other, one, other):
            assert httpx.post(f"{url}/v1/messages", json=ASKED, timeout=30).status_code == 200
        refused = httpx.post(f"{one}/v2/accounts", json=new_account(service), timeout=30)
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "store_failed", refused.text
        until(lambda: httpx.get(f"{one}/readyz", timeout=30).json()["status"] == "degraded")
        ready = httpx.get(f"{one}/readyz?verbose", timeout=30)
        assert ready.status_code == 200
        assert ready.json()["reasons"] == ["the database can't be used"]
    finally:
        postgres.start()
    for url in two:
        until(lambda url=url: httpx.get(f"{url}/readyz", timeout=30).json()["status"] == "ready")
    until(lambda: rows(one)["mine"]["success_count"] == rows(other)["mine"]["success_count"] == 6)
    httpx.post(f"{one}/v2/accounts", json=new_account(service) | {"label": "after"})
    until(lambda: "after" in rows(other))


def test_a_database_that_says_nothing_is_one_that_is_gone(
    replica: Replicas, started: Started, service: Simulator, postgres: Postgres
) -> None:
    server = started(replica())
    with httpx.Client(base_url=server.url(), timeout=DEADLINE) as http:

        def stands() -> str:
            return http.get("/readyz").json()["status"]

        http.post("/v2/accounts", json=new_account(service))
        assert http.post("/v1/messages", json=ASKED).status_code == 200
        with postgres.frozen():
            until(lambda: stands() == "degraded")
            assert http.post("/v1/messages", json=ASKED).status_code == 200
            for method, path in (("GET", "/v2/requests"), ("POST", "/v2/accounts")):
                refused = http.request(method, path, json=new_account(service))
                assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store_failed"), refused.text
            checks = {check["name"]: check for check in http.get("/v2/health").json()["checks"]}
            # Which comes first, a look without an answer or a connection that is never made, depends on the moment.
            assert re.search("no answer for 5 s|timeout", checks["database"]["detail"]), checks["database"]["detail"]
        until(lambda: stands() == "ready")
        assert http.post("/v2/accounts", json=new_account(service) | {"label": "after"}).status_code == 200
        until(lambda: {row["label"]: row["success_count"] for row in http.get("/v2/accounts").json()}["mine"] == 2)
        with postgres.frozen():
            until(lambda: stands() == "degraded")
            assert server.end().code == 0


def test_it_ends_though_its_database_has_just_begun_to_say_nothing(
    replica: Replicas, started: Started, service: Simulator, postgres: Postgres
) -> None:
    """Before anybody has noticed, and with the connections of its first moments."""
    server = started(replica())
    with httpx.Client(base_url=server.url(), timeout=DEADLINE) as http:
        http.post("/v2/accounts", json=new_account(service))
        assert http.post("/v1/messages", json=ASKED).status_code == 200
    with postgres.frozen():
        assert server.end().code == 0
