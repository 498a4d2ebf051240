"""One connection and the exchange on it: a request's bytes out, an answer's bytes in, as they come. No pool, no URL.

Failures are OSError (ConnectionError and ssl.SSLError are), in Python's words.
"""

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import httptools

from qrelay.outward.proxy import Proxy

_UNREAD_LIMIT = 256 * 1024
"""Bytes of a body that wait for a slow reader before the service is told to wait too."""
_OVERHEAD_LIMIT = 64 * 1024
"""Bytes of an answer that are no body: its head and interim answers, chunk sizes and extensions, trailers."""
_OVERHEAD_PER_BODY_BYTE = 16
"""Each body byte makes room for as much overhead again, so that a long stream of small chunks is not refused."""
_FIELD_LIMIT = 256
"""Header and trailer fields of one answer."""
_COPIED = 16 * 1024
"""Up to so many bytes one buffer, copied, leaves sooner than two."""


class Origin(NamedTuple):
    """What a connection leads to, and through what: connections with the same one are alike."""

    scheme: str
    host: str
    port: int
    proxy: Proxy | None


class Connection(asyncio.Protocol):
    """One TCP (or TLS) connection and the exchange on it."""

    def __init__(self, origin: Origin, loop: asyncio.AbstractEventLoop) -> None:
        self.origin = origin
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._closed = False
        self._paused = False
        self._idle_since = 0.0

    def begin(self, head: bytes, body: bytes, give_back: "Callable[[Connection], None]") -> "Exchange":
        self._exchange = exchange = Exchange(self, self._loop, give_back)
        if self._transport is not None and not self._closed:
            if len(body) <= _COPIED:
                self._transport.write(head + body)
            else:
                self._transport.writelines((head, body))
        else:
            exchange.break_off(ConnectionResetError(None, "the connection was closed"))
        return exchange

    def usable(self, idle_seconds: float) -> bool:
        return not self._closed and self._loop.time() - self._idle_since < idle_seconds

    def rest(self) -> None:
        """No exchange: until the next one, anything that arrives is a fault."""
        self._exchange = None
        self.resume()  # a whole answer that nobody read may have stopped it, and the next one would never come
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
        connection: Connection,
        loop: asyncio.AbstractEventLoop,
        give_back: Callable[[Connection], None],
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
        self._overhead = 0
        self._fields = 0
        self._has_head = False
        self._may_be_kept = False
        self._surplus = False
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
        """Read the next bytes. Whatever is wrong with them closes the connection; a whole answer before that counts."""
        self.begun = True
        if len(data) <= _OVERHEAD_LIMIT:
            sound = self._parse(data)
        else:  # in pieces, or one read of trailers could be several times the limit
            pieces = (data[at : at + _OVERHEAD_LIMIT] for at in range(0, len(data), _OVERHEAD_LIMIT))
            sound = all(self._parse(piece) for piece in pieces)
        if not sound:
            self._may_be_kept = False
            self._connection.abort()
        elif self._unread_size > _UNREAD_LIMIT:
            self._connection.pause()
        self._wake()

    def _parse(self, data: bytes) -> bool:
        """Return whether the connection may go on."""
        if self.complete:
            return False  # more than the answer
        self._overhead += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            self.break_off(ConnectionAbortedError(None, str(error.__context__ or error)))
            return False
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.break_off(ConnectionAbortedError(None, f"it does not speak HTTP ({type(error).__name__})"))
            return False
        if self._overhead > _OVERHEAD_LIMIT and not self.complete:
            part = "trailers or chunk extensions" if self._has_head else "head"
            self.break_off(ConnectionAbortedError(None, f"the {part} of its answer is over {_OVERHEAD_LIMIT} bytes"))
            return False
        return not self._surplus

    def lost(self, error: Exception | None) -> None:
        if self._has_head and not self.framed and error is None:
            self.complete = True
            self._wake()
        else:
            self.break_off(error or ConnectionResetError(None, "the connection was closed"))

    # --- httptools' calls ---------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._surplus = self.complete  # a second answer, to a request that was never sent

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.complete:
            return
        self._fields += 1
        if self._fields > _FIELD_LIMIT:
            raise ValueError(f"its answer has more than {_FIELD_LIMIT} header fields")
        if not self._has_head:  # else it is a trailer field, and no header
            self.headers[_header_name(name)] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        self.status = self._parser.get_status_code()
        if self.status < 100 or self._parser.get_http_version() not in {"1.0", "1.1"}:
            raise ValueError("it does not speak HTTP/1.1")
        if self.status < 200:
            self.headers.clear()  # an interim answer; the real one follows
            return
        self._has_head = True
        coding = self.headers.get("transfer-encoding", "").rpartition(",")[2].strip().lower()
        self.framed = coding == "chunked" or "content-length" in self.headers or self.status in (204, 304)

    def on_body(self, data: bytes) -> None:
        if self.complete:
            return
        self._unread.append(data)
        self._unread_size += len(data)
        self._overhead = max(0, self._overhead - len(data) * (1 + _OVERHEAD_PER_BODY_BYTE))

    def on_message_complete(self) -> None:
        if not self.complete:
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


@lru_cache(maxsize=256)
def _header_name(name: bytes) -> str:
    return name.decode("latin-1").lower()
