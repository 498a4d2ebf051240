"""A database, open: transactions, the clock that everyone who uses it goes by, and the installation's pepper."""

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from qrelay.database import engine as engines
from qrelay.database.clock import SteadyClock
from qrelay.database.schema import database_now, secrets
from qrelay.database.watch import CHANNEL, Watch
from qrelay.vault import Vault

_NOTIFY: Final = text(f"NOTIFY {CHANNEL}")


class Database:
    """Made by `open_database`; `close` it.

    `clock` gives seconds since the epoch: the database's own where replicas share it. `pepper` keys digests; it is the
    installation's, so that they outlive a change of the master key.
    """

    def __init__(self, engine: AsyncEngine, vault: Vault, pepper: str, clock: Callable[[], float]) -> None:
        self.engine = engine
        self.vault = vault
        self.pepper = pepper
        self.clock = clock
        self.watch = Watch(engine)
        self.shared = engine.dialect.name == "postgresql"
        """Whether other processes may use it too."""

    @asynccontextmanager
    async def writing(self, *, tell: bool = False) -> AsyncGenerator[AsyncConnection]:
        """A transaction. `tell`: other replicas should look soon. Raises RelayError(store_failed)."""
        with engines.told():
            async with self.engine.begin() as connection:
                yield connection
                if tell and self.shared:
                    await connection.execute(_NOTIFY)

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """A connection that only reads. Raises RelayError(store_failed)."""
        with engines.told():
            async with self.engine.connect() as connection:
                yield await connection.execution_options(**engines.READING)

    async def set_clock(self) -> None:
        """Bring the clock to the database's."""
        if self.shared and isinstance(self.clock, SteadyClock):
            async with self.reading() as connection:
                self.clock.set(await connection.scalar(select(database_now())) or self.clock())

    async def close(self) -> None:
        await self.watch.close()
        await self.engine.dispose()


async def open_database(
    url: str, vault: Vault, *, busy_seconds: float = 5.0, clock: Callable[[], float] | None = None
) -> Database:
    """Open it, made or brought up to date first. `url`: `sqlite:///path` or `postgresql://…`.

    On SQLite the caller holds the state's lock: one process at a time. Raises RelayError(store_failed), also for a
    master key that isn't this state's.
    """
    engine = engines.connect(url, busy_seconds=busy_seconds)
    try:
        await engines.migrate(engine)
        database = Database(engine, vault, await _pepper(engine, vault), clock or SteadyClock())
        await database.set_clock()
        database.watch.add(database.set_clock)
    except BaseException:
        await engine.dispose()
        raise
    return database


async def _pepper(engine: AsyncEngine, vault: Vault) -> str:
    """Made on the first start, by whichever process is first. Opening it proves that the master key is this state's."""
    find = select(secrets.c.value).where(secrets.c.name == "pepper")
    insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    with engines.told():
        async with engine.begin() as connection:
            found = await connection.execute(find)
            record: bytes | None = found.scalar_one_or_none()
            if record is None:
                made = vault.seal(os.urandom(32).hex(), table=secrets.name, row="pepper", column="value")
                await connection.execute(insert(secrets).values(name="pepper", value=made).on_conflict_do_nothing())
                record = bytes((await connection.execute(find)).scalar_one())
    return vault.open(record, table=secrets.name, row="pepper", column="value")
