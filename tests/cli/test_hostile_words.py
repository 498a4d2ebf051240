"""Names that somebody made for the terminal or the spreadsheet of whoever reads them."""

import csv
import io
import json
import re
import sqlite3
from contextlib import closing
from typing import Any, cast

import httpx
import pytest

from qrelay.http.usage import as_csv
from qrelay.records.usage import Figures
from tests.cli.process import Command
from tests.house.repository import ROOT

HOSTILE = "a\x1b[2J\x9b31m\u202eb\u200b\x85\u2028c"
ASKED = {"model": "claude-sonnet-4.5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
COMMANDS = (
    "accounts list",
    "accounts health",
    "keys list",
    "requests",
    "usage",
    "usage --by key",
    "usage --by account",
    "usage --by model --csv",
    "usage --by key --csv",
    "audit",
    f"accounts show {HOSTILE}",
    "accounts show unknown\x1b[2J",
)


@pytest.fixture
def hostile(on_service: Command) -> Command:
    """A state in which every word that came from elsewhere is hostile."""
    with on_service.running("serve", "--port", "0") as server:
        url = server.url()
        key = httpx.post(f"{url}/v2/keys", json={"name": "mine"}).json()["key"]
        assert httpx.post(f"{url}/v1/messages", json=ASKED, headers={"x-api-key": key}).status_code == 200
        server.end()
    with closing(sqlite3.connect(on_service.home / "qrelay.sqlite3")) as database, database:
        for table, columns in {
            "accounts": ("label", "state_reason", "last_error", "profile_arn", "last_refresh_status"),
            "keys": ("name", "ending"),
            "requests": ("client", "model", "model_asked", "error", "outcome", "dialect", "upstream_request_id"),
            "usage": ("model", "dialect"),
            "audit": ("actor", "peer", "action", "target"),
        }.items():
            for column in columns:
                database.execute(f"UPDATE {table} SET {column} = ?", (HOSTILE,))
    return on_service


def test_no_output_has_control_characters(hostile: Command) -> None:
    for words in COMMANDS:
        done = hostile(*words.split(" ", 2) if "show" in words else words.split())
        for line in (done.out + done.err).replace("\r\n", "\n").split("\n"):
            assert line.isprintable(), (words, line)


@pytest.mark.parametrize("words", ["accounts list", "keys list", "requests", "usage --by model", "audit"])
def test_json_output_is_exact_and_escaped(hostile: Command, words: str) -> None:
    done = hostile(*words.split(), "--json")
    assert all(line.isprintable() for line in done.out.split("\n"))
    assert HOSTILE in _words(json.loads(done.out))


def _words(value: Any) -> list[str]:
    match value:
        case dict():
            return [word for inner in cast("dict[str, Any]", value).values() for word in _words(inner)]
        case list():
            return [word for inner in cast("list[Any]", value) for word in _words(inner)]
        case _:
            return [value] if isinstance(value, str) else []


@pytest.mark.parametrize(
    ("word", "cell"),
    [
        *((f"{sign}cmd|' /C calc'!A0", f"'{sign}cmd|' /C calc'!A0") for sign in "=+-@"),
        ("\tx", "'\tx"),
        ("\rx", "\ufffdx"),
        ("\n=1", "'\n=1"),
        ("  =1+1", "'  =1+1"),
        ("\r=1", "'\ufffd=1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("-12.5", "-12.5"),
        ("+7", "+7"),
        ("-1+1", "'-1+1"),
        ("claude-sonnet-4.5", "claude-sonnet-4.5"),
        ("a\x1b[2J\u202e", "a\ufffd[2J\ufffd"),
    ],
)
def test_csv_cells_are_no_formulas(word: str, cell: str) -> None:
    point = {"at": "2026-11-30T00:00:00Z"} | dict.fromkeys(Figures.__struct_fields__, 0)
    written = as_csv([{"group": word, "name": word, "points": [point]}])
    (row,) = csv.DictReader(io.StringIO(written, newline=""))
    assert (row["group"], row["name"]) == (cell, cell)


def test_commands_print_through_say_only() -> None:
    """No module prints past it, as that output would not be cleaned."""
    others = [
        f"{path.name}: {line.strip()}"
        for path in (ROOT / "src/qrelay/cli").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"typer\.echo\(|^\s*print\(|sys\.std(out|err)\.write\(", line)
    ]
    assert sorted(others) == [
        'log_in.py: typer.echo(f"{drawn}\\n")  # its colours are escape sequences of ours',
        "printing.py: typer.echo(replace_controls(text), err=err, nl=nl)",
    ]
