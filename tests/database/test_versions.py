"""An older database is copied and upgraded, a newer one is left alone."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect

from qrelay.database import HEAD, connect, migrate, open_database, version
from qrelay.errors import RelayError
from qrelay.vault import Vault
from tests.postgres import Postgres

pytestmark = pytest.mark.anyio

KEY = bytes(32)


async def at(url: str, revision: str) -> None:
    """A database as an older qrelay left it, made by the steps up to a revision."""
    from alembic import command
    from alembic.config import Config

    def upgrade(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", "qrelay.database:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    engine = connect(url, busy_seconds=1)
    async with engine.begin() as connection:
        await connection.run_sync(upgrade)
    await engine.dispose()


def _shape(connection: Connection) -> dict[str, object]:
    """Everything there is in a database, by table; columns in no order."""
    found = inspect(connection)
    return {
        table: (
            {column["name"]: {**column, "type": repr(column["type"])} for column in found.get_columns(table)},
            found.get_pk_constraint(table),
            {str(index["name"]): index for index in found.get_indexes(table)},
            found.get_unique_constraints(table),
            found.get_foreign_keys(table),
            found.get_check_constraints(table),
        )
        for table in found.get_table_names()
    }


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_made_at_once_is_made_by_steps(tmp_path: Path, engine: str, request: pytest.FixtureRequest) -> None:
    """The steps are what older databases go through; both ways must come to the same."""
    if engine == "sqlite":
        stepwise, at_once = (f"sqlite:///{tmp_path / name}" for name in ("stepwise", "at_once"))
    else:
        server: Postgres = request.getfixturevalue("postgres")
        stepwise, at_once = (server.url(server.new_database()) for _ in range(2))
    await at(stepwise, "head")
    made = connect(at_once, busy_seconds=1)
    await migrate(made)
    await made.dispose()
    shapes: list[dict[str, object]] = []
    for url in (stepwise, at_once):
        opened = connect(url, busy_seconds=1)
        assert await version(opened) == HEAD
        async with opened.connect() as connection:
            shapes.append(await connection.run_sync(_shape))
        await opened.dispose()
    assert shapes[0].keys() == shapes[1].keys()
    for table, shape in shapes[0].items():
        assert shapes[1][table] == shape, table


@pytest.mark.parametrize("revision", ["0001", "0002"])
async def test_an_older_one_is_copied_first(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "qrelay.sqlite3"
    await at(f"sqlite:///{path}", revision)
    database = await open_database(f"sqlite:///{path}", Vault(KEY), backups=tmp_path / "copies")
    assert await version(database.engine) == HEAD
    await database.close()
    (copy,) = (tmp_path / "copies").iterdir()
    assert copy.name.startswith(f"qrelay-{revision}-")
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (revision,)
    again = await open_database(f"sqlite:///{path}", Vault(KEY), backups=tmp_path / "copies")
    await again.close()
    assert list((tmp_path / "copies").iterdir()) == [copy]


async def test_without_room_for_the_copy_nothing_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "qrelay.sqlite3"
    await at(f"sqlite:///{path}", "0001")
    (tmp_path / "copies").write_text("a file")
    engine = connect(f"sqlite:///{path}", busy_seconds=1)
    with pytest.raises(RelayError, match="can't be copied"):
        await migrate(engine, backups=tmp_path / "copies")
    assert await version(engine) == "0001"
    await engine.dispose()


async def test_a_newer_one_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "qrelay.sqlite3"
    await (await open_database(f"sqlite:///{path}", Vault(KEY))).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(RelayError, match="at version 0999, newer than this qrelay"):
        await open_database(f"sqlite:///{path}", Vault(KEY))
    assert path.read_bytes() == before
    assert not (tmp_path / "backups").exists()
