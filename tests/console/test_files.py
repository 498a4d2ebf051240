"""What the console is made of: pinned libraries, both languages, files that can be kept for good. No browser."""

import ast
import base64
import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from qrelay.errors import CATALOGUE, ErrorCode
from qrelay.http.audited import action
from qrelay.http.console import LIBRARIES, site
from qrelay.http.management import is_management
from qrelay.http.openapi import TABLE
from qrelay.settings import Settings
from tests.gateway.conftest import bench
from tests.house.repository import ROOT

CONSOLE = ROOT / "src" / "qrelay" / "console"
VENDORS = [CONSOLE / "vendor", ROOT / "src" / "qrelay" / "http" / "static" / "vendor", Path(__file__).parent / "vendor"]
PAGES = re.findall(r'name: "(\w+)"', (CONSOLE / "pages.js").read_text(encoding="utf-8"))
WORD = re.compile(r'^  "?([\w.-]+)"?: (.+),$', re.MULTILINE)
SENTENCES = ("said", "described")
"""Parts whose keys are the gateway's own sentences: English has nothing to say in them."""
MAIN = sorted(path for path in CONSOLE.rglob("*.js") if path.parent.name != "vendor" and "words" not in path.parts)


def words(language: str) -> dict[str, str]:
    """Every key of a language and its text as it is written."""
    found: dict[str, str] = {}
    for path in sorted((CONSOLE / "words" / language).glob("*.js")):
        if path.stem in SENTENCES:
            continue
        text = path.read_text(encoding="utf-8")
        rows = WORD.findall(text)
        inside = text[text.index("export default {") :].strip().splitlines()[1:-1]
        assert len(rows) == len([line for line in inside if not line.lstrip().startswith("//")]), path
        assert not found.keys() & dict(rows).keys(), path
        found |= dict(rows)
    return found


def sentences(part: str) -> dict[str, str]:
    """The gateway's sentences and what the Chinese console says for them; as literals they are Python too."""
    text = (CONSOLE / "words" / "zh" / f"{part}.js").read_text(encoding="utf-8")
    inside = text[text.index("{") : text.rindex("}") + 1]
    table = ast.parse(re.sub(r"^\s*//.*$", "", inside, flags=re.MULTILINE).strip(), mode="eval").body
    assert isinstance(table, ast.Dict)
    keys = [ast.literal_eval(key) for key in table.keys if key is not None]
    assert len(set(keys)) == len(keys), "a sentence is there twice"
    return ast.literal_eval(table)


@pytest.mark.parametrize("folder", VENDORS, ids=lambda folder: folder.parent.name)
def test_libraries_are_as_they_were_published(folder: Path) -> None:
    rows = json.loads((folder / "vendor.json").read_text(encoding="utf-8"))
    for row in rows:
        assert hashlib.sha256((folder / row["file"]).read_bytes()).hexdigest() == row["sha256"], row["file"]
        assert (folder / row["licence_file"]).is_file()
    pinned = {row["file"] for row in rows}
    assert pinned == {path.name for path in folder.iterdir() if path.suffix in {".js", ".css"}}


def test_the_two_languages_say_the_same() -> None:
    english, chinese = words("en"), words("zh")
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        names = set(re.findall(r"\{(\w+)\}", text))
        assert names == set(re.findall(r"\{(\w+)\}", chinese[key])), key
        assert text.startswith("{") == chinese[key].startswith("{"), key
    assert {path.stem for path in (CONSOLE / "words" / "en").iterdir()} >= {"shell", *PAGES}


def test_every_failure_has_a_word() -> None:
    assert {key for key in words("en") if key.startswith("code.")} == {f"code.{code}" for code in ErrorCode}


def test_every_change_has_a_name() -> None:
    operations = [operation for row in TABLE.values() for operation in row]
    actions = {action(operation.method, operation.path) for operation in operations if is_management(operation.path)}
    assert {f"audit.action.{name}" for name in actions - {None}} <= words("en").keys()


def test_every_setting_is_described_in_chinese() -> None:
    """A new or another description needs a new line in words/zh/described.js."""
    described = {" ".join((field.description or "").split()) for field in Settings.model_fields.values()}
    assert sentences("described").keys() == described


def test_every_remedy_is_known_in_chinese() -> None:
    """A new remedy needs a line in words/zh/said.js, and one that nobody gives any more has none."""
    told: set[str] = {row.remedy for row in CATALOGUE.values()}
    said: set[str] = set()
    for path in sorted((ROOT / "src" / "qrelay").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.keyword("remedy", ast.Constant(str(text))) if path.parts[-2] in {"http", "accounts", "keys"}:
                    told.add(text)
                case ast.Constant(str(text)):
                    said.add(text)
                case _:
                    pass
    assert told - sentences("said").keys() == set()
    assert sentences("said").keys() - said == set()


def test_every_word_that_is_said_is_there() -> None:
    known = words("en")
    for path in MAIN:
        text = re.sub(r"^\s*//.*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for key in re.findall(r'\b(?:t|around)\(\s*"([^"]+)"', text):
            assert key in known, f"{path.name}: {key}"
        for start in re.findall(r"\b(?:t|around)\(\s*`([^`$]+)\$", text):
            assert any(key.startswith(start) for key in known), f"{path.name}: {start}"


def test_no_page_speaks_by_itself() -> None:
    for path in MAIN:
        text = re.sub(r"\$\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}", "", path.read_text(encoding="utf-8"))
        for template in re.findall(r"html`([^`]*)`", text):
            said = re.findall(r">([^<>]*[A-Za-z]{2}[^<>]*)<", template)
            said += re.findall(r'\b(?:title|label|placeholder|aria-label|alt)="([^"]*[A-Za-z]{2}[^"]*)"', template)
            assert [words for words in said if words.strip() != "qrelay"] == [], path.name


def test_nothing_makes_html_of_text() -> None:
    for path in MAIN:
        text = path.read_text(encoding="utf-8")
        forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerously|\beval\(|new Function"
        assert re.findall(forbidden, text) == [], path.name


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_loads_first_is_small(page: str) -> None:
    (entry,) = re.findall(rf'name: "{page}".*', (CONSOLE / "pages.js").read_text(encoding="utf-8"))
    more = re.findall(r'"(\w+)"', entry.partition("words:")[2])
    needed = site().needed("app.js") | site().needed(f"pages/{page}.js")
    for language in ("en", "zh"):
        first = {*needed, "first.js", *(f"words/{language}/{part}.js" for part in ("shell", page, *more))}
        assert sum(len(site().files[path].packed) for path in first) <= 40 * 1024


def test_libraries_go_by_their_names() -> None:
    assert set(LIBRARIES.values()) <= site().files.keys()
    assert "vendor/uplot.js" not in site().needed("app.js")


@pytest.mark.anyio
async def test_files_can_be_kept_and_pages_cannot(tmp_path: Path) -> None:
    async with bench(tmp_path / "home") as relay:
        for path, file in site().files.items():
            answer = await relay.http.get(f"{site().root}/{path}", headers={"accept-encoding": "identity"})
            assert answer.content == file.content, path
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert answer.headers["x-content-type-options"] == "nosniff"
        packed = await relay.http.get(f"{site().root}/app.js", headers={"accept-encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.content == gzip.decompress(site().files["app.js"].packed)
        for path in (
            "/console/files/0000000000000000/app.js",
            f"{site().root}/nothing.js",
            f"{site().root}/index.html",
        ):
            answer = await relay.http.get(path)
            assert (answer.status_code, answer.headers["cache-control"]) == (404, "no-store"), path
        for path in ("/", "/admin", "/console", "/console/accounts", "/console/no-such-page"):
            answer = await relay.http.get(path)
            assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache"), path
            policy = answer.headers["content-security-policy"]
            assert "unsafe" not in policy
            (import_map,) = re.findall(r'<script type="importmap">(.*?)</script>', answer.text)
            assert hashlib.sha256(import_map.encode()).digest() == _allowed(policy)


@pytest.mark.anyio
async def test_the_page_is_open_where_one_logs_in_on_it(tmp_path: Path) -> None:
    strange: dict[str, str] = {"host": "gateway.example"}
    paths = ("/console/accounts", f"{site().root}/app.js")
    async with bench(tmp_path / "home", admin_secret=SecretStr("s" * 40)) as relay:
        for path in paths:
            assert (await relay.http.get(path, headers=strange)).status_code == 200
        assert (await relay.http.get("/v2/accounts", headers=strange)).status_code == 401
    async with bench(tmp_path / "other") as relay:
        for path in (*paths, "/v2/accounts"):
            assert (await relay.http.get(path, headers=strange)).status_code == 403


@pytest.mark.anyio
async def test_without_a_console_there_is_none(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", console=False) as relay:
        for path in ("/admin", "/console", "/console/accounts", f"{site().root}/app.js"):
            assert (await relay.http.get(path)).status_code == 404, path
        assert (await relay.http.get("/", headers={"accept": "text/html"})).json()["name"] == "qrelay"


def _allowed(policy: str) -> bytes:
    (digest,) = re.findall(r"'sha256-([^']+)'", policy)
    return base64.b64decode(digest)
