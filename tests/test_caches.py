"""No cache keeps text of a length that a client chooses."""

import asyncio
import tracemalloc
from collections.abc import Callable

import pytest

from qrelay.attachments.remote_images import RemoteImages
from qrelay.conversation import Conversation, Image, Turn
from qrelay.http.delivery import _header  # pyright: ignore[reportPrivateUsage]
from qrelay.http.endings import client_of
from qrelay.outward.http1 import Connections
from qrelay.records.ended import word
from qrelay.settings import is_loopback
from qrelay.upstream.catalog import Catalog
from qrelay.upstream.client import Timeouts, UpstreamClient
from qrelay.upstream.tool_schema import normalise

LENGTH = 50_000
TIMES = 600
BOUND = 2_000_000
"""Bytes that may stay: all keys together would be 30 MB."""

CATALOG = Catalog(UpstreamClient(Connections(), Timeouts(), "test"))


async def _fetched(url: str) -> Conversation:
    images = RemoteImages("allowlist", (), Connections())
    return await images.fetch(Conversation(model="m", turns=(Turn("user", (Image("", url=url),)),)))


CALLS: dict[str, Callable[[str], object]] = {
    "a User-Agent": lambda text: client_of({"headers": [(b"user-agent", text.encode())]}),
    "a response header": _header,
    "a name in the request log": word,
    "a host": is_loopback,
    "a model": lambda text: CATALOG.id_at(text, "account"),
    "an image's URL": lambda text: asyncio.run(_fetched(f"https://{text}.example/")),
    "a tool's schema": lambda text: normalise(b'{"type": "object", "description": "%b"}' % text.encode()),
}


@pytest.mark.parametrize("what", CALLS)
def test_long_keys_are_not_kept(what: str) -> None:
    call = CALLS[what]
    call("warm")
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(TIMES):
            call(f"{number:09}{'x' * LENGTH}")
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < BOUND
