"""The fault upstream does what its scripts say, byte for byte, seen from a bare socket."""

import asyncio
import contextlib
import socket
import struct

import httpx
import pytest
from botocore.eventstream import ChecksumMismatch  # pyright: ignore[reportMissingTypeStubs] -- has none

from qrelay.simulator.fault_scripts import (
    DRIBBLE,
    FAULTS,
    bad_utf8,
    closed_port,
    damaged,
    frames,
    huge_frame,
    status,
    tail,
    tool_start,
)
from qrelay.simulator.faults import End, FaultServer, Fin, Head, Reset, Script, Send, Stall, Unframed, Wait
from qrelay.upstream.eventstream import MAX_FRAME

from .asking import decoded, text_of
from .asking import frames as read

pytestmark = pytest.mark.anyio

REQUEST = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"


async def exchange(server: FaultServer) -> tuple[bytes, bool]:
    """Everything that arrives until the connection ends, and whether that was by a reset."""
    url = httpx.URL(server.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    arrived = b""
    was_reset = False
    try:
        writer.write(REQUEST)
        while piece := await reader.read(65536):
            arrived += piece
    except ConnectionResetError:
        was_reset = True
    finally:
        writer.close()
        with contextlib.suppress(ConnectionResetError):
            await writer.wait_closed()
    return arrived, was_reset


def unchunked(body: bytes) -> tuple[bytes, bool]:
    """A chunked body's content and whether it came to its end."""
    content = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return content, True
        content += rest[:length]
        body = rest[length + 2 :]
    return content, False


async def played(script: Script) -> tuple[bytes, bytes, bool]:
    """Head, body and whether it was reset; the server ends the connection."""
    async with FaultServer.serve([script]) as faults:
        arrived, was_reset = await exchange(faults)
        head, _, body = arrived.partition(b"\r\n\r\n")
        return head, body, was_reset


async def test_a_whole_answer_byte_by_byte() -> None:
    async with FaultServer.serve([DRIBBLE]) as faults, httpx.AsyncClient(trust_env=False) as http:
        await http.post(faults.url)
        response = await http.post(faults.url + "/path", content=b"hello", headers={"x-own": "1"})
        assert text_of(decoded(response.content)) == "Hello wörld 👋"
        assert faults.connections == 1
        seen = faults.exchanges[-1]
        await seen.over.wait()
        assert (seen.method, seen.path, seen.body, seen.headers["x-own"]) == ("POST", "/path", b"hello", "1")
        assert (seen.sent, seen.client_end) == (len(response.content), None)


async def test_chunked_requests_are_read_whole() -> None:
    async def body() -> object:
        for piece in (b"one ", b"two"):
            yield piece

    async with FaultServer.serve([status(200, b"{}")]) as faults, httpx.AsyncClient(trust_env=False) as http:
        assert (await http.post(faults.url, content=body())).text == "{}"  # pyright: ignore[reportArgumentType]
        assert b"one " in faults.exchanges[0].body


async def test_a_reset_after_some_bytes() -> None:
    part = frames("Hello", "world")[:150]
    _, body, was_reset = await played([Head(), Send(part), Reset()])
    assert was_reset
    assert unchunked(body) == (part, False)


async def test_a_close_in_the_middle_of_a_frame() -> None:
    part = frames("Hello", "world")[:150]
    _, body, was_reset = await played([Head(), Send(part), Fin()])
    assert not was_reset
    assert unchunked(body) == (part, False)


async def test_a_clean_end_in_the_middle_of_a_frame() -> None:
    part = frames("Hello", "world")[:150]
    async with FaultServer.serve([[Head(), Send(part), End()]]) as faults, httpx.AsyncClient(trust_env=False) as http:
        assert (await http.post(faults.url)).content == part


async def test_framings() -> None:
    head, body, _ = await played([Head(framing="close"), Send(b"abc"), Fin()])
    assert b"connection: close" in head
    assert body == b"abc"
    head, body, _ = await played([Head(framing=10), Send(b"abc"), Fin()])
    assert b"content-length: 10" in head
    assert body == b"abc"
    _, body, _ = await played([Head(), Unframed(b"zz\r\n"), Fin()])
    assert body == b"zz\r\n"


async def test_status_and_retry_after() -> None:
    script = status(429, b'{"message": "no"}', {"retry-after": "7"})
    async with FaultServer.serve([script]) as faults, httpx.AsyncClient(trust_env=False) as http:
        response = await http.post(faults.url)
        assert (response.status_code, response.headers["retry-after"]) == (429, "7")
        assert response.json() == {"message": "no"}


async def test_scripts_in_turn_and_the_last_stays() -> None:
    async with (
        FaultServer.serve([status(500), status(503), status(200)]) as faults,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        assert [(await http.get(faults.url)).status_code for _ in range(4)] == [500, 503, 200, 200]


@pytest.mark.parametrize("script", [[Stall()], [Head(), Stall()], [Head(), Send(frames("Hello")), Wait(3600)]])
async def test_a_client_that_gives_up_is_seen(script: Script) -> None:
    async with FaultServer.serve([script]) as faults, httpx.AsyncClient(trust_env=False, timeout=0.2) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.post(faults.url)
        async with asyncio.timeout(5):
            await faults.exchanges[0].over.wait()
        assert faults.exchanges[0].client_end == "fin"


async def test_a_clients_reset_is_seen() -> None:
    async with FaultServer.serve([[Head(), Stall()]]) as faults:
        url = httpx.URL(faults.url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        raw: socket.socket = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        async with asyncio.timeout(5):
            await faults.exchanges[0].over.wait()
        assert faults.exchanges[0].client_end == "reset"


async def test_the_server_stops_while_it_stalls() -> None:
    async with FaultServer.serve([[Head(), Stall()]]) as faults:
        url = httpx.URL(faults.url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()
    with contextlib.suppress(ConnectionResetError):
        await writer.wait_closed()


async def test_closed_port() -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(closed_port())


STALLS = {name for name, script in FAULTS.items() if any(isinstance(act, Stall) for act in script)}


@pytest.mark.parametrize("name", sorted(STALLS))
def test_stalls_never_end(name: str) -> None:
    assert not any(isinstance(act, End) for act in FAULTS[name])


@pytest.mark.parametrize("name", sorted(set(FAULTS) - STALLS))
async def test_no_fault_is_a_whole_reply(name: str) -> None:
    """Each ends without a metadata event, whatever AWS's decoder makes of the rest."""
    async with FaultServer.serve([FAULTS[name]]) as faults, httpx.AsyncClient(trust_env=False) as http:
        with contextlib.suppress(httpx.TransportError, ChecksumMismatch, ValueError):
            response = await http.post(faults.url)
            assert response.status_code != 200 or "metadataEvent" not in dict(decoded(response.content))


def test_bytes() -> None:
    assert text_of(decoded(frames("a", "b") + tail())) == "ab"
    assert [payload.get("input") for _, payload in decoded(tool_start())] == [None, '{"path": "/a']
    for how in ("message_crc", "prelude_crc"):
        with pytest.raises(ChecksumMismatch):
            read(damaged(how))
    with pytest.raises(UnicodeDecodeError):
        read(bad_utf8())[0].payload.decode()
    assert int.from_bytes(huge_frame()[:4], "big") == MAX_FRAME + 1
    assert read(damaged("truncated")) == read(damaged("length")) == []
