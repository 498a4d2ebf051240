"""Responses kept in the database for later requests of the same owner. What a text holds, and when it is asked for, is
`http`'s business.

    keep(owner, id, text) ── waiting ── soon, sealed, in one transaction ── the database
    find(owner, ids)         what the database has of them
    delete(owner, id)        here, and told to the other replicas within a second

Serving never waits for a write. It comes within a second, and at once beside replicas, which may get the next request.
One that is too large, or comes while too many wait, is not written, and a process that is killed loses what waits: then
only its memory had it. The newest stay, up to a number and a size of all.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog
from sqlalchemy import Row, delete, func, or_, select, update

from qrelay.database import Database, inserting, steadily
from qrelay.database.schema import responses
from qrelay.errors import RelayError
from qrelay.tasks import stopped

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_EVERY_SECONDS: Final = 1.0
_EVERY_SECONDS_SHARED: Final = 0.02
_BATCH: Final = 100
_BATCH_BYTES: Final = 8 * 1024 * 1024
_MOST_WAITING_BYTES: Final = 32 * 1024 * 1024
LARGEST: Final = 4 * 1024 * 1024
_MOST_ROWS: Final = 10_000
_MOST_BYTES: Final = 256 * 1024 * 1024
_PRUNE_AFTER: Final = 200
_PRUNE_AFTER_BYTES: Final = 32 * 1024 * 1024
_PRUNE_AFTER_SECONDS: Final = 3600.0
_MOST_FOUND_BYTES: Final = 64 * 1024 * 1024
"""Of one question: what memory holds of them all."""
_LONGEST_ID: Final = 200
_LOOK_BACK_SECONDS: Final = 10.0
"""Longer than a transaction takes: what was deleted then may be seen only now."""
_DAY: Final = 86_400.0


class KeptResponses:
    """Of one database; `start` and `close` it. `forget` is told what other replicas deleted: owner and id."""

    def __init__(self, database: Database, *, days: int, forget: Callable[[str, str], object]) -> None:
        self._database = database
        self._clock = database.clock
        self._seconds = days * _DAY
        self._forget = forget
        self._waiting: dict[tuple[str, str], bytes] = {}
        self._waiting_bytes = 0
        self._some = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._writer: asyncio.Task[None] | None = None
        self._unpruned = 0
        self._unpruned_bytes = 0
        self._prune_at = 0.0
        self._looked_at = self._clock()

    async def start(self) -> None:
        """Begin; where nothing is to be kept, what was kept before goes. Raises RelayError(store_failed)."""
        if self._seconds:
            self._database.watch.add(self._look)
            self._writer = asyncio.create_task(steadily(self.flush, self._due, waiting="responses"))
            return
        async with self._database.writing() as connection:
            await connection.execute(delete(responses))

    async def close(self) -> None:
        """Write what waits."""
        if self._writer is None:
            return
        await stopped(self._writer)
        try:
            await self.flush()
        except RelayError as error:
            log.warning("the last responses were not kept", responses=len(self._waiting), reason=error.message)

    def keep(self, owner: str, id_: str, text: bytes) -> None:
        """Have it written soon. What isn't UTF-8 in it isn't kept as it was."""
        if self._writer is None or len(text) > LARGEST or self._waiting_bytes + len(text) > _MOST_WAITING_BYTES:
            return
        self._waiting[owner, id_] = text
        self._waiting_bytes += len(text)
        self._some.set()

    async def find(self, owner: str, ids: Iterable[str]) -> dict[str, str]:
        """Texts by id. Raises RelayError(store_failed)."""
        wanted = [id_ for id_ in ids if _may_be_ours(id_)]
        if not self._seconds or not wanted:
            return {}
        its = responses.c.id.in_(wanted), responses.c.owner == owner, responses.c.text.is_not(None)
        there = select(responses.c.id, responses.c.size).where(*its, responses.c.ends_at > self._clock())
        async with self._database.reading() as connection:
            sizes: dict[str, int] = {row.id: row.size for row in await connection.execute(there)}
            some, size = list[str](), 0
            for id_ in wanted:
                if id_ in sizes and (size := size + sizes[id_]) <= _MOST_FOUND_BYTES:
                    some.append(id_)
            if not some:
                return {}
            found = select(responses.c.id, responses.c.text).where(responses.c.id.in_(some), *its)
            rows = (await connection.execute(found)).all()
        return await asyncio.to_thread(self._opened, owner, rows)

    async def delete(self, owner: str, id_: str, *, known: bool) -> bool:
        """Whether there was one. `known`: it is in memory here, and so maybe elsewhere, whether or not it has a row.

        Raises RelayError(store_failed); it is still there then.
        """
        if not self._seconds or not _may_be_ours(id_):
            return known
        async with self._one_at_a_time:  # a write that is under way would bring it back
            gone = {"text": None, "size": 0, "deleted_at": self._clock()}
            its = responses.c.id == id_, responses.c.owner == owner
            async with self._database.writing(tell=True) as connection:
                there = responses.c.deleted_at.is_(None)
                done = await connection.execute(update(responses).where(*its, there).values(gone).returning(its[0]))
                found = done.one_or_none() is not None
                if known and not found:
                    await connection.execute(self._new([self._row(owner, id_, None) | gone]))
            waited = self._waiting.pop((owner, id_), None)
            self._waiting_bytes -= len(waited or b"")
        return found or known

    async def flush(self) -> None:
        """Write what there is now. What can't be written waits on. Raises RelayError(store_failed)."""
        async with self._one_at_a_time:
            while batch := self._next_batch():
                async with self._database.writing() as connection:
                    # Sealed in here: a change of the master key waits for the connection, and so sees the rows.
                    rows = await asyncio.to_thread(self._rows, batch)
                    await connection.execute(self._new(rows))
                size = sum(map(len, batch.values()))
                for key in batch:
                    del self._waiting[key]
                self._waiting_bytes -= size
                self._unpruned += len(batch)
                self._unpruned_bytes += size
                if self._unpruned >= _PRUNE_AFTER or self._unpruned_bytes >= _PRUNE_AFTER_BYTES:
                    await self._prune()
            if self._clock() >= self._prune_at:
                await self._prune()

    # -- inside

    def _next_batch(self) -> dict[tuple[str, str], bytes]:
        batch: dict[tuple[str, str], bytes] = {}
        size = 0
        for key, text in self._waiting.items():
            size += len(text)
            if batch and (size > _BATCH_BYTES or len(batch) == _BATCH):
                break
            batch[key] = text
        return batch

    def _rows(self, batch: dict[tuple[str, str], bytes]) -> list[dict[str, Any]]:
        return [self._row(owner, id_, text) for (owner, id_), text in batch.items()]

    def _row(self, owner: str, id_: str, text: bytes | None) -> dict[str, Any]:
        sealed = None
        if text is not None:
            # With its owner, so that a row that is given to somebody else can't be read by them. What a client sent may
            # hold bytes that are no text, in members that nobody reads.
            plain = f"{owner}\n{text.decode('utf-8', 'replace')}"
            sealed = self._database.vault.seal(plain, table=responses.name, row=id_, column="text")
        now = self._clock()
        values = {"id": id_, "owner": owner, "text": sealed, "size": len(sealed or b"")}
        return values | {"at": now, "ends_at": now + self._seconds, "deleted_at": None}

    def _new(self, rows: list[dict[str, Any]]) -> Any:
        """An id is given once; a row that is there already was deleted, or written by a try that seemed to fail."""
        return inserting(responses, self._database.engine.dialect.name).values(rows).on_conflict_do_nothing()

    def _opened(self, owner: str, rows: Sequence[Row[Any, Any]]) -> dict[str, str]:
        """One that can't be opened is as good as gone, and costs no request that could do without it."""
        opened: dict[str, str] = {}
        for row in rows:
            try:
                plain = self._database.vault.open(row.text, table=responses.name, row=row.id, column="text")
            except RelayError as error:
                log.warning("a kept response can't be read", response=row.id, reason=error.message)
                continue
            its_owner, _, text = plain.partition("\n")
            if its_owner == owner:
                opened[row.id] = text
        return opened

    async def _prune(self) -> None:
        """The newest stay: so many, and of such a size in all."""
        newest = func.coalesce(responses.c.deleted_at, responses.c.at).desc(), responses.c.id
        counted = select(
            responses.c.id,
            func.row_number().over(order_by=newest).label("number"),
            func.sum(responses.c.size).over(order_by=newest).label("bytes"),
        ).subquery()
        too_many = select(counted.c.id).where(or_(counted.c.number > _MOST_ROWS, counted.c.bytes > _MOST_BYTES))
        over = or_(responses.c.ends_at <= self._clock(), responses.c.id.in_(too_many))
        async with self._database.writing() as connection:
            await connection.execute(delete(responses).where(over))
        self._unpruned = self._unpruned_bytes = 0
        self._prune_at = self._clock() + _PRUNE_AFTER_SECONDS

    async def _look(self) -> None:
        """Hear of what other replicas deleted."""
        now = self._clock()
        since = responses.c.deleted_at > self._looked_at - _LOOK_BACK_SECONDS
        async with self._database.reading() as connection:
            rows = (await connection.execute(select(responses.c.owner, responses.c.id).where(since))).all()
        self._looked_at = now
        for row in rows:
            self._forget(row.owner, row.id)

    async def _due(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PRUNE_AFTER_SECONDS):  # what is over goes, also when nothing comes
                await self._some.wait()
        await asyncio.sleep(_EVERY_SECONDS_SHARED if self._database.shared else _EVERY_SECONDS)
        self._some.clear()


def _may_be_ours(id_: str) -> bool:
    """Whether it is worth asking for: PostgreSQL takes no NUL."""
    return id_.isascii() and id_.isprintable() and len(id_) <= _LONGEST_ID
