"""Limits on client connections: deadlines, room for new ones, and clients that leave at any moment."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from qrelay.server.connections import OVER_CAPACITY, ConnectionLimits, ConnectionTable
from qrelay.server.protocol import DISCONNECT, HTTPProtocol
from tests.security.raw_http import recorder

pytestmark = pytest.mark.anyio

POST = b"POST / HTTP/1.1\r\nhost: a\r\n"
SHORT = ConnectionLimits(head_seconds=0.1, body_seconds=0.1, body_rate=1_000_000, send_seconds=0.1)


async def opened(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not condition():  # noqa: ASYNC110 - a table has no events
            await asyncio.sleep(0.01)


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server closes the connection."""
    try:
        return await asyncio.wait_for(reader.read(), 30)
    except ConnectionResetError:
        return b"reset"


@asynccontextmanager
async def serving(app: ASGIApp, limits: ConnectionLimits) -> AsyncGenerator[tuple[int, ConnectionTable]]:
    table = ConnectionTable(limits)
    http: Any = partial(HTTPProtocol, table=table)
    server = uvicorn.Server(uvicorn.Config(app, http=http, port=0, lifespan="off", log_config=None, ws="none"))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    try:
        yield server.servers[0].sockets[0].getsockname()[1], table
    finally:
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        await asyncio.gather(*server.server_state.tasks, return_exceptions=True)
        await server.shutdown()


async def test_silent_connection_is_closed() -> None:
    async with recorder(SHORT) as server:
        reader, writer = await opened(server.port)
        assert await answer_of(reader) == b""
        writer.close()


@pytest.mark.parametrize("sent", [b"P", POST, POST + b"x: y\r\n" * 100], ids=["a byte", "a line", "many lines"])
async def test_unfinished_head_gets_408(sent: bytes) -> None:
    async with recorder(SHORT) as server:
        reader, writer = await opened(server.port)
        writer.write(sent)
        assert (await answer_of(reader)).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_head_that_drips_gets_408() -> None:
    async with recorder(SHORT) as server:
        reader, writer = await opened(server.port)

        async def drip() -> None:
            while True:
                writer.write(b"x: y\r\n")
                await asyncio.sleep(0.02)

        writer.write(POST)
        dripping = asyncio.create_task(drip())
        assert (await answer_of(reader)).startswith(b"HTTP/1.1 408 ")
        dripping.cancel()
        writer.close()


@pytest.mark.parametrize("chunked", [True, False])
async def test_body_that_drips_gets_408(chunked: bool) -> None:
    framing, drop = (b"transfer-encoding: chunked", b"1\r\nx\r\n") if chunked else (b"content-length: 1000", b"x")
    async with recorder(SHORT) as server:
        reader, writer = await opened(server.port)

        async def drip() -> None:
            while True:
                writer.write(drop)
                await asyncio.sleep(0.02)

        writer.write(POST + framing + b"\r\n\r\n")
        dripping = asyncio.create_task(drip())
        assert (await answer_of(reader)).startswith(b"HTTP/1.1 408 ")
        dripping.cancel()
        writer.close()
        assert not server.asked


async def test_client_that_reads_nothing_is_disconnected() -> None:
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        scope["extensions"][DISCONNECT](ended.set)
        while not ended.is_set():
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})

    async with serving(app, SHORT) as (port, _):
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        await asyncio.wait_for(ended.wait(), 30)
        writer.transport.abort()


async def test_oldest_idle_connection_makes_room() -> None:
    async with recorder(ConnectionLimits(total=3, reserve=0)) as server:
        held = [await opened(server.port) for _ in range(3)]
        await until(lambda: len(server.table) == 3)
        held[0][1].write(POST + b"content-length: 1\r\n\r\nx")  # the first is used, so the second is the oldest now
        await held[0][0].readuntil(b"POST / x")
        answer = await server.send(POST + b"connection: close\r\ncontent-length: 1\r\n\r\ny")
        assert answer.endswith(b"POST / y")
        assert await answer_of(held[1][0]) in (b"", b"reset")
        assert not held[0][0].at_eof()
        assert server.table.closed_for_room == 1
        for _, writer in held:
            writer.close()


async def test_requests_beyond_the_limit_are_marked_and_then_refused() -> None:
    """Requests under way are never cut for new ones. A reserve of connections goes on answering."""
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told = b"over" if OVER_CAPACITY in scope["extensions"] else b"within"
        if scope["path"] == "/busy":
            await go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": told})

    async with serving(app, ConnectionLimits(total=2, reserve=1)) as (port, table):
        busy = [await opened(port) for _ in range(2)]
        for _, writer in busy:
            writer.write(b"GET /busy HTTP/1.1\r\nhost: a\r\n\r\n")
        await until(lambda: not table.idle and len(table) == 2)
        kept = await opened(port)
        kept[1].write(b"GET /busy HTTP/1.1\r\nhost: a\r\n\r\n")
        await until(lambda: not table.idle and len(table) == 3)
        refused = await opened(port)
        assert (await answer_of(refused[0])).startswith(b"HTTP/1.1 503 ")
        assert table.refused == 1
        go_on.set()
        answers = [await answer_of(reader) for reader, _ in [*busy, kept]]
        assert [answer.count(b"over") for answer in answers] == [0, 0, 1]
        for _, writer in [*busy, kept, refused]:
            writer.close()


class _Connection:
    """A connection as the table sees it."""

    def __init__(self, address: str | None) -> None:
        self.address = address
        self.over_capacity = False
        self.aborted = False
        self.transport: Any = self

    def abort(self) -> None:
        self.aborted = True

    def check_deadlines(self, now: float) -> None: ...


async def test_one_address_has_a_limit_and_proxies_have_none() -> None:
    table = ConnectionTable(ConnectionLimits(per_address=2, trusted=("10.0.0.0/8",)))
    first, second, third = (_Connection("192.0.2.1") for _ in range(3))
    assert table.admit(first)
    assert table.admit(second)
    table.idle.pop(first)  # it is being answered
    assert table.admit(third)
    assert second.aborted
    assert not first.aborted
    table.idle.clear()
    assert not table.admit(_Connection("192.0.2.1"))
    for address in ("10.1.2.3", "127.0.0.1", "::1", "::ffff:127.0.0.1", None):
        assert all(table.admit(_Connection(address)) for _ in range(5))
    table.remove(first)
    assert table.admit(_Connection("192.0.2.1"))


def _request(size: int) -> bytes:
    return POST + b"content-length: %d\r\n\r\n" % size + b"x" * size


LEAVING = {
    "70 KB in one write": [_request(70_000)],
    "100 KB in two writes": [_request(100_000)[:50_000], _request(100_000)[50_000:]],
    "1 MB": [_request(1_000_000)],
    "5 MB": [_request(5_000_000)],
    "a second request": [_request(10) + _request(10)],
    "a second request of 200 KB": [_request(10) + _request(200_000)],
    "a second request of 1 MB": [_request(70_000) + _request(1_000_000)],
    "fifty more requests": [_request(10) * 51],
    "half a second request": [_request(10) + _request(10)[:20]],
    "a broken second request": [_request(10) + b"\x00\r\n\r\n"],
}


@pytest.mark.parametrize("how", ["close", "abort", "half-close"])
@pytest.mark.parametrize("sent", LEAVING.values(), ids=LEAVING)
async def test_app_is_told_whenever_its_client_leaves(sent: list[bytes], how: str) -> None:
    begun, left = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        scope["extensions"][DISCONNECT](left.set)
        begun.set()
        await left.wait()

    async with serving(app, ConnectionLimits()) as (port, table):
        _, writer = await opened(port)
        for part in sent:
            writer.write(part)
        await asyncio.wait_for(begun.wait(), 30)
        ends: dict[str, Callable[[], Any]] = {
            "close": writer.close,
            "abort": writer.transport.abort,
            "half-close": writer.write_eof,
        }
        ends[how]()
        await asyncio.wait_for(left.wait(), 30)
        await until(lambda: not len(table))
        if not writer.transport.is_closing():
            writer.transport.abort()
