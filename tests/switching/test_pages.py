"""docs/switching: the commands of each page, run in order in a folder as the older gateway leaves it."""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.accounts.importing import foreign
from tests.cli.process import Command
from tests.house.repository import ROOT

LEFT: dict[str, Callable[[Path], Path]] = {
    "q2api": lambda folder: foreign.q2api(folder / "data.sqlite3"),
    "amq2api": lambda folder: foreign.amq2api(folder / "account.json"),
    "aq2api": lambda folder: foreign.aq2api(folder / "amazonq_credentials.json"),
}


@pytest.mark.parametrize("older", LEFT)
def test_there_and_back(tmp_path: Path, older: str) -> None:
    LEFT[older](tmp_path)
    nowhere = {"AMAZONQ_API_ENDPOINT": "http://127.0.0.1:1", "AMAZONQ_TOKEN_ENDPOINT": "http://127.0.0.1:1/token"}
    qrelay = Command(tmp_path, nowhere)
    page = (ROOT / "docs" / "switching" / f"{older}.md").read_text(encoding="utf-8")
    lines = [shlex.split(line, comments=True) for line in re.findall(r"^    (.+)$", page, re.MULTILINE)]
    written = ""
    for line in lines:
        words = [word for word in line if not re.match(r"[A-Z_]+=", word)]
        variables = dict(word.split("=", 1) for word in line if word not in words)
        match words:
            case ["qrelay", "serve", *_]:
                before = dict(qrelay.environ)
                qrelay.environ |= variables
                with qrelay.running("serve", "--port", "0") as server:
                    server.url()
                    assert server.end().code == 0
                qrelay.environ = before
            case ["qrelay", *rest]:
                done = qrelay(*rest)
                assert done.code == 0, done
                written = rest[-1]
            case ["export"]:
                assert list(variables) == ["PATH"]
            case ["mv", source, target]:
                shutil.move(tmp_path / source, tmp_path / target)
            case _:
                raise AssertionError(line)
    assert written
    theirs = sorted(account["label"] or account["id"] for account in _accounts(qrelay))
    assert theirs
    # What was written for the way back holds the same accounts.
    again = Command(tmp_path, nowhere | {"QRELAY_HOME": str(tmp_path / "again")})
    assert again("import", "json" if older == "amq2api" else older, written).code == 0
    assert len(_accounts(again)) == len(theirs)


def _accounts(qrelay: Command) -> list[dict[str, str]]:
    return json.loads(qrelay("accounts", "list", "--json").out)
