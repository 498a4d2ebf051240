"""Images at a URL: refused, or fetched from where the settings allow it, and never from where they don't."""

import asyncio
import base64
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from qrelay.settings import Settings, SettingsRefused
from tests.gateway.conftest import Bench, bench

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n" + bytes([0, 0, 0, 13]) + b"IHDR" + bytes([0, 0, 0, 1, 0, 0, 0, 1, 8, 6, 0, 0, 0])
SAID = b"the canary's own words"


class Canary:
    """A web server on loopback that knows who came. `answer` makes the bytes it says to a path."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[str] = []
        self.answer: Callable[[str], bytes] = lambda _: reply(PNG)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def reply(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@asynccontextmanager
async def serving() -> AsyncGenerator[Canary]:
    canary = Canary()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            canary.asked.append(head.split(" ")[1])
            writer.write(canary.answer(canary.asked[-1]))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            canary.asked.append("?")
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    canary.port = server.sockets[0].getsockname()[1]
    async with server:
        yield canary


@pytest.fixture
async def canary() -> AsyncGenerator[Canary]:
    async with serving() as running:
        yield running


def image(url: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "url", "url": url}}


def asking(path: str, url: str) -> dict[str, Any]:
    """A request of each API with an image at `url`."""
    chat = {"type": "image_url", "image_url": {"url": url}}
    responses = {"type": "input_image", "image_url": url}
    bodies: dict[str, dict[str, Any]] = {
        "/v1/messages": {"max_tokens": 99, "messages": [{"role": "user", "content": [image(url)]}]},
        "/v1/chat/completions": {"messages": [{"role": "user", "content": [chat]}]},
        "/v1/responses": {"input": [{"role": "user", "content": [responses]}]},
    }
    return {"model": "claude-sonnet-4-5", **bodies[path]}


def sent(relay: Bench) -> list[bytes]:
    """The images the service got with the last request."""
    message = relay.sim.chats[-1].body["conversationState"]["currentMessage"]["userInputMessage"]
    return [base64.b64decode(each["source"]["bytes"]) for each in message.get("images", [])]


FIELDS = {
    "/v1/messages": "messages.0.content.0.source.url",
    "/v1/chat/completions": "messages[0].content[0].image_url.url",
    "/v1/responses": "input[0].content[0].image_url",
}


@pytest.mark.parametrize("path", FIELDS)
async def test_refused_unless_it_is_allowed(relay: Bench, canary: Canary, path: str) -> None:
    answer = await relay.http.post(path, json=asking(path, f"{canary.url}/a.png"))
    assert answer.status_code == 400
    assert FIELDS[path] in answer.text
    assert "QRELAY_REMOTE_IMAGES=reject" in answer.text
    assert (canary.asked, relay.sim.chats) == ([], [])


async def test_one_of_an_earlier_turn_does_not_break_the_conversation(relay: Bench) -> None:
    turns = [
        {"role": "user", "content": [image("https://example.org/a.png")]},
        {"role": "assistant", "content": "I can't see it."},
        {"role": "user", "content": "Never mind."},
    ]
    answer = await relay.messages(messages=turns)
    assert answer.status_code == 200
    assert answer.headers["x-qrelay-adjusted"] == "image_dropped_unusable"


@pytest.mark.parametrize("path", FIELDS)
async def test_fetched_from_a_host_that_is_named(tmp_path: Path, canary: Canary, path: str) -> None:
    hosts = (f"127.0.0.1:{canary.port}",)
    async with bench(tmp_path / "home", remote_images="allowlist", remote_image_hosts=hosts) as relay:
        for _ in range(2):
            answer = await relay.http.post(path, json=asking(path, f"{canary.url}/a.png?size=2"))
            assert answer.status_code == 200, answer.text
            assert sent(relay) == [PNG]
        assert canary.asked == ["/a.png?size=2"]  # once for all turns


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (reply(SAID), "neither PNG, JPEG, GIF nor WebP"),
        (reply(SAID, "404 Not Found"), "status 404"),
        (reply(b"", "302 Found", "location: /elsewhere"), "status 302"),
        (reply(b""), "answered with nothing"),
        (reply(bytes(4_000_000)), "more than the 3932160 bytes"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"ffff\r\n%b\r\n" % bytes(65535) * 99, "more than"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n" + PNG[:9], "can't be reached"),
        (SAID, "can't be reached"),
        (b"", "can't be reached"),
    ],
)
async def test_what_comes_instead_is_told_and_not_shown(
    tmp_path: Path, canary: Canary, answer: bytes, why: str
) -> None:
    canary.answer = lambda _: answer
    hosts = (f"127.0.0.1:{canary.port}",)
    async with bench(tmp_path / "home", remote_images="allowlist", remote_image_hosts=hosts) as relay:
        told = await relay.http.post("/v1/messages", json=asking("/v1/messages", canary.url))
        assert told.status_code == 400
        assert why in told.text
        assert SAID.decode() not in told.text
        assert (len(canary.asked), relay.sim.chats) == (1, [])


async def test_an_allowlist_allows_nothing_else(tmp_path: Path, canary: Canary) -> None:
    hosts = ("images.example", "127.0.0.1:1")
    async with bench(tmp_path / "home", remote_images="allowlist", remote_image_hosts=hosts) as relay:
        for host in (
            "127.0.0.1",
            "localhost",
            "images.example@127.0.0.1",
            "user:word@127.0.0.1",
            "images.example.evil",
        ):
            url = f"http://{host}:{canary.port}/"
            told = await relay.http.post("/v1/messages", json=asking("/v1/messages", url))
            assert told.status_code == 400, url
        assert canary.asked == []


OWN_HOSTS = """
    127.0.0.1 127.1 0 0.0.0.0 0x7f.1 0x7f000001 0177.0.0.1 2130706433 localhost LOCALHOST localhost. 127.0.0.1.
    [::1] [::ffff:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:0:0:1] [64:ff9b::7f00:1] [2002:7f00:1::] 127%2e0%2e0%2e1
    127。0。0。1 ①②⑦.⓪.⓪.① user@127.0.0.1 example.com@127.0.0.1 127.0.0.1#@example.com 127.0.0.1\\@example.com
    [fe80::1%25lo] [::] 169.254.169.254 metadata.google.internal 10.0.0.1 192.168.0.1 127.0.0.1
    127.0.0.1%00.example.com
"""


@pytest.mark.parametrize(
    "form", ["https://{host}/", "https://{host}:{port}/", "http://{host}:{port}/", "HTTPS://{host}"]
)
async def test_public_is_nobodys_own(tmp_path: Path, canary: Canary, form: str) -> None:
    """Whatever the host is called, nothing on this machine or its networks is called."""
    async with bench(tmp_path / "home", remote_images="public") as relay:
        for host in OWN_HOSTS.split():
            url = form.format(host=host, port=canary.port)
            told = await relay.http.post("/v1/messages", json=asking("/v1/messages", url))
            assert told.status_code == 400, url
            assert re.search(r"can't be sent|neither", told.text), told.text
        assert (canary.asked, relay.sim.chats) == ([], [])


def test_a_proxy_and_public_hosts_do_not_go_together(tmp_path: Path) -> None:
    given = {"QRELAY_REMOTE_IMAGES": "public", "HTTP_PROXY": "http://127.0.0.1:3128"}
    with pytest.raises(SettingsRefused, match="QRELAY_REMOTE_IMAGES can't be used: with a proxy"):
        Settings.load(given, env_file=tmp_path / ".env")
