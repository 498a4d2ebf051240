"""The guides and the pages for those who switch: what they name exists, and what can be run is run."""

import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
import typer

from qrelay.cli.main import app
from qrelay.http.management import is_management
from qrelay.settings import Settings, names, unknown
from tests.deploy.dockerfile import read
from tests.gateway.conftest import Bench, relay
from tests.house.repository import ROOT

__all__ = ["relay"]  # a fixture for these tests too

GUIDES = sorted((ROOT / "docs" / "guide").glob("*.md"))
SWITCHING = sorted((ROOT / "docs" / "switching").glob("*.md"))
SECURITY = ROOT / "docs" / "security.md"
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "docs" / "README.md", SECURITY, *GUIDES, *SWITCHING]
SETTINGS = {name for field in Settings.model_fields for name in names(field)}
FIRST = ROOT / "docs" / "guide" / "first-clients.md"
HERE = "http://127.0.0.1:8000"
PROGRAMS = (".venv/bin/qrelay", ".venv/Scripts/qrelay")
NAMED_SO = (
    "-u",
    "exec",
    "-T",
    "restart",
    "--now",
    "-t",
    "--name",
    "QRELAY_HOME=/data",
    "nologin",
    "create",
    "run",
    "dns",
)
"""After these words qrelay is a user, a service, an image or a tunnel."""


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def code(text: str) -> Iterator[str]:
    """What is typed: shell blocks and indented lines, joined where a backslash says so; then what is in backticks."""
    fenced = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = "".join(f"{line[4:]}\n" for line in prose.splitlines() if line.startswith("    "))
    yield from re.sub(r"\\\n\s*", " ", "".join([*fenced, indented])).splitlines()
    for line in prose.splitlines():
        if not line.startswith("    "):
            yield from re.findall(r"`([^`]+)`", line)


def commands(text: str) -> Iterator[list[str]]:
    """The words that follow `qrelay` wherever it is a command: not where it is a user, a service or a folder."""
    for line in code(text):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue
        for at, word in enumerate(words):
            path = word.replace("\\", "/") if "\\" in line else word
            before = words[at - 1] if at else ""
            if path.endswith(PROGRAMS) or (path == "qrelay" and not before.endswith(NAMED_SO)):
                yield words[at + 1 :]


def resolve(words: list[str]) -> str | None:
    """Why these words are no command line; None if they are one."""
    command: Any = typer.main.get_group(app)
    at = 0
    while at < len(words) and hasattr(command, "commands"):
        if words[at].startswith("-"):
            break
        if words[at] not in command.commands:
            return f"there is no command {words[at]!r}"
        command = command.commands[words[at]]
        at += 1
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    wrong = [word for word in words[at:] if word.startswith("-") and word.partition("=")[0] not in known]
    return f"{command.name} has no option {wrong[0]}" if wrong else None


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), target


def test_every_page_is_in_the_index() -> None:
    index = read("docs/README.md")
    for page in [SECURITY, *GUIDES, *SWITCHING, *(ROOT / "docs" / "reference").glob("*.md")]:
        assert f"({page.relative_to(ROOT / 'docs')})" in index, page
    assert "(docs/README.md)" in read("README.md")


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_the_commands_exist(page: Path) -> None:
    found = list(commands(page.read_text(encoding="utf-8")))
    assert found or page.name in {"README.md", "console.md", "nginx.md", "caddy.md", "cloudflare-tunnel.md", "ngrok.md"}
    for words in found:
        assert (wrong := resolve(words)) is None, f"qrelay {shlex.join(words)}: {wrong}"


def test_a_command_that_is_not_there_is_noticed() -> None:
    text = "`qrelay nonsense` and\n\n    sudo -u qrelay env A=b /x/.venv/bin/qrelay serve --prot 1\n"
    assert list(commands(text)) == [["serve", "--prot", "1"], ["nonsense"]]
    assert resolve(["nonsense"])
    assert resolve(["serve", "--prot", "1"])
    assert resolve(["accounts", "nonsense"])
    assert not resolve(["accounts", "list", "--json"])


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_the_settings_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert unknown(dict.fromkeys(re.findall(r"QRELAY_[A-Z_]+", text), "")) == []
    if page in SWITCHING:
        named = {word for span in code(text) for word in re.findall(r"\b[A-Z]+_[A-Z_]+\b|\bPORT\b", span)}
        assert named <= SETTINGS


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_the_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"(?:/opt/qrelay/|(?<=[ `]))((?:deploy|requirements|docs)[/\\][\w./\\-]+\w)", text):
        assert (ROOT / path.replace("\\", "/")).exists(), path
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    assert {made for span in code(text) for made in re.findall(r"^(?:sudo )?make ([a-z]+)", span)} <= targets


@pytest.mark.parametrize("page", SWITCHING, ids=page_name)
def test_a_page_for_those_who_switch_has_all_they_ask(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["The same", "Two deliberate breaks", "Better", "Back"]
    (breaks,) = re.findall(r"^## Two deliberate breaks\n\n(.+?)\n\n## ", text, re.MULTILINE | re.DOTALL)
    assert len(re.findall(r"^- ", breaks, re.MULTILINE)) == 2
    assert len(text.splitlines()) <= 80


@pytest.mark.anyio
@pytest.mark.parametrize("page", [*SWITCHING, ROOT / "README.md"], ids=page_name)
async def test_the_routes_exist(relay: Bench, page: Path) -> None:
    text = " ".join(read(page_name(page)).split())
    routes = re.findall(r"`(GET|POST|PATCH|PUT|DELETE) (/[^`]*)`", text)
    assert routes
    for method, path in routes:
        answer = await relay.http.request(method, re.sub(r"\{\w+\}", "nobody", path), content=b"{")
        assert answer.status_code != 405, (method, path)
        assert "has no route" not in answer.text, (method, path)


def test_only_client_routes_are_let_through() -> None:
    (nginx,) = re.findall(r"location ~ (\^\(/v1\).+) \{", read("deploy/nginx.conf"))
    (caddy,) = re.findall(r"path_regexp (.+)", read("deploy/Caddyfile"))
    (tunnel,) = re.findall(r"path: (.+)", read("docs/guide/cloudflare-tunnel.md"))
    (ngrok,) = re.findall(r"matches\('(.+)'\)", read("docs/guide/ngrok.md"))
    assert nginx == caddy == tunnel == ngrok
    for path in ("/v1/messages", "/messages/count_tokens", "/v1/v1/messages", "/v1/models/a", "/v1/responses/compact"):
        assert re.search(nginx, path)
    for path in ("/v2/accounts", "/api/accounts", "/credentials", "/test/token", "/docs", "/openapi.json"):
        assert is_management(path)
        assert not re.search(nginx, path)
    for path in ("/admin", "/console", "/console/accounts", "/console/files/0/app.js"):
        assert not re.search(nginx, path)


# --- first clients ----------------------------------------------------------------------------------------------------


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", FIRST.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_configurations_are_what_the_clients_read() -> None:
    (codex,) = map(tomllib.loads, blocks("toml"))
    assert codex["model_providers"][codex["model_provider"]]["base_url"] == f"{HERE}/v1"
    assert codex["model_providers"][codex["model_provider"]]["wire_api"] == "responses"
    (opencode,) = map(json.loads, blocks("json"))
    provider, _, model = opencode["small_model"].partition("/")
    assert opencode["provider"][provider]["options"]["baseURL"] == f"{HERE}/v1"
    assert model in opencode["provider"][provider]["models"]


@pytest.mark.anyio
async def test_the_curl_lines_are_answered(relay: Bench) -> None:
    (block,) = blocks("sh")
    lines = re.sub(r"\\\n\s*", " ", block).split("\n\n")
    assert len(lines) == 4
    for line in lines:
        words = shlex.split(line)
        assert words.pop(0) == "curl"
        url = next(word for word in words if word.startswith(HERE))
        headers = [words[at + 1].split(": ") for at, word in enumerate(words) if word == "-H"]
        body = next((words[at + 1] for at, word in enumerate(words) if word == "-d"), None)
        assert set(words) - {url, body, *(": ".join(header) for header in headers)} <= {"-N", "-H", "-d"}
        answer = await relay.http.request(
            "GET" if body is None else "POST", url.removeprefix(HERE), headers=dict(headers), content=body
        )
        assert answer.status_code == 200, line
        assert "Hello" in answer.text or body is None


@pytest.mark.anyio
@pytest.mark.parametrize("number", [0, 1])
async def test_the_sdk_lines_print_an_answer(relay: Bench, number: int) -> None:
    program = blocks("python")[number].replace(HERE, relay.url)
    with anyio.fail_after(60):
        done = await anyio.run_process([sys.executable, "-W", "ignore", "-c", program], check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Hello" in done.stdout


def test_limits_have_the_defaults_of_the_settings() -> None:
    text = SECURITY.read_text(encoding="utf-8").partition("## All limits")[2]
    rows = re.findall(r"^\| [^|]+ \| `(QRELAY_\w+)` \| ([^|]+) \| [^|]+ \|$", text, re.MULTILINE)
    assert len(rows) > 15
    defaults = Settings()
    for name, said in rows:
        value = getattr(defaults, name.removeprefix("QRELAY_").lower())
        usual = f"{value:g}" if isinstance(value, float) else str(value)
        assert re.split(r" \(|`", said.strip("` "))[0] == usual, name


def test_every_limit_that_is_a_setting_is_in_the_table() -> None:
    """A new bound on what clients may send or how long they may take belongs there."""
    text = SECURITY.read_text(encoding="utf-8").partition("## All limits")[2]
    named = set(re.findall(r"QRELAY_\w+", text))
    bounds = re.compile(r"MAX_|TIMEOUT|_ROWS$|_DAYS$|_PAGES$|CONCURRENCY|QUEUE|DRAIN|SHUTDOWN|_LIMIT")
    assert {name for name in SETTINGS if name.startswith("QRELAY_") and bounds.search(name)} <= named
