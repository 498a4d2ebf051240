"""SQLite files of other programs, read without leaving a trace: not in them, not beside them.

A database in WAL mode that nobody has open is whole in its one file, but opening it would make two more beside it:
such a one is opened as immutable. Every other is opened read-only, with its owner's locks honoured.
"""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from qrelay.accounts.importing.files import check_regular, unreadable
from qrelay.errors import RelayError

_MAGIC: Final = b"SQLite format 3\0"
_WAL: Final = 2
_PATIENCE: Final = 2.0  # seconds for a lock to go
_MOST_STEPS: Final = 1000
"""Times 100,000 of SQLite's own: a hundred thousand accounts take fewer, a view that never ends does not."""


@contextmanager
def reading(path: Path) -> Generator[sqlite3.Connection]:
    """A connection that can't write; rows are `sqlite3.Row`. Raises RelayError, for errors in the block too."""
    check_regular(path)
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except OSError as error:
        raise unreadable(f"{path} can't be read: {error.strerror}.") from error
    if not head.startswith(_MAGIC):
        raise unreadable(f"{path} is not a SQLite database.")
    how = "mode=ro&immutable=1" if _is_at_rest(path, head) else "mode=ro"
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=_PATIENCE)
        connection.row_factory = sqlite3.Row
        connection.text_factory = _text
        connection.execute("PRAGMA query_only = ON")
        yield connection
    except (sqlite3.Error, UnicodeDecodeError) as error:  # names of columns are decoded strictly
        raise _told(path, error) from error
    finally:
        if connection is not None:
            connection.close()


def is_database(raw: bytes) -> bool:
    """Whether these bytes are a SQLite file."""
    return raw.startswith(_MAGIC)


@contextmanager
def reading_bytes(raw: bytes, path: Path) -> Generator[sqlite3.Connection]:
    """The same of a file's bytes that somebody sent, `path` being what they call it: in memory, nothing is written.

    A database in WAL mode has its newest rows in another file; what is in this one is read as it stands.
    """
    if len(raw) < 100:
        raise unreadable(f"{path} is not a whole SQLite database.")
    at_rest = raw[:18] + b"\1\1" + raw[20:]  # not WAL: there is no file to write its log beside
    steps = iter(range(_MOST_STEPS))
    connection = sqlite3.connect(":memory:")
    try:
        connection.deserialize(at_rest)
        connection.row_factory = sqlite3.Row
        connection.text_factory = _text
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA query_only = ON")
        connection.set_progress_handler(lambda: next(steps, None) is None, 100_000)
        yield connection
    except (sqlite3.Error, UnicodeDecodeError) as error:  # names of columns are decoded strictly
        raise _told(path, error) from error
    finally:
        connection.close()


def columns(connection: sqlite3.Connection, table: str) -> set[str]:
    """The columns of a table; none when there is no such table."""
    return {row["name"] for row in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}


def _is_at_rest(path: Path, head: bytes) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return head[18:19] == bytes([_WAL]) and not (log.exists() and log.stat().st_size)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _told(path: Path, error: sqlite3.Error | UnicodeDecodeError) -> RelayError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return unreadable(
            f"{path} is locked by the program it belongs to.", "End that program, or wait a moment, and try again."
        )
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB} or isinstance(error, UnicodeDecodeError):
        return unreadable(f"{path} is damaged.", "Restore it from a backup; nothing was imported from it.")
    return unreadable(f"{path} can't be read as a SQLite database ({type(error).__name__}).")
