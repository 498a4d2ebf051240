"""One state folder, one database, one token service, and the parts on top of them; `start` starts them anew, as a
restart does, or beside each other, as replicas run.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from qrelay.accounts.account import Account, NewAccount
from qrelay.accounts.oidc import TokenClient
from qrelay.accounts.pool import Pool
from qrelay.accounts.refresher import Refresher
from qrelay.accounts.store import AccountStore, open_store
from qrelay.database import open_database
from qrelay.outward.http1 import Connections
from qrelay.vault import open_vault
from tests.accounts import token_server
from tests.accounts.replica import Replica
from tests.accounts.token_server import TokenServer


class Clock:
    """Real time, moved by hand."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Process(NamedTuple):
    """What runs in one process."""

    home: Path
    url: str
    store: AccountStore
    refresher: Refresher
    pool: Pool
    clock: Clock

    async def account(self, refresh_token: str) -> Account:
        """One of the usual kind, with no access token yet."""
        new = NewAccount(
            label="mine", client_id="client-1", client_secret="client-secret-1", refresh_token=refresh_token
        )
        return await self.store.add(new)


Launch = Callable[..., Awaitable[Replica]]
Start = Callable[..., AbstractAsyncContextManager[Process]]

ENGINES = ["sqlite", "postgresql"]
ON_SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def engine() -> str:
    """Which database. Modules whose tests are about statements have both, by a fixture of this name."""
    return "sqlite"


@pytest.fixture
def url(engine: str, home: Path, request: pytest.FixtureRequest) -> str:
    """A database of the test's own."""
    return f"sqlite:///{home}/qrelay.sqlite3" if engine == "sqlite" else request.getfixturevalue("migrated_url")


@pytest.fixture
async def tokens() -> AsyncGenerator[TokenServer]:
    async with token_server.serve() as server:
        yield server


@pytest.fixture
def start(home: Path, url: str, tokens: TokenServer) -> Start:
    @asynccontextmanager
    async def started(busy_seconds: float = 0.05) -> AsyncGenerator[Process]:
        clock = Clock()
        database = await open_database(url, open_vault(home), busy_seconds=busy_seconds, clock=clock)
        store = await open_store(database, spill_folder=home / "spill")
        database.watch.start()
        client = TokenClient(Connections(), token_endpoint=tokens.url, timeout_seconds=2)
        refresher = Refresher(store, client)
        try:
            yield Process(home, url, store, refresher, Pool(store, refresher, max_error_count=3), clock)
        finally:
            await refresher.close()
            await store.close()
            await database.close()

    return started


@pytest.fixture
async def process(start: Start) -> AsyncGenerator[Process]:
    async with start() as running:
        yield running


@pytest.fixture
async def launch(home: Path, url: str, tokens: TokenServer) -> AsyncGenerator[Launch]:
    """Start a replica; those that still run at the end are killed."""
    started: list[Replica] = []

    async def launched(**more: Any) -> Replica:
        replica = await Replica.start({"home": str(home), "url": url, "token_url": tokens.url, **more})
        started.append(replica)
        return replica

    yield launched
    for replica in started:
        await replica.kill()
