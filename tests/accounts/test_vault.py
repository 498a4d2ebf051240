"""Secrets open only with their key and in their place; a key is made once and never written over."""

import base64
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qrelay.accounts.account import NewAccount
from qrelay.accounts.store import AccountStore, open_store
from qrelay.database import Database, open_database
from qrelay.database.resealing import reseal
from qrelay.errors import ErrorCode, RelayError
from qrelay.vault import Vault, open_vault
from tests.accounts.conftest import Start

PLACE = {"table": "accounts", "row": "1", "column": "refresh_token"}
KEY = bytes(range(32))


def test_what_is_sealed_opens_in_its_place_only() -> None:
    vault = Vault(KEY)
    record = vault.seal("a secret", **PLACE)
    assert vault.open(record, **PLACE) == "a secret"
    assert b"a secret" not in record
    assert vault.seal("a secret", **PLACE) != record
    for elsewhere in ({"table": "keys"}, {"row": "2"}, {"column": "access_token"}):
        with pytest.raises(RelayError):
            vault.open(record, **{**PLACE, **elsewhere})


def test_a_damaged_record_does_not_open() -> None:
    vault = Vault(KEY)
    record = vault.seal("a secret", **PLACE)
    for index in range(len(record)):
        with pytest.raises(RelayError) as raised:
            vault.open(record[:index] + bytes([record[index] ^ 1]) + record[index + 1 :], **PLACE)
        assert raised.value.code is ErrorCode.store_failed
        with pytest.raises(RelayError):
            vault.open(record[:index], **PLACE)


def test_another_key_is_named_as_the_trouble() -> None:
    with pytest.raises(RelayError, match="another master key"):
        Vault(bytes(32)).open(Vault(KEY).seal("a secret", **PLACE), **PLACE)


def test_the_first_start_makes_a_private_key(tmp_path: Path) -> None:
    home = tmp_path / "new" / "state"
    record = open_vault(home).seal("a secret", **PLACE)
    key = home / "master.key"
    assert (home.stat().st_mode & 0o777, key.stat().st_mode & 0o777) == (0o700, 0o600)
    assert list(home.iterdir()) == [key]
    assert open_vault(home).open(record, **PLACE) == "a secret"


@pytest.mark.parametrize(
    "text", [KEY.hex(), base64.b64encode(KEY).decode(), base64.urlsafe_b64encode(KEY).decode().rstrip("=") + "\n"]
)
def test_a_given_key_is_used(tmp_path: Path, text: str) -> None:
    record = Vault(KEY).seal("a secret", **PLACE)
    file = tmp_path / "key"
    file.write_text(text)
    assert open_vault(tmp_path / "home", key=text).open(record, **PLACE) == "a secret"
    assert open_vault(tmp_path / "home", key_file=file, key="ignored").open(record, **PLACE) == "a secret"
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("text", ["", "short", "x" * 44, base64.b64encode(KEY + b"1").decode(), "ü" * 32])
def test_what_is_no_key_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(RelayError) as raised:
        open_vault(tmp_path, key=text)
    assert raised.value.code is ErrorCode.configuration_refused
    assert not text or text not in raised.value.message
    file = tmp_path / "master.key"
    file.write_text(text)
    with pytest.raises(RelayError):
        open_vault(tmp_path)
    assert file.read_text() == text


@pytest.mark.anyio
async def test_a_lost_key_is_not_replaced(start: Start, home: Path) -> None:
    async with start():
        pass
    (home / "master.key").unlink()
    with pytest.raises(RelayError, match="missing"):
        open_vault(home, stored=True)
    assert not (home / "master.key").exists()


@pytest.mark.anyio
async def test_the_store_does_not_open_with_another_key(start: Start, home: Path) -> None:
    async with start() as process:
        await process.account("first")
    before = (home / "qrelay.sqlite3").read_bytes()
    with pytest.raises(RelayError, match="isn't the one that this database was made with"):
        await open_database(f"sqlite:///{home}/qrelay.sqlite3", Vault(KEY))
    assert (home / "qrelay.sqlite3").read_bytes() == before
    async with start() as process:
        assert process.store.accounts()[0].refresh_token == "first"


@asynccontextmanager
async def opened(home: Path) -> AsyncGenerator[tuple[Database, AccountStore]]:
    database = await open_database(f"sqlite:///{home}/qrelay.sqlite3", open_vault(home))
    store = await open_store(database)
    yield database, store
    await store.close()
    await database.close()


def account(refresh_token: str) -> NewAccount:
    return NewAccount(client_id="client", client_secret="its secret", refresh_token=refresh_token)


@pytest.mark.anyio
async def test_a_change_of_the_key_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    home = tmp_path / "state"
    async with opened(home) as (database, store):
        await store.add(account("first"))
        old = (home / "master.key").read_text()
        database.vault.add_key()
        assert (home / "master.key").read_text().endswith(old)
        assert (await reseal(database)).sealed == 4  # the refresh token, the client's secret, two copies of the pepper
        assert (await reseal(database)).sealed == 0
        kept = database.vault.drop_old_keys(tmp_path, datetime.now(UTC))
        assert kept is not None
        assert kept.read_text() == old
        assert (await store.reload(store.accounts()[0].id)).refresh_token == "first"
    assert old not in (home / "master.key").read_text()
    async with opened(home) as (_, store):
        assert store.accounts()[0].refresh_token == "first"
    (home / "master.key").write_text(old)
    with pytest.raises(RelayError, match="the one that this database was made with"):
        await open_database(f"sqlite:///{home}/qrelay.sqlite3", open_vault(home))


@pytest.mark.anyio
async def test_a_change_that_is_broken_off_is_finished_later(tmp_path: Path) -> None:
    async with opened(tmp_path) as (database, store):
        await store.add(account("first"))
        database.vault.add_key()
    async with opened(tmp_path) as (database, store):
        assert store.accounts()[0].refresh_token == "first"  # sealed with the old key
        await store.add(account("second"))  # and this one with the new
        assert (await reseal(database)).sealed == 4
        database.vault.drop_old_keys(tmp_path / "backups", datetime.now(UTC))
    async with opened(tmp_path) as (_, store):
        assert [each.refresh_token for each in store.accounts()] == ["first", "second"]


def test_a_process_beside_sees_the_new_key(tmp_path: Path) -> None:
    here, there = open_vault(tmp_path), open_vault(tmp_path)
    here.add_key()
    assert there.open(here.seal("a secret", **PLACE), **PLACE) == "a secret"


def test_keys_of_the_settings_are_changed_there(tmp_path: Path) -> None:
    other = bytes(32)
    vault = open_vault(tmp_path, key=f"{other.hex()},{KEY.hex()}")
    assert vault.open(Vault(KEY).seal("old", **PLACE), **PLACE) == "old"
    assert Vault(other).open(vault.seal("new", **PLACE), **PLACE) == "new"
    with pytest.raises(RelayError, match="settings"):
        vault.add_key()
    assert vault.keys == 2
