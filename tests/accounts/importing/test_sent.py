"""Files that were sent: told by their bytes, read in memory, and never a way to keep the reader busy."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from qrelay.accounts import parcel
from qrelay.accounts.importing import sent
from qrelay.errors import RelayError
from tests.accounts.importing import foreign


def test_each_by_its_bytes(tmp_path: Path) -> None:
    q2api = foreign.q2api(tmp_path / "a").read_bytes()
    assert [account.label for account in sent.read(q2api, "data.sqlite3").accounts] == ["one", "two"]
    for name, label in (("data.sqlite3", "Amazon Q CLI"), ("Kiro.sqlite3", "Kiro CLI")):
        for journal in ("DELETE", "WAL"):
            path = foreign.cli(tmp_path / f"{name}-{journal}", foreign.oidc("codewhisperer", "me"), journal=journal)
            (account,) = sent.read(path.read_bytes(), name).accounts
            assert account.label == label
    for read in (foreign.amq2api, foreign.aq2api):
        (account,) = sent.read(read(tmp_path / read.__name__).read_bytes(), "accounts.json").accounts
        assert account.refresh_token
    rows = [{"clientId": "c", "clientSecret": "s", "refreshToken": "r"}, {"label": "broken"}]
    reading = sent.read("\n".join(map(json.dumps, rows)).encode(), "rows.jsonl")
    assert len(reading.accounts) == 1
    assert reading.skipped == ["Entry 2 of rows.jsonl has no refresh token."]


def test_a_damaged_credential_is_no_account() -> None:
    good = {"clientId": "c", "clientSecret": "s", "refreshToken": "r"}
    damaged = [good | {name: "cut\nhere"} for name in good] + [{"apiKey": "ksk_é"}, good | {"accessToken": "a b"}]
    reading = sent.read(json.dumps([*damaged, good]).encode(), "rows.json")
    assert [account.refresh_token for account in reading.accounts] == ["r"]
    assert len(reading.skipped) == len(damaged)
    assert "spaces or line breaks" in reading.skipped[0]


def test_a_nul_character_is_damage() -> None:
    good = {"clientId": "c", "clientSecret": "s", "refreshToken": "r"}
    damaged = [good | {name: "a\0b"} for name in ("label", "region", "startUrl", "profileArn", "userId", "other")]
    reading = sent.read(json.dumps(damaged).encode(), "rows.json")
    assert not reading.accounts
    assert len(reading.skipped) == len(damaged)


@pytest.mark.parametrize("raw", [b'{"sealed": "\xff"}', b'{"sealed":' * 100_000, b'[{"label": "\xff"}]', b'"\xff"\n1'])
def test_json_that_can_not_be_decoded_is_refused(raw: bytes) -> None:
    with pytest.raises(RelayError):
        sent.read(raw, "accounts.json")


@pytest.mark.parametrize("value", [b'"\xff"', b"[" * 100_000])
def test_values_of_a_database_that_can_not_be_decoded_are_refused(tmp_path: Path, value: bytes) -> None:
    path = tmp_path / "data.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE auth_kv (key TEXT, value BLOB)")
        connection.execute("INSERT INTO auth_kv VALUES ('kirocli:odic:token', ?)", (value,))
        connection.commit()
    with pytest.raises(RelayError):
        sent.read(path.read_bytes(), "data.sqlite3")


def endless(path: Path) -> bytes:
    """A database whose table of accounts never ends."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE VIEW accounts AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
            "SELECT i AS id, i AS clientId, i AS clientSecret, '' AS refreshToken FROM n WHERE i < 0"
        )
        connection.commit()
    return path.read_bytes()


def test_what_can_not_be_read_is_told(tmp_path: Path) -> None:
    whole = foreign.q2api(tmp_path / "whole").read_bytes()
    with closing(sqlite3.connect(tmp_path / "other")) as connection:
        connection.execute("CREATE TABLE songs (id)")
    for raw in (
        b"",
        b"{",
        b"[]",
        whole[:50],
        whole[:5000],
        whole[:100] + b"\xff" * 4000,
        (tmp_path / "other").read_bytes(),
        parcel.seal(b"[]", "a passphrase"),
        endless(tmp_path / "endless"),
    ):
        with pytest.raises(RelayError, match="the file"):
            sent.read(raw, "the file")
