"""deploy/nginx.conf in a real nginx, in front of a real gateway: what passes, when, and what doesn't."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from qrelay.simulator.scenario import Scenario, Silence, Tail, text
from tests.deploy.proxies import NGINX_SITE, needs_nginx, nginx_before
from tests.gateway.conftest import Bench, bench

pytestmark = [pytest.mark.anyio, needs_nginx]

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
    async with bench(tmp_path / "home", **SECRETS) as relay, nginx_before(relay.url) as proxy:
        relay.sim.next(Scenario([*(text(f"{word} ") for word in words), Silence()]))
        said = ""
        async with proxy.http.stream("POST", path, json=SAID[path] | {"stream": True}, headers=KEY) as answer:
            assert answer.status_code == 200
            lines = answer.aiter_lines()
            while said.split() != words:  # the service says nothing more until the client leaves
                said += texts(await anext(lines))
            assert not relay.sim.chats[-1].over.is_set()
        await until_client_left(relay)


async def test_keep_alives_pass(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", **SECRETS, ping_seconds=0.05) as relay, nginx_before(relay.url) as proxy:
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
async def test_an_answer_is_what_it_is_without_nginx(tmp_path: Path, path: str, stream: bool) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, nginx_before(relay.url) as proxy:
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


async def test_a_large_request_passes(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, nginx_before(relay.url) as proxy:
        large = SAID["/v1/messages"] | {"metadata": {"user_id": "x" * 20_000_000}}
        answer = await proxy.http.post("/v1/messages", json=large, headers=KEY)
        assert answer.status_code == 200, answer.text[:500]


async def test_a_request_that_is_too_large_is_refused_by_the_gateway(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, nginx_before(relay.url) as proxy:
        large = SAID["/v1/messages"] | {"metadata": {"user_id": "x" * 33_600_000}}
        answer = await proxy.http.post("/v1/messages", json=large, headers=KEY)
        assert answer.status_code == 413
        assert answer.json()["error"]["type"] == "request_too_large"
        assert not relay.sim.chats


async def test_client_routes_pass(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, nginx_before(relay.url) as proxy:
        for method, path in CLIENT_ROUTES:
            answers = [await http.request(method, path, headers=KEY) for http in (proxy.http, relay.http)]
            through, direct = ((answer.status_code, answer.headers["content-type"]) for answer in answers)
            assert through == direct, path
            assert through[1] == "application/json", path


async def test_who_asks_if_anybody_is_there_is_answered(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, nginx_before(relay.url) as proxy:
        for method in ("GET", "HEAD"):
            assert (await proxy.http.request(method, "/")).status_code == 200


async def test_a_client_needs_its_key(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, nginx_before(relay.url) as proxy:
        assert (await proxy.http.get("/v1/models")).status_code == 401
    async with bench(tmp_path / "other") as relay, nginx_before(relay.url) as proxy:
        assert (await proxy.http.get("/v1/models")).status_code == 403  # a gateway without keys is this machine's alone


async def test_management_does_not_pass(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", **SECRETS) as relay, nginx_before(relay.url) as proxy:
        for path in MANAGEMENT:
            as_it_stands = proxy.http.base_url.copy_with(raw_path=path.encode())
            answer = await proxy.http.get(as_it_stands, headers=ADMIN)
            assert answer.status_code == 404, path
            assert "nginx" in answer.text, path


async def test_management_that_is_let_through_needs_the_admin_secret(tmp_path: Path) -> None:
    opened = NGINX_SITE.replace("        return 404;\n", "        proxy_pass http://qrelay;\n")
    assert opened != NGINX_SITE
    async with bench(tmp_path / "home", **SECRETS) as relay, nginx_before(relay.url, opened) as proxy:
        assert (await proxy.http.get("/v2/accounts", headers=ADMIN)).status_code == 200
        assert (await proxy.http.get("/v2/accounts", headers=KEY)).status_code == 403
        assert (await proxy.http.get("/v2/accounts")).status_code == 401
    async with bench(tmp_path / "other") as relay, nginx_before(relay.url, opened) as proxy:
        assert (await relay.http.get("/v2/accounts")).status_code == 200
        for host in ("qrelay.example.com", "127.0.0.1", "localhost:8000"):
            for path in ("/v2/accounts", "/metrics"):
                assert (await proxy.http.get(path, headers={"host": host})).status_code == 403
