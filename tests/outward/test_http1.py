"""The lean HTTP client, against servers that send exactly these bytes."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from qrelay.outward.exchange import Exchange
from qrelay.outward.http1 import Connections
from qrelay.outward.proxy import Proxy, proxy_at
from tests.certificates import LOOPBACK, self_signed, serving_tls
from tests.switching.network import joined

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Peer:
    """One connection as the server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """The next request, head and body. Raises IncompleteReadError when the client has left."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
        )
        return head + await self.reader.readexactly(length)

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def reset(self) -> None:
        self.writer.transport.abort()


class Server:
    def __init__(self, url: str) -> None:
        self.url = url
        self.connections = 0
        self.requests: list[bytes] = []
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        """A client closed its end."""


Behave = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def serving(behave: Behave, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Server]:
    server = Server("")
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        peer = Peer(reader, writer)
        original = peer.request

        async def recorded() -> bytes:
            request = await original()
            server.requests.append(request)
            server.asked.set()
            return request

        peer.request = recorded
        try:
            await behave(peer)
        except (asyncio.IncompleteReadError, ConnectionError):
            server.left.set()
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            tasks.discard(task)
            writer.close()

    listener = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    server.url = f"{scheme}://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def connections() -> AsyncGenerator[Connections]:
    pool = Connections()
    yield pool
    pool.close()
    await asyncio.sleep(0)


async def ask(pool: Connections, url: str, body: bytes = b"{}") -> Exchange:
    return await pool.request("POST", url, {"x-a": "b"}, body, connect_seconds=2)


async def whole(exchange: Exchange) -> bytes:
    data = b""
    try:
        while piece := await exchange.read():
            data += piece
    finally:
        exchange.close()
    return data


async def for_ever(peer: Peer) -> None:
    while True:
        await peer.request()
        peer.send(OK)


async def test_a_connection_is_used_again(connections: Connections) -> None:
    async with serving(for_ever) as server:
        for _ in range(3):
            exchange = await ask(connections, f"{server.url}/path?a=1", b"body")
            assert (exchange.status, exchange.framed) == (200, True)
            assert await whole(exchange) == b"hello"
        assert server.connections == 1
        host = server.url.removeprefix("http://").encode()
        assert (
            server.requests
            == [b"POST /path?a=1 HTTP/1.1\r\nhost: " + host + b"\r\nx-a: b\r\ncontent-length: 4\r\n\r\nbody"] * 3
        )


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_it_does_not_matter_how_the_bytes_are_cut(connections: Connections, size: int) -> None:
    answer = CHUNKED + b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\ntrailer: t\r\n\r\n"

    async def behave(peer: Peer) -> None:
        while True:
            await peer.request()
            for at in range(0, len(answer), size):
                peer.send(answer[at : at + size])
                await peer.writer.drain()

    async with serving(behave) as server:
        for _ in range(2):
            assert await whole(await ask(connections, server.url)) == b"hello"
        assert server.connections == 1


async def test_a_second_wave_of_conversations_finds_the_connections_of_the_first(connections: Connections) -> None:
    async with serving(for_ever) as server:
        for _ in range(2):
            wave = [await ask(connections, server.url) for _ in range(150)]
            for exchange in wave:
                assert await whole(exchange) == b"hello"
        assert server.connections == 150


async def test_a_connection_that_was_idle_for_long_is_closed() -> None:
    connections = Connections(idle_seconds=0)
    async with serving(for_ever) as server:
        assert await whole(await ask(connections, server.url)) == b"hello"
        await server.left.wait()


async def test_idle_connections_are_closed_though_no_request_comes() -> None:
    connections = Connections(idle_seconds=0.05)
    async with serving(for_ever) as server:
        assert await whole(await ask(connections, server.url)) == b"hello"
        async with asyncio.timeout(30):
            await server.left.wait()
        assert await whole(await ask(connections, server.url)) == b"hello"
        assert server.connections == 2
    connections.close()


async def test_closing_twice_does_not_lend_a_connection_twice(connections: Connections) -> None:
    async with serving(for_ever) as server:
        exchange = await ask(connections, server.url)
        await whole(exchange)
        exchange.close()
        first, second = await ask(connections, server.url), await ask(connections, server.url)
        assert await whole(first) == await whole(second) == b"hello"
        assert server.connections == 2


async def test_a_whole_answer_that_nobody_read_does_not_silence_the_next_one(connections: Connections) -> None:
    # One byte more than may wait for a reader: with it the connection stops reading, and the answer is whole.
    large = b"HTTP/1.1 200 OK\r\ncontent-length: 262145\r\n\r\n" + bytes(262_145)

    async def behave(peer: Peer) -> None:
        await peer.request()
        peer.send(large)
        await for_ever(peer)

    async with serving(behave) as server:
        unread = await ask(connections, server.url)
        async with asyncio.timeout(5):
            while not unread.complete:  # noqa: ASYNC110 - nobody reads, so nobody would be woken
                await asyncio.sleep(0.01)
        unread.close()
        async with asyncio.timeout(5):
            assert await whole(await ask(connections, server.url)) == b"hello"
        assert server.connections == 1


async def test_an_interim_answer_is_passed_over(connections: Connections) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 100 Continue\r\nx: y\r\n\r\n" + OK)
        await peer.request()

    async with serving(behave) as server:
        exchange = await ask(connections, server.url)
        assert exchange.headers == {"content-length": "5"}
        assert await whole(exchange) == b"hello"


async def test_an_answer_that_ends_with_its_connection_is_not_framed(connections: Connections) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")

    async with serving(behave) as server:
        for _ in range(2):
            exchange = await ask(connections, server.url)
            assert not exchange.framed
            assert await whole(exchange) == b"hello"
        assert server.connections == 2


@pytest.mark.parametrize(
    "part",
    [b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello", CHUNKED + b"5\r\nhello\r\n", CHUNKED + b"9\r\nhello"],
)
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_cut_answer_fails_after_what_came(connections: Connections, part: bytes, how: str) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        peer.send(part)
        await peer.writer.drain()
        await asyncio.sleep(0.05)
        if how == "reset":
            peer.reset()

    async with serving(behave) as server:
        exchange = await ask(connections, server.url)
        assert await exchange.read() == b"hello"
        with pytest.raises(ConnectionError):
            await exchange.read()
        exchange.close()


async def test_no_answer_at_all_is_a_connection_error(connections: Connections) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()

    async with serving(behave) as server:
        with pytest.raises(ConnectionError):
            await ask(connections, server.url)
        assert len(server.requests) == 1, "a new connection that fails is not tried again"


async def test_a_kept_connection_that_has_died_is_replaced(connections: Connections) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        peer.send(OK)
        await peer.writer.drain()
        await peer.reader.read(1)  # the next request is never answered

    async with serving(behave) as server:
        for _ in range(3):
            assert await whole(await ask(connections, server.url)) == b"hello"
        assert server.connections == 3


async def test_an_answer_begun_on_a_kept_connection_is_not_asked_for_again(connections: Connections) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        peer.send(OK)
        await peer.request()
        peer.send(b"HTTP/1.1 200")

    async with serving(behave) as server:
        assert await whole(await ask(connections, server.url)) == b"hello"
        with pytest.raises(ConnectionError):
            await ask(connections, server.url)
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", b"\x00" * 99]
)
async def test_what_is_not_http_is_a_connection_error(connections: Connections, answer: bytes) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        peer.send(answer)
        await peer.request()

    async with serving(behave) as server:
        with pytest.raises(ConnectionError):
            await ask(connections, server.url)


async def test_a_head_without_end_is_refused(connections: Connections) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            peer.send(b"x: " + b"y" * 1000 + b"\r\n")
            await peer.writer.drain()

    async with serving(behave) as server:
        with pytest.raises(ConnectionError):
            await ask(connections, server.url)


# --- bytes that are no body -------------------------------------------------------------------------------------------

ENDLESS = {
    "status line": (b"HTTP/1.1 200 ", b"O"),
    "header value": (b"HTTP/1.1 200 OK\r\nx: ", b"y"),
    "header name": (b"HTTP/1.1 200 OK\r\n", b"x"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"x-%d: y\r\n" % 1),
    "interim answers": (b"", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
    "empty lines": (b"", b"\r\n"),
    "chunk extension": (CHUNKED + b"5;", b"a=b;"),
    "chunk extension, after some body": (CHUNKED + b"5\r\nhello\r\n5;", b"a=b;"),
    "chunk size": (CHUNKED, b"0"),
    "trailers": (CHUNKED + b"5\r\nhello\r\n0\r\n", b"x: y\r\n"),
    "trailers that are large": (CHUNKED + b"5\r\nhello\r\n0\r\n", b"x: " + b"y" * 5000 + b"\r\n"),
    "trailer value": (CHUNKED + b"5\r\nhello\r\n0\r\nx: ", b"y"),
    "trailer name": (CHUNKED + b"5\r\nhello\r\n0\r\n", b"x"),
    "a little body in large extensions": (CHUNKED, b"1;" + b"a" * 1000 + b"\r\nx\r\n"),
}


@pytest.mark.parametrize("write_bytes", [1000, 200_000])
@pytest.mark.parametrize("kind", ENDLESS)
async def test_endless_bytes_beside_the_body_close_the_connection(
    connections: Connections, kind: str, write_bytes: int
) -> None:
    begin, again = ENDLESS[kind]
    piece = again * (write_bytes // len(again) + 1)
    sent = 0

    async def behave(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        peer.send(begin)
        while sent < 200_000_000:
            peer.send(piece)
            sent += len(piece)
            await peer.writer.drain()

    async with serving(behave) as server:
        with pytest.raises(ConnectionError):
            await whole(await ask(connections, server.url))
        await asyncio.wait_for(server.left.wait(), 30)
    assert sent < 50_000_000, "the socket's buffers hold a few megabytes"


@pytest.mark.parametrize("trailers", [1, 200])
async def test_trailers_are_not_headers(connections: Connections, trailers: int) -> None:
    answer = b"HTTP/1.1 200 OK\r\nx-a: head\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
    more = b"".join(b"x-%d: t\r\n" % number for number in range(trailers - 1))

    async def behave(peer: Peer) -> None:
        while True:
            await peer.request()
            peer.send(answer + b"x-a: trailer\r\n" + more + b"\r\n")

    async with serving(behave) as server:
        for _ in range(2):
            exchange = await ask(connections, server.url)
            assert await whole(exchange) == b"hello"
            assert exchange.headers == {"x-a": "head", "transfer-encoding": "chunked"}
        assert server.connections == 1


@pytest.mark.parametrize("where", ["head", "trailers", "interim answers"])
async def test_too_many_fields_close_the_connection(connections: Connections, where: str) -> None:
    fields = b"".join(b"x-%d: y\r\n" % number for number in range(300))
    answer = {
        "head": b"HTTP/1.1 200 OK\r\n" + fields + b"content-length: 5\r\n\r\nhello",
        "trailers": CHUNKED + b"5\r\nhello\r\n0\r\n" + fields + b"\r\n",
        "interim answers": b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 300 + OK,
    }[where]

    async def behave(peer: Peer) -> None:
        await peer.request()
        peer.send(answer)
        await peer.request()

    async with serving(behave) as server:
        with pytest.raises(ConnectionError, match="256 header fields"):
            await whole(await ask(connections, server.url))
        await asyncio.wait_for(server.left.wait(), 30)


async def test_a_long_answer_in_small_chunks_is_no_fault(connections: Connections) -> None:
    chunk = b"2;sign=%b\r\nab\r\n" % (b"0" * 16)

    async def behave(peer: Peer) -> None:
        while True:
            await peer.request()
            peer.send(CHUNKED)
            for _ in range(20):
                peer.send(chunk * 1000)
                await peer.writer.drain()
            peer.send(b"0\r\n\r\n")

    async with serving(behave) as server:
        for _ in range(2):
            assert await whole(await ask(connections, server.url)) == b"ab" * 20_000
        assert server.connections == 1


async def test_a_head_that_drips_ends_with_the_callers_patience(connections: Connections) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        while True:
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            await peer.writer.drain()
            await asyncio.sleep(0.05)

    async with serving(behave) as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await ask(connections, server.url)
        await asyncio.wait_for(server.left.wait(), 30)


# --- where an answer ends (RFC 9112 §6.3, §11) ------------------------------------------------------------------------

SECOND = b"HTTP/1.1 200 OK\r\nx-second: 1\r\ncontent-length: 6\r\n\r\nsecond"


@pytest.mark.parametrize("first", [OK, CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"], ids=["length", "chunked"])
@pytest.mark.parametrize(
    "more",
    [SECOND, SECOND[:1], b"\r\n" + SECOND, b"junk", b"\0", SECOND * 5000],
    ids=["whole", "a byte", "line", "junk", "nul", "many"],
)
async def test_the_first_of_two_answers_counts_and_the_connection_is_dropped(
    connections: Connections, first: bytes, more: bytes
) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        peer.send(first + more)
        await peer.request()

    async with serving(behave) as server:
        for asked in (1, 2):
            exchange = await ask(connections, server.url)
            assert (exchange.status, "x-second" in exchange.headers) == (200, False)
            assert await whole(exchange) == b"hello"
            assert server.connections == asked
        await asyncio.wait_for(server.left.wait(), 30)


async def test_an_answer_that_nobody_asked_for_closes_a_kept_connection(connections: Connections) -> None:
    peers: list[Peer] = []

    async def behave(peer: Peer) -> None:
        peers.append(peer)
        await peer.request()
        peer.send(OK)
        await peer.request()

    async with serving(behave) as server:
        assert await whole(await ask(connections, server.url)) == b"hello"
        peers[0].send(SECOND)
        await asyncio.wait_for(server.left.wait(), 30)
        assert await whole(await ask(connections, server.url)) == b"hello"
        assert server.connections == 2


HELLO_TWICE = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
REFUSED = {
    "101 with an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n" + OK,
    "101 without one": b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + OK,
    "length, then coding": HELLO_TWICE,
    "coding, then length": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\nhello",
    "another coding and a length": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
    "the same length twice": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello",
    "a list of lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\nhello",
    "a signed length": b"HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nhello",
    "a length without end": b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nhello",
    "an empty length": b"HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\nhello",
    "a chunk size without end": CHUNKED + b"FFFFFFFFFFFFFFFFF\r\nhello",
    "a signed chunk size": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "a chunk that is longer": CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n",
    "a length in the trailers": CHUNKED + b"5\r\nhello\r\n0\r\ncontent-length: 9\r\n\r\n",
    "HTTP/0.9": b"<html>hello</html>",
    "HTTP/0.9 with a head": b"HTTP/0.9 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    "HTTP/2": b"HTTP/2.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    "status 0": b"HTTP/1.1 000 OK\r\ncontent-length: 5\r\n\r\nhello",
    "status 99": b"HTTP/1.1 099 OK\r\n\r\n" + OK,
    "status of four digits": b"HTTP/1.1 2000 OK\r\ncontent-length: 5\r\n\r\nhello",
    "bare line feeds": b"HTTP/1.1 200 OK\ncontent-length: 5\n\nhello",
    "a space before the colon": b"HTTP/1.1 200 OK\r\ncontent-length : 5\r\n\r\nhello",
    "a folded field": b"HTTP/1.1 200 OK\r\nx: a\r\n content-length: 5\r\n\r\nhello",
    "a NUL in a field": b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 5\r\n\r\nhello",
    "an interim answer that closes": b"HTTP/1.1 100 Continue\r\nconnection: close\r\n\r\n" + OK,
}


@pytest.mark.parametrize("kind", REFUSED)
async def test_an_answer_that_could_be_read_in_two_ways_is_refused(connections: Connections, kind: str) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        peer.send(REFUSED[kind])
        await peer.request()

    async with serving(behave) as server:
        with pytest.raises(ConnectionError):
            await whole(await ask(connections, server.url))
        await asyncio.wait_for(server.left.wait(), 30)


@pytest.mark.parametrize(
    ("answer", "body", "kept"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", b"", True),
        (b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello", b"", False),
        (b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"", False),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\nhello", b"", False),
        (b"HTTP/1.1 200 OK\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: 5\r\n\r\nhello", b"hello", True),
        (b"HTTP/1.1 426 No\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: 5\r\n\r\nhello", b"hello", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + OK, b"hello", True),
        (b"HTTP/1.1 100 Continue\r\ncontent-length: 5\r\n\r\n" + OK, b"hello", True),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello", b"hello", False),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello" + SECOND, b"hello", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", b"hello", False),
        (b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello", False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello", True),
    ],
)  # fmt: skip
async def test_where_an_answer_ends(connections: Connections, answer: bytes, body: bytes, *, kept: bool) -> None:
    async def behave(peer: Peer) -> None:
        while True:
            await peer.request()
            peer.send(answer)

    async with serving(behave) as server:
        for _ in range(2):
            exchange = await ask(connections, server.url)
            assert exchange.framed
            assert await whole(exchange) == body
        assert server.connections == (1 if kept else 2)


@pytest.mark.parametrize("coding", [b"gzip", b"chunked, gzip", b"xchunked", b"chunked\r\ntransfer-encoding: identity"])
async def test_a_last_coding_other_than_chunked_ends_with_the_connection(
    connections: Connections, coding: bytes
) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: " + coding + b"\r\n\r\nhello")

    async with serving(behave) as server:
        for _ in range(2):
            exchange = await ask(connections, server.url)
            assert not exchange.framed
            assert await whole(exchange) == b"hello"
        assert server.connections == 2


async def test_leaving_early_closes_the_connection(connections: Connections) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        peer.send(CHUNKED + b"5\r\nhello\r\n")
        await peer.request()

    async with serving(behave) as server:
        exchange = await ask(connections, server.url)
        assert await exchange.read() == b"hello"
        exchange.close()
        await asyncio.wait_for(server.left.wait(), 5)


async def test_cancelling_a_request_closes_its_connection(connections: Connections) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.request()

    async with serving(behave) as server:
        task = asyncio.create_task(ask(connections, server.url))
        await asyncio.wait_for(server.asked.wait(), 5)
        task.cancel()
        await asyncio.wait_for(server.left.wait(), 5)
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_slow_reader_holds_the_service_back(connections: Connections) -> None:
    sent = 0

    async def behave(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 20000000\r\n\r\n")
        while sent < 20_000_000:
            peer.send(b"x" * 100_000)
            sent += 100_000
            await peer.writer.drain()

    async with serving(behave) as server:
        exchange = await ask(connections, server.url)
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 15_000_000
        assert len(await whole(exchange)) == 20_000_000


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "a\rb", "\u2026"])
async def test_a_header_can_not_begin_another(connections: Connections, value: str) -> None:
    async with serving(for_ever) as server:
        with pytest.raises(ValueError, match=r"header|latin-1") as raised:
            await connections.request("POST", server.url, {"authorization": value}, connect_seconds=2)
        assert value not in str(raised.value)
        assert not server.requests


async def test_where_nobody_listens(connections: Connections) -> None:
    async with serving(for_ever) as server:
        url = server.url
    with pytest.raises(ConnectionRefusedError):
        await ask(connections, url)


async def test_connecting_has_a_time_limit() -> None:
    async def behave(peer: Peer) -> None:
        await peer.reader.read()  # it accepts, and never begins TLS

    async with serving(behave) as server:
        with pytest.raises(TimeoutError):
            await Connections().request("GET", server.url.replace("http:", "https:"), {}, connect_seconds=0.2)


# --- TLS and proxies --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"), "images.example")


async def test_tls_is_verified(certificate: Path) -> None:
    async with serving(for_ever, serving_tls(certificate)) as server:
        trusting = Connections(ssl.create_default_context(cafile=str(certificate)))
        for _ in range(2):
            assert await whole(await ask(trusting, server.url)) == b"hello"
        assert server.connections == 1
        trusting.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(Connections(), server.url)
        await asyncio.sleep(0.05)


async def test_a_host_is_where_it_was_resolved_to_and_still_itself(certificate: Path) -> None:
    """One look-up, a connection to what it said, and TLS with the host by its name."""
    looked_up: list[tuple[str, int]] = []

    async def resolve(host: str, port: int) -> list[str]:
        looked_up.append((host, port))
        return ["127.0.0.9", LOOPBACK]  # nobody is at the first

    async with serving(for_ever, serving_tls(certificate)) as server:
        port = int(server.url.rpartition(":")[2])
        pool = Connections(ssl.create_default_context(cafile=str(certificate)), resolve=resolve)
        assert await whole(await ask(pool, f"https://images.example:{port}/")) == b"hello"
        assert looked_up == [("images.example", port)]
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(pool, f"https://other.example:{port}/")
        pool.close()
        await asyncio.sleep(0.05)


async def forward(peer: Peer, asked: list[bytes]) -> None:
    """A proxy: CONNECT is tunnelled, a request with an absolute URL is passed on."""
    head = await peer.reader.readuntil(b"\r\n\r\n")
    asked.append(head)
    method, target, _ = head.split(b" ", 2)
    authority = target if method == b"CONNECT" else target.split(b"/")[2]
    host, port = authority.decode().rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    if method == b"CONNECT":
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
    else:
        writer.write(head)
    try:
        await joined(peer.reader, peer.writer, reader, writer)
    finally:
        writer.close()


async def test_a_proxy_is_asked_for_a_tunnel(certificate: Path) -> None:
    asked: list[bytes] = []
    async with (
        serving(for_ever, serving_tls(certificate)) as server,
        serving(lambda peer: forward(peer, asked)) as proxy,
    ):
        through = proxy.url.replace("http://", "http://user:pass%20word@")
        pool = Connections(ssl.create_default_context(cafile=str(certificate)), lambda _: through)
        for _ in range(2):
            assert await whole(await ask(pool, server.url)) == b"hello"
        pool.close()
        authority = server.url.removeprefix("https://").encode()
        assert len(asked) == 1
        assert asked[0].startswith(b"CONNECT " + authority + b" HTTP/1.1\r\nhost: " + authority)
        assert b"proxy-authorization: Basic dXNlcjpwYXNzIHdvcmQ=\r\n" in asked[0]
        assert not any(b"proxy-authorization" in request for request in server.requests)
        await asyncio.sleep(0.05)


async def test_plain_http_goes_through_a_proxy_too() -> None:
    asked: list[bytes] = []
    async with serving(for_ever) as server, serving(lambda peer: forward(peer, asked)) as proxy:
        pool = Connections(proxy_for=lambda _: proxy.url)
        assert await whole(await ask(pool, f"{server.url}/path")) == b"hello"
        pool.close()
        assert asked[0].startswith(f"POST {server.url}/path HTTP/1.1\r\n".encode())
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", "407"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407"),
        (b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", "does not speak HTTP"),
        (b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 10_000_000, "over 65536 bytes"),
        (b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 100_000, "over 65536 bytes"),
    ],
)
async def test_a_proxy_that_opens_no_tunnel_is_an_error(answer: bytes, reason: str) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        peer.send(answer)
        await peer.request()

    async with serving(behave) as proxy:
        pool = Connections(proxy_for=lambda _: proxy.url)
        with pytest.raises(ConnectionError, match=reason):
            await ask(pool, "https://127.0.0.1:9/")
        await asyncio.wait_for(proxy.left.wait(), 30)


def test_a_proxy_is_named_by_an_http_url() -> None:
    assert proxy_at("http://proxy.example") == Proxy("proxy.example", 80)
    for url in ("socks5://proxy.example", "proxy.example:3128", ""):
        with pytest.raises(ValueError, match="http://host:port"):
            proxy_at(url)
