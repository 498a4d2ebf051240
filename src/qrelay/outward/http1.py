"""HTTP/1.1 outwards: kept connections, one exchange at a time on each, bytes as they come.

    Connections.request(method, url, headers, body) -> Exchange     waits for the head of the answer
    Exchange.read() -> bytes                                         what has arrived; b"" at the end of the body

Only what calls to the service and to token services need, which is why it costs half of what a general client does
for a request and a read (docs/performance.md): no redirects, cookies, compression or retries, but for a kept
connection that turns out to be dead before a byte of an answer came. Not here: what a status or a body means.

Failures are OSError (ConnectionError and ssl.SSLError are) or TimeoutError, in Python's words.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache, lru_cache
from urllib.parse import urlsplit

from qrelay.outward.exchange import Connection, Exchange, Origin
from qrelay.outward.proxy import connect, proxy_at, tunnel
from qrelay.trace import Trace

_IDLE_SECONDS = 30.0
_IDLE_CONNECTIONS = 1000
"""To one address. Fewer would be closed and opened again by each wave of as many conversations at once."""
_PORTS = {"http": 80, "https": 443}


def _no_proxy(_: str) -> str | None:
    return None


@cache
def _usual_tls() -> ssl.SSLContext:
    """Not made before it is needed: reading the system's certificates takes 20 ms, a tenth of a short command."""
    return ssl.create_default_context()


class Connections:
    """Opens connections and keeps those that can be used again. `proxy_for`: the URL of the proxy to an address.

    `resolve` says where a host is (host, port); without it the system does, and may prefer one of several.
    """

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        proxy_for: Callable[[str], str | None] = _no_proxy,
        resolve: Callable[[str, int], Awaitable[Sequence[str]]] | None = None,
        *,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        self._tls = tls
        self._proxy_for = proxy_for
        self._resolve = resolve
        self._idle_seconds = idle_seconds
        self._idle: dict[Origin, deque[Connection]] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        connect_seconds: float,
        trace: Trace | None = None,
        fresh: bool = False,
    ) -> Exchange:
        """Send a request and wait for its answer's head. Close what is returned.

        `fresh`: over a new connection, and so never a second time by itself.

        Raises ValueError for a URL or header that can't be written; the text holds no header's value.
        """
        origin, begin = _address(url, self._proxy_for(url))
        head = _head(f"{method} {begin}", headers, None if method == "GET" and not body else len(body))
        while True:
            kept = None if fresh else self._take(origin)
            if kept is not None:
                connection = kept
            elif trace is None:
                connection = await self._open(origin, connect_seconds)
            else:
                with trace.timing("connect_ms"):
                    connection = await self._open(origin, connect_seconds)
            exchange = connection.begin(head, body, self._give_back)
            try:
                await exchange.head()
            except ConnectionError:
                connection.abort()
                if kept is None or exchange.begun:
                    raise
            except BaseException:
                connection.abort()
                raise
            else:
                return exchange

    def close(self) -> None:
        """Close the connections that nobody uses. Those in use are closed by their users."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for idle in self._idle.values():
            for connection in idle:
                connection.abort()
        self._idle.clear()

    def _take(self, origin: Origin) -> Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.usable(self._idle_seconds):
                return connection
            connection.abort()
        return None

    def _give_back(self, connection: Connection) -> None:
        idle = self._idle.setdefault(connection.origin, deque())
        idle.append(connection)  # on the right, and taken from there: those on the left have been idle longest
        while idle and (len(idle) > _IDLE_CONNECTIONS or not idle[0].usable(self._idle_seconds)):
            idle.popleft().abort()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._idle_seconds, self._close_idle)

    def _close_idle(self) -> None:
        """Close connections that have been idle for too long; look again while there are others."""
        self._timer = None
        for origin, idle in list(self._idle.items()):
            while idle and not idle[0].usable(self._idle_seconds):
                idle.popleft().abort()
            if not idle:
                del self._idle[origin]
        if self._idle:
            self._timer = asyncio.get_running_loop().call_later(self._idle_seconds, self._close_idle)

    async def _open(self, origin: Origin, connect_seconds: float) -> Connection:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(connect_seconds):
            connection = Connection(origin, loop)
            tls = (self._tls or _usual_tls()) if origin.scheme == "https" else None
            if origin.proxy is None and self._resolve is not None:
                await self._open_at(await self._resolve(origin.host, origin.port), connection, tls)
            elif origin.proxy is None:
                await loop.create_connection(lambda: connection, origin.host, origin.port, ssl=tls)
            elif tls is None:
                await connect(origin.proxy, lambda: connection)
            else:
                await tunnel(origin.proxy, origin.host, origin.port, tls, connection)
            return connection

    async def _open_at(self, addresses: Sequence[str], connection: Connection, tls: ssl.SSLContext | None) -> None:
        """The first of them that takes a connection, which is still one to the host by name. Raises OSError."""
        loop, origin = asyncio.get_running_loop(), connection.origin
        name = origin.host if tls else None
        failure = OSError(None, "it has no address")
        for address in addresses:
            try:
                await loop.create_connection(lambda: connection, address, origin.port, ssl=tls, server_hostname=name)
            except OSError as error:
                failure = error
            else:
                return
        raise failure


@lru_cache(maxsize=256)
def _address(url: str, proxy_url: str | None) -> tuple[Origin, str]:
    """What a URL leads to, and the head of a request there from its target on. Raises ValueError for no such URL."""
    parts = urlsplit(url)
    scheme, proxy = parts.scheme, None if proxy_url is None else proxy_at(proxy_url)
    if scheme not in _PORTS or not parts.hostname:
        raise ValueError("it is not an http or https URL")
    target = parts.path or "/"
    if parts.query:
        target = f"{target}?{parts.query}"
    authority = parts.netloc.rpartition("@")[2]
    authorization = ""
    if proxy is not None and scheme == "http":
        target = f"http://{authority}{target}"
        if proxy.authorization:
            authorization = f"proxy-authorization: {proxy.authorization}\r\n"
    origin = Origin(scheme, parts.hostname, parts.port or _PORTS[scheme], proxy)
    return origin, f"{target} HTTP/1.1\r\nhost: {authority}\r\n{authorization}"


def _head(begin: str, headers: Mapping[str, str], length: int | None) -> bytes:
    """The whole head. Raises ValueError for a value that would be more than a line."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        name = next(name for name, value in headers.items() if "\r" in value or "\n" in value)
        raise ValueError(f"the header {name} has a line break in it")
    end = "" if length is None else f"content-length: {length}\r\n"
    return f"{begin}{lines}{end}\r\n".encode("latin-1")
