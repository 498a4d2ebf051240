"""A folder or a master key that can't be used: exit code 78, a sentence and a remedy, whichever command needs it."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.process import Command, Done

Commands = Callable[..., Command]

READ = [["accounts", "list"], ["audit"], ["keys", "list"], ["login"], ["models"], ["requests"], ["usage"]]
SEALED = [["export", "--plaintext"], ["master-key", "rotate"], ["serve", "--port", "0"], ["run", "--port", "0"]]
WHOLE = [["db", "backup"], ["db", "check"], ["db", "upgrade"]]


def refused(done: Done, sentence: str, remedy: str) -> None:
    first, *others = done.err.splitlines()
    assert (done.code, done.out) == (78, ""), done
    assert first.startswith("qrelay: ")
    assert sentence in first
    assert remedy in " ".join(others)
    assert "Traceback" not in done.err


@pytest.mark.parametrize("words", [*READ, *SEALED, *WHOLE], ids=" ".join)
def test_a_home_that_is_a_file(command: Commands, words: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in ("file", "file/state"):
        done = command(QRELAY_HOME=str(tmp_path / path))(*words)
        refused(done, f"The folder {tmp_path / path} can't be used: ", "QRELAY_HOME")


@pytest.mark.parametrize("words", [*READ, *SEALED], ids=" ".join)
def test_a_master_key_that_is_none(command: Commands, words: list[str], tmp_path: Path) -> None:
    refused(command(QRELAY_MASTER_KEY="canary")(*words), "QRELAY_MASTER_KEY doesn't hold", "openssl rand")
    nowhere = str(tmp_path / "nowhere")
    refused(command(QRELAY_MASTER_KEY_FILE=nowhere)(*words), f"{nowhere} can't be read", "openssl rand")


def test_a_master_key_of_another_state(on_service: Command, command: Commands) -> None:
    own = base64.b64encode(bytes(32)).decode()
    on_service.environ["QRELAY_MASTER_KEY"] = own
    assert on_service("accounts", "list").code == 0
    for words in (READ[0], *SEALED[-2:]):
        done = command(QRELAY_MASTER_KEY=base64.b64encode(bytes(31) + b"1").decode())(*words)
        refused(done, "The master key isn't the one", "QRELAY_MASTER_KEY_FILE")
    refused(command()("accounts", "list"), "master.key is missing", "Put the file back")
    assert command(QRELAY_MASTER_KEY=own)("accounts", "list").code == 0


def test_a_demonstration_needs_neither(command: Commands, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    there = command(QRELAY_HOME=str(tmp_path / "file"), QRELAY_MASTER_KEY="canary", QRELAY_PORT="0")
    with there.running("demo") as demo:
        assert demo.url()
