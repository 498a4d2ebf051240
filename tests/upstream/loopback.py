"""A service that is a plain socket: it reads one request and then does exactly what the test says, byte by byte."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec

from qrelay.outward.http1 import Connections
from qrelay.upstream.client import Timeouts, UpstreamClient

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\nx-amzn-requestid: r-1\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def sized(data: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer."""
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(data)}\r\n{''.join(lines)}\r\n".encode() + data


class Received(NamedTuple):
    """One request as it came over the wire; header names are lower case."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Peer:
    """One connection, seen by the service. `left` is set when the client has closed its end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.left = asyncio.Event()
        self._reader = reader
        self._writer = writer

    async def receive(self) -> Received:
        """Raises asyncio.IncompleteReadError when there is none."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        return Received(head[0], headers, await self._reader.readexactly(int(headers.get("content-length", "0"))))

    async def send(self, *pieces: bytes) -> None:
        """Each piece in a write of its own."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            await asyncio.sleep(0)

    async def until_left(self) -> None:
        """Say nothing more until the client goes."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(65536):
                pass
        self.left.set()

    async def reset(self) -> None:
        """Send a TCP RST. What was sent before has a moment to arrive, since a reset throws away what has not."""
        await asyncio.sleep(0.05)
        connection: socket.socket = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


Behave = Callable[[Peer, Received], Awaitable[None]]


class Service:
    """`requests` in the order in which they came; `peers` one for each."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Received] = []
        self.peers: list[Peer] = []
        self.connections = 0


@asynccontextmanager
async def serving(behave: Behave) -> AsyncGenerator[Service]:
    """Run `behave` for each request, on as many connections as come, until the block ends."""
    service = Service()
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        service.connections += 1
        peer = Peer(reader, writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                received = await peer.receive()
                service.requests.append(received)
                service.peers.append(peer)
                await behave(peer, received)
                if peer.left.is_set():
                    break
        writer.close()
        tasks.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield service
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def answers(*pieces: bytes) -> Behave:
    """Send these pieces to each request, and keep the connection."""

    async def behave(peer: Peer, _: Received) -> None:
        await peer.send(*pieces)

    return behave


@asynccontextmanager
async def client(timeouts: Timeouts | None = None) -> AsyncGenerator[UpstreamClient]:
    connections = Connections()
    try:
        yield UpstreamClient(connections, timeouts or Timeouts(), "qrelay/test")
    finally:
        connections.close()
        await asyncio.sleep(0)
