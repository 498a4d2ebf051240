"""Request smuggling: bytes that one parser reads as one request and another as two.

Sources: RFC 9112 §11, RFC 9110 §7.8, and the kinds that published smuggling corpora have (CL.TE, TE.CL, TE.TE, CL.0,
chunk extensions, upgrade offers, odd line ends). Each attack holds `GET /smuggled` where a right reading sees a body.
"""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.proxies import (
    CADDY_BARE_FILE,
    NGINX_BARE_SITE,
    NGINX_SITE,
    NGINX_WEBSOCKET_SITE,
    caddy_before,
    needs_caddy,
    needs_nginx,
    nginx_before,
)
from tests.security.raw_http import Recorder, exchange, recorder

pytestmark = pytest.mark.anyio

INNER: Final = b"GET /smuggled HTTP/1.1\r\nhost: qrelay.example.com\r\n\r\n"
CHUNK: Final = b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER)
ROUTES: Final = [
    b"/v1/messages",
    b"/v1/chat/completions",
    b"/v1/responses",
    b"/v1/models",
    b"/v2/keys",
    b"/",
    b"/livez",
]
METHODS: Final = [b"POST", b"GET", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"HEAD"]
OFFERS: Final = [b"h2c", b"websocket", b"TLS/1.0", b"foo/2, h2c", b"x"]


def request(*headers: bytes, method: bytes = b"POST", path: bytes = b"/v1/messages", body: bytes = INNER) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (method, path), b"host: qrelay.example.com", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def statuses(answer: bytes) -> list[int]:
    """The status of each response in what a server sent."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


LENGTH: Final = b"content-length: %d" % len(INNER)

UPGRADES: Final = {
    f"upgrade {offer.decode()} {connection.decode()}": request(
        b"connection: " + connection, b"upgrade: " + offer, LENGTH
    )
    for offer in OFFERS
    for connection in (b"Upgrade", b"upgrade, HTTP2-Settings", b"keep-alive, Upgrade")
}
ONE_REQUEST: Final = UPGRADES | {
    "upgrade, chunked": request(b"connection: upgrade", b"upgrade: h2c", b"transfer-encoding: chunked", body=CHUNK),
    "two upgrade fields": request(b"connection: upgrade", b"upgrade: a", b"upgrade: b", LENGTH),
    "length in a GET": request(LENGTH, method=b"GET"),
    "chunked GET": request(b"transfer-encoding: chunked", method=b"GET", body=CHUNK),
    "trailer": request(b"transfer-encoding: chunked", body=CHUNK[:-2] + b"x-forwarded-for: 10.0.0.1\r\n\r\n"),
    "chunk extension": request(b"transfer-encoding: chunked", body=CHUNK.replace(b"\r\n", b';a="b"\r\n', 1)),
    "expect": request(b"expect: 100-continue", LENGTH),
}
"""Valid requests, each with one body: a right reader sees one request."""

INVALID: Final = {
    "length and chunked": request(LENGTH, b"transfer-encoding: chunked", body=b"0\r\n\r\n" + INNER),
    "chunked and length": request(b"transfer-encoding: chunked", b"content-length: 4", body=CHUNK),
    "two lengths": request(b"content-length: 0", LENGTH),
    "two equal lengths": request(LENGTH, LENGTH),
    "list of lengths": request(b"content-length: 0, %d" % len(INNER)),
    "negative length": request(b"content-length: -1"),
    "signed length": request(b"content-length: +%d" % len(INNER)),
    "hexadecimal length": request(b"content-length: 0x%x" % len(INNER)),
    "length with a space": request(b"content-length: 1 0"),
    "length that overflows": request(b"content-length: 18446744073709551617"),
    "empty length": request(b"content-length:"),
    "space before the colon": request(b"content-length : %d" % len(INNER)),
    "tab before the colon": request(b"transfer-encoding\t: chunked", body=CHUNK),
    "folded header": request(b"transfer-encoding:\r\n chunked", body=CHUNK),
    "folded length": request(b"x: y\r\n content-length: 5"),
    "space before the first header": b"POST /v1/messages HTTP/1.1\r\n host: a\r\n" + LENGTH + b"\r\n\r\n" + INNER,
    "unknown coding": request(b"transfer-encoding: xchunked", body=CHUNK),
    "chunked, then identity": request(b"transfer-encoding: chunked, identity", body=CHUNK),
    "gzip and chunked": request(b"transfer-encoding: gzip, chunked", body=CHUNK),
    "two codings in two fields": request(b"transfer-encoding: identity", b"transfer-encoding: chunked", body=CHUNK),
    "identity": request(b"transfer-encoding: identity", LENGTH),
    "quoted coding": request(b'transfer-encoding: "chunked"', body=CHUNK),
    "vertical tab in the coding": request(b"transfer-encoding: \x0bchunked", body=CHUNK),
    "null in the coding": request(b"transfer-encoding: chunked\x00", body=CHUNK),
    "null in a value": request(b"x: a\x00b", LENGTH),
    "carriage return in a value": request(b"x: a\rcontent-length: 5", LENGTH),
    "control in a name": request(b"x\x01: a", LENGTH),
    "name with a space": request(b"x y: a", LENGTH),
    "header without a colon": request(b"content-length", LENGTH),
    "header without a name": request(b": a", LENGTH),
    "bare line feeds": request(LENGTH).replace(b"\r\n", b"\n"),
    "bare line feed after a header": request(b"x: y\n" + LENGTH),
    "bare carriage return at the end of a head": request(LENGTH)[: -len(INNER) - 2] + b"\r" + INNER,
    "chunk size with a sign": request(b"transfer-encoding: chunked", body=b"+" + CHUNK),
    "chunk size in 0x form": request(b"transfer-encoding: chunked", body=b"0x" + CHUNK),
    "chunk size with an underscore": request(b"transfer-encoding: chunked", body=b"1_0" + CHUNK[2:]),
    "chunk size that overflows": request(b"transfer-encoding: chunked", body=b"f" * 17 + b"\r\n" + INNER),
    "chunk size with a space": request(b"transfer-encoding: chunked", body=CHUNK.replace(b"\r\n", b" 0\r\n", 1)),
    "chunk size without end": request(b"transfer-encoding: chunked", body=b"\r\n" + CHUNK),
    "chunk ended by a line feed": request(b"transfer-encoding: chunked", body=CHUNK.replace(b"\r\n", b"\n", 1)),
    "chunk extension ended by a line feed": request(
        b"transfer-encoding: chunked", body=b"3;a\nxx\r\nabc\r\n0\r\n\r\n" + INNER
    ),
    "chunk data that is too long": request(b"transfer-encoding: chunked", body=b"3\r\nabcdef\r\n0\r\n\r\n" + INNER),
    "chunk data ended by a line feed": request(b"transfer-encoding: chunked", body=b"3\r\nabc\n0\r\n\r\n" + INNER),
    "trailer that looks like framing": request(
        b"transfer-encoding: chunked", body=CHUNK[:-2] + b"content-length: 99\r\ntransfer-encoding: chunked\r\n\r\n"
    ),
    "CONNECT": request(LENGTH, method=b"CONNECT", path=b"qrelay.example.com:80"),
    "CONNECT without a body": request(method=b"CONNECT", path=b"qrelay.example.com:80", body=INNER),
    "two hosts in target and field": request(LENGTH, path=b"http://other.example/v1/messages"),
    "HTTP/0.9": b"GET /v1/models\r\n" + INNER,
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + INNER,
    "HTTP/1.0 with chunks": request(b"transfer-encoding: chunked", body=CHUNK).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "version 1.2": request(LENGTH).replace(b"HTTP/1.1", b"HTTP/1.2", 1),
    "version 2.0": request(LENGTH).replace(b"HTTP/1.1", b"HTTP/2.0", 1),
    "version without a slash": request(LENGTH).replace(b"HTTP/1.1", b"HTTP1.1", 1),
    "two spaces in the request line": request(LENGTH).replace(b" HTTP/1.1", b"  HTTP/1.1 x", 1),
    "after a closed connection": request(b"connection: close", b"content-length: 0"),
}
"""Requests that readers disagree on: refused, and nothing after them is read."""

PROXIES: Final = [
    pytest.param("nginx", NGINX_SITE, marks=needs_nginx, id="nginx"),
    pytest.param("nginx", NGINX_WEBSOCKET_SITE, marks=needs_nginx, id="nginx with WebSocket lines"),
    pytest.param("nginx", NGINX_BARE_SITE, marks=needs_nginx, id="nginx as it comes"),
    pytest.param("caddy", CADDY_BARE_FILE, marks=needs_caddy, id="Caddy as it comes"),
]


async def _in_pieces(server: Recorder, attack: bytes) -> list[bytes]:
    """The answers to the same bytes sent at once, cut in the middle, and one by one."""
    middle = len(attack) // 2
    splits = [(attack,), (attack[:middle], attack[middle:]), tuple(attack[i : i + 1] for i in range(len(attack)))]
    return await asyncio.gather(*(server.send(*parts) for parts in splits))


@pytest.mark.parametrize("name", ONE_REQUEST)
async def test_body_belongs_to_its_request(name: str) -> None:
    async with recorder() as server:
        for answer in await _in_pieces(server, ONE_REQUEST[name]):
            assert [status for status in statuses(answer) if status != 100] == [200]
        assert {asked.path for asked in server.asked} == {"/v1/messages"}
        assert {asked.body for asked in server.asked} == {INNER}


@pytest.mark.parametrize("name", INVALID)
async def test_ambiguous_request_is_refused(name: str) -> None:
    expected = {200} if name == "after a closed connection" else {400, 405, 501, 505}
    async with recorder() as server:
        for answer in await _in_pieces(server, INVALID[name]):
            assert len(statuses(answer)) <= 1
            assert expected.issuperset(statuses(answer))
        assert "/smuggled" not in {asked.path for asked in server.asked}


async def test_offered_upgrade_reaches_the_app_as_a_header() -> None:
    async with recorder() as server:
        await server.send(ONE_REQUEST["two upgrade fields"])
    (asked,) = server.asked
    assert [value for name, value in asked.headers if name == b"upgrade"] == [b"a", b"b"]


@pytest.mark.parametrize("method", METHODS, ids=bytes.decode)
async def test_upgrade_is_declined_on_every_route(method: bytes) -> None:
    async with recorder() as server:
        for path in ROUTES:
            attack = request(b"connection: upgrade", b"upgrade: h2c", LENGTH, method=method, path=path)
            pipelined = attack + request(b"connection: close", path=b"/next", body=b"")
            answer = await server.send(pipelined)
            assert answer.count(b"HTTP/1.1 200 OK") == 2
        assert [asked.path for asked in server.asked] == [each for path in ROUTES for each in (path.decode(), "/next")]


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with recorder() as server:
        many = [request(b"content-length: 1", path=b"/%d" % number, body=b"x") for number in range(50)]
        many[20] = request(b"connection: upgrade", b"upgrade: h2c", b"content-length: 1", path=b"/20", body=b"x")
        answer = await server.send(b"".join(many), request(b"connection: close", path=b"/last", body=b""))
        places = [answer.index(b"POST /%d x" % number) for number in range(50)]
        assert places == sorted(places)
        assert [asked.path for asked in server.asked] == [*(f"/{number}" for number in range(50)), "/last"]


async def test_trailers_are_not_headers() -> None:
    body = CHUNK[:-2] + b"authorization: Bearer x\r\nx-forwarded-for: 10.0.0.1\r\nhost: evil\r\n\r\n"
    async with recorder() as server:
        await server.send(request(b"transfer-encoding: chunked", b"trailer: authorization", body=body))
    (asked,) = server.asked
    assert {name for name, _ in asked.headers} == {b"host", b"transfer-encoding", b"trailer"}


@pytest.mark.parametrize(
    "endless",
    [b"x: y\r\n" * 100_000, b"x: " + b"y" * 600_000, b"x" * 600_000],
    ids=["fields", "one value", "one name"],
)
async def test_endless_trailers_get_431(endless: bytes) -> None:
    async with recorder() as server:
        attack = request(b"transfer-encoding: chunked", body=b"1\r\na\r\n0\r\n")
        parts = [endless[start : start + 10_000] for start in range(0, len(endless), 10_000)]
        answer = await server.send(attack, *parts)
        assert answer[9:12] in (b"431", b"200")  # the app may have answered before the request was complete
        assert len(server.table) <= 1


async def test_endless_chunk_extension_gets_431() -> None:
    async with recorder() as server:
        attack = request(b"transfer-encoding: chunked", body=b"1;a=")
        assert (await server.send(attack, *[b"b" * 10_000] * 10))[9:12] == b"431"
        assert not server.asked


async def test_many_header_fields_get_431() -> None:
    async with recorder() as server:
        assert (await server.send(request(*[b"x: y"] * 300, LENGTH)))[9:12] == b"431"
        assert (await server.send(request(b"x: " + b"y" * 65_536, LENGTH)))[9:12] == b"431"
        assert (await server.send(request(b"x: " + b"y" * 60_000, LENGTH)))[9:12] == b"200"


@pytest.mark.parametrize(("kind", "site"), PROXIES)
async def test_nothing_is_smuggled_through_a_proxy(kind: str, site: str) -> None:
    """Attackers and victims share the proxy's kept connections; each victim reads the answer to its own request.

    What a proxy itself reads as two requests is the attacker's own pipelining, and both are answered to the attacker.
    """
    before = nginx_before if kind == "nginx" else caddy_before
    async with recorder() as server, before(f"http://127.0.0.1:{server.port}", site) as proxy:

        async def attack(sent: bytes) -> bytes:
            return await exchange(*await proxy.connect(), sent, end=True)

        async def victims() -> int:
            answers = [await proxy.http.get(f"/v1/models/victim-{number}") for number in range(60)]
            return sum(not answer.text.startswith(f"GET {answer.request.url.path} ") for answer in answers)

        attacks = [*ONE_REQUEST.values(), *UPGRADES.values(), *UPGRADES.values()]
        _, misled = await asyncio.gather(asyncio.gather(*map(attack, attacks)), victims())
        assert misled == 0
        assert "/smuggled" not in {asked.path for asked in server.asked}

        answers, misled = await asyncio.gather(asyncio.gather(*map(attack, INVALID.values())), victims())
        assert misled == 0
        own = sum(answer.count(b"\nGET /smuggled ") for answer in answers)
        assert [asked.path for asked in server.asked].count("/smuggled") == own


JAVA: Final = """
import java.net.URI;
import java.net.http.*;

class Post {
    public static void main(String[] args) throws Exception {
        var body = HttpRequest.BodyPublishers.ofString("a body of Java's");
        var request = HttpRequest.newBuilder(URI.create(args[0])).POST(body).build();
        var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        System.out.println(answer.statusCode() + " " + answer.body());
    }
}
"""


@pytest.mark.skipif(not shutil.which("java"), reason="there is no Java")
async def test_client_of_java_that_offers_http2(tmp_path: Path) -> None:
    (tmp_path / "Post.java").write_text(JAVA)
    async with recorder() as server:
        command = ["java", str(tmp_path / "Post.java"), f"http://127.0.0.1:{server.port}/v1/messages"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "200 POST /v1/messages a body of Java's"


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
async def test_curl_that_offers_http2() -> None:
    async with recorder() as server:
        command = ["curl", "-sS", "--http2", "-d", "a body", f"http://127.0.0.1:{server.port}/v1/messages"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "POST /v1/messages a body"
