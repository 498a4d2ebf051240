"""An engine for a database URL, and its failures in words. Not what is stored in it.

SQLite: one process at a time (whoever starts a server holds the state's lock), one connection, write-ahead log, every
commit on the disk before it returns. PostgreSQL: any number of processes.
"""

import sqlite3
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, cast

from sqlalchemy import URL, Connection, ExceptionContext, Table, event, make_url
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from qrelay.errors import ErrorCode, RelayError
from qrelay.private_files import chosen_wrongly, private_directory

READING: Final = {"qrelay_reading": True}
"""Execution options of a connection that only reads: on SQLite it takes no write lock, so it works on a full disk."""

_READ_ONLY: Final = "25006"
"""What PostgreSQL says to a write where there can't be one: SQLSTATE read_only_sql_transaction."""


def connect(url: str, *, busy_seconds: float) -> AsyncEngine:
    """An engine. `url` is `sqlite:///path` or `postgresql://…`; `busy_seconds` is how long to wait for SQLite's lock.

    Raises RelayError: configuration_refused when the URL names neither, or no file that can be; store_failed when only
    the disk is in the way.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # a port that is no number is a ValueError
        raise RelayError(ErrorCode.configuration_refused, "The database URL can't be read.") from error
    match parsed.get_backend_name():
        case "sqlite" if parsed.database:
            return _sqlite(parsed.set(drivername="sqlite+aiosqlite"), busy_seconds)
        case "postgresql":
            return _postgresql(parsed.set(drivername="postgresql+psycopg"))
        case _:
            neither = "The database URL names neither a SQLite file nor a PostgreSQL server."
            raise RelayError(ErrorCode.configuration_refused, neither)


@contextmanager
def told() -> Generator[None]:
    """Failures of the database become RelayError(store_failed) in its own words, without statements or values.

    A broken constraint stays an IntegrityError: it says that another process was faster, not that anything failed.
    """
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        said = " ".join(str(error.orig).split()).rstrip(".")  # a server's words may have several lines
        raise _unusable(f"The account store can't be used: {said}.") from error
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise _unusable(f"The account store can't be used ({type(error).__name__}).") from error


def inserting(table: Table, dialect: str) -> sqlite.Insert:
    """An INSERT that may end in ON CONFLICT, for the engine of that name."""
    if dialect != "postgresql":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - slow to load, and most have no PostgreSQL

    return cast("sqlite.Insert", postgresql.insert(table))  # what is used of the two is the same


@asynccontextmanager
async def at_once(connection: AsyncConnection) -> AsyncGenerator[None]:
    """What is done with a connection doesn't wait for SQLite's lock, but fails where another program has it."""
    if connection.dialect.name != "sqlite":
        yield
        return
    await connection.execution_options(**READING)
    waits = (await connection.exec_driver_sql("PRAGMA busy_timeout")).scalar_one()
    await connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    try:
        yield
    finally:
        await connection.rollback()
        await connection.exec_driver_sql(f"PRAGMA busy_timeout = {waits}")


def sqlite_path(engine: AsyncEngine) -> Path | None:
    """The file of a SQLite engine."""
    return Path(engine.url.database) if engine.dialect.name == "sqlite" and engine.url.database else None


def _sqlite(url: URL, busy_seconds: float) -> AsyncEngine:
    path = Path(url.database or "")
    try:
        private_directory(path.parent)
        path.touch(mode=0o600)  # SQLite gives its log the same mode
        path.chmod(0o600)
    except OSError as error:
        code = ErrorCode.configuration_refused if chosen_wrongly(error) else ErrorCode.store_failed
        raise RelayError(code, f"{path} can't be made or opened: {error.strerror}.") from error
    engine = create_async_engine(url, hide_parameters=True, pool_size=1, max_overflow=0)

    def prepare(connection: Any, _record: Any) -> None:
        # Transactions are begun below and not by the driver, which would begin them too late and not for DDL.
        connection.isolation_level = None
        connection.driver_connection.text_factory = _text
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {round(busy_seconds * 1000)}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later would fail instead of waiting for another writer.
        reading = connection.get_execution_options().get("qrelay_reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    event.listen(engine.sync_engine, "connect", prepare)
    event.listen(engine.sync_engine, "begin", begin)
    return engine


def _text(data: bytes) -> str:
    """Return a text cell. Bytes that are no UTF-8 are damage, which must not fail the rows beside it."""
    return data.decode("utf-8", "replace")


def _postgresql(url: URL) -> AsyncEngine:
    # Nothing is prepared on the server, so that a pooler between may give each transaction another connection. A
    # connection that the server has dropped is noticed before it is used, and within 15 s if the server's machine is
    # gone. Errors must not show parameters: some are secrets, though sealed.
    options = {
        "prepare_threshold": None,
        "connect_timeout": 5,
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 5,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "options": "-c statement_timeout=5000",
    }
    try:
        engine = create_async_engine(
            url, hide_parameters=True, pool_size=5, max_overflow=5, pool_pre_ping=True, connect_args=options
        )
    except ImportError as error:  # the driver, or the library under it
        raise RelayError(
            ErrorCode.configuration_refused,
            "PostgreSQL needs the driver psycopg, which isn't installed.",
            remedy="Install it: make extras, in qrelay's folder; or pip install 'psycopg[binary]' where qrelay is.",
        ) from error
    event.listen(engine.sync_engine, "handle_error", _give_up_on_standbys)
    return engine


def _give_up_on_standbys(context: ExceptionContext) -> None:
    """Connections that take no writes are closed, all of them: a new one may find another server behind the address."""
    if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
        context.is_disconnect = True


def _unusable(message: str) -> RelayError:
    return RelayError(ErrorCode.store_failed, message)
