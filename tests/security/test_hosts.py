"""The Host field on every kind of route: what is no host is 400 everywhere, and only loopback names open management."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import pytest

from qrelay.http.app import build_app
from qrelay.http.doors import for_owner
from qrelay.http.host import parse_host, parse_origin
from qrelay.simulator.server import Simulator
from tests.gateway.conftest import Bench, bench, settings_for

pytestmark = pytest.mark.anyio

BODY: Final = b'{"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}'
MANAGEMENT: Final = [
    "GET /v2/accounts",
    "GET /v2/settings",
    "POST /v2/keys",
    "DELETE /v2/keys/none",
    "GET /api/accounts",
    "GET /credentials",
    "GET /test/token",
    "GET /metrics",
    "GET /docs",
    "GET /openapi.json",
    "GET /admin",
    "GET /console",
]
CLIENT: Final = ["POST /v1/messages", "POST /v1/chat/completions", "POST /messages", "GET /v1/models", "GET /models"]
OPEN: Final = ["GET /", "GET /livez", "GET /readyz", "GET /healthz", "GET /health", "HEAD /api/hello"]
OTHER: Final = ["GET /nothing", "PUT /v1/messages", "OPTIONS /v1/messages", "POST /v1/messages/count_tokens"]
ROUTES: Final = [*MANAGEMENT, *CLIENT, *OPEN, *OTHER]

NO_HOST: Final = [
    "",
    ":",
    ":8000",
    "evil@127.0.0.1",
    "evil@127.0.0.1:8000",
    "evil:secret@127.0.0.1",
    "127.0.0.1@evil.example",
    "127.0.0.1#evil",
    "127.0.0.1:8000#evil",
    "127.0.0.1/evil",
    "127.0.0.1/@evil.example",
    "127.0.0.1\\evil.example",
    "127.0.0.1?evil",
    "127.0.0.1;evil",
    "127.0.0.1,evil.example",
    "127.0.0.1:80, evil.example",
    "127.0.0.1 evil.example",
    "127.0.0.1\tevil.example",
    "127.0.0.1 :8000",
    "http://127.0.0.1",
    "//127.0.0.1",
    "%6cocalhost",
    "localhost%00.evil.example",
    "localhost%2eevil.example",
    "127.0.0.1%20",
    "*",
    "*.localhost",
    "local!host",
    "localhost..",
    ".localhost",
    ".",
    "a..b",
    "localhost:",
    "localhost:0",
    "localhost:00080",
    "localhost:65536",
    "localhost:99999",
    "localhost:800000000",
    "localhost:-1",
    "localhost:+80",
    "localhost:8e3",
    "localhost:http",
    "localhost:80:80",
    "localhost:80@evil.example",
    "2130706433",
    "127.1",
    "127.0.1",
    "127.0.0.1.",
    "0x7f.1",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.01",
    "127.0.0.256",
    "127.0.0.0.1",
    "1.example.0",
    "::1",
    "::1:8000",
    "[::1",
    "::1]",
    "[]",
    "[]:8000",
    "[::1]8000",
    "[::1]:",
    "[::1]@evil.example",
    "[[::1]]",
    "[::1%lo]",
    "[::1%25lo]",
    "[fe80::1%eth0]",
    "[::g]",
    "[1:2]",
    "[127.0.0.1]",
    "[localhost]",
    "[v1.x]",
    "[::ffff:127.1]",
    "[::ffff:0x7f.0.0.1]",
    "localhost\u00e9",
    "\u00b2130706433",
    "l\u00f6calhost",
    "\u24db\u24de\u24d2\u24d0lhost",
    "127\u30020\u30020\u30021",
    "\uff11\uff12\uff17.0.0.1",
    "localhost\u200b",
    "a" * 301,
]
FOREIGN: Final = [
    "evil.example",
    "EVIL.example:8000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io",
    "foo.localhost",
    "localhost.",
    "localhost-",
    "_localhost",
    "localhost.localdomain",
    "10.0.0.1",
    "0.0.0.0",
    "128.0.0.1:8000",
    "[::]",
    "[::2]:8000",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]:8000",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "xn--lcalhost-n4a",
    "0x7f.example",
]
LOOPBACK: Final = [
    "localhost",
    "localhost:8000",
    "LocalHost:65535",
    "localhost:1",
    "127.0.0.1",
    "127.0.0.1:8000",
    "127.255.255.254",
    "[::1]",
    "[::1]:8000",
    "[0:0:0:0:0:0:0:1]",
    "[0000::0001]:8000",
]


class Response(NamedTuple):
    """The first response on a connection."""

    status: int
    type: str
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def send(url: str, route: str, *headers: str, version: str = "1.1") -> Response:
    """Send a request with these header lines and no others of that kind."""
    method, _, path = route.partition(" ")
    body = BODY if method in {"POST", "PUT"} else b""
    lines = [f"{method} {path} HTTP/{version}", *headers, "connection: close", f"content-length: {len(body)}", "", ""]
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write("\r\n".join(lines).encode() + body)
    head, _, content = (await asyncio.wait_for(reader.read(), 30)).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    return Response(int(head.split()[1]), fields.get(b"content-type", b"").decode(), content)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Bench]:
    """A gateway on loopback without keys and without an admin secret: the Host decides most there."""
    async with bench(tmp_path_factory.mktemp("hosts") / "home", allowed_hosts=("gateway.example",)) as running:
        yield running


async def accepted(url: str, route: str, hosts: Sequence[str]) -> dict[str, int]:
    """The statuses of those that weren't answered with 400."""
    answers = {host: (await send(url, route, f"host: {host}")).status for host in hosts}
    return {host: status for host, status in answers.items() if status != 400}


@pytest.mark.parametrize("route", ["POST /v1/messages", "GET /v2/accounts", "GET /livez"])
async def test_invalid_host_is_400(gateway: Bench, route: str) -> None:
    assert await accepted(gateway.url, route, NO_HOST) == {}
    assert not gateway.sim.chats


async def test_invalid_host_is_400_on_every_route(gateway: Bench) -> None:
    some = ["", "evil@127.0.0.1", "127.0.0.1#evil", "127.0.0.1/evil", "127.1", "[::1%lo]", "localhost:0"]
    for route in ROUTES:
        assert await accepted(gateway.url, route, some) == {}, route
    assert not gateway.sim.chats


@pytest.mark.parametrize("route", ROUTES)
async def test_missing_or_repeated_host_is_400_on_every_route(gateway: Bench, route: str) -> None:
    own = f"host: {urlsplit(gateway.url).netloc}"
    assert (await send(gateway.url, route)).status == 400
    for second in (own, "host: evil.example", "Host:"):
        assert (await send(gateway.url, route, own, second)).status == 400
        assert (await send(gateway.url, route, second, own, version="1.0")).status == 400
    assert not gateway.sim.chats


@pytest.mark.parametrize("route", ROUTES)
async def test_absolute_target_must_name_the_host(gateway: Bench, route: str) -> None:
    own = urlsplit(gateway.url).netloc
    method, _, path = route.partition(" ")
    for authority, host in (
        ("evil.example", own),
        (own, "evil.example"),
        (f"evil@{own}", own),
        (f"{own}@evil.example", own),
        (f"evil@{own}", f"evil@{own}"),
        ("127.0.0.1", own),
        ("127.1", "127.1"),
    ):
        assert (await send(gateway.url, f"{method} http://{authority}{path}", f"host: {host}")).status == 400
    assert (await send(gateway.url, f"{method} http://{own}{path}")).status == 400
    assert not gateway.sim.chats


async def test_absolute_target_that_names_the_host_is_served(gateway: Bench) -> None:
    own = urlsplit(gateway.url).netloc
    for path in ("/livez", "/v1/models", "/v2/accounts"):
        assert (await send(gateway.url, f"GET http://{own}{path}", f"host: {own}")).status == 200


async def test_only_loopback_names_open_management(gateway: Bench) -> None:
    for route in (route for route in MANAGEMENT if route.startswith("GET")):
        answers = {host: (await send(gateway.url, route, f"host: {host}")).status for host in FOREIGN}
        assert {host: status for host, status in answers.items() if status != 403} == {}, route
        answers = {host: (await send(gateway.url, route, f"host: {host}")).status for host in LOOPBACK}
        assert {host: status for host, status in answers.items() if status not in {200, 302, 307}} == {}, route


async def test_without_keys_only_loopback_and_allowed_names_are_served(gateway: Bench) -> None:
    for host in (*LOOPBACK, "gateway.example", "GATEWAY.example:443"):
        assert (await send(gateway.url, "GET /v1/models", f"host: {host}")).status == 200, host
        assert (await send(gateway.url, "GET /livez", f"host: {host}")).status == 200, host
    for host in (*FOREIGN, "gateway.example.", "a.gateway.example"):
        answer = await send(gateway.url, "GET /v1/models", f"host: {host}")
        assert answer.status == 403, host
        assert "QRELAY_ALLOWED_HOSTS" in answer.json()["error"]["message"]
        assert (await send(gateway.url, "GET /livez", f"host: {host}")).status == 200, host


async def test_space_around_the_value_is_not_part_of_it(gateway: Bench) -> None:
    for value in ("host:localhost", "host: \t localhost", "host: localhost \t "):
        assert (await send(gateway.url, "GET /v2/accounts", value)).status == 200


async def test_http10_without_host_reaches_probes_and_nothing_of_this_machine(gateway: Bench) -> None:
    for route in OPEN:
        assert (await send(gateway.url, route, version="1.0")).status == 200, route
    for route in MANAGEMENT:
        assert (await send(gateway.url, route, version="1.0")).status in {403, 405}, route
        assert (await send(gateway.url, route, "host: localhost", version="1.0")).status in {403, 405}, route
    for route in CLIENT:
        assert (await send(gateway.url, route, version="1.0")).status == 403, route
    assert not gateway.sim.chats


async def test_the_answer_is_in_the_callers_shape(gateway: Bench) -> None:
    bad = "host: evil@127.0.0.1"
    anthropic = (await send(gateway.url, "POST /v1/messages", bad)).json()
    assert (anthropic["type"], anthropic["error"]["type"]) == ("error", "invalid_request_error")
    assert "'evil@127.0.0.1'" in anthropic["error"]["message"]
    openai = (await send(gateway.url, "POST /v1/chat/completions", bad)).json()["error"]
    assert (openai["type"], openai["param"]) == ("invalid_request_error", "host")
    by_header = (await send(gateway.url, "GET /v1/models", bad, "anthropic-version: 2023-06-01")).json()
    assert by_header["type"] == "error"
    assert (await send(gateway.url, "GET /v2/accounts", bad)).json()["error"]["code"] == "request_invalid"
    assert (await send(gateway.url, "GET /api/accounts", bad)).json()["success"] is False


async def test_every_caller_is_told_the_same_whatever_they_hold(tmp_path: Path) -> None:
    """The check comes before keys, the admin secret and CORS."""
    async with bench(tmp_path / "home", cors_origins=("https://chat.example",)) as relay:
        for header in ("authorization: Bearer x", "x-api-key: x", "origin: https://chat.example", "cookie: a=b"):
            for route in ("POST /v1/messages", "OPTIONS /v1/messages", "GET /v2/accounts"):
                assert (await send(relay.url, route, "host: a/b", header)).status == 400


async def test_the_owner_is_checked_too_and_served(tmp_path: Path) -> None:
    """The owner's commands send `Host: localhost` over their socket."""
    async with Simulator.serve() as sim:
        app = build_app(settings_for(sim, tmp_path / "home"), background=False)
        async with app.opened():
            for host, wanted in ((b"localhost", 200), (b"owner", 200), (b"evil@127.0.0.1", 400), (b"", 400)):
                statuses: list[int] = []

                async def receive() -> Any:
                    return {"type": "http.request", "body": b"", "more_body": False}

                async def sending(message: Any, statuses: list[int] = statuses) -> None:
                    statuses += [message["status"]] if "status" in message else []

                scope = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/v2/accounts"}
                scope |= {"raw_path": b"/v2/accounts", "query_string": b"", "root_path": "", "scheme": "http"}
                scope |= {"headers": [(b"host", host)], "client": None, "server": None, "asgi": {"version": "3.0"}}
                await for_owner(app)(scope, receive, sending)
                assert statuses == [wanted], host


async def test_an_origin_without_a_host_is_foreign(gateway: Bench) -> None:
    own = f"host: {urlsplit(gateway.url).netloc}"
    for origin in (*(f"http://{host}" for host in NO_HOST), "null", "localhost", "x"):
        assert parse_origin(origin) is None, origin
    for origin in ("null", "x", "http://", "http://evil@127.0.0.1", "http://127.0.0.1#evil", "http://127.0.0.1/evil"):
        for route in ("GET /v1/models", "GET /v2/accounts"):
            assert (await send(gateway.url, route, own, f"origin: {origin}")).status == 403, (route, origin)


async def test_pages_of_loopback_may_use_client_routes_and_only_our_own_manage(gateway: Bench) -> None:
    host = urlsplit(gateway.url).netloc
    for origin, managing in ((gateway.url, 200), (gateway.url.upper(), 200), ("http://localhost:1", 403)):
        assert (await send(gateway.url, "GET /v1/models", f"host: {host}", f"origin: {origin}")).status == 200
        answer = await send(gateway.url, "GET /v2/accounts", f"host: {host}", f"origin: {origin}")
        assert answer.status == managing, origin
    for origin in ("app://localhost", f"tauri://{host}", f"https://{host.split(':')[0]}"):
        assert (await send(gateway.url, "GET /v1/models", f"host: {host}", f"origin: {origin}")).status == 200
        assert (await send(gateway.url, "GET /v2/accounts", f"host: {host}", f"origin: {origin}")).status == 403
    for origin in ("http://evil.example", f"http://evil.example@{host}", f"http://{host}.evil.example"):
        assert (await send(gateway.url, "GET /v1/models", f"host: {host}", f"origin: {origin}")).status == 403


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://localhost:8000", "localhost:8000", True),
        ("http://LOCALHOST:8000", "localhost:8000", True),
        ("http://localhost", "localhost:80", True),
        ("https://gateway.example", "gateway.example", True),
        ("https://gateway.example", "gateway.example:443", True),
        ("https://gateway.example:8443", "gateway.example", False),
        ("http://localhost:8000", "localhost:8001", False),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("app://localhost", "localhost", False),
    ],
)
def test_same_origin(origin: str, host: str, same: bool) -> None:
    page, ours = parse_origin(origin), parse_host(host)
    assert page is not None
    assert ours is not None
    assert page.is_at(ours) is same


def test_every_host_of_the_tables_is_read_as_the_table_says() -> None:
    assert [host for host in NO_HOST if parse_host(host) is not None] == []
    assert [host for host in FOREIGN if (read := parse_host(host)) is None or read.loopback] == []
    assert [host for host in LOOPBACK if (read := parse_host(host)) is None or not read.loopback] == []
