"""What the documents say is what the code does."""

import ast
import re
import subprocess
import sys

import msgspec
import pytest

from qrelay import __version__
from qrelay.apis import errors
from qrelay.apis.dialect import Family
from qrelay.errors import CATALOGUE, ErrorCode, RelayError
from qrelay.settings import PREFIX, Settings, unknown
from tests.house.repository import ROOT


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_reference_is_current() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_table_is_whole() -> None:
    """A row is one line with as many cells as its head: GitHub shows anything else as another row."""
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]:
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for block in text.split("\n\n"):
            if "\n|---" in block:
                head, *rows = block.strip().splitlines()
                widths = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
                assert widths == {len(re.findall(r"(?<!\\)\|", head))}, (page.name, head)


def test_every_setting_has_a_sentence() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description is not None, name
        assert field.description.endswith("."), name


def test_the_example_names_settings_only() -> None:
    example = read(".env.example")
    named = set(re.findall(r"^#? ?([A-Z_]+)=", example, re.MULTILINE))
    assert named
    assert unknown(dict.fromkeys(named, "")) == []


def test_every_error_is_in_the_catalogue() -> None:
    assert set(CATALOGUE) == set(ErrorCode)


@pytest.mark.parametrize("family", ["anthropic", "openai"])
@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_error_is_told_in_both_families(code: ErrorCode, family: Family) -> None:
    row = CATALOGUE[code]
    assert row.remedy.endswith(".")
    told = errors.reply(RelayError(code, "This happened."), family, "req_1")
    assert 400 <= told.status <= 599
    assert (b"x-should-retry", b"true" if row.retryable else b"false") in told.headers
    error = msgspec.json.decode(told.body)["error"]
    assert error["message"] == f"This happened. {row.remedy}"
    assert error["type"]


def test_what_a_remedy_names_exists() -> None:
    told = " ".join(row.remedy for row in CATALOGUE.values())
    assert unknown(dict.fromkeys(re.findall(rf"{PREFIX}[A-Z_]+", told), "")) == []
    for path in re.findall(r"[\w/]+\.md", told):
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_commands_people_are_told_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    told = set(re.findall(r"(?:^|`)make ([a-z]+)", read(page), re.MULTILINE))
    assert told
    assert told <= targets


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)", read(page)):
        assert "://" in target or (ROOT / target).exists(), target


def test_the_map_of_the_code_is_true() -> None:
    there = {str(path.relative_to(ROOT / "src/qrelay")) for path in (ROOT / "src/qrelay").rglob("*")}
    named = re.findall(r"[\w/]+\.py", read("CONTRIBUTING.md"))
    assert len(named) > 15
    for name in named:
        assert any(path == name or path.endswith(f"/{name}") for path in there), name


@pytest.mark.parametrize("room", ["accounts", "accounts/importing", "database", "http", "keys", "server"])
def test_the_map_of_a_room_is_true(room: str) -> None:
    folder = ROOT / "src/qrelay" / room
    told = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    columns = set(re.findall(r"(?:^ *| {3,})([a-z][a-z_0-9]+)(?= {2,}\S)", told, re.MULTILINE))
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    rooms = {path.parent.name for path in folder.glob("*/__init__.py")}
    assert modules <= set(re.findall(r"\w+", told))
    assert columns <= modules | rooms


def test_the_changelog_knows_this_version() -> None:
    assert re.search(rf"^## {re.escape(__version__)}\b", read("CHANGELOG.md"), re.MULTILINE)


def test_decisions_are_numbered_and_short() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [record.name[:4] for record in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    for record in records:
        assert len(record.read_text(encoding="utf-8").splitlines()) <= 60, record.name
