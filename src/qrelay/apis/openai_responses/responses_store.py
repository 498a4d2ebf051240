"""Responses kept for `previous_response_id`, `item_reference` and GET /v1/responses/{id}. Not where else they are kept.

In memory, bounded by count and by bytes; the least recently used goes first. Whoever keeps them longer is told of each.
Everything is kept under a scope (a digest of the caller's key): one caller never sees another's. A response holds the
whole conversation up to itself, so it outlives the ones it was built on.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import RLock
from typing import NamedTuple


class Kept(NamedTuple):
    """`items` is the conversation so far as JSON arrays of items; `output` this response's own items by id."""

    body: bytes
    items: tuple[bytes, ...]
    output: dict[str, bytes]

    @property
    def size(self) -> int:
        return len(self.body) + sum(map(len, self.items)) + sum(map(len, self.output.values()))


class ResponsesStore:
    """`max_bytes` counts what is shared between responses once for each, so the true size is never larger.

    `told` hears of each new one: its scope, its id, and what is kept.
    """

    def __init__(
        self,
        max_count: int = 2000,
        max_bytes: int = 64 * 1024 * 1024,
        *,
        told: Callable[[str, str, Kept], None] | None = None,
    ) -> None:
        self.told = told
        self._lock = RLock()  # large requests are read in a thread
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[str, str], Kept] = OrderedDict()
        self._owner: dict[tuple[str, str], str] = {}
        """(scope, item id) -> the response it belongs to."""
        self.held_bytes = 0

    @property
    def held_items(self) -> int:
        return len(self._owner)

    def __len__(self) -> int:
        return len(self._kept)

    def scoped(self, scope: str) -> "Memory":
        return Memory(self, scope)

    def get(self, scope: str, response_id: str) -> Kept | None:
        with self._lock:
            kept = self._kept.get((scope, response_id))
            if kept is not None:
                self._kept.move_to_end((scope, response_id))
            return kept

    def find_item(self, scope: str, item_id: str) -> bytes | None:
        with self._lock:
            owner = self._owner.get((scope, item_id))
            kept = self.get(scope, owner) if owner is not None else None
        return kept.output.get(item_id) if kept is not None else None

    def put(self, scope: str, response_id: str, kept: Kept) -> None:
        """Keep a response; one that is too large for the whole store isn't kept."""
        with self._lock:
            self.delete(scope, response_id)
            if kept.size > self._max_bytes:
                return
            self._kept[scope, response_id] = kept
            self.held_bytes += kept.size
            for item_id in kept.output:
                self._owner[scope, item_id] = response_id
            while len(self._kept) > self._max_count or self.held_bytes > self._max_bytes:
                self.delete(*next(iter(self._kept)))

    def delete(self, scope: str, response_id: str) -> bool:
        with self._lock:
            kept = self._kept.pop((scope, response_id), None)
            if kept is None:
                return False
            self.held_bytes -= kept.size
            for item_id in kept.output:
                self._owner.pop((scope, item_id), None)
            return True


class Memory(NamedTuple):
    """The store as one caller sees it."""

    store: ResponsesStore
    scope: str

    def get(self, response_id: str) -> Kept | None:
        return self.store.get(self.scope, response_id)

    def find_item(self, item_id: str) -> bytes | None:
        return self.store.find_item(self.scope, item_id)

    def keep(self, response_id: str, body: bytes, before: Sequence[bytes], output: dict[str, bytes]) -> None:
        """`before` are the arrays of items that the response answered."""
        items = (*before, b"[%b]" % b",".join(output.values()))
        kept = Kept(body, items, output)
        self.store.put(self.scope, response_id, kept)
        if self.store.told is not None:
            self.store.told(self.scope, response_id, kept)

    def delete(self, response_id: str) -> bool:
        return self.store.delete(self.scope, response_id)
