"""So many wrong secrets a minute from one place, and so many from all places. In memory of this process; no clock.

While there were too many, nothing is compared, so a right secret is refused too: else guessing would go on. Being
refused doesn't make the wait longer: who waits as long as they are told may try again. A place that had the right
secret is held to its own failures only: else whoever guesses from many places locks out those who know it.
"""

import ipaddress
from collections import deque
from functools import lru_cache
from typing import Final

WINDOW: Final = 60.0
_MOST_PLACES: Final = 256


class Attempts:
    """Failures of the last minute. `now` is seconds of any clock that doesn't jump."""

    def __init__(self, *, per_place: int, in_all: int) -> None:
        self._per_place = per_place
        self._in_all = in_all
        self._failures: dict[str, deque[float]] = {}
        self._all: deque[float] = deque()
        self._good: dict[str, None] = {}  # places, the one that came last at the end

    def wait(self, peer: str, now: float) -> float:
        """Seconds until that place may try; 0 for at once."""
        self._forget(now)
        place = _place(peer)
        bounds = [(self._failures.get(place, deque[float]()), self._per_place)]
        if place not in self._good:
            bounds.append((self._all, self._in_all))
        full = [since for since, most in bounds if len(since) >= most]
        return max((since[0] + WINDOW - now for since in full), default=0.0)

    def failed(self, peer: str, now: float) -> None:
        """Count one."""
        self._failures.setdefault(_place(peer), deque()).append(now)
        self._all.append(now)

    def passed(self, peer: str) -> None:
        """Note that the right secret came from there."""
        place = _place(peer)
        self._good.pop(place, None)
        self._good[place] = None
        if len(self._good) > _MOST_PLACES:
            del self._good[next(iter(self._good))]

    def _forget(self, now: float) -> None:
        """What is older than a minute. The bounds hold for them too, so there are never many places."""
        for since in (self._all, *self._failures.values()):
            while since and since[0] <= now - WINDOW:
                since.popleft()
        for place in [place for place, since in self._failures.items() if not since]:
            del self._failures[place]


@lru_cache(maxsize=256)
def _place(peer: str) -> str:
    """An address; of IPv6 the network, since one home or one attacker has all addresses of it."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return peer
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))
