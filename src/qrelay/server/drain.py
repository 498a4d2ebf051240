"""Closing a server that a proxy still sends to, without losing a request (RFC 9112 §9.6).

A proxy may send on a kept connection, or open a new one, at the moment we close it. It can't repeat such a request: it
doesn't know whether we began it. So nothing is closed that a request may be on its way to:

    announce_close       responses say `Connection: close`, and the proxy doesn't use these connections again
    established          connections that wait in the listener's queue are taken over before the listener closes
    IdleTimes            kept connections are closed after they have been idle for long enough
"""

import ctypes
import socket
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from qrelay.server.protocol import HTTPProtocol

CLOSE: Final = (b"connection", b"close")

HANDSHAKE_SECONDS: Final = 0.1
"""The longest time from a connection's first packet until it is established."""

_SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h; not in Python's module
_DROP_SYN: Final = (
    (0x30, 0, 0, 13),  # load the flags of the TCP header
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone?
    (0x06, 0, 0, 0),  # drop the packet
    (0x06, 0, 0, 0xFFFF),  # pass it on
)
"""A program of the kernel's packet filter: code, jump if true, jump if false, operand."""


def announce_close(cycle: RequestResponseCycle | None) -> None:
    """Let the response of this request say that its connection closes, unless its head was sent already."""
    if cycle is not None and not cycle.response_started:
        cycle.keep_alive = False


def drop_new_connections(listener: socket.socket) -> None:
    """Make the kernel ignore new connections while those that are being established go on. Linux only.

    Their clients try again after a second, and are refused by then; a proxy turns to another server.
    """
    if sys.platform != "linux" or listener.family not in (socket.AF_INET, socket.AF_INET6):
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _DROP_SYN))
    with suppress(OSError):  # a sandbox may forbid it; then a connection may be lost at the listener's end
        listener.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_DROP_SYN), ctypes.addressof(program))
        )


def established(listener: socket.socket) -> list[socket.socket]:
    """Accept all connections that are waiting. Close the listener directly after: what comes in between is reset."""
    accepted: list[socket.socket] = []
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # BlockingIOError: there are no more
            return accepted
        connection.setblocking(False)
        accepted.append(connection)


class IdleTimes:
    """Idle times of connections, as far as `update` has seen.

    After `announce_close` a connection that was seen idle twice was idle in between: a response would have ended it.
    """

    def __init__(self) -> None:
        self._since: dict[HTTPProtocol, float] = {}

    def update(self, connections: Iterable[HTTPProtocol], now: float) -> None:
        self._since = {each: self._since.get(each, now) for each in connections if each.idle}

    def idle_for(self, seconds: float, now: float) -> list[HTTPProtocol]:
        """Return connections that have been idle for that long."""
        return [each for each, since in self._since.items() if now - since >= seconds and each.idle]
