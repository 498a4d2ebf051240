"""Who may do what, against the running gateway."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.gateway.conftest import Bench, bench

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "hi"}]}


async def test_without_keys_every_key_is_let_in(relay: Bench) -> None:
    for headers in ({}, {"authorization": "Bearer anything"}, {"x-api-key": "anything"}):
        assert (await relay.http.post(CHAT, json=BODY, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"host": "127.0.0.1.evil.example"},
    ],
)
async def test_without_keys_foreign_pages_and_names_are_refused(relay: Bench, headers: dict[str, str]) -> None:
    answer = await relay.http.post(CHAT, json=BODY, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    answer = await relay.http.post("/v1/messages", json=BODY, headers=headers)
    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "permission_error")
    assert (await relay.http.get("/v1/models", headers=headers)).status_code == 403
    assert not relay.sim.chats


async def test_two_origins_are_refused(relay: Bench) -> None:
    """Another program may read the other one of the two."""
    own = relay.http.base_url.netloc.decode()
    for both in ((f"http://{own}", "https://evil.example"), ("https://evil.example", f"http://{own}")):
        for path in ("/v1/models", "/v2/accounts"):
            lines = [f"GET {path} HTTP/1.1", f"host: {own}", *(f"origin: {value}" for value in both)]
            assert await said(relay, *lines) == 403


async def said(relay: Bench, *lines: str) -> int:
    """The status of an answer to a request as it is written here."""
    reader, writer = await asyncio.open_connection(*relay.http.base_url.netloc.decode().split(":"))
    writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode())
    status = int((await reader.readline()).split()[1])
    writer.close()
    await writer.wait_closed()
    return status


@pytest.mark.parametrize("form", ["authorization: Bearer {}", "x-api-key: {}"])
async def test_two_keys_are_none(tmp_path: Path, form: str) -> None:
    async with bench(tmp_path / "home", api_keys=(SecretStr("a-good-key"),)) as relay:
        head = ("GET /v1/models HTTP/1.1", "host: 127.0.0.1")
        assert await said(relay, *head, form.format("a-good-key")) == 200
        for both in (("a-good-key", "another"), ("another", "a-good-key")):
            assert await said(relay, *head, *map(form.format, both)) == 401


async def test_what_nginx_passes_on_by_itself_is_not_from_this_machine(relay: Bench) -> None:
    """Its defaults are HTTP/1.0 and the address it calls as the Host, and no header that tells of it."""
    host = f"host: {relay.http.base_url.netloc.decode()}"
    for version, status in (("1.1", 200), ("1.0", 403)):
        assert await said(relay, f"GET /v2/accounts HTTP/{version}", host) == status
    assert await said(relay, "GET /livez HTTP/1.0", host) == 200


async def test_a_page_elsewhere_can_lead_here_but_not_use_what_is_here(relay: Bench) -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert (await relay.http.get("/docs", headers=link)).status_code == 200
    assert (await relay.http.get("/test/token", headers=link)).status_code == 403
    assert (await relay.http.post("/v2/keys", headers=link)).status_code == 403
    for more in (
        {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
        {"sec-fetch-dest": "iframe"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"},
    ):
        for method in ("GET", "HEAD"):
            for path in ("/test/token", "/v2/accounts", "/metrics"):
                assert (await relay.http.request(method, path, headers=link | more)).status_code == 403, (path, more)
    assert (await relay.http.get("/v2/audit")).json()["entries"][0]["action"] == "account.refresh"


async def test_answers_about_the_gateway_are_for_who_asked(relay: Bench) -> None:
    for path in ("/v2/accounts", "/v2/nothing", "/api/accounts", "/credentials"):
        headers = (await relay.http.get(path)).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"


async def test_with_keys_one_of_them_is_needed(tmp_path: Path) -> None:
    keys = (SecretStr("first-key"), SecretStr("second-key"))
    async with bench(tmp_path / "home", api_keys=keys) as relay:
        accepted: list[dict[str, str]] = [
            {"authorization": "Bearer first-key"},
            {"authorization": "bearer second-key"},
            {"authorization": "BEARER first-key"},
            {"x-api-key": "second-key"},
            {"x-api-key": "first-key", "authorization": "Bearer first-key"},
        ]
        refused: list[dict[str, str]] = [
            {},
            {"authorization": "Bearer wrong"},
            {"authorization": "first-key"},
            {"x-api-key": "first-key", "authorization": "Bearer second-key"},
            {"x-api-key": "first-key", "authorization": "Bearer wrong"},
        ]
        for headers in accepted:
            assert (await relay.http.post(CHAT, json=BODY, headers=headers)).status_code == 200
        before = len(relay.sim.chats)
        for headers in refused:
            answer = await relay.http.post(CHAT, json=BODY, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
            assert answer.headers["x-should-retry"] == "false"
            assert (await relay.http.get("/v1/models", headers=headers)).status_code == 401
        assert len(relay.sim.chats) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"origin": "https://evil.example"},
        {"origin": "http://localhost:1"},
        {"x-forwarded-for": "127.0.0.1"},
        {"forwarded": "for=127.0.0.1"},
        {"x-real-ip": "127.0.0.1"},
        {"via": "1.1 proxy"},
        {"cf-connecting-ip": "127.0.0.1"},
        {"true-client-ip": "127.0.0.1"},
        {"x-original-forwarded-for": "127.0.0.1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_management_without_a_secret_answers_only_this_machine(relay: Bench, headers: dict[str, str]) -> None:
    assert (await relay.http.get("/v2/accounts")).status_code == 200
    assert (await relay.http.get("/v2/accounts", headers={"origin": relay.url})).status_code == 200
    assert (await relay.http.get("/v2/accounts", headers=headers)).status_code == 403
    assert (await relay.http.post("/v2/accounts", headers=headers, json={})).status_code == 403


async def test_management_with_a_secret_wants_that_secret(tmp_path: Path) -> None:
    more: dict[str, Any] = {"admin_secret": SecretStr("the-admin-secret"), "api_keys": (SecretStr("a-client-key"),)}
    async with bench(tmp_path / "home", **more) as relay:
        assert (await relay.http.get("/v2/accounts")).status_code == 401
        for key in ("a-client-key", "wrong"):
            headers = {"authorization": f"Bearer {key}"}
            assert (await relay.http.get("/v2/accounts", headers=headers)).status_code == 403
        headers = {"authorization": "Bearer the-admin-secret"}
        assert (await relay.http.get("/v2/accounts", headers=headers)).status_code == 200
        assert (await relay.http.post(CHAT, json=BODY, headers=headers)).status_code == 401


async def test_without_the_console_management_is_gone(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", console=False) as relay:
        assert (await relay.http.get("/v2/accounts")).status_code == 404
        assert (await relay.http.post(CHAT, json=BODY)).status_code == 200


async def test_only_named_origins_may_read_answers(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", cors_origins=("https://chat.example",)) as relay:
        ours = {"origin": "https://chat.example"}
        preflight = await relay.http.options(CHAT, headers=ours | {"access-control-request-method": "POST"})
        assert preflight.headers["access-control-allow-origin"] == "https://chat.example"
        answer = await relay.http.post(CHAT, json=BODY, headers=ours)
        assert answer.headers["access-control-allow-origin"] == "https://chat.example"
        assert (await relay.http.get("/v2/accounts", headers=ours)).status_code == 403
        assert "access-control-allow-origin" not in (await relay.http.post(CHAT, json=BODY)).headers


@pytest.mark.parametrize("route", ["/livez", "/readyz", "/healthz", "/health", "/"])
async def test_probes_are_open(tmp_path: Path, route: str) -> None:
    async with bench(tmp_path / "home", api_keys=(SecretStr("key"),)) as relay:
        assert (await relay.http.get(route, headers={"host": "probe.example"})).status_code == 200


async def test_a_body_over_the_limit_is_a_413_that_arrives(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", max_body_bytes=1_000_000) as relay:
        big = b'{"model": "' + b"x" * 40 * 1024 * 1024
        answer = await relay.http.post("/v1/messages", content=big)
        assert (answer.status_code, answer.json()["error"]["type"]) == (413, "request_too_large")
        answer = await relay.http.post(CHAT, content=big)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


async def test_what_nobody_serves_is_told_in_the_callers_shape(relay: Bench) -> None:
    answer = await relay.http.post("/v1/no/such/route", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_url")
    answer = await relay.http.post("/v1/no/such/route", json={}, headers={"x-api-key": "k"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")
    assert (await relay.http.get("/v1/messages")).status_code in {404, 405}


async def test_nothing_upstream_is_asked_for_what_can_not_be_read(relay: Bench) -> None:
    for body in (b"", b"{", b"[]", b'{"model": 3}', b'{"model": "m", "messages": "x", "max_tokens": 1}'):
        for route in ("/v1/messages", CHAT):
            answer = await relay.http.post(route, content=body)
            assert answer.status_code == 400, (route, body)
            assert answer.json()["error"]["message"]
    assert not relay.sim.chats


async def test_an_upstream_that_is_not_there(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", api_endpoint="http://127.0.0.1:9") as relay:
        answer: httpx.Response = await relay.http.post(CHAT, json=BODY)
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unreachable")


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/v1/messages", "/messages/count_tokens", "/v1/messages/batches"])
async def test_a_route_of_messages_that_nobody_has_answers_in_its_shape(relay: Bench, path: str) -> None:
    answer = await relay.http.put(path, json={})
    assert answer.status_code in {404, 405}
    assert answer.json()["type"] == "error"
    assert answer.json()["request_id"] == answer.headers["request-id"]
