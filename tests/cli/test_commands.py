"""What the short commands say, and with which exit code."""

from collections.abc import Callable
from typing import Any

import pytest
import typer

from qrelay.cli.main import app
from tests.cli.process import Command

Commands = Callable[..., Command]


def test_wrong_usage_is_2(command: Commands) -> None:
    for words in (["nonsense"], ["serve", "--port", "x"], ["serve", "--port", "70000"], []):
        done = command().from_nothing(*words)
        assert (done.code, done.out) == (2, ""), words
        assert "Usage: qrelay" in done.err
        assert "Traceback" not in done.err


@pytest.mark.parametrize("group", ["", "accounts", "db", "keys", "master-key"])
def test_help_is_not_cut_at_80_columns(command: Commands, group: str) -> None:
    done = command(COLUMNS="80")(*group.split(), "--help")
    assert done.code == 0
    assert "..." not in done.out.partition("\n")[2]


def test_help_names_every_command(command: Commands) -> None:
    shown = {line.split()[0] for line in command()("--help").out.splitlines() if line.startswith("  ")}
    group: Any = typer.main.get_group(app)
    assert {name for name, held in group.commands.items() if not held.hidden} <= shown


@pytest.mark.parametrize("words", ["usage --csv --json", "requests --follow --json", "login --count 2 --account x"])
def test_options_that_exclude_one_another_are_2(command: Commands, words: str) -> None:
    done = command()(*words.split())
    assert (done.code, done.out) == (2, "")
    assert "Traceback" not in done.err


def test_programs_can_read_what_every_command_tells() -> None:
    group: Any = typer.main.get_group(app)
    leaves = {**group.commands}
    for name, held in group.commands.items():
        if hasattr(held, "commands"):
            del leaves[name]
            leaves |= {f"{name} {below}": command for below, command in held.commands.items()}
    without = {name for name, held in leaves.items() if not any("--json" in option.opts for option in held.params)}
    servers, clients = {"serve", "demo", "run", "simulate"}, {"claude", "codex", "opencode"}
    assert without == servers | clients | {"export", "statusline"}  # what they print is a file, and a line for programs


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("usage --by person", "Invalid value for '--by': 'person' is not one of 'model', "),
        ("serve --port 70000", "Invalid value for '--port': it should be less than or equal to 65535"),
    ],
)
def test_a_wrong_value_is_told_in_plain_words(command: Commands, words: str, told: str) -> None:
    done = command()(*words.split())
    assert (done.code, done.out) == (2, "")
    assert told in done.err


def test_version(command: Commands) -> None:
    assert command().from_nothing("--version").out.startswith("qrelay 0.")


def test_settings_and_their_sources(command: Commands) -> None:
    qrelay = command(PORT="8123", OPENAI_KEYS="canary-key")
    (qrelay.folder / ".env").write_text("QRELAY_ADMIN_SECRET=canary-admin\n")
    done = qrelay.from_nothing("settings")
    rows = {row[0]: row[1:] for line in done.out.splitlines() if (row := line.split(maxsplit=2))}
    assert done.code == 0
    assert rows["QRELAY_PORT"] == ["8123", "PORT"]
    assert rows["QRELAY_API_KEYS"] == ["********", "OPENAI_KEYS"]
    assert rows["QRELAY_ADMIN_SECRET"] == ["********", "QRELAY_ADMIN_SECRET in .env"]
    assert rows["QRELAY_HOST"] == ["127.0.0.1", "default"]
    assert "canary" not in done.out + done.err


@pytest.mark.parametrize("words", [["settings"], ["serve"], ["demo"]])
def test_a_wrong_setting_is_78(command: Commands, words: list[str]) -> None:
    done = command(PORT="many").from_nothing(*words)
    assert (done.code, done.out) == (78, "")
    assert done.err.startswith("qrelay: PORT can't be used: ")
    assert "Traceback" not in done.err


def test_no_health_without_a_server(command: Commands) -> None:
    done = command(QRELAY_PORT="1").from_nothing("health")
    assert done.code == 1
    assert done.err == "qrelay: Nothing answers on http://127.0.0.1:1.\n  Start it with: qrelay serve\n"


def test_health_wants_an_address(command: Commands) -> None:
    done = command().from_nothing("health", "--url", "canary")
    assert done.code == 1
    assert "not an address" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ["accounts", "list"],
        ["db", "status"],
        ["doctor"],
        ["export", "json", "--plaintext"],
        ["import", "json", "nowhere"],
        ["keys", "create", "me", "--expires", "never"],
        ["models"],
        ["requests"],
        ["usage", "--by", "key"],
    ],
    ids=" ".join,
)
def test_a_command_from_nothing_is_as_one_of_a_warm_process(command: Commands, words: list[str]) -> None:
    """What the other tests run may lack nothing that loading it here has loaded by the way."""
    qrelay = command(QRELAY_PORT="1", AMAZONQ_API_ENDPOINT="http://127.0.0.1:1")
    first = qrelay.from_nothing(*words)
    assert qrelay(*words) == first
    assert "Traceback" not in first.err
