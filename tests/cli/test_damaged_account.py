"""Commands on a state in which one sealed token has a flipped bit."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.cli.process import Command

ASKED = {"model": "claude-sonnet-4.5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def damaged(on_service: Command) -> Command:
    with on_service.running("serve", "--port", "0") as server:
        url = server.url()
        assert httpx.post(f"{url}/v1/messages", json=ASKED).status_code == 200
        other = {"label": "damaged", "clientId": "c", "clientSecret": "s", "refreshToken": "another"}
        assert httpx.post(f"{url}/v2/accounts", json=other).status_code < 300
        server.end()
    _flip_refresh_token(on_service.home)
    return on_service


def _flip_refresh_token(home: Path) -> None:
    with closing(sqlite3.connect(home / "qrelay.sqlite3")) as database, database:
        query = "SELECT refresh_token FROM accounts WHERE label = 'damaged'"
        ((token,),) = database.execute(query)
        flipped = token[:20] + bytes([token[20] ^ 1]) + token[21:]
        database.execute("UPDATE accounts SET refresh_token = ? WHERE label = 'damaged'", (flipped,))


def test_damaged_token_stops_no_command(damaged: Command) -> None:
    listed = {row["label"]: row for row in json.loads(damaged("accounts", "list", "--json").out)}
    assert listed["damaged"]["state"] == "needs_login"
    assert listed["damaged"]["state_reason"].startswith("Its stored tokens cannot be decrypted")
    others = [row for label, row in listed.items() if label != "damaged"]
    assert [row["state"] for row in others] == ["ready"]
    assert "needs_login" in damaged("accounts", "list").out
    assert {"accounts": "2 stored: 1 ready, 1 needs_login."}.items() <= _findings(damaged).items()
    rotated = damaged("master-key", "rotate")
    assert rotated.code == 0
    assert "1 damaged secrets can't be decrypted" in rotated.out
    with damaged.running("serve", "--port", "0") as server:
        url = server.url()
        for _ in range(3):
            assert httpx.post(f"{url}/v1/messages", json=ASKED).status_code == 200
        assert "account.secret_unreadable" in server.end().err


def _findings(command: Command) -> dict[str, str]:
    return {row["subject"]: row["said"] for row in json.loads(command("doctor", "--json").out)}


def test_another_master_key_is_still_refused(damaged: Command) -> None:
    (damaged.home / "master.key").write_text("00" * 32)
    done = damaged("serve", "--port", "0")
    assert done.code == 78
    assert "isn't the one that this database was made with" in done.err
