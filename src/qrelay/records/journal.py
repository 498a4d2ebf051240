"""Writes down what requests were, a second after they ended: one task, one transaction for many.

    note(ended) ── waiting rows, counts in memory ── every second, or at 500 rows ── the database

Serving never waits for it. While the database is away rows wait, up to a bound; then the oldest are dropped and
counted. What was counted as usage is kept in memory until it can be stored. A process that is killed loses at most its
last second.
"""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any, Final

import structlog
from msgspec.structs import astuple

from qrelay.database import Database, steadily
from qrelay.errors import RelayError
from qrelay.records import requests, usage
from qrelay.records.ended import Ended
from qrelay.tasks import stopped

log = structlog.get_logger()

_EVERY_SECONDS: Final = 1.0
_BATCH: Final = 500
_MOST_WAITING: Final = 5_000
_MOST_REFUSED: Final = 3
"""After so many failures in a row while the database took another write, it must be the rows: they are dropped."""


class Journal:
    """Of one database; `start` and `close` it. `rows`: how many requests are kept, 0 for none; `days`: of usage."""

    def __init__(self, database: Database, *, rows: int, days: int) -> None:
        self.database = database
        self.clock = database.clock
        self.rows = rows
        self.dropped = 0
        """Rows of the request log that were never written."""
        self._days = days
        self._waiting: deque[tuple[Any, ...]] = deque()
        self._counts = usage.Counts()
        self._some = asyncio.Event()
        self._full = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._writer: asyncio.Task[None] | None = None
        self._refused = 0
        self._unpruned = 0
        self._pruned_hour = 0

    def start(self) -> None:
        writing = steadily(
            self.flush, self._due, waiting="the request log", failed=self._failed, again_seconds=_EVERY_SECONDS
        )
        self._writer = asyncio.create_task(writing)

    async def close(self) -> None:
        """Write what waits."""
        if self._writer is not None:
            await stopped(self._writer)
        try:
            await self.flush()
        except RelayError as error:
            self.dropped += len(self._waiting)
            log.warning("the last requests were not written down", rows=len(self._waiting), reason=error.message)

    def note(self, ended: Ended) -> None:
        """A request has ended."""
        self._counts.add(ended, self.clock())
        if self.rows:
            if len(self._waiting) >= _MOST_WAITING:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(astuple(ended))
            if len(self._waiting) >= _BATCH:
                self._full.set()
        self._some.set()

    @property
    def waiting(self) -> int:
        """How many rows are not written yet."""
        return len(self._waiting)

    async def flush(self) -> None:
        """Write what there is now. Nothing is forgotten when it fails. Raises RelayError(store_failed)."""
        async with self._one_at_a_time:
            ahead, counts = len(self._waiting), self._counts.changed()
            while ahead or counts:
                rows = [self._waiting.popleft() for _ in range(min(ahead, _BATCH, len(self._waiting)))]
                await self._write(rows, counts)
                ahead, counts = ahead - len(rows) if rows else 0, []
            await self._prune()
        self._refused = 0

    async def _write(self, rows: list[tuple[Any, ...]], counts: list[dict[str, Any]]) -> None:
        try:
            async with self.database.writing() as connection:
                if rows:
                    await requests.insert(connection, rows)
                if counts:
                    await usage.store(connection, counts)
        except BaseException:
            self._waiting.extendleft(reversed(rows))
            self._counts.again(counts)
            raise
        self._unpruned += len(rows)

    async def _prune(self) -> None:
        self._counts.forget()
        if self._unpruned >= min(_BATCH, max(self.rows // 10, 1)):
            async with self.database.writing() as connection:
                await requests.prune(connection, self.rows)
            self._unpruned = 0
        hour = int(self.clock() // 3600)
        if hour > self._pruned_hour:
            async with self.database.writing() as connection:
                await usage.prune(connection, hour - self._days * 24)
                if not self.rows:
                    await requests.prune(connection, 0)
            self._pruned_hour = hour

    async def _due(self) -> None:
        """A second after the first that waits, or when there are enough for one transaction."""
        await self._some.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(_EVERY_SECONDS):
                await self._full.wait()
        self._some.clear()
        self._full.clear()

    async def _failed(self) -> None:
        self._refused = self._refused + 1 if await self.database.takes_writes() else 0
        if self._refused >= _MOST_REFUSED:
            for _ in range(min(_BATCH, len(self._waiting))):
                self._waiting.popleft()
                self.dropped += 1
