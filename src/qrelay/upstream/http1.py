"""HTTP/1.1 towards the service: kept connections, one exchange at a time on each, bytes as they come.

    Connections.request(method, url, headers, body) -> Exchange     waits for the head of the answer
    Exchange.read() -> bytes                                         what has arrived; b"" at the end of the body

Only what a call to the service needs, which is why it costs half of what a general client does per request and per
read (docs/performance.md): no redirects, cookies, compression or retries, but for a kept connection that turns out to
be dead before a byte of an answer came. Not here: what a status or a body means.

Failures are OSError (ConnectionError and ssl.SSLError are) or TimeoutError, in Python's words.
"""

import asyncio
import base64
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import httptools

_UNREAD_LIMIT = 256 * 1024
"""Bytes of a body that wait for a slow reader before the service is told to wait too."""
_HEAD_LIMIT = 64 * 1024
_IDLE_SECONDS = 30.0
_IDLE_CONNECTIONS = 100
_PORTS = {"http": 80, "https": 443}


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
    return Proxy(parts.hostname, parts.port or _PORTS["http"], authorization)


class _Origin(NamedTuple):
    """What a connection leads to, and through what: connections with the same one are alike."""

    scheme: str
    host: str
    port: int
    proxy: Proxy | None


def _no_proxy(_: str) -> str | None:
    return None


class Connections:
    """Opens connections and keeps those that can be used again. `proxy_for`: the URL of the proxy to an address."""

    def __init__(self, tls: ssl.SSLContext | None = None, proxy_for: Callable[[str], str | None] = _no_proxy) -> None:
        self._tls = tls or ssl.create_default_context()
        self._proxy_for = proxy_for
        self._idle: dict[_Origin, deque[_Connection]] = {}

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *, connect_seconds: float
    ) -> "Exchange":
        """Send a request and wait for its answer's head. Close what is returned.

        Raises ValueError for a URL or header that can't be written; the text holds no header's value.
        """
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("it is not an http or https URL")
        scheme, proxy = parts.scheme, self._proxy_for(url)
        origin = _Origin(
            scheme, parts.hostname, parts.port or _PORTS[scheme], proxy_at(proxy) if proxy is not None else None
        )
        target = parts.path or "/"
        if parts.query:
            target = f"{target}?{parts.query}"
        authority = parts.netloc.rpartition("@")[2]
        if origin.proxy is not None and scheme == "http":
            target = f"http://{authority}{target}"
            if origin.proxy.authorization:
                headers = {**headers, "proxy-authorization": origin.proxy.authorization}
        lines = [f"{method} {target} HTTP/1.1\r\nhost: {authority}\r\n"]
        for name, value in headers.items():
            if "\r" in value or "\n" in value:
                raise ValueError(f"the header {name} has a line break in it")
            lines.append(f"{name}: {value}\r\n")
        lines.append(f"content-length: {len(body)}\r\n\r\n" if body or method != "GET" else "\r\n")
        head = "".join(lines).encode("latin-1")
        while True:
            kept = self._take(origin)
            connection = kept or await self._open(origin, connect_seconds)
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
        for idle in self._idle.values():
            for connection in idle:
                connection.abort()
        self._idle.clear()

    def _take(self, origin: _Origin) -> "_Connection | None":
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.usable(_IDLE_SECONDS):
                return connection
            connection.abort()
        return None

    def _give_back(self, connection: "_Connection") -> None:
        idle = self._idle.setdefault(connection.origin, deque())
        idle.append(connection)
        if len(idle) > _IDLE_CONNECTIONS:
            idle.popleft().abort()

    async def _open(self, origin: _Origin, connect_seconds: float) -> "_Connection":
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(connect_seconds):
            connection = _Connection(origin, loop)
            tls = self._tls if origin.scheme == "https" else None
            if origin.proxy is None:
                await loop.create_connection(lambda: connection, origin.host, origin.port, ssl=tls)
            elif tls is None:
                await loop.create_connection(lambda: connection, origin.proxy.host, origin.proxy.port)
            else:
                await _through(origin, origin.proxy, tls, connection)
            return connection


async def _through(origin: _Origin, proxy: Proxy, tls: ssl.SSLContext, connection: "_Connection") -> None:
    """Ask a proxy for a tunnel and begin TLS in it."""
    loop = asyncio.get_running_loop()
    authority = f"{f'[{origin.host}]' if ':' in origin.host else origin.host}:{origin.port}"
    headers = {"host": authority} | ({"proxy-authorization": proxy.authorization} if proxy.authorization else {})
    lines = [f"CONNECT {authority} HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in headers.items()), "\r\n"]
    transport, tunnel = await loop.create_connection(_Tunnel, proxy.host, proxy.port)
    try:
        transport.write("".join(lines).encode("latin-1"))
        status = await tunnel.answered
        secured = None
        if status == 200:
            secured = await loop.start_tls(transport, connection, tls, server_hostname=origin.host)
    except BaseException:
        transport.abort()
        raise
    if secured is None:
        transport.abort()
        raise ConnectionRefusedError(None, f"the proxy answered {status} to CONNECT")
    connection.connection_made(secured)


class _Tunnel(asyncio.Protocol):
    """Reads a proxy's answer to CONNECT: `answered` is its status."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self.answered.done():
                self.answered.set_exception(ConnectionResetError(None, f"the proxy does not speak HTTP ({error})"))

    def on_headers_complete(self) -> None:
        if not self.answered.done():
            self.answered.set_result(self._parser.get_status_code())

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answered.done():
            self.answered.set_exception(exc or ConnectionResetError(None, "the proxy closed the connection"))


class _Connection(asyncio.Protocol):
    """One TCP (or TLS) connection and the exchange on it."""

    def __init__(self, origin: _Origin, loop: asyncio.AbstractEventLoop) -> None:
        self.origin = origin
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._closed = False
        self._paused = False
        self._idle_since = 0.0

    def begin(self, head: bytes, body: bytes, give_back: "Callable[[_Connection], None]") -> "Exchange":
        self._exchange = exchange = Exchange(self, self._loop, give_back)
        if self._transport is not None and not self._closed:
            self._transport.writelines((head, body) if body else (head,))
        else:
            exchange.break_off(ConnectionResetError(None, "the connection was closed"))
        return exchange

    def usable(self, idle_seconds: float) -> bool:
        return not self._closed and self._loop.time() - self._idle_since < idle_seconds

    def rest(self) -> None:
        """No exchange: until the next one, anything that arrives is a fault."""
        self._exchange = None
        self._idle_since = self._loop.time()

    def abort(self) -> None:
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    # --- asyncio's calls ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] -- a stream's transport is a Transport

    def data_received(self, data: bytes) -> None:
        if self._exchange is None:
            self.abort()
        else:
            self._exchange.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        if self._exchange is not None:
            self._exchange.lost(exc)


class Exchange:
    """One request's answer. `framed`: HTTP itself says where the body ends, so that its end is one."""

    def __init__(
        self,
        connection: _Connection,
        loop: asyncio.AbstractEventLoop,
        give_back: Callable[[_Connection], None],
    ) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.framed = False
        self.begun = False
        """A byte of the answer has arrived."""
        self.complete = False
        """The whole answer has arrived, though maybe not been read."""
        self._connection = connection
        self._loop = loop
        self._give_back = give_back
        self._parser = httptools.HttpResponseParser(self)
        self._head_size = 0
        self._has_head = False
        self._may_be_kept = False
        self._closed = False
        self._unread: list[bytes] = []
        self._unread_size = 0
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def ended(self) -> bool:
        """The whole answer has arrived and been read."""
        return self.complete and not self._unread

    async def head(self) -> None:
        """Wait for status and headers."""
        while not self._has_head:
            if self._failure is not None:
                raise self._failure
            await self._wait()

    async def read(self) -> bytes:
        """What has arrived of the body since the last read, at least a byte; b"" at its end. Raises OSError."""
        while not self._unread:
            if self.complete:
                return b""
            if self._failure is not None:
                raise self._failure
            await self._wait()
        unread = self._unread
        self._unread = []
        self._unread_size = 0
        self._connection.resume()
        return unread[0] if len(unread) == 1 else b"".join(unread)

    def close(self) -> None:
        """Keep the connection if the answer was read to its end and it may be kept; else drop it, and the call.

        A second time does nothing.
        """
        if self._closed:
            return
        self._closed = True
        connection = self._connection
        if self.complete and self._may_be_kept and self._failure is None:
            connection.rest()
            self._give_back(connection)
        else:
            connection.abort()

    def break_off(self, failure: Exception) -> None:
        """End it with a failure that the reader gets after what came before it."""
        if self._failure is None and not self.complete:
            self._failure = failure
        self._wake()

    # --- from the connection ------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        self.begun = True
        if self.complete:
            self._connection.abort()  # more than the answer
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.complete:
                self.break_off(ConnectionAbortedError(None, f"it does not speak HTTP ({type(error).__name__})"))
            self._connection.abort()
            return
        if not self._has_head:
            self._head_size += len(data)
            if self._head_size > _HEAD_LIMIT:
                self.break_off(ConnectionAbortedError(None, "the head of its answer is too long"))
                self._connection.abort()
                return
        if self._unread_size > _UNREAD_LIMIT:
            self._connection.pause()
        self._wake()

    def lost(self, error: Exception | None) -> None:
        if self._has_head and not self.framed and error is None:
            self.complete = True
            self._wake()
        else:
            self.break_off(error or ConnectionResetError(None, "the connection was closed"))

    # --- httptools' calls ---------------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:
            self.headers.clear()  # an interim answer; the real one follows
            return
        self._has_head = True
        self.framed = (
            "chunked" in self.headers.get("transfer-encoding", "").lower()
            or "content-length" in self.headers
            or self.status in (204, 304)
        )

    def on_body(self, data: bytes) -> None:
        self._unread.append(data)
        self._unread_size += len(data)

    def on_message_complete(self) -> None:
        self.complete = self._has_head
        self._may_be_kept = self._parser.should_keep_alive()

    # --- waiting ------------------------------------------------------------------------------------------------------

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        await self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
