"""`qrelay models`, `usage`, `doctor` and `db …`: what they say, and with which exit code."""

import csv
import io
import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from qrelay.cli.tables import fitting
from qrelay.simulator.server import Simulator
from tests.cli.process import Command, Done

Commands = Callable[..., Command]


def rows(done: Done) -> Any:
    assert done.code == 0, done
    return json.loads(done.out)


def verdicts(done: Done) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in json.loads(done.out):
        found[row["subject"]] = "bad" if "bad" in {row["verdict"], found.get(row["subject"])} else row["verdict"]
    return found


def test_models(on_service: Command) -> None:
    held = rows(on_service("models", "--json"))["data"]
    assert "claude-sonnet-4.5" in {row["id"] for row in held}
    assert [line.split()[0] for line in on_service("models").out.splitlines()[1:]] == [row["id"] for row in held]


def test_usage(on_service: Command) -> None:
    [row] = rows(on_service("usage", "--json"))
    assert (row["label"], row["success_count"], row["error"]) == ("environment", 0, None)
    assert row["quota"]["limit"] > 0
    cells = on_service("usage").out.splitlines()[1].split()
    assert cells[0] == "environment"
    assert cells[-3:-1] == ["0.00", f"{row['quota']['limit']:.2f}"]


def test_requests_and_what_they_used(on_service: Command) -> None:
    assert on_service("requests").out.strip() == "No request is in the log."
    refused = on_service("requests", "--follow")
    assert refused.code == 1
    assert refused.err.startswith("qrelay: No server runs here, so there is nothing to follow.")
    with on_service.running("serve", "--port", "0") as server:
        url = server.url()
        body = {"model": "claude-sonnet-4.5", "messages": [{"role": "user", "content": "Hello"}]}
        assert httpx.post(f"{url}/v1/chat/completions", json=body).status_code == 200
        assert httpx.post(f"{url}/v1/chat/completions", json={}).status_code == 400
        failed, good = rows(on_service("requests", "--json"))[::-1]
        assert (good["outcome"], failed["outcome"]) == ("ok", "request_invalid")
        table = on_service("requests").out.splitlines()
        assert table[0].split()[:3] == ["AT", "STATUS", "OUTCOME"]
        assert ["ok" in table[1], "request_invalid" in table[2], len(table)] == [True, True, 3]
        assert [row["id"] for row in rows(on_service("requests", "--errors", "--json"))] == [failed["id"]]
        with on_service.running("requests", "--follow", "--errors") as follower:
            follower.read_until("request_invalid")
            assert httpx.post(f"{url}/v1/chat/completions", json=[]).status_code == 400
            assert "request_invalid" in follower.read_until("request_invalid")
    used = on_service("usage", "--by", "account").out.splitlines()
    assert used[1].split()[:3] == ["environment", "1", "0"]
    assert [group["requests"] for group in rows(on_service("usage", "--days", "3", "--json"))["groups"]] == [1, 2]
    lines = list(csv.DictReader(io.StringIO(on_service("usage", "--by", "dialect", "--days", "2", "--csv").out)))
    assert sum(int(line["requests"]) for line in lines) == 3


def test_no_cell_is_cut_on_a_narrow_terminal(on_service: Command) -> None:
    (account,) = rows(on_service("accounts", "list", "--json"))
    shown, told = on_a_terminal(on_service, "accounts", "list", columns=80)
    assert shown[0].split() == ["ID", "LABEL", "STATE", "ERRORS", "CREDITS"]
    assert shown[1].split() == [account["id"], "environment", "ready", "0", "-"]
    assert told == "Left out for want of room: KIND, REGION, ACTIVE, SERVED, RESETS, LAST REFRESH. --json has all.\n"
    wide, told = on_a_terminal(on_service, "accounts", "list", columns=200)
    assert (wide[0].split()[-2:], told) == (["LAST", "REFRESH"], "")


def test_what_can_be_spared_goes_in_its_order() -> None:
    columns, widths = ("A", "B", "C"), (10, 10, 10)
    assert fitting(columns, widths, 34, ("B", "A")) == [0, 1, 2]
    assert fitting(columns, widths, 33, ("B", "A")) == [0, 2]
    assert fitting(columns, widths, 5, ("B", "A")) == [2]


def on_a_terminal(qrelay: Command, *words: str, columns: int) -> tuple[list[str], str]:
    """The lines that are shown there, without how they look, and what is on standard error."""
    leader, follower = os.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "qrelay", *words],
            cwd=qrelay.folder,
            env=qrelay.environ | {"COLUMNS": str(columns), "LINES": "40", "TERM": "xterm"},
            stdin=subprocess.DEVNULL,
            stdout=follower,
            stderr=subprocess.PIPE,
            check=True,
            text=True,
        )
        shown = os.read(leader, 65536).decode()
    finally:
        os.close(leader)
        os.close(follower)
    return re.sub(r"\x1b\[[\d;]*m|\r", "", shown).splitlines(), done.stderr


def test_a_working_account_is_tried_out(on_service: Command) -> None:
    done = on_service("accounts", "test", "environment")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Works: environment")
    assert rows(on_service("accounts", "test", "environment", "--json"))["success"] is True


def test_an_account_that_does_not_work(service: Simulator, on_service: Command) -> None:
    on_service("accounts", "list")
    service.next("suspended", 3)
    done = on_service("accounts", "test", "environment")
    assert done.code == 1
    assert done.err.startswith("qrelay: ")
    assert "Traceback" not in done.err


def test_settings_as_json(command: Commands) -> None:
    found = {row["name"]: row for row in rows(command(PORT="8123", OPENAI_KEYS="canary-key")("settings", "--json"))}
    assert found["QRELAY_PORT"] == {"name": "QRELAY_PORT", "value": "8123", "source": "PORT"}
    assert "canary" not in json.dumps(found)


def test_a_healthy_machine(on_service: Command) -> None:
    with on_service.running("serve", "--port", "0") as server:
        server.url()
        done = on_service("doctor", "--json")
        assert done.code == 0, done
        assert set(verdicts(done).values()) == {"ok"}
        health = rows(on_service("health", "--json"))
        assert health["status"] == "ready"
        assert on_service("doctor").code == 0


def test_before_anything(command: Commands) -> None:
    """It changes nothing: not even the folder is made."""
    qrelay = command(AMAZONQ_API_ENDPOINT="http://127.0.0.1:1", AMAZONQ_TOKEN_ENDPOINT="http://127.0.0.1:1/token")
    done = qrelay("doctor", "--json")
    assert done.code == 1
    assert (verdicts(done)["accounts"], verdicts(done)["network"], verdicts(done)["home"]) == ("bad", "bad", "note")
    assert not qrelay.home.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="modes mean nothing there")
def test_a_key_others_can_read(on_service: Command) -> None:
    on_service("accounts", "list")
    (on_service.home / "master.key").chmod(0o644)
    done = on_service("doctor")
    assert done.code == 1
    assert "chmod go= " in done.out


def test_a_database_is_checked_and_copied(on_service: Command) -> None:
    for what in ("check", "backup", "upgrade"):
        assert "There is no database" in on_service("db", what).err
    on_service("accounts", "list")
    version = json.loads(on_service("db", "upgrade", "--json").out)["version"]
    path = on_service.home / "qrelay.sqlite3"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with on_service.running("serve", "--port", "0") as server:
        server.url()
        checked = json.loads(on_service("db", "check", "--json").out)
        assert (checked["database"], checked["version"]) == (str(path), version)
        assert on_service("db", "backup").code == 0
        copied = on_service("db", "backup", "-o", "copy.sqlite3", "--json")
        assert json.loads(copied.out) == {"backup": "copy.sqlite3"}
        assert on_service("db", "upgrade").code == 1
    [kept] = (on_service.home / "backups").iterdir()
    for copy in (kept, on_service.folder / "copy.sqlite3"):
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        with closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("SELECT label FROM accounts").fetchall() == [("environment",)]
    assert "is there already" in on_service("db", "backup", "-o", "copy.sqlite3").err


def test_a_damaged_or_older_database_is_told(on_service: Command) -> None:
    on_service("accounts", "list")
    path = on_service.home / "qrelay.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
        connection.commit()
    assert "qrelay db upgrade" in on_service("db", "check").err
    damage(path)
    done = on_service("db", "check")
    assert done.code == 1
    assert "Traceback" not in done.err


def damage(path: Path) -> None:
    held = bytearray(path.read_bytes())
    held[4096:8192] = b"\xff" * 4096
    path.write_bytes(held)
