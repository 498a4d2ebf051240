"""deploy/nginx.conf in a real nginx, in front of a real gateway: what passes, when, and what doesn't."""

import json
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from pydantic import SecretStr

from qrelay.simulator.scenario import Scenario, Silence, Tail, text
from tests.deploy.dockerfile import read
from tests.gateway.conftest import Bench, bench
from tests.house.repository import ROOT

_PLACES = [os.environ.get("PATH", os.defpath), "/usr/sbin", str(ROOT / ".venv/nginx/usr/sbin")]  # `make` put it there
NGINX = shutil.which("nginx", path=os.pathsep.join(_PLACES)) or ""

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not NGINX, reason="nginx is not installed (Debian: nginx-light)"),
]

SITE = read("deploy/nginx.conf")
KEY = {"authorization": "Bearer a-client-key"}
ADMIN = {"authorization": "Bearer an-admin-secret"}
SECRETS: dict[str, Any] = {"api_keys": (SecretStr("a-client-key"),), "admin_secret": SecretStr("an-admin-secret")}
SAID = {
    "/v1/messages": {"model": "claude-sonnet-4-5", "max_tokens": 99, "messages": [{"role": "user", "content": "Hi"}]},
    "/v1/chat/completions": {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "Hi"}]},
    "/v1/responses": {"model": "claude-sonnet-4-5", "input": "Hi"},
}
SERVERS_OWN = {"date", "connection", "server", "x-accel-buffering"}  # the last is for nginx itself
CLIENT_ROUTES = [
    ("GET", "/v1/models"),
    ("GET", "/models"),
    ("GET", "/v1/models/claude-sonnet-4-5"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/v1/messages"),
    ("POST", "/v1/messages?beta=true"),
    ("POST", "/messages"),
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/responses"),
    ("GET", "/v1/responses/resp_1"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/healthz"),
    ("GET", "/health"),
    ("HEAD", "/api/hello"),
]
MANAGEMENT = [
    "/v2/accounts",
    "/v2/settings",
    "//v2/accounts",
    "/v1/../v2/accounts",
    "/v1/models/../../v2/accounts",
    "/v1/models/%2e%2e/%2e%2e/v2/accounts",
    "/v1/models/..%2f..%2fv2%2faccounts",
    "/api/accounts",
    "/credentials",
    "/test/token",
    "/admin",
    "/docs",
    "/openapi.json",
    "/metrics",
]


@asynccontextmanager
async def nginx_before(gateway: str, site: str = SITE) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of an nginx that serves `site` in front of the gateway at that URL.

    It listens on a socket in a folder of its own: no port has to be found, and no path is too long for it.
    """
    with tempfile.TemporaryDirectory(prefix="nginx-") as name:
        folder = Path(name)
        for old, new in {
            "server 127.0.0.1:8000;": f"server {urlsplit(gateway).netloc};",
            "listen 80;": f"listen unix:{folder}/socket;",
        }.items():
            assert site.count(old) == 1
            site = site.replace(old, new)
        (folder / "site.conf").write_text(site)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        folders = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log stderr crit; events {{}}\n"
            f"http {{ access_log off;\n{folders}include {folder}/site.conf; }}\n"
        )
        command = [NGINX, "-p", name, "-c", folder / "nginx.conf", "-e", "stderr"]
        process = await anyio.open_process(command, stdout=None, stderr=None)
        try:
            while not (folder / "socket").exists():
                assert process.returncode is None, "nginx has ended"
                await anyio.sleep(0.01)
            transport = httpx.AsyncHTTPTransport(uds=str(folder / "socket"))
            async with httpx.AsyncClient(
                transport=transport, base_url="http://qrelay.example.com", timeout=30
            ) as client:
                yield client
        finally:
            process.terminate()
            with anyio.CancelScope(shield=True):
                await process.wait()


def texts(line: str) -> str:
    """The text one line of a stream brings."""
    if not line.startswith("data: {"):
        return ""
    event = json.loads(line.removeprefix("data: "))
    if event.get("type") == "content_block_delta":
        return event["delta"].get("text", "")
    if event.get("type") == "response.output_text.delta":
        return event["delta"]
    return "".join(choice["delta"].get("content") or "" for choice in event.get("choices", ()))


async def until_client_left(relay: Bench) -> None:
    """The service was told that nobody listens any more."""
    with anyio.fail_after(30):
        await relay.sim.chats[-1].over.wait()
    assert relay.sim.chats[-1].disconnected


@pytest.mark.parametrize("words", [["one"], ["one", "two"], ["one", "two", "three"]], ids=len)
@pytest.mark.parametrize("path", SAID)
async def test_an_event_passes_while_the_next_is_held_back(tmp_path: Path, path: str, words: list[str]) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, nginx_before(relay.url) as client:
        relay.sim.next(Scenario([*(text(f"{word} ") for word in words), Silence()]))
        said = ""
        async with client.stream("POST", path, json=SAID[path] | {"stream": True}, headers=KEY) as answer:
            assert answer.status_code == 200
            lines = answer.aiter_lines()
            while said.split() != words:  # the service says nothing more until the client leaves
                said += texts(await anext(lines))
            assert not relay.sim.chats[-1].over.is_set()
        await until_client_left(relay)


async def test_keep_alives_pass(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", **SECRETS, ping_seconds=0.05) as relay, nginx_before(relay.url) as client:
        relay.sim.next(Scenario([text("one"), Silence()]))
        asked = SAID["/v1/messages"] | {"stream": True}
        async with client.stream("POST", "/v1/messages", json=asked, headers=KEY) as answer:
            lines = answer.aiter_lines()
            while "one" not in await anext(lines):
                pass
            while await anext(lines) != "event: ping":
                pass


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", SAID)
async def test_an_answer_is_what_it_is_without_nginx(tmp_path: Path, path: str, stream: bool) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, nginx_before(relay.url) as client:
        relay.sim.next(Scenario([text("Hello "), text("there"), Tail()]), 2)
        asked = SAID[path] | {"stream": stream}
        through, direct = [await http.post(path, json=asked, headers=KEY) for http in (client, relay.http)]
        assert through.status_code == direct.status_code == 200
        assert through.headers["content-type"] == direct.headers["content-type"]
        told = [
            "".join(map(texts, answer.text.splitlines())) if stream else answer.text for answer in (through, direct)
        ]
        assert all("Hello there" in one for one in told)
        assert through.headers.keys() - SERVERS_OWN == direct.headers.keys() - SERVERS_OWN


async def test_a_large_request_passes(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, nginx_before(relay.url) as client:
        large = SAID["/v1/messages"] | {"metadata": {"user_id": "x" * 20_000_000}}
        answer = await client.post("/v1/messages", json=large, headers=KEY)
        assert answer.status_code == 200, answer.text[:500]


async def test_a_request_that_is_too_large_is_refused_by_the_gateway(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, nginx_before(relay.url) as client:
        large = SAID["/v1/messages"] | {"metadata": {"user_id": "x" * 33_600_000}}
        answer = await client.post("/v1/messages", json=large, headers=KEY)
        assert answer.status_code == 413
        assert answer.json()["error"]["type"] == "request_too_large"
        assert not relay.sim.chats


async def test_client_routes_pass(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, nginx_before(relay.url) as client:
        for method, path in CLIENT_ROUTES:
            answers = [await http.request(method, path, headers=KEY) for http in (client, relay.http)]
            through, direct = ((answer.status_code, answer.headers["content-type"]) for answer in answers)
            assert through == direct, path
            assert through[1] == "application/json", path


async def test_who_asks_if_anybody_is_there_is_answered(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, nginx_before(relay.url) as client:
        for method in ("GET", "HEAD"):
            assert (await client.request(method, "/")).status_code == 200


async def test_a_client_needs_its_key(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, nginx_before(relay.url) as client:
        assert (await client.get("/v1/models")).status_code == 401
    async with bench(tmp_path / "other") as relay, nginx_before(relay.url) as client:
        assert (await client.get("/v1/models")).status_code == 403  # a gateway without keys is this machine's alone


async def test_management_does_not_pass(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, nginx_before(relay.url) as client:
        for path in MANAGEMENT:
            as_it_stands = client.base_url.copy_with(raw_path=path.encode())
            answer = await client.get(as_it_stands, headers=ADMIN)
            assert answer.status_code == 404, path
            assert "nginx" in answer.text, path


async def test_management_that_is_let_through_needs_the_admin_secret(tmp_path: Path) -> None:
    opened = SITE.replace("        return 404;\n", "        proxy_pass http://qrelay;\n")
    assert opened != SITE
    async with bench(tmp_path / "home", **SECRETS) as relay, nginx_before(relay.url, opened) as client:
        assert (await client.get("/v2/accounts", headers=ADMIN)).status_code == 200
        assert (await client.get("/v2/accounts", headers=KEY)).status_code == 403
        assert (await client.get("/v2/accounts")).status_code == 401
    async with bench(tmp_path / "other") as relay, nginx_before(relay.url, opened) as client:
        assert (await relay.http.get("/v2/accounts")).status_code == 200
        for host in ("qrelay.example.com", "127.0.0.1", "localhost:8000"):
            for path in ("/v2/accounts", "/metrics"):
                assert (await client.get(path, headers={"host": host})).status_code == 403
