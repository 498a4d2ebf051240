"""`qrelay claude|codex|opencode`: what the client is started with, on a gateway that runs or one started for it."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from qrelay.home import running
from tests.cli.process import Command

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are scripts")

STAND_IN = """#!{python}
import json, os, sys, urllib.request
def ask(url, headers, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {{"content-type": "application/json", **headers}})
    return json.load(urllib.request.urlopen(request))
held = {{"arguments": sys.argv[1:], "variables": dict(os.environ)}}
if url := os.environ.get("ANTHROPIC_BASE_URL"):
    asked = {{"model": "claude-sonnet-4.5", "max_tokens": 9, "messages": [{{"role": "user", "content": "Hi"}}]}}
    held["answer"] = ask(url + "/v1/messages", {{"x-api-key": os.environ["ANTHROPIC_AUTH_TOKEN"]}}, asked)
print(json.dumps(held))
sys.exit(7 if "fail" in sys.argv else 0)
"""


@pytest.fixture
def qrelay(on_service: Command) -> Command:
    """With stand-ins for the clients, which tell how they were started."""
    programs = on_service.folder / "programs"
    programs.mkdir()
    for name in ("claude", "codex", "opencode"):
        path = programs / name
        path.write_text(STAND_IN.format(python=sys.executable))
        path.chmod(0o755)
    on_service.environ["PATH"] = f"{programs}{os.pathsep}{on_service.environ['PATH']}"
    on_service.environ["QRELAY_PORT"] = "0"
    return on_service


def told(qrelay: Command, *words: str) -> dict[str, Any]:
    done = qrelay(*words)
    assert done.code == 0, done
    return json.loads(done.out)


def test_a_gateway_is_started_and_ended_with_the_client(qrelay: Command) -> None:
    before = {path for path in qrelay.folder.rglob("*") if qrelay.home not in path.parents}
    held = told(qrelay, "claude", "-p", "Hi there", "--model", "x")
    assert held["arguments"] == ["-p", "Hi there", "--model", "x"]
    assert held["answer"]["type"] == "message"
    assert "127.0.0.1" in held["variables"]["NO_PROXY"]
    assert running(qrelay.home) is None
    after = {path for path in qrelay.folder.rglob("*") if qrelay.home not in path.parents}
    assert after - before <= {qrelay.home}, "nothing is written into anybody's configuration"


def test_the_running_gateway_is_used_and_stays(qrelay: Command) -> None:
    qrelay.environ |= {"OPENAI_KEYS": "key-of-a-client,another", "ANTHROPIC_API_KEY": "somebody's own"}
    with qrelay.running("serve") as server:
        url = server.url()
        held = told(qrelay, "claude")
        variables = held["variables"]
        assert (variables["ANTHROPIC_BASE_URL"], variables["ANTHROPIC_AUTH_TOKEN"]) == (url, "key-of-a-client")
        assert "ANTHROPIC_API_KEY" not in variables
        codex = told(qrelay, "codex", "exec", "do it")
        assert codex["arguments"][-2:] == ["exec", "do it"]
        assert f'model_providers.qrelay.base_url="{url}/v1"' in codex["arguments"]
        assert 'model_providers.qrelay.wire_api="responses"' in codex["arguments"]
        assert codex["variables"]["GATEWAY_KEY"] == "key-of-a-client"
        opencode = json.loads(told(qrelay, "opencode")["variables"]["OPENCODE_CONFIG_CONTENT"])
        provider = opencode["provider"]["qrelay"]
        assert provider["options"] == {"baseURL": f"{url}/v1", "apiKey": "key-of-a-client"}
        assert opencode["model"].removeprefix("qrelay/") in provider["models"]
        assert len(provider["models"]) > 1
        assert server.end(signal.SIGTERM).code == 0


def test_its_exit_code_is_the_clients(qrelay: Command) -> None:
    assert qrelay("claude", "fail").code == 7


@pytest.mark.parametrize("client", ["claude", "codex", "opencode"])
def test_printed_lines_do_the_same(qrelay: Command, client: str) -> None:
    done = qrelay(client, "--print", "exec", "it's this")
    assert done.code == 0
    assert not qrelay.home.exists()
    assert "http://127.0.0.1:0" in done.out
    lines = done.out.splitlines()
    assert lines[-1].startswith(client)
    assert lines[-1].endswith("""exec 'it'"'"'s this'""")
    assert all(line.startswith(("export ", "unset ")) for line in lines[:-1])


def test_what_follows_two_dashes_is_the_clients(qrelay: Command) -> None:
    assert told(qrelay, "codex", "--", "--print", "--help")["arguments"][-2:] == ["--print", "--help"]


def test_without_the_program(qrelay: Command, tmp_path: Path) -> None:
    qrelay.environ["PATH"] = str(tmp_path / "nothing")
    done = qrelay("codex")
    assert (done.code, done.out) == (1, "")
    assert "qrelay codex --print" in done.err
    assert not qrelay.home.exists()


def test_without_an_account(qrelay: Command) -> None:
    for name in ("AMAZONQ_CLIENT_ID", "AMAZONQ_CLIENT_SECRET", "AMAZONQ_REFRESH_TOKEN"):
        del qrelay.environ[name]
    done = qrelay("claude")
    assert (done.code, done.out) == (1, "")
    assert "qrelay login" in done.err
    assert running(qrelay.home) is None


def test_a_gateway_that_can_not_start_says_why(qrelay: Command) -> None:
    qrelay.environ["QRELAY_MASTER_KEY"] = "canary"
    done = qrelay("claude")
    assert (done.code, done.out) == (78, "")
    assert done.err.startswith("qrelay: The gateway could not be started.")
    assert "QRELAY_MASTER_KEY" in done.err
    assert "canary" not in done.err
