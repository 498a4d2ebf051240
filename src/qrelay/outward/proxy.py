"""An HTTP proxy on the way, and the tunnel through it. Which calls take one: `qrelay.outward`."""

import asyncio
import base64
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

import httptools

_ANSWER_LIMIT = 64 * 1024
"""Bytes of a proxy's answer to CONNECT, which has no body."""

Protocol = TypeVar("Protocol", bound=asyncio.Protocol)


class Proxy(NamedTuple):
    """An HTTP proxy. `authorization` is the whole header's value, "" without one."""

    host: str
    port: int
    authorization: str = ""


@lru_cache(maxsize=64)
def proxy_at(url: str) -> Proxy:
    """The proxy a URL such as `http://user:password@host:3128` names. Raises ValueError for any other scheme."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("a proxy is given as http://host:port")
    authorization = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return Proxy(parts.hostname, parts.port or 80, authorization)


async def connect(proxy: Proxy, protocol: Callable[[], Protocol]) -> tuple[asyncio.Transport, Protocol]:
    """A connection to the proxy itself. Raises OSError that names it."""
    try:
        return await asyncio.get_running_loop().create_connection(protocol, proxy.host, proxy.port)
    except OSError as error:
        raise ConnectionError(None, f"the proxy failed: {error.strerror or type(error).__name__}") from error


async def tunnel(proxy: Proxy, host: str, port: int, tls: ssl.SSLContext, protocol: asyncio.Protocol) -> None:
    """Ask a proxy for a tunnel to a host and begin TLS in it, with `protocol` at this end. Raises OSError."""
    loop = asyncio.get_running_loop()
    authority = f"{f'[{host}]' if ':' in host else host}:{port}"
    headers = {"host": authority} | ({"proxy-authorization": proxy.authorization} if proxy.authorization else {})
    lines = [f"CONNECT {authority} HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in headers.items()), "\r\n"]
    transport, answer = await connect(proxy, _Answer)
    try:
        transport.write("".join(lines).encode("latin-1"))
        status = await answer.answered
        secured = None
        if status == 200:
            secured = await loop.start_tls(transport, protocol, tls, server_hostname=host)
    except BaseException:
        transport.abort()
        raise
    if secured is None:
        transport.abort()
        raise ConnectionRefusedError(None, f"the proxy answered {status} to CONNECT")
    protocol.connection_made(secured)


class _Answer(asyncio.Protocol):
    """Reads a proxy's answer to CONNECT: `answered` is its status. An interim answer (1xx) is skipped."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._size = 0

    def data_received(self, data: bytes) -> None:
        if self.answered.done():
            return  # what follows the answer is not ours: TLS begins with our own bytes
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"the proxy does not speak HTTP ({type(error).__name__})")
        if self._size > _ANSWER_LIMIT:
            self._fail(f"the proxy's answer is over {_ANSWER_LIMIT} bytes")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200 and not self.answered.done():
            self.answered.set_result(status)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answered.done():
            self.answered.set_exception(exc or ConnectionResetError(None, "the proxy closed the connection"))

    def _fail(self, reason: str) -> None:
        if not self.answered.done():
            self.answered.set_exception(ConnectionResetError(None, reason))
