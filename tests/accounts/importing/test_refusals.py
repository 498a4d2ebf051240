"""Files that are damaged, locked, another program's or a trap: a sentence that names the file and nothing in it."""

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from qrelay.accounts.importing import files
from qrelay.accounts.importing.sources import SOURCES
from qrelay.errors import ErrorCode, RelayError
from tests.accounts.importing import foreign

FILES = ["q2api", "amq2api", "aq2api", "q-cli", "kiro-cli", "kiro-ide", "aws-toolkit", "json"]
DATABASES = ["q2api", "q-cli", "kiro-cli"]


def refused(source: str, path: Path) -> RelayError:
    with pytest.raises(RelayError) as caught:
        SOURCES[source].read(path)
    error = caught.value
    assert error.code == ErrorCode.request_invalid
    assert str(path.name) in error.message
    assert "canary" not in error.message + error.remedy
    assert error.remedy
    return error


def deep(path: Path) -> None:
    path.write_bytes(b"[" * 200_000)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("gone"))


def circle(path: Path) -> None:
    path.symlink_to(path)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(files.LARGEST + 1)


def half_a_database(path: Path) -> None:
    whole = foreign.q2api(path.with_name("whole"), [f"account-{number}" for number in range(200)]).read_bytes()
    path.with_name("whole").unlink()
    path.write_bytes(whole[: len(whole) // 2])


def someone_elses(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE accounts (id TEXT, canary TEXT)")
        connection.execute("INSERT INTO accounts VALUES ('canary', 'canary')")
        connection.commit()


def deep_object(path: Path) -> None:
    path.write_bytes(b'{"canary":' * 200_000)


def not_utf8(path: Path) -> None:
    path.write_bytes(b'{"refreshToken": "r", "canary": "\xed\xa0\x80"}')


def columns_not_utf8(path: Path) -> None:
    """A table whose columns have damaged names."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE accounts (id, clientId, clientSecret, refreshToken, canary)")
        connection.execute("INSERT INTO accounts VALUES (1, 2, 3, 4, 5)")
        connection.commit()
    path.write_bytes(path.read_bytes().replace(b"canary", b"can\xffry"))


TRAPS: list[Callable[[Path], None]] = [
    deep,
    deep_object,
    not_utf8,
    columns_not_utf8,
    fifo,
    endless,
    dangling,
    circle,
    half_a_database,
    someone_elses,
]
TEXTS = [b"", b"canary" * 100, b"\xff\x00" * 100, b'{"canary":', b"{canary}"]


@pytest.mark.parametrize("source", FILES)
def test_nothing_there_is_told(tmp_path: Path, source: str) -> None:
    refused(source, tmp_path / "file")


@pytest.mark.parametrize("source", FILES)
@pytest.mark.parametrize("text", TEXTS)
def test_what_can_not_be_read_is_told(tmp_path: Path, source: str, text: bytes) -> None:
    (tmp_path / "file").write_bytes(text)
    refused(source, tmp_path / "file")


@pytest.mark.parametrize("source", FILES)
@pytest.mark.parametrize("make", TRAPS)
def test_what_is_no_source_is_told(tmp_path: Path, source: str, make: Callable[[Path], None]) -> None:
    path = tmp_path / "file"
    make(path)
    refused(source, path)


@pytest.mark.parametrize("source", ["amq2api", "aq2api", "kiro-ide", "aws-toolkit", "json"])
def test_huge_files_are_not_read(tmp_path: Path, source: str) -> None:
    huge(tmp_path / "file")
    assert "MiB" in refused(source, tmp_path / "file").message


@pytest.mark.parametrize("source", ["amq2api", "aq2api", "kiro-ide", "aws-toolkit"])
def test_json_of_another_program(tmp_path: Path, source: str) -> None:
    path = tmp_path / "file"
    others: list[object] = [{"canary": "canary"}, 7]
    for other in others:
        path.write_text(json.dumps(other))
        refused(source, path)


@pytest.mark.parametrize("source", DATABASES)
def test_a_locked_database_is_told(tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qrelay.accounts.importing.databases._PATIENCE", 0.01)
    path = tmp_path / "data.sqlite3"
    if source == "q2api":
        foreign.q2api(path)
    else:
        foreign.cli(path, foreign.oidc("kirocli", "x"))
    with closing(sqlite3.connect(path, isolation_level=None)) as theirs:
        theirs.execute("BEGIN EXCLUSIVE")
        assert "locked" in refused(source, path).message
        theirs.execute("ROLLBACK")
    assert SOURCES[source].read(path).accounts


def test_a_link_to_a_file_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(foreign.q2api(tmp_path / "data.sqlite3"))
    assert len(SOURCES["q2api"].read(tmp_path / "link").accounts) == 2


def test_a_read_only_folder_is_enough(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    path = foreign.cli(folder / "data.sqlite3", foreign.oidc("kirocli", "x"), journal="WAL")
    folder.chmod(0o500)
    try:
        assert len(SOURCES["kiro-cli"].read(path).accounts) == 1
    finally:
        folder.chmod(0o700)


def test_a_damaged_value_is_told_by_its_key(tmp_path: Path) -> None:
    path = foreign.cli(tmp_path / "data.sqlite3", {"kirocli:social:token": "{canary"})
    assert "kirocli:social:token" in refused("kiro-cli", path).message


def test_a_row_without_credentials_is_left_out(tmp_path: Path) -> None:
    path = foreign.q2api(tmp_path / "data.sqlite3", ["one", "two", "three"])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE accounts SET refreshToken = NULL WHERE label = 'two'")
        connection.commit()
    reading = SOURCES["q2api"].read(path)
    assert [account.label for account in reading.accounts] == ["one", "three"]
    assert list(reading.skipped) == [f"Row 2 of {path} has no refresh token."]


@pytest.mark.parametrize("name", ["../secrets", "a/b", "x" * 200, "é"])
def test_a_client_hash_is_no_way_out_of_the_folder(tmp_path: Path, name: str) -> None:
    cache = tmp_path / "cache"
    foreign.kiro_ide(cache, clientIdHash=name)
    (tmp_path / "secrets.json").write_text(json.dumps({"clientId": "canary", "clientSecret": "canary"}))
    with pytest.raises(RelayError, match="no hash"):
        SOURCES["kiro-ide"].read(cache)
