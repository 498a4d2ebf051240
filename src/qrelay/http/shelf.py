"""Stored responses: in memory first, in the database for after a restart and for other replicas. Not their routes.

A request that refers to one that memory lacks is read again once `recall` has fetched it: only that costs a read.
"""

import asyncio
from collections import OrderedDict
from typing import Final

import msgspec
import structlog
from msgspec import Raw

from qrelay.apis.openai_responses import Kept, ResponsesStore, references, references_of
from qrelay.database import Database
from qrelay.records.responses import LARGEST, KeptResponses

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_LOOK_AGAIN_AFTER: Final = (0.1, 0.3, 0.6)
"""Another replica may have answered a moment ago, and be about to write it down."""
_MOST_GONE: Final = 1000
_MEMORY_BYTES: Final = 16 * 1024 * 1024
"""Bytes of responses in memory where the database has them too."""


class _Written(msgspec.Struct):
    body: Raw
    items: list[Raw]
    output: dict[str, Raw]


_written = msgspec.json.Decoder(_Written)


class Shelf:
    """Of one database; `start` and `close` it. `days`: how long the database has them, 0 for not at all."""

    def __init__(self, database: Database, *, days: int) -> None:
        self.memory = ResponsesStore(max_bytes=_MEMORY_BYTES, told=self._keep) if days else ResponsesStore()
        self._rows = KeptResponses(database, days=days, forget=self._forget)
        self._shared = database.shared and days > 0
        self._gone: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.start = self._rows.start
        self.close = self._rows.close

    async def get(self, owner: str, response_id: str) -> Kept | None:
        """One of that owner's. Raises RelayError(store_failed)."""
        await self._fetch(owner, [response_id])
        return self.memory.get(owner, response_id)

    async def delete(self, owner: str, response_id: str) -> bool:
        """Whether there was one; it is gone here, and from other replicas within a second.

        Raises RelayError(store_failed): then it is still there.
        """
        known = self.memory.get(owner, response_id) is not None
        there = await self._rows.delete(owner, response_id, known=known)
        if there:
            self._forget(owner, response_id)
        return there

    async def recall(self, body: bytes, owner: str) -> bool:
        """Fetch what a request of that owner refers to; whether there was any. Raises RelayError(store_failed)."""
        wanted, seen, fetched = await asyncio.to_thread(references, body), set[str](), False
        for pause in _LOOK_AGAIN_AFTER if self._shared else ():
            fetched = await self._fetch(owner, wanted) or fetched
            if all(self.memory.get(owner, id_) is not None for id_ in wanted):
                break
            await asyncio.sleep(pause)
        while wanted:
            fetched = await self._fetch(owner, wanted) or fetched
            seen.update(wanted)
            held = [kept for id_ in wanted if (kept := self.memory.get(owner, id_)) is not None]
            named = await asyncio.to_thread(_named, held)
            wanted = [id_ for id_ in named if id_ not in seen]
        return fetched

    async def _fetch(self, owner: str, ids: list[str]) -> bool:
        missing = [id_ for id_ in ids if self.memory.get(owner, id_) is None]
        found = await self._rows.find(owner, missing) if missing else {}
        for id_, text in found.items():
            if (owner, id_) in self._gone:  # deleted since it was read
                continue
            try:
                self.memory.put(owner, id_, await asyncio.to_thread(_read, text))
            except msgspec.MsgspecError:
                log.warning("a kept response can't be read", response=id_, reason="it is of another version")
        return bool(found)

    def _forget(self, owner: str, response_id: str) -> None:
        self.memory.delete(owner, response_id)
        self._gone[owner, response_id] = None
        if len(self._gone) > _MOST_GONE:
            self._gone.popitem(last=False)

    def _keep(self, owner: str, response_id: str, kept: Kept) -> None:
        if kept.size > LARGEST:
            return
        output = {id_: Raw(item) for id_, item in kept.output.items()}
        written = _Written(Raw(kept.body), [Raw(items) for items in kept.items], output)
        self._rows.keep(owner, response_id, msgspec.json.encode(written))


def _named(held: list[Kept]) -> list[str]:
    return [id_ for kept in held for id_ in references_of(kept)]


def _read(text: str) -> Kept:
    written = _written.decode(text)
    items = tuple(bytes(each) for each in written.items)
    return Kept(bytes(written.body), items, {id_: bytes(item) for id_, item in written.output.items()})
