"""A database of each kind, and processes on it that start and end as the gateway's do."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from qrelay.database import Database, open_database
from qrelay.vault import open_vault


class Clock:
    """Real time, moved by hand."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


Process = Callable[[], AbstractAsyncContextManager[Database]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def process(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Process:
    """Opens the test's database as one process does."""
    home = tmp_path / "state"
    sqlite = request.param == "sqlite"
    url: str = f"sqlite:///{home}/qrelay.sqlite3" if sqlite else request.getfixturevalue("migrated_url")

    @asynccontextmanager
    async def opened() -> AsyncGenerator[Database]:
        database = await open_database(url, open_vault(home), clock=clock)
        try:
            yield database
        finally:
            await database.close()

    return opened
