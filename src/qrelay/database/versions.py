"""The schema brought to this version's: made at once, upgraded by steps, or refused because it is newer. Not the
steps themselves (`migrations/`).

SQLite       a copy goes to `backups/` before an upgrade
PostgreSQL   replicas may start at once: one migrates, the others wait and find it done; its owner backs it up
"""

import asyncio
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import AsyncEngine

from qrelay.database.engine import READING, sqlite_path, told
from qrelay.database.schema import metadata
from qrelay.errors import ErrorCode, RelayError
from qrelay.private_files import private_directory

HEAD: Final = "0005"
"""The newest migration's revision; revisions sort as text."""

_MIGRATING: Final = 0x71726C79
"""The number of the lock that a migration holds; any number that nobody else uses."""


async def migrate(engine: AsyncEngine, *, backups: Path | None = None) -> Path | None:
    """Bring the schema to this version's, all of it or none; where the copy from before is, if one was made.

    `backups` is the folder for it, `backups/` beside a SQLite file unless given. Raises RelayError(store_failed), also
    for a database that a newer qrelay or another program has made.
    """
    copy: Path | None = None
    path = sqlite_path(engine)
    with told():
        if path is not None:
            async with engine.connect() as reading:
                found = await (await reading.execution_options(**READING)).run_sync(_checked)
            if found is not None and found != HEAD:
                copy = (backups or path.parent / "backups") / backup_name(f"-{found}")
                await asyncio.to_thread(_copied, path, copy)
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade)
    return copy


async def version(engine: AsyncEngine) -> str | None:
    """The revision of what is there; None for an empty database. Raises RelayError(store_failed)."""
    with told():
        async with engine.connect() as connection:
            return await (await connection.execution_options(**READING)).run_sync(_found)


def back_up(path: Path, target: Path) -> None:
    """Copy a SQLite file as it is at this moment, beside whoever uses it. `target` is its owner's only.

    Raises FileExistsError, OSError, sqlite3.Error; what was begun is gone then.
    """
    private_directory(target.parent)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with (
            closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def backup_name(what: str = "") -> str:
    """A name for a copy made now."""
    return f"qrelay{what}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.sqlite3"


def _copied(path: Path, target: Path) -> None:
    if target.is_file():
        return  # of this very second, by a start that was ended
    try:
        back_up(path, target)
    except (OSError, sqlite3.Error) as error:
        raise RelayError(
            ErrorCode.store_failed,
            f"The database is older than this qrelay, and can't be copied to {target} before it is upgraded: {error}.",
        ) from error


def _found(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()
    return found


def _checked(connection: Connection) -> str | None:
    """The version of what is there. Raises RelayError for one that this qrelay must not touch."""
    found = _found(connection)
    known = found is None or (found.isdecimal() and len(found) == len(HEAD))
    if not known or (found is None and inspect(connection).has_table("accounts")):
        raise RelayError(
            ErrorCode.configuration_refused,
            "The database holds tables of another program.",
            remedy="Give qrelay a database of its own in QRELAY_DATABASE_URL. DATABASE_URL may be another program's.",
        )
    if found is not None and found > HEAD:
        raise RelayError(
            ErrorCode.store_failed,
            f"The database is at version {found}, newer than this qrelay, which works with {HEAD}.",
            remedy="Start the newer qrelay, or restore the database from before its upgrade (backups/ in QRELAY_HOME).",
        )
    return found


def _make(connection: Connection) -> None:
    """An empty database gets what all the steps together come to (tests/database holds them against each other)."""
    metadata.create_all(connection)
    connection.exec_driver_sql(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    connection.exec_driver_sql(f"INSERT INTO alembic_version (version_num) VALUES ('{HEAD}')")  # noqa: S608 - our own


def _upgrade(connection: Connection) -> None:
    """Make it, or run what is missing. Alembic is loaded only then: it would stay in memory, for nothing."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = '120s'")  # for the lock, too
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATING})")
    found = _checked(connection)
    if found == HEAD:
        return
    if found is None:
        _make(connection)
        return
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415 - the same

    config = Config()
    config.set_main_option("script_location", "qrelay.database:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
