"""HTTP/1.1 to ASGI, byte by byte on real sockets: what a client sends in a way few do, and what an app does wrong."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qrelay.http.connection import Connection
from qrelay.http.incoming import WHEN_LEFT

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
    config = uvicorn.Config(app, http=Connection, port=0, lifespan="off", log_config=None, ws="none", **options)
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
async def test_requests_however_they_are_sent(parts: tuple[bytes, ...], answers: list[bytes]) -> None:
    async with serving(echo) as port:
        answer = await said(port, *parts)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == len(answers)
    assert answer.count(b"\r\ndate: ") <= len(answers)
    for wanted in answers:
        assert wanted in answer
    assert answer.endswith(answers[-1])


async def test_a_body_is_asked_for_where_the_client_waits_to_be() -> None:
    async with serving(echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(POST + END + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"ok")
        assert (await reader.read()).endswith(b"POST /echo  ok")
        writer.close()


async def test_a_large_body_arrives_whole_though_nobody_reads_it_at_once() -> None:
    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.05)
        size = len(await _body(receive))
        await send({**START, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": str(size).encode()})

    body = b"x" * 3_000_000
    async with serving(late) as port:
        answer = await said(port, POST + b"content-length: %d\r\n\r\n" % len(body), body)
    assert b"\r\n7\r\n3000000\r\n0\r\n\r\n" in answer


async def test_a_head_without_an_end_is_refused() -> None:
    """Also when more of it comes than was read: a connection closed on unread bytes would lose its answer."""
    async with serving(echo) as port:
        for size in (64 * 1024 + 1, 200_000, 3_000_000):
            for rest in (b"x-many: y\r\n" * 300_000, b"x-long: " + b"z" * size):
                head = (POST + rest)[:size]
                assert (await said(port, head[:9000], head[9000:])).startswith(b"HTTP/1.1 431 ")
        assert b"POST /echo  " in await said(port, POST, b"x-long: " + b"z" * 50_000 + b"\r\n" + END + b"\r\n")


async def test_no_http_is_refused() -> None:
    async with serving(echo) as port:
        assert (await said(port, b"\x16\x03\x01\x02\x00\x01\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        assert (await said(port, POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_a_head_leaves_alone_when_no_body_comes_at_once() -> None:
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
async def test_who_knows_no_chunks_gets_none_and_head_gets_no_body(line: bytes) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"abc"})

    async with serving(app) as port:
        answer = await said(port, line)
    assert b"chunked" not in answer
    assert answer.partition(b"\r\n\r\n")[2] == (b"" if line.startswith(b"HEAD") else b"abc")


async def test_what_an_app_does_wrong_is_never_taken_for_an_answer() -> None:
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
            case "/late":
                await send(START)
                raise ValueError
            case _:  # /cut
                await send(START)
                await send({"type": "http.response.body", "body": b"abc", "more_body": True})

    async with serving(app) as port:
        for path in ("raises", "silent", "value", "name", "long", "late"):
            answer = await said(port, b"GET /%b HTTP/1.1\r\nhost: a\r\n\r\n" % path.encode())
            assert answer.startswith(b"HTTP/1.1 500 "), path
            assert answer.count(b"HTTP/1.1") == 1
        answer = await said(port, b"GET /cut HTTP/1.1\r\nhost: a\r\n\r\n")
        assert answer.endswith(b"3\r\nabc\r\n")  # and no last chunk


@pytest.mark.parametrize("by", ["callback", "receive"])
async def test_an_app_hears_that_its_client_has_left(by: str) -> None:
    begun, heard = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await _body(receive)
        if by == "callback":
            scope[WHEN_LEFT](heard.set)
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


async def test_who_reads_slowly_is_waited_for() -> None:
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


async def test_an_idle_connection_is_closed_and_a_used_one_not() -> None:
    async with serving(echo, timeout_keep_alive=1) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(POST + b"content-length: 1\r\n\r\nx")
            await reader.readuntil(b"POST /echo  x")
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
