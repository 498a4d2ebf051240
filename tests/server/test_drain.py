"""Connections at the end of a server: no request that may be on its way is lost."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from qrelay.server.drain import drop_new_connections, established
from qrelay.simulator.scenario import Pause, Scenario, Silence, Tail, text
from qrelay.simulator.server import Simulator
from tests.cli.process import Command, Running

pytestmark = pytest.mark.anyio

LIVE = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"
BODY = b'{"model": "claude-sonnet-4.5", "stream": true, "messages": [{"role": "user", "content": "Hi"}]}'
POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)


@contextmanager
def serving(folder: Path, service: Simulator, drain: float) -> Generator[Running]:
    login = service.add_account()
    variables = {
        "QRELAY_DRAIN_SECONDS": str(drain),
        "AMAZONQ_API_ENDPOINT": service.url,
        "AMAZONQ_TOKEN_ENDPOINT": f"{service.url}/token",
        "AMAZONQ_CLIENT_ID": login.client_id,
        "AMAZONQ_CLIENT_SECRET": login.client_secret,
        "AMAZONQ_REFRESH_TOKEN": login.refresh_token,
    }
    with Command(folder, variables).running("serve", "--port", "0") as server:
        yield server


class Connection:
    """A plain client connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncGenerator["Connection"]:
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def until(self, words: bytes) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(words), 30)

    async def ask(self, request: bytes = LIVE) -> bytes:
        """Send a request, and return the head of its response."""
        self.writer.write(request)
        return (await self.until(b"\r\n\r\n")).lower()

    async def rest(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), 30)


async def until_stopping(url: str) -> None:
    """Wait until the server has been told to end; each look is a connection of its own."""
    while True:
        async with Connection.to(url) as connection:
            if b" 503 " in await connection.ask(LIVE.replace(b"/livez", b"/readyz")):
                return
        await asyncio.sleep(0.02)


async def until_refused(url: str) -> None:
    """Wait until nothing listens any more. A first packet that the kernel ignored is sent again after a second."""
    while True:
        try:
            async with Connection.to(url):
                pass
        except ConnectionRefusedError:
            return
        await asyncio.sleep(0.02)


async def ended(server: Running) -> None:
    done = await asyncio.to_thread(server.ended)
    assert done.code == 0, done.err
    assert "Traceback" not in done.err


async def test_kept_connections_are_served_once_more_and_told_to_close(tmp_path: Path) -> None:
    with Simulator.serve_in_thread() as service, serving(tmp_path, service, 2) as server:
        url = await asyncio.to_thread(server.url)
        async with Connection.to(url) as kept:
            assert b"connection: close" not in await kept.ask()
            await kept.until(b"}")
            server.process.send_signal(signal.SIGTERM)
            await until_stopping(url)
            head = await kept.ask()
            assert head.startswith(b"http/1.1 200 ")
            assert b"\r\nconnection: close\r\n" in head
            assert await kept.rest() == b'{"status":"ok"}'
        await ended(server)


async def test_a_connection_without_a_request_yet_is_served_after_the_listener_closed(tmp_path: Path) -> None:
    with Simulator.serve_in_thread() as service, serving(tmp_path, service, 2) as server:
        url = await asyncio.to_thread(server.url)
        server.process.send_signal(signal.SIGTERM)
        await until_stopping(url)
        await asyncio.sleep(1)  # so that it is younger than the drain period when the listener closes
        async with Connection.to(url) as new:
            await until_refused(url)
            head = await new.ask()
            assert head.startswith(b"http/1.1 200 ")
            assert b"\r\nconnection: close\r\n" in head
        await ended(server)


async def test_a_response_begun_before_keeps_its_connection_for_one_more_request(tmp_path: Path) -> None:
    """Its head didn't say that the connection closes, so a proxy may use it again."""
    with Simulator.serve_in_thread() as service, serving(tmp_path, service, 2) as server:
        service.next(Scenario([text("Once "), Pause(1), text("more"), Tail()]))
        url = await asyncio.to_thread(server.url)
        async with Connection.to(url) as streaming:
            assert b"connection: close" not in await streaming.ask(POST)
            await streaming.until(b"Once")
            server.process.send_signal(signal.SIGTERM)
            await until_stopping(url)
            await streaming.until(b"0\r\n\r\n")
            head = await streaming.ask()
            assert head.startswith(b"http/1.1 200 ")
            assert b"\r\nconnection: close\r\n" in head
            assert await streaming.rest() == b'{"status":"ok"}'
        await ended(server)


async def test_a_request_begun_before_is_told_to_close_if_its_head_is_not_sent(tmp_path: Path) -> None:
    with Simulator.serve_in_thread() as service, serving(tmp_path, service, 2) as server:
        service.next(Scenario([text("Late"), Tail()], delay=1))
        url = await asyncio.to_thread(server.url)
        async with Connection.to(url) as waiting:
            waiting.writer.write(POST)
            while not service.chats:  # noqa: ASYNC110 - another thread's
                await asyncio.sleep(0.02)
            server.process.send_signal(signal.SIGTERM)
            await until_stopping(url)
            head = (await waiting.until(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 200 ")
            assert b"\r\nconnection: close\r\n" in head
            assert (await waiting.rest()).endswith(b"0\r\n\r\n")
        await ended(server)


async def test_idle_connections_and_silent_streams_do_not_keep_it(tmp_path: Path) -> None:
    with Simulator.serve_in_thread() as service, serving(tmp_path, service, 0.5) as server:
        service.next(Scenario([text("Once"), Silence()]))
        url = await asyncio.to_thread(server.url)
        async with Connection.to(url) as idle, Connection.to(url) as never_used, Connection.to(url) as left:
            await idle.ask()
            await left.ask(POST)
            await left.until(b"Once")
            server.process.send_signal(signal.SIGTERM)
            await until_stopping(url)
            left.writer.close()
            assert (await idle.rest(), await never_used.rest()) == (b'{"status":"ok"}', b"")
        await ended(server)


def test_established_takes_what_waits_and_leaves_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
        accepted = established(listener)
        assert {each.getpeername() for each in accepted} == {each.getsockname() for each in clients}
        assert established(listener) == []
        for each in (*clients, *accepted):
            each.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the packet filter")
def test_dropped_connections_are_not_established() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        before = socket.create_connection(listener.getsockname())
        drop_new_connections(listener)
        with pytest.raises(TimeoutError):
            socket.create_connection(listener.getsockname(), timeout=0.2)
        (accepted,) = established(listener)
        before.sendall(b"still heard")
        accepted.setblocking(True)
        assert accepted.recv(99) == b"still heard"
        accepted.close()
        before.close()
