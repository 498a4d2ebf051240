"""The import contracts of .importlinter hold; and each of them would notice."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.repository import ROOT

LINT = Path(sys.executable).with_name("lint-imports")


def lint(source: Path) -> tuple[bool, str]:
    """Whether the contracts hold for the package in `source`, and what was said."""
    done = subprocess.run(
        [LINT, "--no-cache", "--no-logo", "--config", ROOT / ".importlinter"],
        cwd=source,
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 0, done.stdout + done.stderr


def test_the_contracts_hold() -> None:
    kept, said = lint(ROOT / "src")
    assert kept, said


@pytest.mark.parametrize(
    ("module", "forbidden", "contract"),
    [
        ("gateway.py", "qrelay.http", "Imports point down"),
        ("accounts/rows.py", "qrelay.upstream.schema", "Imports point down"),
        ("http/body.py", "qrelay.simulator.scenario", "Imports point down"),
        ("newcomer.py", "qrelay.errors", "Imports point down"),
        ("apis/anthropic/__init__.py", "qrelay.apis.openai_chat", "The client APIs do not know one another"),
        ("upstream/tools.py", "uuid", "The middle is pure"),
        ("apis/sse.py", "qrelay.settings", "The middle is pure"),
        ("simulator/scenario.py", "qrelay.upstream.request", "The simulator stands apart"),
    ],
)
def test_a_breach_is_noticed(tmp_path: Path, module: str, forbidden: str, contract: str) -> None:
    shutil.copytree(ROOT / "src" / "qrelay", tmp_path / "qrelay", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "qrelay" / module).open("a", encoding="utf-8") as source:
        source.write(f"\nimport {forbidden}\n")
    kept, said = lint(tmp_path)
    assert not kept
    assert any(contract in line and "BROKEN" in line for line in said.splitlines()), said


def test_every_client_api_is_under_contract() -> None:
    packages = {path.parent.name for path in (ROOT / "src/qrelay/apis").glob("*/__init__.py")}
    contracts = (ROOT / ".importlinter").read_text(encoding="utf-8")
    assert packages
    assert all(f"    qrelay.apis.{package}\n" in contracts for package in packages), packages
