"""`qrelay import` and `qrelay export`, as processes: twice is once, deleted stays deleted, secrets leave only for the
owner. Each beside a running server and without one.
"""

import contextlib
import json
import re
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from qrelay.accounts import parcel
from qrelay.errors import RelayError
from tests.accounts.importing import foreign
from tests.accounts.importing.foreign import canary
from tests.cli.process import Command

ADMIN = "canary-admin-secret"


@pytest.fixture(params=["without a server", "beside a server"])
def qrelay(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Command]:
    """A `Command` in the home and the folder of somebody who used everything else before."""
    made = Command(
        tmp_path,
        {
            "AMAZONQ_API_ENDPOINT": "http://127.0.0.1:1",
            "AMAZONQ_TOKEN_ENDPOINT": "http://127.0.0.1:1/token",
            "QRELAY_ADMIN_SECRET": ADMIN,
        },
    )
    with contextlib.ExitStack() as stack:
        if request.param == "beside a server":
            server = stack.enter_context(made.running("serve", "--port", "0"))
            made.environ["URL"] = server.url()
        yield made


def outcomes(qrelay: Command, *words: str) -> list[str]:
    done = qrelay("import", *words, "--json")
    assert done.code == 0, done
    assert masked(done.out)
    return [row["outcome"] for row in json.loads(done.out)]


def masked(text: str) -> bool:
    """Whether no secret of a fixture is whole in it: none shows more than its first 10 characters."""
    return not re.search(r"canary-(secret|refresh|access)-\w", text)


def accounts(qrelay: Command) -> list[dict[str, Any]]:
    return json.loads(qrelay("accounts", "list", "--json").out)


def test_twice_is_once_and_deleted_stays_deleted(qrelay: Command) -> None:
    foreign.q2api(qrelay.folder / "data.sqlite3")
    assert outcomes(qrelay, "q2api") == ["added", "added"]
    assert [(row["label"], row["enabled"]) for row in accounts(qrelay)] == [("one", True), ("two", False)]
    assert qrelay("accounts", "edit", "one", "--label", "mine").code == 0
    assert outcomes(qrelay, "q2api", "data.sqlite3") == ["known", "known"]
    assert [row["label"] for row in accounts(qrelay)] == ["mine", "two"]
    assert qrelay("accounts", "delete", "mine").code == 0
    assert outcomes(qrelay, "q2api") == ["deleted", "known"]
    assert [row["label"] for row in accounts(qrelay)] == ["two"]
    assert outcomes(qrelay, "q2api", "--revive") == ["revived", "known"]
    assert sorted(row["label"] for row in accounts(qrelay)) == ["one", "two"]


def test_a_scan_finds_everything_once(qrelay: Command) -> None:
    number = foreign.whole_machine(qrelay.folder, qrelay.folder)
    preview = qrelay("import", "--scan")
    assert preview.code == 1
    assert "Say so beforehand: --yes" in preview.err
    assert masked(preview.out + preview.err)
    assert len([line for line in preview.out.splitlines() if "  new  " in line]) == number
    assert accounts(qrelay) == []
    assert outcomes(qrelay, "--scan", "--yes") == ["added"] * number
    again = qrelay("import", "--scan", "--yes")
    assert (again.code, len(accounts(qrelay))) == (0, number)
    assert "nothing new" in again.err
    kinds = {row["kind"] for row in accounts(qrelay)}
    assert kinds == {"builder_id", "identity_center", "social", "external_idp"}


def test_nothing_to_scan(qrelay: Command) -> None:
    done = qrelay("import", "--scan", "--yes")
    assert done.code == 1
    assert done.err.startswith("qrelay: No account of another program was found.")


@pytest.mark.parametrize("words", [[], ["q2api", "--scan"], ["nonsense"]])
def test_wrong_usage(qrelay: Command, words: list[str]) -> None:
    assert qrelay("import", *words).code == 2


def test_bad_files_change_nothing(qrelay: Command) -> None:
    (qrelay.folder / "data.sqlite3").write_bytes(b"SQLite format 3\0" + b"canary" * 200)
    done = qrelay("import", "q2api")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"qrelay: {qrelay.folder / 'data.sqlite3'} ")
    assert "Traceback" not in done.err
    assert "canary" not in done.err
    assert qrelay("import", "amq2api").code == 1
    assert accounts(qrelay) == []


def test_rows_the_gateway_refuses_are_told(qrelay: Command) -> None:
    good = {"clientId": "c", "clientSecret": canary("secret"), "refreshToken": canary("refresh")}
    (qrelay.folder / "x.jsonl").write_text(
        "\n".join(json.dumps(row) for row in (good, good | {"region": "canary.evil.example"}, {"label": "none"}))
    )
    done = qrelay("import", "json", "x.jsonl")
    assert done.code == 0
    assert "refused: region: " in done.out
    assert "Left out: Entry 3 of x.jsonl has no refresh token." in done.err
    assert len(accounts(qrelay)) == 1


def export(qrelay: Command, *words: str) -> tuple[str, str]:
    done = qrelay("export", *words)
    assert done.code == 0, done
    return done.out, done.err


def test_an_export_is_sealed_and_comes_back(qrelay: Command, tmp_path: Path) -> None:
    number = foreign.whole_machine(qrelay.folder, qrelay.folder)
    outcomes(qrelay, "--scan", "--yes")
    (tmp_path / "pass").write_text("correct horse\n")
    sealed = ("--passphrase-file", "pass", "-o", "out.json")
    export(qrelay, *sealed)
    assert stat.S_IMODE((tmp_path / "out.json").stat().st_mode) == 0o600
    assert b"canary" not in (tmp_path / "out.json").read_bytes()
    assert qrelay("export", *sealed).err.startswith(f"qrelay: {Path('out.json')} is there already.")
    assert outcomes(qrelay, "json", "out.json", "--passphrase-file", "pass") == ["known"] * number
    other = Command(tmp_path, {"QRELAY_HOME": str(tmp_path / "other")})
    assert outcomes(other, "json", "out.json", "--passphrase-file", "pass") == ["added"] * number
    keep = ("label", "kind", "region", "clientId", "profileArn", "enabled", "startUrl", "refreshToken", "other")
    assert [[row[name] for name in keep] for row in accounts(other)] == [
        [row[name] for name in keep] for row in accounts(qrelay)
    ]
    (tmp_path / "pass").write_text("wrong horse")
    refused = other("import", "json", "out.json", "--passphrase-file", "pass")
    assert (refused.code, refused.out) == (1, "")
    assert "The passphrase is another one" in refused.err


def test_what_a_passphrase_must_be(qrelay: Command) -> None:
    foreign.aq2api(qrelay.folder / "amazonq_credentials.json")
    outcomes(qrelay, "aq2api")
    assert "--passphrase-file" in qrelay("export").err
    (qrelay.folder / "pass").write_text("short")
    assert "too short" in qrelay("export", "--passphrase-file", "pass").err


def test_plain_text_only_when_it_is_asked_for(qrelay: Command) -> None:
    foreign.q2api(qrelay.folder / "data.sqlite3")
    outcomes(qrelay, "q2api")
    out, err = export(qrelay, "--plaintext")
    assert "plain text" in err
    rows = json.loads(out)["accounts"]
    assert [row["refreshToken"] for row in rows] == [canary("refresh-one"), canary("refresh-two")]
    (qrelay.folder / "plain.json").write_text(out)
    assert outcomes(qrelay, "json", "plain.json") == ["known", "known"]


def test_the_older_gateways_formats(qrelay: Command) -> None:
    foreign.q2api(qrelay.folder / "data.sqlite3")
    outcomes(qrelay, "q2api")
    out, err = export(qrelay, "--format", "aq2api", "--account", "two")
    assert "plain text" in err
    assert json.loads(out) == {
        "client_id": "client-two",
        "client_secret": canary("secret-two"),
        "refresh_token": canary("refresh-two"),
        "access_token": canary("access-two"),
    }
    export(qrelay, "--format", "q2api", "-o", "back.sqlite3")
    assert stat.S_IMODE((qrelay.folder / "back.sqlite3").stat().st_mode) == 0o600
    assert outcomes(qrelay, "q2api", "back.sqlite3") == ["known", "known"]
    with contextlib.closing(sqlite3.connect(qrelay.folder / "back.sqlite3")) as connection:
        rows = connection.execute("SELECT label, enabled, clientSecret, success_count FROM accounts").fetchall()
    assert rows == [("one", 1, canary("secret-one"), 0), ("two", 0, canary("secret-two"), 0)]
    assert qrelay("export", "--format", "q2api").code == 1


def test_what_the_cli_holds_in_aq2apis_format(tmp_path: Path) -> None:
    """What aq2api's info.py was for."""
    foreign.whole_machine(tmp_path, tmp_path)
    qrelay = Command(tmp_path)
    out, _ = export(qrelay, "--format", "aq2api", "--source", "q-cli")
    assert json.loads(out)["refresh_token"] == canary("refresh-seat")
    assert not qrelay.home.exists()


def test_secrets_never_leave_by_the_address(tmp_path: Path) -> None:
    """Not even for the admin secret."""
    qrelay = Command(tmp_path, {"QRELAY_ADMIN_SECRET": ADMIN})
    foreign.q2api(tmp_path / "data.sqlite3")
    outcomes(qrelay, "q2api")
    with qrelay.running("serve", "--port", "0") as server:
        url = server.url()
        answer = httpx.post(f"{url}/v2/export", json={}, headers={"authorization": f"Bearer {ADMIN}"})
        assert answer.status_code == 403
        assert "canary" not in answer.text
        assert httpx.post(f"{url}/v2/export", json={}).status_code == 401
        said = server.end()
    held = {path: path.read_bytes() for path in qrelay.home.rglob("*") if path.is_file()}
    assert not [path for path, text in held.items() if b"canary-" in text]
    assert masked(said.err)


def test_a_parcel_opens_only_as_it_was_sealed() -> None:
    sealed = parcel.seal(b"accounts", "correct horse")
    assert parcel.is_parcel(sealed)
    assert not parcel.is_parcel(b'{"accounts": []}')
    assert not parcel.is_parcel(b"[]")
    assert parcel.unseal(sealed, "correct horse") == b"accounts"
    fields = json.loads(sealed)
    changes: list[dict[str, Any]] = [
        {"salt": "AAAAAAAAAAAAAAAAAAAAAA=="},
        {"nonce": "AAAA"},
        {"sealed": ""},
        {"n": 1 << 16},
        {"n": 1 << 40},
        {"n": 0},
        {"r": 1 << 20},
        {"p": 9},
        {"cipher": "none"},
        {"qrelay_export": 2},
        {"more": 1},
    ]
    for change in changes:
        with pytest.raises(RelayError):
            parcel.unseal(json.dumps(fields | change).encode(), "correct horse")
    with pytest.raises(RelayError):
        parcel.unseal(sealed, "correct hors")
    for damaged in (sealed.replace(b"AES", b"A\xffS"), sealed.replace(b"{", b'{"x":' * 100_000, 1)):
        assert not parcel.is_parcel(damaged)
        with pytest.raises(RelayError):
            parcel.unseal(damaged, "correct horse")
