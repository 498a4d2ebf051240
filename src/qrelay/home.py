"""The folder of everything that is kept, and the promise that one server at a time uses it. Not what is in it.

With a database that processes share there is no such promise: the folder may be shared too, and nobody locks it.

    QRELAY_HOME/              0700, files 0600
      lock                    held by the running server; its text is {"pid": …, "url": …, "socket": …}
      socket                  where that server answers the owner's commands

The lock is the operating system's, on an open file: it ends with the process, however that ends.
"""

import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from qrelay.json_errors import JSON_ERRORS
from qrelay.private_files import chosen_wrongly

_FAR = 1 << 20  # Windows forbids reading a locked byte, so the byte that is locked lies far behind the text


class HomeUnusable(Exception):  # noqa: N818 - said of the folder, and read by people
    """The folder can't be used; the message is a whole sentence."""


class HomeRefused(HomeUnusable):
    """It never can be, as it is: a file, or somebody else's."""


class HomeBusy(HomeUnusable):
    """Another server uses the folder."""


class Running(msgspec.Struct, frozen=True):
    """What the lock file says of the process that holds it: both None until a server listens, or for a command.

    `socket` is the path where it answers the owner's commands, None where a system has no such sockets.
    """

    pid: int
    url: str | None = None
    socket: str | None = None


class Home:
    """A folder that is ours for as long as `open_home` lasts."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    def announce(self, url: str, socket: Path | None = None) -> None:
        """Write down where this server listens, for the commands that look for it."""
        _write(self._lock, Running(os.getpid(), url, None if socket is None else str(socket)))


@contextmanager
def open_home(path: Path) -> Generator[Home]:
    """Make the folder if it isn't there, and hold its lock. Raises HomeBusy, HomeRefused, HomeUnusable.

    From here on, files this process makes are for its user only.
    """
    share_home(path)
    try:
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        if not _wait_lock(lock):
            raise HomeBusy(_who(path))
        _write(lock, Running(os.getpid()))
        try:
            yield Home(path, lock)
        finally:
            os.ftruncate(lock, 0)
    finally:
        os.close(lock)


def share_home(path: Path) -> None:
    """Make the folder if it isn't there, and hold no lock: others may use it too. Raises HomeRefused, HomeUnusable.

    From here on, files this process makes are for its user only.
    """
    os.umask(0o077)
    try:
        _make_private(path)
    except OSError as error:
        raise _unusable(path, error) from error


def look_into(path: Path) -> None:
    """Whether it could be a home: it may not be there yet. Raises HomeRefused, HomeUnusable; nothing is made."""
    try:
        next(path.iterdir(), None)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable(path, error) from error


def running(path: Path) -> Running | None:
    """The server that uses the folder, if there is one."""
    try:
        lock = os.open(path / "lock", os.O_RDWR)
    except OSError:
        return None
    try:
        return None if _try_lock(lock) else _read(path)
    finally:
        os.close(lock)


def _unusable(path: Path, error: OSError) -> HomeUnusable:
    kind = HomeRefused if chosen_wrongly(error) else HomeUnusable
    return kind(f"The folder {path} can't be used: {error.strerror or error}.")


def _make_private(path: Path) -> None:
    """0700 for a folder that is new, empty or ours already. A folder that holds other things is left as it is."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = {entry.name for entry in path.iterdir()}
    if not held or held & {"qrelay.sqlite3", "master.key"}:
        path.chmod(0o700)


def _who(path: Path) -> str:
    other = _read(path)
    where = f" as process {other.pid}" if other else ""
    address = f", on {other.url}" if other and other.url else ""
    return f"qrelay is already running with the state in {path}{where}{address}. Use that one, or end it first."


def _read(path: Path) -> Running | None:
    try:
        return msgspec.json.decode((path / "lock").read_bytes(), type=Running)
    except (OSError, *JSON_ERRORS):  # between its lock and its first word
        return None


def _write(lock: int, text: Running) -> None:
    os.ftruncate(lock, 0)
    os.lseek(lock, 0, os.SEEK_SET)
    os.write(lock, msgspec.json.encode(text))


def _wait_lock(lock: int) -> bool:
    """Try for a moment: a command that only asks who is `running` holds the lock for an instant."""
    for _ in range(5):
        if _try_lock(lock):
            return True
        time.sleep(0.05)
    return False


if sys.platform == "win32":
    import msvcrt

    def _try_lock(lock: int) -> bool:
        os.lseek(lock, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(lock: int) -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
