"""A database, open: transactions, the clock that everyone who uses it goes by, and the installation's pepper."""

import asyncio
import os
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

import structlog
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from qrelay.database import engine as engines
from qrelay.database.clock import SteadyClock
from qrelay.database.file import OpenFile
from qrelay.database.lines import Lines
from qrelay.database.schema import database_now, secrets
from qrelay.database.versions import migrate, version
from qrelay.database.watch import CHANNEL, SILENT_SECONDS, Watch
from qrelay.errors import ErrorCode, RelayError
from qrelay.tasks import stopped
from qrelay.vault import Vault

log = structlog.get_logger()

_PROVE_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 5.0
_PEPPERS: Final = ("pepper", "pepper_copy")
_SAME: Final = update(secrets).where(secrets.c.name == "pepper").values(value=secrets.c.value)
_NOTIFY: Final = text(f"NOTIFY {CHANNEL}")


class Database:
    """Made by `open_database`; `close` it.

    `clock` gives seconds since the epoch: the database's own where replicas share it. `pepper` keys digests; it is the
    installation's, so that they outlive a change of the master key.
    """

    def __init__(
        self, engine: AsyncEngine, lines: Lines, vault: Vault, pepper: str, clock: Callable[[], float]
    ) -> None:
        self.engine = engine
        self.vault = vault
        self.pepper = pepper
        self.clock = clock
        self.watch = Watch(engine, self._fell_silent)
        self.shared = engine.dialect.name == "postgresql"
        """Whether other processes may use it too."""
        self.trouble: str | None = None
        """What was wrong when it could not be used the last time; None when it could since."""
        self.failures: Counter[str] = Counter()
        """How often it could not be used, to `read` and to `write`."""
        self._silent = False
        self._lines = lines
        self._proving: asyncio.Task[None] | None = None
        self._trying: asyncio.Task[bool] | None = None
        path = engines.sqlite_path(engine)
        self._file = None if path is None else OpenFile(engine, path)

    @asynccontextmanager
    async def writing(self, *, tell: bool = False) -> AsyncGenerator[AsyncConnection]:
        """A transaction. `tell`: other replicas should look soon. Raises RelayError(store_failed)."""
        self._refuse_if_silent()
        if self._file is not None and (wrong := self._file.wrong()) is not None:
            self._in_trouble(wrong.message)
            raise wrong
        if self.trouble is not None and not await self.takes_writes():
            raise self._still_in_trouble()
        with self._noticed("write"):
            async with self.engine.connect() as connection:
                if self._file is not None and self.trouble is not None:
                    # Since this waited for SQLite's one connection; who wants to read waits too, and not for its lock.
                    raise self._still_in_trouble()
                async with connection.begin():
                    yield connection
                    if tell and self.shared:
                        await connection.execute(_NOTIFY)

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """A connection that only reads. Raises RelayError(store_failed)."""
        self._refuse_if_silent()
        with self._noticed("read"):
            async with self.engine.connect() as connection:
                yield await connection.execution_options(**engines.READING)

    async def look(self) -> None:
        """Bring the clock to the database's; see whether that takes no writes, which nobody may try for a while."""
        if self.shared:
            only = func.current_setting("transaction_read_only")
            async with self.reading() as connection:
                now, read_only = (await connection.execute(select(database_now(), only))).one()
            if isinstance(self.clock, SteadyClock):
                self.clock.set(now)
            if read_only == "on":
                self._in_trouble("The account store can't be used: the database takes no writes (read-only).")

    async def takes_writes(self) -> bool:
        """Whether something can be written now; where it can, there is no trouble any more. It never takes long."""
        trying = self._trying
        if trying is None:
            trying = self._trying = asyncio.create_task(self._try())
            trying.add_done_callback(self._tried)
        done, _ = await asyncio.wait({trying}, timeout=_PATIENCE_SECONDS)
        if not done:
            self._lines.hang_up()
        return bool(done) and trying.result()

    async def close(self) -> None:
        await self.watch.close()
        if self._proving is not None:
            await stopped(self._proving)
        if self._trying is not None:
            await asyncio.wait({self._trying}, timeout=_PATIENCE_SECONDS)
        if self._trying is not None:
            await stopped(self._trying)
        await self.engine.dispose()

    @contextmanager
    def _noticed(self, op: Literal["read", "write"]) -> Generator[None]:
        """Failures in words, and in `trouble`, until a write has shown that there is none any more."""
        try:
            with engines.told():
                yield
        except RelayError as error:
            if isinstance(error.__cause__, (SQLAlchemyError, sqlite3.Error)):
                self.failures[op] += 1
                self._in_trouble(error.message)
            raise
        self._silent = False

    def _in_trouble(self, message: str) -> None:
        if self.trouble is None:
            log.warning("the database can't be used; what is in memory goes on serving", reason=message)
        if not self._silent:  # else what is told stays: that its lines are cut is our doing
            self.trouble = message
        if self._proving is None:
            self._proving = asyncio.create_task(self._prove())

    def _fell_silent(self) -> None:
        """It takes what is asked and says nothing: who waits waits no longer, and who asks now is told at once."""
        self._in_trouble(f"The account store can't be used: the database has given no answer for {SILENT_SECONDS:g} s.")
        self._silent = True
        self._lines.hang_up()

    def _refuse_if_silent(self) -> None:
        if self._silent:
            raise self._still_in_trouble()

    def _still_in_trouble(self) -> RelayError:
        return RelayError(ErrorCode.store_failed, self.trouble or "The account store can't be used.")

    async def _prove(self) -> None:
        """Try again and again until it works."""
        try:
            while self.trouble is not None:
                await asyncio.sleep(_PROVE_SECONDS)
                with suppress(OSError, sqlite3.Error, SQLAlchemyError):
                    if self._file is not None and await self._file.put_back():
                        log.warning("the database file was gone, and is there again with all that was in it")
                    await self.takes_writes()
        finally:
            self._proving = None

    async def _try(self) -> bool:
        """Write something that nobody reads. Other programs' locks aren't waited for: there is a next time."""
        if self._file is not None and self._file.wrong() is not None:
            return False
        try:
            with engines.told():
                async with self.engine.connect() as connection, engines.at_once(connection):
                    if self.shared:
                        await connection.execute(_SAME)
                    else:  # what is the same SQLite doesn't write
                        await connection.exec_driver_sql(f"PRAGMA user_version = {random.getrandbits(31)}")
                    await connection.commit()
        except RelayError as error:
            self._in_trouble(error.message)
            return False
        if self.trouble is not None:
            log.info("the database can be used again")
        self.trouble = None
        self._silent = False
        return True

    def _tried(self, _: "asyncio.Task[bool]") -> None:
        self._trying = None


async def open_database(
    url: str,
    vault: Vault,
    *,
    backups: Path | None = None,
    busy_seconds: float = 5.0,
    clock: Callable[[], float] | None = None,
) -> Database:
    """Open it, made or brought up to date first. `url`: `sqlite:///path` or `postgresql://…`.

    On SQLite the caller holds the state's lock: one process at a time; `backups` is where a copy goes before an
    upgrade. Raises RelayError: store_failed, or configuration_refused for a master key that isn't this database's.
    """
    engine = engines.connect(url, busy_seconds=busy_seconds)
    lines = Lines(engine)
    try:
        if (copy := await migrate(engine, backups=backups)) is not None:
            log.info("the database was upgraded", copy_from_before=str(copy))
        database = Database(engine, lines, vault, await _pepper(engine, vault), clock or SteadyClock())
        await database.look()
        database.watch.add(database.look)
    except BaseException:
        await engine.dispose()
        raise
    return database


async def holds_secrets(url: str) -> bool:
    """Whether something is sealed in it already, and so a master key belongs to it. Raises RelayError(store_failed)."""
    engine = engines.connect(url, busy_seconds=5.0)
    try:
        if await version(engine) is None:
            return False
        with engines.told():
            async with engine.connect() as connection:
                found = select(secrets.c.name).where(secrets.c.name.in_(_PEPPERS)).limit(1)
                return await (await connection.execution_options(**engines.READING)).scalar(found) is not None
    finally:
        await engine.dispose()


async def _pepper(engine: AsyncEngine, vault: Vault) -> str:
    """Read the pepper, or make it on the first start, in whichever process is first.

    Opening it proves that the master key is this state's. There are two copies: one that is damaged or missing is
    written again from the other. Raises RelayError: configuration_refused for another master key, store_failed where
    both copies are damaged.
    """
    find = select(secrets.c.name, secrets.c.value).where(secrets.c.name.in_(_PEPPERS))
    insert = engines.inserting(secrets, engine.dialect.name)
    with engines.told():
        async with engine.begin() as connection:
            records: dict[str, bytes] = {row.name: row.value for row in await connection.execute(find)}
            if not records:
                made = os.urandom(32).hex()
                rows = [{"name": name, "value": _sealed_pepper(vault, name, made)} for name in _PEPPERS]
                await connection.execute(insert.values(rows).on_conflict_do_nothing())
                records = {row.name: row.value for row in await connection.execute(find)}
    pepper, broken = _opened_pepper(vault, records)
    if broken:
        with suppress(RelayError), engines.told():  # a full disk stops no start; the next one tries again
            async with engine.begin() as connection:
                for name in broken:
                    row = insert.values(name=name, value=_sealed_pepper(vault, name, pepper))
                    value = {"value": row.excluded.value}
                    await connection.execute(row.on_conflict_do_update(index_elements=[secrets.c.name], set_=value))
    return pepper


def _sealed_pepper(vault: Vault, name: str, pepper: str) -> bytes:
    return vault.seal(pepper, table=secrets.name, row=name, column="value")


def _opened_pepper(vault: Vault, records: Mapping[str, bytes]) -> tuple[str, list[str]]:
    """Return the pepper and the names of the copies that don't hold it. Raises as `_pepper` does."""
    opened: dict[str, str] = {}
    for name, record in records.items():
        with suppress(RelayError):
            opened[name] = vault.open(record, table=secrets.name, row=name, column="value")
    if opened:
        return next(iter(opened.values())), [name for name in _PEPPERS if name not in opened]
    if any(map(vault.has_key_of, records.values())):
        raise RelayError(
            ErrorCode.store_failed,
            "The database is damaged: the secret under which keys and accounts are known can't be decrypted.",
            remedy="The master key is the right one. Restore the database from backups/ in QRELAY_HOME.",
        )
    raise RelayError(
        ErrorCode.configuration_refused,
        "The master key isn't the one that this database was made with.",
        remedy="Set QRELAY_MASTER_KEY_FILE or QRELAY_MASTER_KEY to the key of the first start: it is master.key in "
        "the QRELAY_HOME of then, unless another was given. All processes on one database have the same.",
    )
