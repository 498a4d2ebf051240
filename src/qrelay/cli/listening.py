"""Sockets that listen where people said, or a sentence why they can't. Not what is served on them."""

import errno
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from qrelay.cli.outcome import Failed

BACKLOG = 2048


@contextmanager
def listening(host: str, port: int) -> Generator[list[socket.socket]]:
    """Sockets that already listen on every address `host` stands for. Raises Failed."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise Failed(f"There is no address called {host}.", "Give an address of this machine with --host.") from error
    sockets: list[socket.socket] = []
    refused: OSError | None = None
    try:
        for family, *_, address in dict.fromkeys(found):
            # localhost is two addresses: with port 0 the second takes the port the first was given
            place = (address[0], _port(sockets[0]) if sockets else port, *address[2:])
            try:
                sockets.append(_listen(family, place))
            except OSError as error:
                refused = error
                if error.errno == errno.EADDRINUSE:
                    break
        if not sockets or (refused and refused.errno == errno.EADDRINUSE):
            raise _cannot_listen(host, port, refused)
        yield sockets
    finally:
        for taken in sockets:
            taken.close()


def url_of(host: str, listener: socket.socket) -> str:
    """The address as people type it."""
    return f"http://{f'[{host}]' if ':' in host else host}:{_port(listener)}"


def local_url(listener: socket.socket) -> str:
    """The address by which this machine reaches it, also when it listens on all of them."""
    return reached_here(url_of(str(listener.getsockname()[0]), listener))


def reached_here(url: str) -> str:
    """The same address, or a loopback one where it stands for all that this machine has."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def _listen(family: socket.AddressFamily, address: tuple[Any, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def _cannot_listen(host: str, port: int, refused: OSError | None) -> Failed:
    match refused.errno if refused else None:
        case errno.EADDRINUSE:
            return Failed(
                f"Port {port} on {host} is taken by another program.",
                "Choose another one: --port 8001, or make run PORT=8001",
            )
        case errno.EACCES:
            return Failed(f"Port {port} on {host} may not be used by this user.", "Choose one above 1023: --port 8000")
        case errno.EADDRNOTAVAIL:
            return Failed(f"{host} is not an address of this machine.", "Give one that is with --host.")
        case _:
            why = refused.strerror if refused else "no address"
            return Failed(f"Listening on {host}, port {port}, did not work: {why}.")
