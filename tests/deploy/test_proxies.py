"""deploy/nginx.conf in nginx and deploy/Caddyfile in Caddy, in front of a real gateway: what passes, when, what not."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from qrelay.simulator.scenario import Scenario, Silence, Tail, text
from tests.deploy.proxies import (
    CADDY_BARE_FILE,
    CADDY_FILE,
    NGINX_SITE,
    NGINX_WEBSOCKET_SITE,
    Proxy,
    caddy_before,
    needs_caddy,
    needs_nginx,
    nginx_before,
)
from tests.gateway.conftest import Bench, bench

pytestmark = pytest.mark.anyio

KEY = {"authorization": "Bearer a-client-key"}
ADMIN = {"authorization": "Bearer an-admin-secret"}
SECRETS: dict[str, Any] = {"api_keys": (SecretStr("a-client-key"),), "admin_secret": SecretStr("an-admin-secret")}
SAID = {
    "/v1/messages": {"model": "claude-sonnet-4-5", "max_tokens": 99, "messages": [{"role": "user", "content": "Hi"}]},
    "/v1/chat/completions": {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "Hi"}]},
    "/v1/responses": {"model": "claude-sonnet-4-5", "input": "Hi"},
}
SERVERS_OWN = {"date", "connection", "server", "x-accel-buffering"}  # the last is for nginx
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


Before = Callable[[str], AbstractAsyncContextManager[Proxy]]


@pytest.fixture(params=[pytest.param("nginx", marks=needs_nginx), pytest.param("caddy", marks=needs_caddy)])
def before(request: pytest.FixtureRequest) -> Before:
    """Starts a proxy with our configuration in front of the gateway at a URL."""
    return nginx_before if request.param == "nginx" else caddy_before


@pytest.fixture
def opened(before: Before) -> Before:
    """The same, with management let through as the comment in the configuration says."""
    if before is nginx_before:
        site = NGINX_SITE.replace("        return 404;\n", "        proxy_pass http://qrelay;\n")
        assert site != NGINX_SITE
        return partial(nginx_before, site=site)
    caddyfile = CADDY_FILE.replace("\t\trespond 404\n", "\t\timport qrelay\n")
    assert caddyfile != CADDY_FILE
    return partial(caddy_before, caddyfile=caddyfile)


async def until_client_left(relay: Bench) -> None:
    """The service was told that nobody listens any more."""
    with anyio.fail_after(30):
        await relay.sim.chats[-1].over.wait()
    assert relay.sim.chats[-1].disconnected


@pytest.mark.parametrize("words", [["one"], ["one", "two", "three"]], ids=len)
@pytest.mark.parametrize("path", SAID)
async def test_an_event_passes_while_the_next_is_held_back(
    tmp_path: Path, before: Before, path: str, words: list[str]
) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, before(relay.url) as proxy:
        relay.sim.next(Scenario([*(text(f"{word} ") for word in words), Silence()]))
        said = ""
        async with proxy.http.stream("POST", path, json=SAID[path] | {"stream": True}, headers=KEY) as answer:
            assert answer.status_code == 200
            lines = answer.aiter_lines()
            while said.split() != words:  # the service says nothing more until the client leaves
                said += texts(await anext(lines))
            assert not relay.sim.chats[-1].over.is_set()
        await until_client_left(relay)


async def test_keep_alives_pass(tmp_path: Path, before: Before) -> None:
    async with bench(tmp_path / "home", **SECRETS, ping_seconds=0.05) as relay, before(relay.url) as proxy:
        relay.sim.next(Scenario([text("one"), Silence()]))
        asked = SAID["/v1/messages"] | {"stream": True}
        async with proxy.http.stream("POST", "/v1/messages", json=asked, headers=KEY) as answer:
            lines = answer.aiter_lines()
            while "one" not in await anext(lines):
                pass
            while await anext(lines) != "event: ping":
                pass


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", SAID)
async def test_a_response_is_the_same_without_the_proxy(
    tmp_path: Path, before: Before, path: str, stream: bool
) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, before(relay.url) as proxy:
        relay.sim.next(Scenario([text("Hello "), text("there"), Tail()]), 2)
        asked = SAID[path] | {"stream": stream}
        through, direct = [await http.post(path, json=asked, headers=KEY) for http in (proxy.http, relay.http)]
        assert through.status_code == direct.status_code == 200
        assert through.headers["content-type"] == direct.headers["content-type"]
        told = [
            "".join(map(texts, answer.text.splitlines())) if stream else answer.text for answer in (through, direct)
        ]
        assert all("Hello there" in one for one in told)
        assert through.headers.keys() - SERVERS_OWN == direct.headers.keys() - SERVERS_OWN


async def test_a_large_request_passes(tmp_path: Path, before: Before) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, before(relay.url) as proxy:
        large = SAID["/v1/messages"] | {"metadata": {"user_id": "x" * 20_000_000}}
        answer = await proxy.http.post("/v1/messages", json=large, headers=KEY)
        assert answer.status_code == 200, answer.text[:500]


async def test_a_request_that_is_too_large_is_refused_by_the_gateway(tmp_path: Path, before: Before) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, before(relay.url) as proxy:
        large = SAID["/v1/messages"] | {"metadata": {"user_id": "x" * 33_600_000}}
        answer = await proxy.http.post("/v1/messages", json=large, headers=KEY)
        assert answer.status_code == 413
        assert answer.json()["error"]["type"] == "request_too_large"
        assert not relay.sim.chats


async def test_client_routes_pass(tmp_path: Path, before: Before) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, before(relay.url) as proxy:
        for method, path in CLIENT_ROUTES:
            answers = [await http.request(method, path, headers=KEY) for http in (proxy.http, relay.http)]
            through, direct = ((answer.status_code, answer.headers["content-type"]) for answer in answers)
            assert through == direct, path
            assert through[1] == "application/json", path


async def test_who_asks_if_anybody_is_there_is_answered(tmp_path: Path, before: Before) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, before(relay.url) as proxy:
        for method in ("GET", "HEAD"):
            assert (await proxy.http.request(method, "/")).status_code == 200


async def test_a_client_needs_its_key(tmp_path: Path, before: Before) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, before(relay.url) as proxy:
        assert (await proxy.http.get("/v1/models")).status_code == 401
    async with bench(tmp_path / "other") as relay, before(relay.url) as proxy:
        assert (await proxy.http.get("/v1/models")).status_code == 403  # a gateway without keys is this machine's alone


async def test_management_does_not_pass(tmp_path: Path, before: Before) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, before(relay.url) as proxy:
        for path in MANAGEMENT:
            as_it_stands = proxy.http.base_url.copy_with(raw_path=path.encode())
            answer = await proxy.http.get(as_it_stands, headers=ADMIN)
            assert answer.status_code == 404, path
            assert "nginx" in answer.text or not answer.text, path  # qrelay's own has JSON


async def test_management_that_is_let_through_needs_the_admin_secret(tmp_path: Path, opened: Before) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, opened(relay.url) as proxy:
        assert (await proxy.http.get("/v2/accounts", headers=ADMIN)).status_code == 200
        assert (await proxy.http.get("/v2/accounts", headers=KEY)).status_code == 403
        assert (await proxy.http.get("/v2/accounts")).status_code == 401
    async with bench(tmp_path / "other") as relay, opened(relay.url) as proxy:
        assert (await relay.http.get("/v2/accounts")).status_code == 200
        for host in ("qrelay.example.com", "127.0.0.1", "localhost:8000"):
            for path in ("/v2/accounts", "/metrics"):
                assert (await proxy.http.get(path, headers={"host": host})).status_code == 403


@asynccontextmanager
async def recording() -> AsyncGenerator[tuple[str, list[bytes]]]:
    """A server that answers every request with 200, and the heads it was sent, without those of health checks."""
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"get /readyz"):
            heads.append(head)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads


@pytest.mark.parametrize(
    ("before", "forwarded"),
    [
        pytest.param(nginx_before, False, marks=needs_nginx),
        pytest.param(caddy_before, False, marks=needs_caddy),
        pytest.param(partial(nginx_before, site=NGINX_WEBSOCKET_SITE), True, marks=needs_nginx),
        pytest.param(partial(caddy_before, caddyfile=CADDY_BARE_FILE), True, marks=needs_caddy),
    ],
    ids=["nginx", "caddy", "nginx-websocket", "caddy-bare"],
)
async def test_our_configuration_forwards_no_upgrade(before: Before, forwarded: bool) -> None:
    offer = {"connection": "Upgrade", "upgrade": "websocket"}
    async with recording() as (url, heads), before(url) as proxy:
        assert (await proxy.http.post("/v1/messages", headers=offer)).status_code == 200
        (head,) = heads
        assert (b"upgrade" in head) is forwarded
        assert b"\r\nhost: qrelay.example.com\r\n" in head


async def test_a_forged_forwarded_address_does_not_stand_alone(before: Before) -> None:
    async with recording() as (url, heads), before(url) as proxy:
        await proxy.http.get("/v1/models", headers={"x-forwarded-for": "192.0.2.7"})
        (line,) = (line for line in heads[0].split(b"\r\n") if line.startswith(b"x-forwarded-for:"))
        assert line.endswith(b"127.0.0.1")  # the address that qrelay counts with QRELAY_TRUSTED_PROXIES
