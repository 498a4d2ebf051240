"""The cooldowns table: one write for what many requests bring at once, tried again while it fails. Not what they mean.

Memory is first, the table follows:

    note ─→ unwritten ─→ one transaction ─→ every `written` that waits goes on
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, TypeAlias

import structlog
from msgspec import Struct
from sqlalchemy import Row, and_, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from qrelay.accounts.consequences import CONSEQUENCES, LIMITS
from qrelay.database import Database, inserting
from qrelay.database.schema import cooldowns
from qrelay.errors import ErrorCode, RelayError

log = structlog.get_logger()

_WRITE_AGAIN_SECONDS: Final = 1.0
_LONGEST_WAIT: Final = 2.0
"""Seconds an answer waits for the table: a database that is away must not hold answers up."""

Key: TypeAlias = tuple[str, str]
"""An account's id and a model, `""` for all of them."""


class CoolDown(Struct, frozen=True):
    """`until` is epoch seconds. `since` is when this process learnt of it, and isn't stored."""

    account_id: str
    model: str
    until: float
    code: ErrorCode
    reason: str
    strikes: int = 1
    since: float = 0.0

    @property
    def key(self) -> Key:
        return self.account_id, self.model

    @property
    def is_limit(self) -> bool:
        """The service asked for it; else it is a circuit that broke."""
        return CONSEQUENCES[self.code].rest in LIMITS


class CoolDownTable:
    """`note` what changes, then wait until it is `written`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unwritten: dict[Key, CoolDown | None] = {}
        self._writing: asyncio.Task[bool] | None = None
        self._later: asyncio.Task[None] | None = None
        self._failing = False

    def note(self, key: Key, entry: CoolDown | None) -> None:
        """What the row will be; None is no row."""
        self._unwritten[key] = entry

    def waits(self, key: Key) -> bool:
        """Whether memory is newer than the row."""
        return key in self._unwritten

    async def written(self) -> None:
        """Wait until what is noted is in the table, or known not to get there soon: then it is tried again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_WAIT):
                for _ in range(2):  # the write under way, and the next one, which takes all that is noted by now
                    if not self._unwritten and self._writing is None:
                        return
                    if not await asyncio.shield(self._write()):
                        break
        if self._unwritten:
            self.soon()

    def soon(self) -> None:
        """Write what is noted within a second or so, and again until it is written."""
        if self._later is None:
            self._later = asyncio.create_task(self._write_later())

    async def read(self, now: float, *, forgotten_after: float) -> list[CoolDown]:
        """All rows, without those that ended so long ago, which are deleted. Raises RelayError(store_failed)."""
        async with self._database.writing() as connection:
            await connection.execute(delete(cooldowns).where(cooldowns.c.until < now - forgotten_after))
            rows = await connection.execute(select(cooldowns))
            return [entry for row in rows if (entry := _entry(row, now)) is not None]

    async def active(self, now: float) -> dict[Key, CoolDown]:
        """The rows that aren't over. Raises RelayError(store_failed)."""
        async with self._database.reading() as connection:
            rows = await connection.execute(select(cooldowns).where(cooldowns.c.until > now))
            return {entry.key: entry for row in rows if (entry := _entry(row, now)) is not None}

    async def close(self) -> None:
        """Write what waits, once."""
        if self._later is not None:
            self._later.cancel()
            with suppress(asyncio.CancelledError):
                await self._later
        while self._unwritten or self._writing is not None:
            if not await self._write():
                return

    def _write(self) -> "asyncio.Task[bool]":
        """The write under way, else a new one: a task of its own, since who waits for it may leave."""
        if self._writing is None:
            self._writing = asyncio.create_task(self._store())
        return self._writing

    async def _store(self) -> bool:
        taken, self._unwritten = self._unwritten, {}
        try:
            async with self._database.writing(tell=True) as connection:
                await _replace(connection, taken)
        except RelayError as error:
            if not self._failing:
                log.warning("cool-downs hold in memory only for now", reason=error.message)
            self._unwritten = taken | self._unwritten
            self._failing = True
        except BaseException:
            self._unwritten = taken | self._unwritten
            raise
        else:
            self._failing = False
        finally:
            self._writing = None
        return not self._failing

    async def _write_later(self) -> None:
        while self._unwritten:
            await asyncio.sleep(_WRITE_AGAIN_SECONDS)
            if self._unwritten:
                await asyncio.shield(self._write())
        self._later = None


def _entry(row: Row[Any], now: float) -> CoolDown | None:
    """None for a code that only a newer version knows."""
    try:
        return CoolDown(row.account_id, row.model, row.until, ErrorCode(row.code), row.reason, row.strikes, now)
    except ValueError:
        return None


async def _replace(connection: AsyncConnection, changes: Mapping[Key, CoolDown | None]) -> None:
    """In one order everywhere, so that replicas that write the same rows don't wait for one another in a circle."""
    for (account_id, model), entry in sorted(changes.items()):
        if entry is None:
            row = and_(cooldowns.c.account_id == account_id, cooldowns.c.model == model)
            await connection.execute(delete(cooldowns).where(row))
            continue
        cells = {column.name: getattr(entry, column.name) for column in cooldowns.c}
        statement = inserting(cooldowns, connection.dialect.name).values(**cells | {"code": entry.code.value})
        known = entry.code is ErrorCode.quota_exhausted  # a date that is known, also an earlier one
        later = None if known else statement.excluded.until >= cooldowns.c.until
        changed = {name: statement.excluded[name] for name in ("until", "code", "reason", "strikes")}
        key = (cooldowns.c.account_id, cooldowns.c.model)
        await connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changed, where=later))
