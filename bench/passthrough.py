"""Our own floor, for machines without nginx: bytes from the client to the upstream and back, unread.

python passthrough.py UPSTREAM-PORT        listens on a free loopback port and prints it
"""

import asyncio
import sys

import uvloop

HOST = "127.0.0.1"


class _ToUpstream(asyncio.Protocol):
    def __init__(self, client: "_FromClient") -> None:
        self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._client.connected(transport)  # pyright: ignore[reportArgumentType] - a stream transport: TCP

    def data_received(self, data: bytes) -> None:
        self._client.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - either way it is over
        self._client.transport.close()


class _FromClient(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._upstream: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._connecting: asyncio.Task[object] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # pyright: ignore[reportAttributeAccessIssue] - a stream transport: TCP
        loop = asyncio.get_running_loop()
        self._connecting = loop.create_task(
            loop.create_connection(lambda: _ToUpstream(self), HOST, self._upstream_port)
        )

    def connected(self, upstream: asyncio.Transport) -> None:
        self._upstream = upstream
        if self._early:
            upstream.write(b"".join(self._early))

    def data_received(self, data: bytes) -> None:
        if self._upstream:
            self._upstream.write(data)
        else:
            self._early.append(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - either way it is over
        if self._upstream:
            self._upstream.close()


async def _serve(upstream_port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _FromClient(upstream_port), HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
