"""What is stored stays: accounts, deletions, counters; and nothing that is stored can be read without the key."""

import asyncio
import base64
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine

from qrelay import database
from qrelay.accounts.account import Account, AccountChanges, NewAccount
from qrelay.accounts.environment import adopt_environment_account
from qrelay.database import open_database
from qrelay.database.schema import metadata
from qrelay.errors import ErrorCode, RelayError
from qrelay.private_files import private_directory, write_private
from qrelay.vault import Vault
from tests.accounts.conftest import ENGINES, ON_SQLITE, Process, Start
from tests.accounts.stored import execute, refusing_writes
from tests.accounts.token_server import TokenServer

pytestmark = pytest.mark.anyio


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


CANARY = "canary-9f2d"


def unreadable(home: Path) -> set[str]:
    """The names of all files, each of which is private and shows no secret."""
    assert home.stat().st_mode & 0o777 == 0o700
    files = [path for path in home.rglob("*") if path.is_file()]
    for path in files:
        assert CANARY.encode() not in path.read_bytes(), path.name
        assert path.stat().st_mode & 0o777 == 0o600, path.name
    return {path.name for path in files}


def plain_engine(url: str) -> Engine:
    return create_engine(url.replace("postgresql://", "postgresql+psycopg://"))


async def adopt(process: Process, token: str) -> Account | None:
    return await adopt_environment_account(
        process.store, refresh_token=token, client_id="client-1", client_secret="s", profile_arn="arn:aws:one"
    )


@ON_SQLITE
async def test_nothing_on_the_disk_can_be_read(start: Start, tokens: TokenServer, home: Path) -> None:
    async with start() as process:
        account = await process.store.add(
            NewAccount(
                client_id="client-1",
                client_secret=f"{CANARY}-secret",
                refresh_token=tokens.knows(f"{CANARY}-refresh"),
                access_token=f"{CANARY}-access",
                other=f'{{"password": "{CANARY}-other"}}',
            )
        )
        await process.store.add(NewAccount(kind="api_key", access_token=f"{CANARY}-key"))
        await process.refresher.refresh(account.id)
        await process.store.patch(account.id, AccountChanges(client_secret=f"{CANARY}-again"))
        assert process.store.get(account.id).refresh_token == f"{CANARY}-refresh+1"
        assert {"qrelay.sqlite3", "qrelay.sqlite3-wal", "master.key"} <= unreadable(home)
        for value in (process.store.get(account.id), process.store.accounts(), AccountChanges(access_token=CANARY)):
            assert CANARY not in repr(value)


async def test_the_log_shows_no_token(start: Start, tokens: TokenServer, capfd: pytest.CaptureFixture[str]) -> None:
    async with start() as process:
        account = await process.account(tokens.knows(f"{CANARY}-refresh"))
        await process.refresher.credential(account.id)
        tokens.current.clear()
        with pytest.raises(RelayError):
            await process.refresher.refresh(account.id)
        await asyncio.sleep(0)
    out, err = capfd.readouterr()
    assert "refresh failed" in out + err
    assert CANARY not in out + err


async def test_the_migrations_make_the_schema(start: Start, url: str) -> None:
    async with start():
        pass
    engine = plain_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() is not None
    engine.dispose()


async def test_a_state_of_the_first_schema_is_brought_up_to_date(start: Start, home: Path, url: str) -> None:
    private_directory(home)
    if url.startswith("postgresql"):  # it isn't empty: it has the newest schema
        execute(url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    engine = plain_engine(url)
    config = Config()
    config.set_main_option("script_location", "qrelay.database:migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(
            "INSERT INTO accounts (id, kind, region, identity, token_digest, created_at, updated_at)"
            " VALUES ('old', 'builder_id', 'us-east-1', 'x', 'x', 1, 1)"
        )
    engine.dispose()
    write_private(home / "master.key", base64.b64encode(bytes(32)), replace=False)
    async with start() as process:
        account = process.store.get("old")
        assert (account.enabled, account.own_client) == (True, False)


async def test_commits_are_durable(tmp_path: Path) -> None:
    engine = database.connect(f"sqlite:///{tmp_path}/x.sqlite3", busy_seconds=1)
    async with engine.connect() as connection:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 1000)):
            assert (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar_one() == value
    await engine.dispose()


@pytest.mark.parametrize("url", ["", "sqlite://", "mysql://localhost/x", "not a url"])
async def test_an_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(RelayError) as raised:
        await open_database(url, Vault(bytes(32)))
    assert raised.value.code is ErrorCode.configuration_refused


async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "qrelay.sqlite3"
    file.write_bytes(b"my diary\n" * 1000)
    with pytest.raises(RelayError) as raised:
        await open_database(f"sqlite:///{file}", Vault(bytes(32)))
    assert raised.value.code is ErrorCode.store_failed
    assert file.read_bytes() == b"my diary\n" * 1000


async def test_the_account_of_the_variables_is_one_row_over_restarts(start: Start, tokens: TokenServer) -> None:
    async with start() as process:
        account = await adopt(process, tokens.knows("env"))
        assert account is not None
        await process.refresher.credential(account.id)
        await process.refresher.refresh(account.id)
    async with start() as process:
        again = await adopt(process, "env")
        assert again == process.store.get(account.id)
        assert again is not None
        assert (again.refresh_token, again.access_token) == ("env+2", "access-of-env-2")
        assert len(process.store.accounts()) == 1


async def test_the_variables_do_not_undo_what_was_done_by_hand(start: Start) -> None:
    async with start() as process:
        account = await adopt(process, "env")
        assert account is not None
        await process.store.patch(account.id, AccountChanges(enabled=False, label="mine"))
    async with start() as process:
        again = await adopt(process, "env")
        assert again is not None
        assert (again.id, again.enabled, again.label) == (account.id, False, "mine")


async def test_a_deleted_account_stays_deleted(start: Start) -> None:
    async with start() as process:
        account = await adopt(process, "env")
        assert account is not None
        await process.store.delete(account.id)
        assert process.store.accounts() == []
    async with start() as process:
        assert await adopt(process, "env") is None
        assert process.store.accounts() == []
        secrets = "refresh_token, previous_refresh_token, access_token, client_secret, other"
        assert execute(process.url, f"SELECT {secrets} FROM accounts") == [(None,) * 5]
        # But whoever adds it by hand means it.
        back = await process.store.add(NewAccount(client_id="client-1", client_secret="s", refresh_token="env"))
        assert (back.id, back.state, back.refresh_token) == (account.id, "ready", "env")


@pytest.mark.parametrize("missing", ["client_id", "client_secret"])
async def test_variables_that_are_no_account_are_named(process: Process, missing: str) -> None:
    values: dict[str, str | None] = {"refresh_token": "t", "client_id": "c", "client_secret": "s", missing: ""}
    with pytest.raises(RelayError, match=f"AMAZONQ_{missing.upper()}"):
        await adopt_environment_account(
            process.store,
            refresh_token=values["refresh_token"],
            client_id=values["client_id"],
            client_secret=values["client_secret"],
        )
    none = await adopt_environment_account(process.store, refresh_token=None, client_id="c", client_secret="s")
    assert none is None
    assert process.store.accounts() == []


async def test_a_new_log_in_revives_an_account(process: Process, tokens: TokenServer) -> None:
    account = await process.account("dead")
    with pytest.raises(RelayError):
        await process.refresher.credential(account.id)
    patched = await process.store.patch(account.id, AccountChanges(refresh_token=tokens.knows("alive")))
    assert (patched.id, patched.state, patched.state_reason) == (account.id, "ready", None)
    assert (await process.refresher.credential(account.id)).access_token == "access-of-alive-2"


async def test_the_same_user_is_one_account_whatever_the_client(process: Process) -> None:
    one = await process.store.add(NewAccount(client_id="a", client_secret="s", refresh_token="t1", user_id="u"))
    two = await process.store.add(NewAccount(client_id="b", client_secret="r", refresh_token="t2", user_id="u"))
    other = await process.store.add(NewAccount(client_id="b", client_secret="r", refresh_token="t3", user_id=""))
    assert (two.id, two.client_id, two.refresh_token, two.generation) == (one.id, "b", "t2", one.generation + 1)
    assert other.id != one.id


async def test_the_rotated_token_names_the_account_too(process: Process, tokens: TokenServer) -> None:
    account = await process.account(tokens.knows("first"))
    await process.refresher.credential(account.id)
    assert (await process.account("first+1")).id == account.id
    assert len(process.store.accounts()) == 1


async def test_ten_at_once_add_one_account(process: Process) -> None:
    added = await asyncio.gather(*(process.account("same") for _ in range(10)))
    assert len({account.id for account in added}) == 1


async def test_counters_survive_and_cost_no_write_each(start: Start) -> None:
    async with start() as process:
        account = await process.account("first")
        for _ in range(5):
            process.store.succeeded(account.id)
        process.store.failed(account.id, "it broke", most_errors=100)
        assert (process.store.get(account.id).success_count, process.store.get(account.id).error_count) == (5, 1)
        stored = await process.store.patch(account.id, AccountChanges(label="x"))
        assert (stored.success_count, stored.error_count, stored.last_error) == (5, 1, "it broke")
        process.store.failed(account.id, "again", most_errors=100)
    async with start() as process:
        stored = process.store.get(account.id)
        assert (stored.success_count, stored.error_count, stored.last_error) == (5, 2, "again")
        process.store.succeeded(account.id)
        await process.store.flush()
        assert (await process.store.reload(account.id)).error_count == 0


async def test_counts_wait_for_a_database_that_is_busy(process: Process) -> None:
    account = await process.account("first")
    process.store.failed(account.id, "one", most_errors=100)
    with refusing_writes(process.url):
        with pytest.raises(RelayError):
            await process.store.flush()
        process.store.failed(account.id, "two", most_errors=100)
    await process.store.flush()
    stored = await process.store.reload(account.id)
    assert (stored.error_count, stored.last_error) == (2, "two")


async def test_an_id_nobody_has(process: Process) -> None:
    with pytest.raises(RelayError) as raised:
        process.store.get("nobody")
    assert raised.value.code is ErrorCode.account_unknown
    for call in (
        process.store.delete("nobody"),
        process.store.reload("nobody"),
        process.store.patch("nobody", AccountChanges()),
        process.refresher.credential("nobody"),
    ):
        with pytest.raises(RelayError) as raised:
            await call
        assert raised.value.code is ErrorCode.account_unknown


def test_the_newest_migration_is_the_one_that_is_asked_for() -> None:
    config = Config()
    config.set_main_option("script_location", "qrelay.database:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == database.HEAD
