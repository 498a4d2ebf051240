"""A server with our protocol and an app that writes down what it was asked, and plain sockets to talk to it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

import uvicorn
from starlette.types import Receive, Scope, Send

from qrelay.server.connections import ConnectionLimits, ConnectionTable
from qrelay.server.protocol import HTTPProtocol


class Asked(NamedTuple):
    """A request as the app got it."""

    method: str
    path: str
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Recorder(NamedTuple):
    """A running server: where it listens, its connections, and every request that reached the app whole."""

    port: int
    asked: list[Asked]
    table: ConnectionTable

    async def send(self, *parts: bytes, end: bool = True) -> bytes:
        """Return all that is answered to these parts until the server closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        return await exchange(reader, writer, *parts, end=end)


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *parts: bytes, end: bool = False
) -> bytes:
    """Send the parts one after the other and return all that comes until the other side closes the connection.

    `end` closes our side when everything was answered that can be: a kept connection would stay open.
    """
    answer = b""
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        if not end:
            return await asyncio.wait_for(reader.read(), 30)
        while data := await asyncio.wait_for(reader.read(65536), 0.5 if answer else 5):
            answer += data
    except (TimeoutError, ConnectionError):
        pass  # a kept connection, or one that was cut: what came is the answer
    finally:
        writer.transport.abort()
    return answer


@asynccontextmanager
async def recorder(limits: ConnectionLimits | None = None, **options: Any) -> AsyncGenerator[Recorder]:
    """A server whose app answers 200 with the method, path and body of what it was asked."""
    asked: list[Asked] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            if not message["more_body"]:
                break
        asked.append(Asked(scope["method"], scope["path"], scope["headers"], body))
        told = f"{scope['method']} {scope['path']} ".encode() + body[:2000]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(told))]})
        await send({"type": "http.response.body", "body": told})

    table = ConnectionTable(limits or ConnectionLimits())
    http: Any = partial(HTTPProtocol, table=table)
    config = uvicorn.Config(app, http=http, port=0, lifespan="off", log_config=None, ws="none", **options)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield Recorder(server.servers[0].sockets[0].getsockname()[1], asked, table)
    finally:
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        await asyncio.gather(*server.server_state.tasks, return_exceptions=True)
        await server.shutdown()
