"""Things that stand between the gateway and the service: a proxy, and a TLS end with a certificate of its own."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from tests.certificates import self_signed, serving_tls

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Proxy:
    """An HTTP proxy. `asked` has what it was asked for: `POST http://…` or `CONNECT host:port`."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.authorization: set[str] = set()
        self.refuses = False

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, target, _ = head.partition("\r\n")[0].split(" ")
        self.asked.append(f"{method} {target}")
        lines = head.split("\r\n")
        mine = {line for line in lines if line.lower().startswith("proxy-authorization:")}
        self.authorization |= {line.partition(":")[2].strip() for line in mine}
        head = "\r\n".join(line for line in lines if line not in mine)
        if self.refuses:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            return
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        there, back = await asyncio.open_connection(parts.hostname, parts.port or 80)
        try:
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = parts._replace(scheme="", netloc="").geturl() or "/"
                # One request a connection: a proxy may not know where the next one begins.
                head = head.replace(target, path, 1).replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")
                back.write(head.encode("latin-1"))
            await joined(reader, writer, there, back)
        finally:
            back.close()


@asynccontextmanager
async def proxy() -> AsyncGenerator[Proxy]:
    running = Proxy()
    async with _listening(running.handle) as port:
        running.url = f"http://127.0.0.1:{port}"
        yield running


@asynccontextmanager
async def tls_in_front_of(url: str, folder: Path) -> AsyncGenerator[tuple[str, Path]]:
    """The same server by https, and the certificate to trust."""
    certificate = self_signed(folder)
    behind = urlsplit(url)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(behind.hostname, behind.port)
        try:
            await joined(reader, writer, there, back)
        finally:
            back.close()

    async with _listening(handle, serving_tls(certificate)) as port:
        yield f"https://127.0.0.1:{port}", certificate


@asynccontextmanager
async def _listening(handle: Handler, context: ssl.SSLContext | None = None) -> AsyncGenerator[int]:
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await handle(reader, writer)
        finally:
            writer.close()
            running.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()


async def joined(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    there: asyncio.StreamReader,
    back: asyncio.StreamWriter,
) -> None:
    """Bytes both ways until one side ends."""

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()

    pumps = [asyncio.create_task(pump(reader, back)), asyncio.create_task(pump(there, writer))]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in pumps:
            each.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
