"""`qrelay db …`: the database as a file. What is in it goes by the management API."""

import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import typer

from qrelay import database
from qrelay.cli.outcome import Failed
from qrelay.cli.server import run_loop
from qrelay.home import open_home
from qrelay.private_files import private_directory
from qrelay.settings import Settings


def upgrade(chosen: Settings) -> None:
    """Bring the schema to this version's; `serve` does it too. Raises HomeBusy beside a server, RelayError."""

    async def work() -> None:
        engine = database.connect(f"sqlite:///{chosen.database_path}", busy_seconds=5)
        try:
            await database.migrate(engine)
        finally:
            await engine.dispose()

    _must_exist(chosen.database_path)
    with open_home(chosen.home):
        run_loop(work())
    typer.echo(f"{chosen.database_path} is at version {database.HEAD}.")


def check(chosen: Settings) -> str:
    """Look whether the file is whole and of this version; what can then be said of it. Raises Failed."""
    with _opened(chosen.database_path) as connection:
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
        if found != ["ok"]:
            raise Failed(f"{chosen.database_path} is damaged: {found[0]}", "Restore it from backups/ in QRELAY_HOME.")
        version = _version(connection)
    if version != database.HEAD:
        raise Failed(
            f"{chosen.database_path} is at version {version or 'none'}, and this qrelay works with {database.HEAD}.",
            "Bring it up to date with: qrelay db upgrade",
        )
    return f"{chosen.database_path} is whole, and at version {version}."


def back_up(chosen: Settings, output: str | None) -> None:
    """Copy the database as it is at this moment, beside a running server too. Raises Failed."""
    name = f"qrelay-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.sqlite3"
    target = Path(output).expanduser() if output is not None else chosen.home / "backups" / name
    with _opened(chosen.database_path) as connection:
        try:
            private_directory(target.parent)
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError as error:
            raise Failed(f"{target} is there already.", "Choose another name, or move it away.") from error
        except OSError as error:
            raise Failed(f"{target} can't be written: {error.strerror}.") from error
        try:
            with closing(sqlite3.connect(target)) as copy:
                connection.backup(copy)
        except sqlite3.Error as error:
            target.unlink(missing_ok=True)
            raise Failed(f"{target} can't be written: {error}.") from error
    typer.echo(f"Backed up to {target}. Without the master key nobody can read it: keep that too, elsewhere.")


def _must_exist(path: Path) -> None:
    """The first start makes it, and its key first: a database without one would be nobody's."""
    if not path.is_file():
        raise Failed(f"There is no database at {path}.", "The first start makes it: qrelay serve")


@contextmanager
def _opened(path: Path) -> Generator[sqlite3.Connection]:
    _must_exist(path)
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise Failed(f"{path} can't be read: {error}.", "Restore it from backups/ in QRELAY_HOME.") from error


def _version(connection: sqlite3.Connection) -> str | None:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
        return None
    found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(found[0]) if found else None
