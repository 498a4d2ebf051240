"""`qrelay db …`: the database as a whole. What is in it goes by the management API."""

import asyncio
import sqlite3
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import typer

from qrelay import database
from qrelay.cli.loop import run_loop
from qrelay.cli.outcome import Failed
from qrelay.cli.printing import say
from qrelay.cli.tables import show_json
from qrelay.home import look_into, open_home
from qrelay.settings import Settings


def upgrade(chosen: Settings, *, as_json: bool = False) -> None:
    """Bring the schema to this version's; `serve` does it too. Raises HomeUnusable (busy: a server), RelayError.

    A database that processes share is upgraded beside them.
    """
    copies: list[Path] = []

    async def work() -> None:
        engine = database.connect(chosen.database_address, busy_seconds=5)
        try:
            copy = await database.migrate(engine, backups=chosen.home / "backups")
        finally:
            await engine.dispose()
        if copy is not None:
            copies.append(copy)

    with ExitStack() as stack:
        if (path := chosen.database_path) is not None:
            _must_exist(chosen, path)
            stack.enter_context(open_home(chosen.home))
        run_loop(work())
    place = _place(chosen)
    if as_json:
        copied = str(copies[0]) if copies else None
        show_json({"database": place, "version": database.HEAD, "copied_to": copied})
        return
    for copy in copies:
        say(f"Copied as it was to {copy}.")
    say(f"{place} is at version {database.HEAD}.")


def show_check(chosen: Settings, *, as_json: bool) -> None:
    """Tell what `check` finds. Raises Failed, RelayError."""
    said = check(chosen)
    if as_json:
        show_json({"database": _place(chosen), "version": database.HEAD, "said": said})
    else:
        say(said)


def check(chosen: Settings) -> str:
    """Look whether it is whole and of this version; what can then be said of it. Raises Failed, RelayError."""
    if (path := chosen.database_path) is None:
        place, found = _server_of(chosen), _version_there(chosen)
    else:
        place = str(path)
        with _opened(chosen, path) as connection:
            rows = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
            if rows != ["ok"]:
                raise Failed(f"{path} is damaged: {rows[0]}", "Restore it from backups/ in QRELAY_HOME.")
            found = _version(connection)
    if found != database.HEAD:
        raise Failed(
            f"{place} is at version {found or 'none'}, and this qrelay works with {database.HEAD}.",
            "Bring it up to date with: qrelay db upgrade"
            if found is None or found < database.HEAD
            else "Use the newer qrelay that it belongs to.",
        )
    return f"{place} {'can be reached' if path is None else 'is whole'}, and at version {found}."


def is_empty(chosen: Settings) -> bool:
    """Whether a server's database has nothing in it yet. Raises RelayError."""
    return _version_there(chosen) is None


def back_up(chosen: Settings, output: str | None, *, as_json: bool = False) -> None:
    """Copy the database as it is at this moment, beside a running server too. Raises Failed, BadParameter."""
    if (path := chosen.database_path) is None:
        raise typer.BadParameter(
            f"{_server_of(chosen)} is a server's, and is backed up by its own tools: pg_dump --format=custom "
            '--file=qrelay.dump "$QRELAY_DATABASE_URL"'
        )
    target = Path(output).expanduser() if output is not None else chosen.home / "backups" / database.backup_name()
    _must_exist(chosen, path)
    try:
        database.back_up(path, target)
    except FileExistsError as error:
        raise Failed(f"{target} is there already.", "Choose another name, or move it away.") from error
    except OSError as error:
        raise Failed(f"{target} can't be written: {error.strerror}.") from error
    except sqlite3.Error as error:
        raise Failed(f"{path} can't be copied to {target}: {error}.") from error
    if as_json:
        show_json({"backup": str(target)})
        return
    say(f"Backed up to {target}. Without the master key nobody can read it: keep that too, elsewhere.")


def _place(chosen: Settings) -> str:
    return str(chosen.database_path) if chosen.database_path is not None else _server_of(chosen)


def _server_of(chosen: Settings) -> str:
    """The database as it is called where people read, without its password."""
    shown = next(row.value for row in chosen.sources() if row.name == "QRELAY_DATABASE_URL")
    return f"The database {shown.partition('?')[0]}"


def _version_there(chosen: Settings) -> str | None:
    found: list[str | None] = []

    async def work() -> None:
        engine = database.connect(chosen.database_address, busy_seconds=5)
        try:
            found.append(await database.version(engine))
        finally:
            await engine.dispose()

    asyncio.run(work())
    return found[0]


def _must_exist(chosen: Settings, path: Path) -> None:
    """The first start makes it, and its key first: a database without one would be nobody's."""
    if not path.is_file():
        look_into(chosen.home)
        raise Failed(f"There is no database at {path}.", "The first start makes it: qrelay serve")


@contextmanager
def _opened(chosen: Settings, path: Path) -> Generator[sqlite3.Connection]:
    _must_exist(chosen, path)
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
