"""A database that takes no writes for a while, in every way there is: `qrelay serve` serves on, says so, mends itself.

What is counted and noted meanwhile is written afterwards, and is there after a kill.
"""

import re
import resource
import sqlite3
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from qrelay.simulator.server import Simulator
from tests.accounts import stored
from tests.cli.process import Command, Running
from tests.postgres import Postgres
from tests.replicas.conftest import Replicas
from tests.replicas.test_outage import ASKED, until
from tests.replicas.test_starting import new_account

Broken = Callable[[Running, Path], AbstractContextManager[None]]


@contextmanager
def full(server: Running, _file: Path) -> Generator[None]:
    """No file may be longer than a page, so nothing gets into the database's log."""
    pid = server.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def locked(_server: Running, file: Path) -> Generator[None]:
    """Another program writes, and takes its time."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def gone(_server: Running, file: Path) -> Generator[None]:
    """Deleted, with the folder it was in."""
    elsewhere = file.parent.with_name("elsewhere")
    file.parent.rename(elsewhere)
    for path in elsewhere.glob(f"{file.name}*"):
        path.unlink()
    yield
    elsewhere.rename(file.parent)


@contextmanager
def moved(_server: Running, file: Path) -> Generator[None]:
    """Another one is in its place, then it again."""
    kept = file.with_name("kept")
    file.rename(kept)
    sqlite3.connect(file).close()
    yield
    kept.rename(file)


@pytest.fixture
def read_only(postgres_url: str) -> Broken:
    return lambda _server, _file: stored.read_only(postgres_url)


@pytest.fixture
def stopped(postgres: Postgres) -> Broken:
    @contextmanager
    def breaking(_server: Running, _file: Path) -> Generator[None]:
        postgres.stop("immediate")
        try:
            yield
        finally:
            postgres.start()

    return breaking


WAYS: dict[str, Broken | None] = {
    "full": full,
    "locked": locked,
    "gone": gone,
    "moved": moved,
    "read_only": None,
    "stopped": None,
}


@pytest.fixture(params=WAYS)
def breaking(request: pytest.FixtureRequest) -> Broken:
    return WAYS[request.param] or request.getfixturevalue(request.param)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, breaking: Broken) -> str:
    return "" if breaking in WAYS.values() else request.getfixturevalue("postgres_url")


def database_check(url: str) -> dict[str, Any]:
    checks = httpx.get(f"{url}/v2/health", timeout=60).json()["checks"]
    return next(check for check in checks if check["name"] == "database")


def test_it_serves_on_says_so_and_mends_itself(
    breaking: Broken, replica: Replicas, started: Callable[[Command], Running], service: Simulator
) -> None:
    qrelay = replica()
    server = started(qrelay)
    url = server.url()
    account = httpx.post(f"{url}/v2/accounts", json=new_account(service)).json()["id"]
    asked = 0

    def ask() -> None:
        nonlocal asked
        assert httpx.post(f"{url}/v1/messages", json=ASKED, timeout=10).status_code == 200
        asked += 1

    ask()
    with breaking(server, qrelay.home / "qrelay.sqlite3"):
        ask()
        until(lambda: httpx.get(f"{url}/readyz", timeout=60).json()["status"] == "degraded")
        assert httpx.get(f"{url}/readyz").status_code == 200
        check = database_check(url)
        assert not check["ok"]
        assert "can't be used" in check["detail"]
        ask()
        calls = service.oidc.token_calls.total()
        refused = httpx.post(f"{url}/v2/accounts/{account}/refresh", timeout=60)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store_failed"), refused.text
        refused = httpx.post(f"{url}/v2/keys", json={"name": "never"}, timeout=60)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store_failed"), refused.text
        assert service.oidc.token_calls.total() == calls
        for _ in range(5):
            ask()
    until(lambda: httpx.get(f"{url}/readyz", timeout=60).json()["status"] == "ready")
    assert database_check(url)["ok"]
    ask()
    until(lambda: len(httpx.get(f"{url}/v2/requests", timeout=60).json()["requests"]) == asked)
    until(lambda: httpx.get(f"{url}/v2/accounts").json()[0]["success_count"] == asked)
    assert httpx.post(f"{url}/v2/accounts/{account}/refresh").status_code == 200
    server.process.kill()
    server.process.wait()
    again = started(qrelay).url()
    assert len(httpx.get(f"{again}/v2/requests").json()["requests"]) == asked
    assert httpx.post(f"{again}/v1/messages", json=ASKED).status_code == 200
    assert not re.search("Traceback|Error:", server.stderr())
