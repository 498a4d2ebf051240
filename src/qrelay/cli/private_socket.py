"""The socket in the home folder by which the owner's commands reach a running server. Not what is asked over it.

Who may connect is the file system's business: the file is 0600 and lies in a folder of the owner's.
"""

import os
import socket
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import structlog

_LONGEST_PATH = 100  # bytes: macOS takes 103, Linux 107


class PrivateSocket(NamedTuple):
    """A socket that listens, and where."""

    listener: socket.socket
    path: Path


@contextmanager
def private_socket(home: Path) -> Generator[PrivateSocket | None]:
    """`home/socket` for the length of a block; None where the system has none, which the log tells.

    The caller holds the home's lock, so a socket that is there already belongs to nobody. Where the path is too long
    for a socket, it lies in a private folder of its own.
    """
    if sys.platform == "win32":
        yield None
        return
    folder = home
    if len(os.fsencode(home / "socket")) > _LONGEST_PATH:
        folder = Path(tempfile.mkdtemp(prefix="qrelay-"))
    path = folder / "socket"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                listener.bind(str(path))
            finally:
                os.umask(before)
            listener.listen()
            listener.setblocking(False)
        except OSError as error:
            # A volume that can't hold sockets; commands go by the address then.
            structlog.get_logger().warning("no socket for commands", path=str(path), reason=error.strerror)
            yield None
        else:
            yield PrivateSocket(listener, path)
    finally:
        listener.close()
        with suppress(OSError):
            path.unlink(missing_ok=True)
        if folder != home:
            with suppress(OSError):
                folder.rmdir()
