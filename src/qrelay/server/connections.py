"""Open client connections of one server: how many there may be, and how long each may take.

    idle       no request is being received or answered; closed first when room is needed, oldest first
    reading    a request's body is still arriving; closed next
    busy       a request is being answered; never closed to make room

One timer looks at all of them once a second. A connection over the limit is kept if it is one of a small reserve, so
that probes and the console still answer; its chat requests are refused (`scope["extensions"][OVER_CAPACITY]`).
"""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final, Protocol, cast

from msgspec import Struct

OVER_CAPACITY: Final = "qrelay.over_capacity"
"""The ASGI extension that marks requests on a connection of the reserve."""

_CHECK_SECONDS: Final = 1.0
_DESCRIPTORS_KEPT: Final = 128
"""File descriptors for everything but connections: the database, logs, listeners."""
_DESCRIPTORS_WANTED: Final = 65_536


class ConnectionLimits(Struct, frozen=True, kw_only=True):
    """Limits of one server. Times are seconds, the body rate is bytes per second.

    `per_address` doesn't apply to loopback addresses and to `trusted` ones: proxies bring the connections of many.
    """

    total: int = 10_000
    per_address: int = 1_000
    reserve: int = 64
    trusted: tuple[str, ...] = ()
    head_seconds: float = 20.0
    body_seconds: float = 30.0
    body_rate: float = 500.0
    send_seconds: float = 300.0


class LimitedConnection(Protocol):
    """The part of a connection that the table uses."""

    address: str | None
    """The client's address; None for a Unix socket, which has no limit."""
    over_capacity: bool
    transport: asyncio.Transport

    def check_deadlines(self, now: float) -> None:
        """Close the connection if it takes too long; `now` is the event loop's time."""


class ConnectionTable:
    """Connections of one server."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.idle: dict[LimitedConnection, None] = {}
        self.reading: dict[LimitedConnection, None] = {}
        self.closed_for_room = 0
        """Idle or slow connections that were closed because new ones needed their place."""
        self.refused = 0
        self._all: dict[LimitedConnection, None] = {}
        self._by_address: Counter[str] = Counter()
        self._trusted = [ipaddress.ip_network(each, strict=False) for each in limits.trusted]
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._all)

    @cached_property
    def total(self) -> int:
        """The most connections served together: the setting, or what the process's file descriptors allow.

        A streamed answer needs two of them: one to its client and one to the service.
        """
        allowed = (_descriptor_limit() - _DESCRIPTORS_KEPT) // 2 - self.limits.reserve
        return max(1, min(self.limits.total, allowed))

    def admit(self, connection: LimitedConnection) -> bool:
        """Add a new connection, closing an older one if there are too many. Return False if there is no room."""
        address = connection.address
        if address is not None and self._over_address_limit(address) and not self._close_one(address):
            self.refused += 1
            return False
        if address is not None and len(self._all) >= self.total and not self._close_one(None):
            if len(self._all) >= self.total + self.limits.reserve:
                self.refused += 1
                return False
            connection.over_capacity = True
        self._all[connection] = self.idle[connection] = None
        if address is not None:
            self._by_address[address] += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_CHECK_SECONDS, self._check)
        return True

    def remove(self, connection: LimitedConnection) -> None:
        """Forget a connection that has ended. A second time does nothing."""
        if connection not in self._all:
            return
        del self._all[connection]
        self.idle.pop(connection, None)
        self.reading.pop(connection, None)
        if (address := connection.address) is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def _over_address_limit(self, address: str) -> bool:
        return self._by_address[address] >= self.limits.per_address and not self._exempt(address)

    def _exempt(self, address: str) -> bool:
        parsed = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return parsed.is_loopback or any(parsed in network for network in self._trusted)

    def _close_one(self, address: str | None) -> bool:
        """Close the oldest connection of `address` (None: of any) that isn't being answered, if there is one."""
        for candidates in (self.idle, self.reading):
            found = _first(candidates, address)
            if found is not None:
                self.remove(found)
                found.transport.abort()
                self.closed_for_room += 1
                return True
        return False

    def _check(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._all):
            connection.check_deadlines(now)
        self._timer = loop.call_later(_CHECK_SECONDS, self._check) if self._all else None


def _first(candidates: Iterable[LimitedConnection], address: str | None) -> LimitedConnection | None:
    for connection in candidates:
        if connection.address is not None and address in (None, connection.address):
            return connection
    return None


def _descriptor_limit() -> int:
    """Return how many file descriptors this process may open, after raising its limit as far as it may."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return 2 * _DESCRIPTORS_WANTED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # macOS allows less than it says
            return soft
        return wanted
    return _DESCRIPTORS_WANTED if soft == resource.RLIM_INFINITY else soft


def socket_address(name: Any) -> str | None:
    """Return the address in a socket name, None for a Unix socket's."""
    return str(cast("tuple[str, int]", name)[0]) if isinstance(name, tuple) and name else None
