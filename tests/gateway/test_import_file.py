"""`POST /v2/import/file` and `GET /v2/auth/qr/{id}`: what the console needs besides what the command line does."""

from pathlib import Path

import pytest

from tests.accounts.importing import foreign
from tests.gateway.conftest import Bench

pytestmark = pytest.mark.anyio


async def test_shown_then_taken_and_twice_is_once(relay: Bench, tmp_path: Path) -> None:
    raw = foreign.q2api(tmp_path / "data.sqlite3").read_bytes()
    for asked, outcome in (("&dry_run=1", "added"), ("", "added"), ("", "known"), ("&dry_run=1", "known")):
        answer = await relay.http.post(f"/v2/import/file?name=data.sqlite3{asked}", content=raw)
        assert answer.status_code == 200
        assert [(row["label"], row["outcome"]) for row in answer.json()["results"]] == [
            ("one", outcome),
            ("two", outcome),
        ]
        assert "canary-secret" not in answer.text
    labels = [account["label"] for account in (await relay.http.get("/v2/accounts")).json()]
    assert labels == ["environment", "one", "two"]


async def test_deleted_stays_so_unless_it_is_revived(relay: Bench, tmp_path: Path) -> None:
    raw = foreign.amq2api(tmp_path / "account.json").read_bytes()
    (row,) = (await relay.http.post("/v2/import/file", content=raw)).json()["results"]
    await relay.http.delete(f"/v2/accounts/{row['account']['id']}")
    for asked, outcome in (("", "deleted"), ("?revive=1&dry_run=1", "revived"), ("?revive=1", "revived")):
        (row,) = (await relay.http.post(f"/v2/import/file{asked}", content=raw)).json()["results"]
        assert row["outcome"] == outcome


async def test_a_name_is_only_a_name(relay: Bench) -> None:
    answer = await relay.http.post("/v2/import/file?name=../../etc/%0apasswd<b>", content=b"nothing")
    assert answer.status_code == 400
    assert ".._.._etc__passwd_b_" in answer.json()["error"]["message"]


async def test_the_address_as_a_picture(relay: Bench) -> None:
    started = (await relay.http.post("/v2/auth/start", json={})).json()
    answer = await relay.http.get(f"/v2/auth/qr/{started['authId']}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    assert answer.text.startswith("<svg ")
    assert "<script" not in answer.text
    assert (await relay.http.get("/v2/auth/qr/nobody")).status_code == 404
