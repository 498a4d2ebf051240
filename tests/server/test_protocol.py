"""HTTP/1.1 to ASGI, byte by byte on real sockets: what a client sends in a way few do, and what an app does wrong."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qrelay.server.protocol import DISCONNECT, HTTPProtocol

pytestmark = pytest.mark.anyio

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
POST = b"POST /echo HTTP/1.1\r\nhost: a\r\n"
END = b"connection: close\r\n"


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            return body


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what it got: method, path, query, body."""
    told = f"{scope['method']} {scope['path']} {scope['query_string'].decode()} ".encode() + await _body(receive)
    await send({**START, "headers": [(b"content-length", str(len(told)).encode())]})
    await send({"type": "http.response.body", "body": told})


@asynccontextmanager
async def serving(app: ASGIApp, **options: Any) -> AsyncGenerator[int]:
    config = uvicorn.Config(app, http=HTTPProtocol, port=0, lifespan="off", log_config=None, ws="none", **options)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        await asyncio.gather(*server.server_state.tasks, return_exceptions=True)
        await server.shutdown()


async def said(port: int, *parts: bytes) -> bytes:
    """Everything a server answers to these parts, sent one after the other, until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0)
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("parts", "answers"),
    [
        ((b"GET /a%20b?c=d HTTP/1.1\r\nhost: a\r\n" + END + b"\r\n",), [b"GET /a b c=d "]),
        ((POST + END + b"content-length: 3\r\n\r\na", b"bc"), [b"POST /echo  abc"]),
        ((POST + END + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", b"0\r\n\r\n"), [b"POST /echo  abc"]),
        ((POST + b"content-length: 1\r\n\r\nx" + POST + END + b"content-length: 1\r\n\r\ny",), [b"x", b"y"]),
        ((POST[:9], POST[9:] + END + b"content-length: 1\r\n\r\nz"), [b"POST /echo  z"]),
        ((b"POST / HTTP/1.0\r\ncontent-length: 1\r\n\r\nq",), [b"POST /  q"]),
        ((POST + END + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n",), [b"POST /echo  "]),
    ],
    ids=["target", "length", "chunks", "two at once", "cut", "1.0", "upgrade"],
)
async def test_request_is_parsed_however_it_is_split(parts: tuple[bytes, ...], answers: list[bytes]) -> None:
    async with serving(echo) as port:
        answer = await said(port, *parts)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == len(answers)
    assert answer.count(b"\r\ndate: ") <= len(answers)
    for wanted in answers:
        assert wanted in answer
    assert answer.endswith(answers[-1])


async def test_expect_100_continue() -> None:
    async with serving(echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(POST + END + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"ok")
        assert (await reader.read()).endswith(b"POST /echo  ok")
        writer.close()


async def test_large_body_is_read_late() -> None:
    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.05)
        size = len(await _body(receive))
        await send({**START, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": str(size).encode()})

    body = b"x" * 3_000_000
    async with serving(late) as port:
        answer = await said(port, POST + b"content-length: %d\r\n\r\n" % len(body), body)
    assert b"\r\n7\r\n3000000\r\n0\r\n\r\n" in answer


async def test_oversized_head_gets_431() -> None:
    """Also when more of it comes than was read: a connection closed on unread bytes would lose its answer."""
    async with serving(echo) as port:
        for size in (64 * 1024 + 1, 200_000, 3_000_000):
            for rest in (b"x-many: y\r\n" * 300_000, b"x-long: " + b"z" * size):
                head = (POST + rest)[:size]
                assert (await said(port, head[:9000], head[9000:])).startswith(b"HTTP/1.1 431 ")
        assert b"POST /echo  " in await said(port, POST, b"x-long: " + b"z" * 50_000 + b"\r\n" + END + b"\r\n")


async def test_invalid_bytes_get_400() -> None:
    async with serving(echo) as port:
        assert (await said(port, b"\x16\x03\x01\x02\x00\x01\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        assert (await said(port, POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_response_head_is_sent_before_the_body_exists() -> None:
    go_on = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async with serving(slow) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n" + END + b"\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"transfer-encoding: chunked\r\n" in head
        go_on.set()
        assert await reader.read() == b"1\r\na\r\n0\r\n\r\n"
        writer.close()


@pytest.mark.parametrize("line", [b"GET / HTTP/1.0\r\n\r\n", b"HEAD / HTTP/1.1\r\nhost: a\r\n" + END + b"\r\n"])
async def test_http10_response_is_not_chunked_and_head_has_no_body(line: bytes) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"abc"})

    async with serving(app) as port:
        answer = await said(port, line)
    assert b"chunked" not in answer
    assert answer.partition(b"\r\n\r\n")[2] == (b"" if line.startswith(b"HEAD") else b"abc")


async def test_failed_app_is_never_taken_for_a_response() -> None:
    """An app that fails before its response gets a 500 sent; one that fails later has its connection closed."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        match scope["path"]:
            case "/raises":
                raise ValueError
            case "/silent":
                return
            case "/value":
                await send({**START, "headers": [(b"x-a", b"1\r\nx-b: 2")]})
            case "/name":
                await send({**START, "headers": [(b"x a", b"1")]})
            case "/long":
                await send({**START, "headers": [(b"content-length", b"1")]})
                await send({"type": "http.response.body", "body": b"abc"})
            case _:  # /cut
                await send(START)
                await send({"type": "http.response.body", "body": b"abc", "more_body": True})

    async with serving(app) as port:

        async def get(path: str) -> bytes:
            return await said(port, b"GET %b HTTP/1.1\r\nhost: a\r\n\r\n" % path.encode())

        for path in ("/raises", "/silent"):
            answer = await get(path)
            assert answer.startswith(b"HTTP/1.1 500 "), path
            assert answer.count(b"HTTP/1.1") == 1
        assert await get("/value") == await get("/name") == b""
        assert b"abc" not in await get("/long")
        assert (await get("/cut")).endswith(b"3\r\nabc\r\n")  # and no last chunk


@pytest.mark.parametrize("by", ["callback", "receive"])
async def test_app_is_told_of_a_disconnect(by: str) -> None:
    begun, heard = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await _body(receive)
        if by == "callback":
            scope["extensions"][DISCONNECT](heard.set)
            begun.set()
            await heard.wait()
        else:
            begun.set()
            assert (await receive())["type"] == "http.disconnect"
            heard.set()
        await send(START)  # to nobody

    async with serving(app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(POST + b"content-length: 0\r\n\r\n")
        await begun.wait()
        writer.transport.abort()
        await asyncio.wait_for(heard.wait(), 20)


async def test_slow_reader_pauses_the_app() -> None:
    chunk, sent = b"x" * 500_000, 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({**START, "headers": [(b"connection", b"close")]})
        for _ in range(100):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            sent += 1
        await send({"type": "http.response.body", "body": b""})

    async with serving(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        before = -1
        while before != sent:  # until nothing moves any more
            before = sent
            await asyncio.sleep(0.1)
        assert 0 < sent < 100
        size = len(head)
        while data := await reader.read(1 << 20):
            size += len(data)
        assert sent == 100
        assert size > 100 * len(chunk)
        writer.close()


async def test_keepalive_timeout() -> None:
    async with serving(echo, timeout_keep_alive=1) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(POST + b"content-length: 1\r\n\r\nx")
            await reader.readuntil(b"POST /echo  x")
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
