"""HTTP/1.1 on one client connection: uvicorn's httptools protocol, guarded.

    bytes ── httptools ── HttpToolsProtocol ── one ASGI call per request, one after the other

What uvicorn's class lacks, and what a client could do with it:

- An offer to upgrade (`Connection: Upgrade`) ends httptools' message after the head, so that the body would be parsed
  as the next request. The offer is declined (RFC 9110 §7.8): the head is parsed again without the Upgrade field.
- Trailer fields would be appended to the request's headers. They are dropped.
- Heads, trailers and chunk extensions have no size limit there; here more than HEAD_LIMIT is answered 431.
- Clients may be slow or silent for ever there; here `ConnectionTable` sets deadlines.
- A broken second request would be answered in the middle of the first one's response.
- `scope["extensions"][DISCONNECT]` takes a callback for a client that leaves before its response is complete. It costs
  nothing, where a task that waits in `receive` costs a tenth of a short request.

There is no TLS and no WebSocket.
"""

import asyncio
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import httptools
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from qrelay.server.connections import OVER_CAPACITY, ConnectionLimits, ConnectionTable, socket_address

DISCONNECT: Final = "qrelay.disconnect"
"""The ASGI extension `(callback | None) -> None`: call this when the client leaves before its response is complete."""

HEAD_LIMIT: Final = 64 * 1024
"""Bytes of a request's head, and of everything in a chunked body that is not the body itself."""
HEADER_LIMIT: Final = 256
_AUTHORITY: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")
_LINGER_SECONDS: Final = 2.0
"""Keep reading this long after rejecting a request: closing at once sends a TCP reset that may destroy the answer."""
_EARLY_REQUESTS: Final = 100
_EARLY_BYTES: Final = 64 * 1024
"""Requests, and bytes of their bodies, that may wait for the current one to be answered. What comes beyond is discarded
and the connection closes after the current answer: only while data is read is a client seen to leave."""


class RejectedRequest(Exception):  # noqa: N818 - not a fault of ours
    """A request that is answered by the protocol itself, after which the connection closes."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


_INVALID: Final = RejectedRequest(HTTPStatus.BAD_REQUEST, "Invalid HTTP request received.")
_HEAD_TOO_LARGE: Final = RejectedRequest(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"The head of the request has more than {HEAD_LIMIT} bytes or {HEADER_LIMIT} fields.",
)
_TOO_SLOW: Final = RejectedRequest(HTTPStatus.REQUEST_TIMEOUT, "The request did not arrive in time.")
_TOO_EARLY: Final = RejectedRequest(HTTPStatus.BAD_REQUEST, "Wait for an answer before you send more requests.")
_FULL: Final = RejectedRequest(HTTPStatus.SERVICE_UNAVAILABLE, "There are too many connections. Try again later.")


class HTTPProtocol(HttpToolsProtocol):
    """One client connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        table: ConnectionTable | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.cycle: RequestResponseCycle | None  # type: ignore[assignment] -- as uvicorn begins
        self.address: str | None = None
        self.over_capacity = False
        self.parser = _parser(self)
        self._table = _default_table() if table is None else table
        self._running: RequestResponseCycle | None = None
        self._disconnect_callback: Callable[[], None] | None = None
        self._extensions: dict[str, Any] = {DISCONNECT: self._on_disconnect}
        self._rejected = False
        self._offers_upgrade = False
        self._declined_offers: list[bytes] = []
        self._in_head = False
        self._in_body = False
        self._unstructured = 0
        """Bytes since the last byte of a body or the last end of a head."""
        self._since = self.loop.time()
        """When the head or body that is being received began to arrive; before the first one, the connection."""
        self._body_size = 0
        self._early_size = 0
        self._stalled_since: float | None = None

    # --- asyncio's and uvicorn's calls --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] -- as uvicorn has it
        super().connection_made(transport)
        self.address = socket_address(transport.get_extra_info("peername"))
        if not self._table.admit(self):
            self._rejected = True
            transport.write(_response(_FULL))
            transport.close()
        elif self.over_capacity:
            self._extensions = {**self._extensions, OVER_CAPACITY: {}}

    def data_received(self, data: bytes) -> None:
        if self._rejected:
            return
        self._unset_keepalive_if_required()
        self._unstructured += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._reject(cause if isinstance(cause, RejectedRequest) else _INVALID)
        else:
            if self._unstructured > HEAD_LIMIT:
                self._reject(_HEAD_TOO_LARGE)

    def connection_lost(self, exc: Exception | None) -> None:
        self._table.remove(self)
        self._unset_keepalive_if_required()
        for cycle in (self._running, *(cycle for cycle, _ in self.pipeline)):
            _disconnect(cycle)
        self.pipeline.clear()
        super().connection_lost(exc)
        callback, self._disconnect_callback = self._disconnect_callback, None
        if callback is not None and self._running is not None and not self._running.response_complete:
            callback()

    def pause_writing(self) -> None:
        self._stalled_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stalled_since = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._reject(RejectedRequest(HTTPStatus.BAD_REQUEST, msg))

    # --- the table's calls --------------------------------------------------------------------------------------------

    def check_deadlines(self, now: float) -> None:
        """Close the connection if a head, a body or a response takes too long."""
        limits = self._table.limits
        if self._rejected:
            return
        if self._stalled_since is not None and now - self._stalled_since > limits.send_seconds:
            self.transport.abort()
        elif self._in_body:
            if self.flow.read_paused:
                self._since = now  # we make the client wait
            elif now - self._since > limits.body_seconds + self._body_size / limits.body_rate:
                self._reject(_TOO_SLOW)
        elif self._in_head and now - self._since > limits.head_seconds:
            self._reject(_TOO_SLOW)
        elif self.cycle is None and self.timeout_keep_alive_task is None and now - self._since > limits.head_seconds:
            self.transport.close()  # nothing has ever come

    @property
    def idle(self) -> bool:
        """True while no request is being received or answered."""
        return not (self._in_head or self._in_body) and (self.cycle is None or self.cycle.response_complete)

    # --- httptools' calls ---------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = self._extensions
        self._in_head = True
        self._since = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # a trailer is no header
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._unstructured > HEAD_LIMIT or len(self.headers) > HEADER_LIMIT:
            self._check_size()
        if self.parser.should_upgrade():
            self._offers_upgrade = True
            return
        for value in self._declined_offers:
            self.headers.append((b"upgrade", value))
        self._declined_offers.clear()
        self._check_head()
        super().on_headers_complete()
        self._in_head, self._in_body = False, True
        self._unstructured = self._body_size = 0
        self._since = self.loop.time()
        self._table.idle.pop(self, None)
        self._table.reading[self] = None
        if self.pipeline:
            if len(self.pipeline) > _EARLY_REQUESTS:
                raise _TOO_EARLY
            self.flow.resume_reading()

    def on_body(self, body: bytes) -> None:
        self._unstructured = 0
        self._body_size += len(body)
        if self.cycle is None:
            return
        if self.cycle is not self._running and not self.cycle.response_complete:
            self._early_size += len(body)
            if self._early_size > _EARLY_BYTES:
                raise _TOO_EARLY
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._offers_upgrade:
            return
        self._in_head = self._in_body = False
        self._unstructured = 0
        self._table.reading.pop(self, None)
        if self.cycle is not None:
            super().on_message_complete()
            self.flow.resume_reading()  # a large last part has paused it, and a client that leaves wouldn't be noticed
            if self.cycle.response_complete:
                self._become_idle()

    # --- uvicorn's calls for each request -----------------------------------------------------------------------------

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override] -- same call
        self._running = cycle
        self._early_size = 0
        if cycle.scope["http_version"] == "1.0":
            app = _ended_by_closing(app, cycle)
        super()._start_asgi_task(cycle, app)  # type: ignore[arg-type] -- an ASGI app under another name

    def on_response_complete(self) -> None:
        self._running = self._disconnect_callback = None
        super().on_response_complete()
        if self._running is None and not self._in_body:
            self._become_idle()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _parse(self, data: bytes) -> None:
        """Feed the parser; after an offer to upgrade go on with a new one that hasn't seen it."""
        rest: memoryview | bytes = data
        while True:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as offer:
                head = self._head_without_offer()
                rest = memoryview(rest)[offer.args[0] :]
                self._offers_upgrade = False
                self.parser = _parser(self)
                self.parser.feed_data(head)
            else:
                return

    def _head_without_offer(self) -> bytes:
        """Write the head that was just parsed once more. Its parts have no line breaks: httptools has refused those."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            raise _callback_error(RejectedRequest(HTTPStatus.METHOD_NOT_ALLOWED, "This server is no proxy."))
        lines = [b"%b %b HTTP/%b" % (method, self.url, version)]
        for name, value in self.headers:
            if name == b"upgrade":
                self._declined_offers.append(value)
            else:
                lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _check_size(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > HEAD_LIMIT or len(self.headers) > HEADER_LIMIT:
            raise _HEAD_TOO_LARGE

    def _check_head(self) -> None:
        """Raise RejectedRequest for a head that parsers along the way may read differently."""
        version = self.parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise RejectedRequest(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "This server speaks HTTP/1.1 and HTTP/1.0.")
        host: bytes | None = None
        for name, value in self.headers:
            if name == b"transfer-encoding":
                if version == "1.0":  # RFC 9112 §6.1: its framing is faulty
                    raise RejectedRequest(HTTPStatus.BAD_REQUEST, "HTTP/1.0 has no Transfer-Encoding.")
                if value.lower() != b"chunked":
                    raise RejectedRequest(HTTPStatus.NOT_IMPLEMENTED, "The only Transfer-Encoding here is chunked.")
            elif name == b"host":
                host = value
        if not self.url.startswith(b"/") and self.url != b"*":
            self._check_absolute_form(host)

    def _check_absolute_form(self, host: bytes | None) -> None:
        """RFC 9112 §3.2.2: a target that names a host goes before the Host field. Here the two must be the same."""
        found = _AUTHORITY.match(self.url)
        if found is None or host is None or found[1].lower() != host.strip().lower():
            raise RejectedRequest(HTTPStatus.BAD_REQUEST, "The request's target and its Host name different hosts.")

    def _become_idle(self) -> None:
        """Let go of the last request: its headers and body would stay in memory as long as the connection."""
        if not self.transport.is_closing():
            self._table.idle[self] = None
        if not self._in_head:
            self.cycle = self.scope = self.headers = None  # type: ignore[assignment] -- as uvicorn begins
            self.url = b""
            self._since = self.loop.time()

    def _on_disconnect(self, callback: Callable[[], None] | None) -> None:
        if callback is not None and self._running is not None and self._running.disconnected:
            callback()
        else:
            self._disconnect_callback = callback

    def _reject(self, why: RejectedRequest) -> None:
        """Stop taking requests. The answer is sent unless another one is on its way; that one is finished first."""
        self._rejected = True
        self._table.reading.pop(self, None)
        running, broken = self._running, self.cycle if self._in_body else None
        self.pipeline.clear()
        if running is not None and running is not broken and not running.response_complete:
            running.keep_alive = False
            self.flow.resume_reading()  # what comes is thrown away, and the end is seen
            return
        if broken is None or not broken.response_started:
            self.transport.write(_response(why))
        if broken is not None and not broken.response_complete:
            callback, self._disconnect_callback = self._disconnect_callback, None
            _disconnect(broken)
            if callback is not None:
                callback()
        self._table.idle[self] = None
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)


def _parser(protocol: HTTPProtocol) -> httptools.HttpRequestParser:
    """Return a strict parser: uvicorn's would take a request that follows `Connection: close`."""
    return httptools.HttpRequestParser(protocol)


def _callback_error(why: RejectedRequest) -> httptools.HttpParserError:
    error = httptools.HttpParserCallbackError(why.reason)
    error.__context__ = why
    return error


def _disconnect(cycle: RequestResponseCycle | None) -> None:
    if cycle is not None and not cycle.response_complete:
        cycle.disconnected = True
        cycle.message_event.set()


def _response(why: RejectedRequest) -> bytes:
    body = why.reason.encode("ascii")
    head = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
    return STATUS_LINE[why.status] + head + body


def _ended_by_closing(app: ASGIApp, cycle: RequestResponseCycle) -> ASGIApp:
    """HTTP/1.0 has no chunks: a response without a length ends with the connection."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        unmeasured = False

        async def sending(message: Message) -> None:
            nonlocal unmeasured
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message.get("headers", ())}
                if unmeasured := b"content-length" not in names:
                    cycle.chunked_encoding = False
            elif unmeasured:
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, sending)

    return wrapped


_shared: ConnectionTable | None = None


def _default_table() -> ConnectionTable:
    """Return the table for servers that were given none: `uvicorn --http qrelay.server.protocol:HTTPProtocol`."""
    global _shared  # noqa: PLW0603 - descriptors are the process's, and so is their limit
    if _shared is None:
        _shared = ConnectionTable(ConnectionLimits())
    return _shared
