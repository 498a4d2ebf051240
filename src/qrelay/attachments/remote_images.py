"""Images that clients name by a URL, fetched where `QRELAY_REMOTE_IMAGES` allows it: the service takes none but bytes.

    reject      none: `upstream.images` says so
    allowlist   from hosts that are named, wherever they are
    public      from any host at public addresses, by https (`outward.public`)

The URL comes from a stranger, so: no redirects, no cookies, no proxy on the way to public ones, little time, no more
bytes than the service takes, and nothing of an answer in an error. What can't be fetched says why, and is told like any
other image that can't be sent (`upstream.images`).
"""

import asyncio
import base64
from collections import OrderedDict
from collections.abc import Collection
from typing import Final, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit
from weakref import WeakValueDictionary

from msgspec import Struct
from msgspec.structs import replace

from qrelay.conversation import Conversation, Document, Image, attached, with_attached
from qrelay.outward import USER_AGENT
from qrelay.outward.http1 import Connections
from qrelay.outward.public import NotPublicError
from qrelay.upstream.images import MAX_IMAGE_BYTES

Policy: TypeAlias = Literal["reject", "allowlist", "public"]

_SECONDS: Final = 10
_AT_ONCE: Final = 4
_KEPT_SECONDS: Final = 900.0
_KEPT_LETTERS: Final = 32_000_000
_LONGEST_URL: Final = 8192
"""Characters. Longer ones are rarely served, and caches of URLs (urllib has one too) would keep them."""
_HEADERS: Final = {"user-agent": USER_AGENT, "accept": "image/*", "accept-encoding": "identity"}


class _Fetched(Struct, frozen=True):
    """The image as base64, or why it is not there; `at` is the loop's time."""

    data: str = ""
    unusable: str = ""
    at: float = 0.0


class RemoteImages:
    """Fetches the remote images of conversations. `hosts`: what an allowlist names, as `host` or `host:port`.

    A conversation names its images again with every turn: what was fetched is kept for a quarter of an hour.
    """

    def __init__(self, policy: Policy, hosts: Collection[str], connections: Connections) -> None:
        self._policy = policy
        self._hosts = frozenset(host.lower() for host in hosts)
        self._connections = connections
        self._kept: OrderedDict[str, _Fetched] = OrderedDict()
        self._letters = 0
        self._fetching: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def fetch(self, conversation: Conversation) -> Conversation:
        """The same conversation with its remote images, or why they can't be had. Raises nothing."""
        if self._policy == "reject":
            return conversation
        remote = (piece for piece in attached(conversation.turns) if isinstance(piece, Image) and piece.url)
        urls = list(dict.fromkeys(image.url for image in remote))
        if not urls:
            return conversation
        fetched = dict(zip(urls, await asyncio.gather(*map(self._image, urls)), strict=True))

        def put(piece: Image | Document) -> Image | Document:
            if isinstance(piece, Image) and (image := fetched.get(piece.url)):
                return replace(piece, data=image.data, unusable=image.unusable)
            return piece

        return replace(conversation, turns=with_attached(conversation.turns, put))

    async def _image(self, url: str) -> _Fetched:
        loop = asyncio.get_running_loop()
        async with self._fetching.setdefault(url, asyncio.Lock()):  # who wants the same waits, and finds it here
            kept = self._kept.get(url)
            if kept is not None and loop.time() < kept.at + _KEPT_SECONDS:
                return kept
            async with self._room:
                data, unusable = await self._asked(url)
            image = _Fetched(data, unusable, loop.time())
            self._keep(url, image)
            return image

    def _keep(self, url: str, image: _Fetched) -> None:
        if (old := self._kept.pop(url, None)) is not None:
            self._letters -= len(url) + len(old.data)
        if image.unusable:  # it may be there the next time
            return
        self._kept[url] = image
        self._letters += len(url) + len(image.data)
        while self._letters > _KEPT_LETTERS and len(self._kept) > 1:
            gone, oldest = self._kept.popitem(last=False)
            self._letters -= len(gone) + len(oldest.data)

    async def _asked(self, url: str) -> tuple[str, str]:
        """The image as base64, or why it can't be had."""
        if len(url) > _LONGEST_URL:
            return "", f"its URL has more than {_LONGEST_URL} characters"
        try:
            if why := self._refusal(urlsplit(url)):
                return "", why
            async with asyncio.timeout(_SECONDS):
                return await self._answered(url)
        except NotPublicError:
            return "", "its URL does not lead to a public address (QRELAY_REMOTE_IMAGES=public)"
        except ValueError:  # UnicodeError is one
            return "", "its URL can't be read"
        except TimeoutError:
            return "", f"its URL did not give it within {_SECONDS} seconds"
        except OSError:
            return "", "its URL can't be reached"

    def _refusal(self, parts: SplitResult) -> str:
        """Why a URL is not even tried; "" if it is."""
        host = (parts.hostname or "").rstrip(".")
        if not host or parts.username is not None or parts.password is not None:
            return "its URL names no host, or a user"
        if self._policy == "allowlist":
            port = parts.port or (443 if parts.scheme == "https" else 80)
            known = self._hosts & ({host, f"{host}:{port}"} if parts.port is None else {f"{host}:{port}"})
            return "" if known else "its host is not among QRELAY_REMOTE_IMAGE_HOSTS"
        if parts.scheme != "https" or parts.port not in {None, 443}:
            return "only https on its usual port is fetched (QRELAY_REMOTE_IMAGES=public)"
        return ""

    async def _answered(self, url: str) -> tuple[str, str]:
        exchange = await self._connections.request("GET", url, _HEADERS, connect_seconds=_SECONDS)
        try:
            if exchange.status != 200:
                return "", f"its URL answered with status {exchange.status}"
            raw = bytearray()
            while chunk := await exchange.read():
                raw += chunk
                if len(raw) > MAX_IMAGE_BYTES:
                    return "", f"it has more than the {MAX_IMAGE_BYTES} bytes that the service takes"
            return base64.b64encode(raw).decode(), "" if raw else "its URL answered with nothing"
        finally:
            exchange.close()
