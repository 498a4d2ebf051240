"""Whose turn it is, by a strategy. Pure: chance, load and who may serve are passed in, and there is no clock.

    sticky      a session stays with its account. Accounts and sessions lie on a ring; a session's account is the next
                one on it. When an account goes, only its own sessions move; while it can't serve, or is full, they go
                to the least busy of the next few.

                      ──●a──○s──●b──●a──●c──●b──○t──●c──      s: b, then a, c      t: c, then a, b

    least_busy  the one with the fewest requests now; of many accounts, that of a sample
    random      any (q2api's)
    active      the one that is marked, and no other (amq2api's)

What it costs doesn't grow with the number of accounts, but for its logarithm, as long as some of them can serve.
"""

import struct
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from hashlib import blake2b
from typing import Final, Literal, TypeAlias, assert_never

Strategy: TypeAlias = Literal["sticky", "least_busy", "random", "active"]

_POINTS: Final = 64
"""Of each account on the ring: shares of it differ by an eighth or so."""
_SLOT_BITS: Final = 20
_SLOT: Final = (1 << _SLOT_BITS) - 1
_EIGHT: Final = struct.Struct("<8Q")
_NEIGHBOURS: Final = 16
"""Accounts that are looked at before everybody is."""
_SPILL: Final = 4
"""Accounts that share the load of one that can't serve."""
_SAMPLE: Final = 16
_FEW: Final = 32
"""Up to so many accounts all are looked at, and no sample."""


class Ring:
    """Accounts on a ring, each at many points, which its id alone decides: all replicas have the same one.

    A point is a number: where it is in the upper bits, whose it is in the lower ones.
    """

    def __init__(self) -> None:
        self._points: array[int] = array("Q")
        self._ids: list[str] = []
        self._slots: dict[str, int] = {}
        self._free: list[int] = []

    def seat(self, ids: Collection[str]) -> None:
        """Whose ring it is. What is the same as before isn't computed again."""
        wanted = set(ids)
        gone = {self._slots.pop(id_) for id_ in self._slots.keys() - wanted}
        self._free.extend(gone)
        added: list[int] = []
        for id_ in sorted(wanted - self._slots.keys()):
            if self._free:
                slot = self._free.pop()
                self._ids[slot] = id_
            else:
                slot = len(self._ids)
                self._ids.append(id_)
            self._slots[id_] = slot
            added.extend(point << _SLOT_BITS | slot for point in _places(id_))
        if gone or added:
            kept = (point for point in self._points if point & _SLOT not in gone) if gone else self._points
            self._points = array("Q", sorted([*kept, *added]))

    def after(self, session: str, most: int) -> Iterator[str]:
        """The next accounts after a session's place, each once; at most so many."""
        points = self._points
        key = int.from_bytes(blake2b(session.encode(errors="surrogatepass"), digest_size=5).digest()) << _SLOT_BITS
        start = bisect_left(points, key)
        seen: set[int] = set()
        for at in range(start, start + min(len(points), most * 8)):
            slot = points[at % len(points)] & _SLOT
            if slot not in seen:
                seen.add(slot)
                yield self._ids[slot]
                if len(seen) == most:
                    return


class Turns:
    """`choose` says who is next. `chance` gives 0 to 1, without 1."""

    def __init__(self, strategy: Strategy, chance: Callable[[], float]) -> None:
        self._strategy: Strategy = strategy
        self._chance = chance
        self._ring = Ring()
        self._ids: Sequence[str] = ()

    def seat(self, ids: Sequence[str]) -> None:
        """Everybody who could ever have a turn; to be called when somebody comes or goes."""
        self._ids = ids
        if self._strategy == "sticky":
            self._ring.seat(ids)

    def choose(
        self, session: str, free: Callable[[str], bool], busy: Callable[[str], int], rest: Callable[[], Sequence[str]]
    ) -> str | None:
        """Who serves this session now; None if nobody is free.

        `free`: may serve and has room. `busy`: how many requests it has. `rest`: everybody who might be free, asked for
        only when those that are looked at first are not.
        """
        match self._strategy:
            case "sticky":
                found = self._sticky(session, free, busy)
            case "least_busy":
                found = self._least_busy(free, busy)
            case "random":
                found = next((id_ for id_ in self._sample() if free(id_)), None)
            case "active":
                found = next((id_ for id_ in self._ids if free(id_)), None)
            case _:
                assert_never(self._strategy)
        if found is not None or len(self._ids) == 1:
            return found
        return _least(busy, self._some(free, rest()))

    def _sticky(self, session: str, free: Callable[[str], bool], busy: Callable[[str], int]) -> str | None:
        if len(self._ids) == 1:
            return self._ids[0] if free(self._ids[0]) else None
        near = self._ring.after(session, _NEIGHBOURS)
        home = next(near, None)
        if home is None or free(home):
            return home
        others: list[str] = []
        for id_ in near:
            if free(id_):
                others.append(id_)
                if len(others) == _SPILL:
                    break
        return _least(busy, others)

    def _least_busy(self, free: Callable[[str], bool], busy: Callable[[str], int]) -> str | None:
        least: tuple[int, float] | None = None
        found: str | None = None
        for id_ in self._ids if len(self._ids) <= _FEW else self._sample():
            load = (busy(id_), self._chance())
            if (least is None or load < least) and free(id_):
                least, found = load, id_
        return found

    def _sample(self) -> Iterator[str]:
        ids = self._ids
        if ids:
            for _ in range(_SAMPLE):
                yield ids[int(self._chance() * len(ids))]

    def _some(self, free: Callable[[str], bool], ids: Sequence[str]) -> list[str]:
        """A few that are free, from anywhere on."""
        found: list[str] = []
        start = int(self._chance() * len(ids))
        for at in range(start, start + len(ids)):
            if free(id_ := ids[at % len(ids)]):
                found.append(id_)
                if len(found) == _SPILL:
                    break
        return found


def _least(busy: Callable[[str], int], ids: Sequence[str]) -> str | None:
    return min(ids, key=busy, default=None)


def _places(id_: str) -> Iterator[int]:
    """Where an account's points are: 40 bits each."""
    for part in range(_POINTS // 8):
        digest = blake2b(f"{part}|{id_}".encode(errors="surrogatepass")).digest()
        yield from (place >> 24 for place in _EIGHT.unpack(digest))
