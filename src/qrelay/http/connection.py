"""A client's connection: HTTP/1.1 to ASGI, in uvicorn's server (`uvicorn.Config(http=Connection)`).

    bytes ── httptools ── Incoming, one for each request ── the app
                             one at a time; who sends the next one early waits until this one is answered

In place of uvicorn's own protocol, which does the same at twice the price (docs/performance.md). No TLS, no WebSocket;
who asks for another protocol (`Upgrade`) is answered in this one.
"""

import asyncio
import http
import logging
import math
from collections import deque
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast
from urllib.parse import unquote

import httptools
from starlette.types import ASGIApp, Scope
from uvicorn import Config
from uvicorn.server import ServerState

from qrelay.http.incoming import Incoming

_log = logging.getLogger("uvicorn.error")
_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
_BAD: Final = http.HTTPStatus.BAD_REQUEST, b"Invalid HTTP request received."
_LARGE: Final = http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, b"The head of the request is too large."
_HEAD_LIMIT: Final = 64 * 1024
"""Bytes of a head that may come before its end does: more is nobody's head, and would fill the memory."""
_LISTENS_ON_SECONDS: Final = 2.0
"""How long who is refused may go on sending: closed at once, the system would take the answer away from them."""


class _Target(NamedTuple):
    path: str
    raw_path: bytes
    query: bytes


class Connection(asyncio.Protocol):
    """One of them. uvicorn makes it, has it in `server_state.connections`, calls `shutdown` at the server's end."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = _loop or asyncio.get_running_loop()
        self.transport: asyncio.Transport
        self.full: asyncio.Future[None] | None = None
        self._app = cast("ASGIApp", config.loaded_app)
        self._keep_alive_seconds = config.timeout_keep_alive
        self._server = server_state
        self._app_state = app_state
        self._parser = httptools.HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._peer: tuple[str, int] | None = None
        self._own: tuple[str, int] | None = None
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._asks_first = False
        self._head_size = 0.0
        """Bytes that came for a head whose end hasn't; no number of them is too large within a body."""
        self._arriving: Incoming | None = None
        """The request whose bytes are coming, or came last."""
        self._current: Incoming | None = None
        self._early: deque[Incoming] = deque()
        self._reading_paused = False
        self._idle_since = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._refused = False

    # --- asyncio's and uvicorn's calls --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment] -- a stream's transport is a Transport
        self._server.connections.add(self)  # type: ignore[arg-type] -- it is what uvicorn asks of one
        self._peer = _place(transport.get_extra_info("peername"))
        self._own = _place(transport.get_extra_info("sockname"))

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        try:
            self._head_size += len(data)
            self._parser.feed_data(data)
            if self._head_size > _HEAD_LIMIT:
                self._refuse(_LARGE)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError:
            _log.warning("Invalid HTTP request received.")
            self._refuse(_BAD)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._server.connections.discard(self)  # type: ignore[arg-type]
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        for request in (self._current, *self._early):
            if request is not None:
                request.lost()
        self._early.clear()
        self.resume_writing()

    def pause_writing(self) -> None:
        if self.full is None:
            self.full = self.loop.create_future()

    def resume_writing(self) -> None:
        full, self.full = self.full, None
        if full is not None:
            full.set_result(None)

    def shutdown(self) -> None:
        """The server ends: this connection too, with the answer that is under way."""
        if self._current is None:
            self.transport.close()
        else:
            self._current.keep_alive = False

    # --- httptools' calls ---------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []
        self._asks_first = False

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self._asks_first = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._head_size = -math.inf
        parser = self._parser
        version = parser.get_http_version()
        target = _target(self._url)
        scope: Scope = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "server": self._own,
            "client": self._peer,
            "scheme": "http",
            "root_path": "",
            "headers": self._headers,
            "state": self._app_state.copy(),
            "method": parser.get_method().decode("ascii"),
            "path": target.path,
            "raw_path": target.raw_path,
            "query_string": target.query,
        }
        keep_alive = version != "1.0" and parser.should_keep_alive()
        request = self._arriving = Incoming(scope, self, keep_alive=keep_alive, asks_first=self._asks_first)
        if self._current is None:
            self._begin(request)
        else:
            self.pause_reading()
            self._early.append(request)

    def on_body(self, body: bytes) -> None:
        if self._arriving is not None:
            self._arriving.feed(body)

    def on_message_complete(self) -> None:
        self._head_size = 0.0
        if self._arriving is not None:
            self._arriving.end()

    # --- for the requests ---------------------------------------------------------------------------------------------

    def always(self) -> bytes:
        """The headers of every answer: the date, once a second anew."""
        return _written(tuple(self._server.default_headers))

    def pause_reading(self) -> None:
        if not self._reading_paused:
            self._reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._reading_paused and not self._early:
            self._reading_paused = False
            self.transport.resume_reading()

    def answered(self) -> None:
        """The current request is: the next one may begin."""
        self._current = None
        self._server.total_requests += 1
        if self._refused or self.transport.is_closing():
            return
        if self._early:
            self._begin(self._early.popleft())
        self.resume_reading()
        if self._current is None:
            self._idle_since = self.loop.time()
            if self._idle_timer is None:
                self._idle_timer = self.loop.call_later(self._keep_alive_seconds, self._look_whether_idle)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _begin(self, request: Incoming) -> None:
        self._current = request
        tasks = self._server.tasks
        task = self.loop.create_task(request.run(self._app))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def _look_whether_idle(self) -> None:
        """One timer for many requests, set again for the time that is left."""
        self._idle_timer = None
        if self._current is not None or self.transport.is_closing():
            return
        left = self._idle_since + self._keep_alive_seconds - self.loop.time()
        if left <= 0:
            self.transport.close()
        else:
            self._idle_timer = self.loop.call_later(left, self._look_whether_idle)

    def _refuse(self, why: tuple[http.HTTPStatus, bytes]) -> None:
        """What came is no request: that is said unless an answer has begun."""
        self._refused = True
        current = self._current
        if current is None or not current.answering:
            self._tell(*why)
        if current is not None:
            current.lost()
        self.resume_reading()
        self.transport.write_eof()
        self.loop.call_later(_LISTENS_ON_SECONDS, self.transport.close)

    def _tell(self, status: http.HTTPStatus, what: bytes) -> None:
        line = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
        head = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(line + head % len(what) + what)


def _place(name: Any) -> tuple[str, int] | None:
    """Address and port; None at a socket in the file system."""
    if not name or isinstance(name, str | bytes):
        return None
    return str(name[0]), int(name[1])


@lru_cache(maxsize=256)
def _target(url: bytes) -> _Target:
    parsed = httptools.parse_url(url)
    path = parsed.path.decode("ascii")
    return _Target(unquote(path) if "%" in path else path, parsed.path, parsed.query or b"")


@lru_cache(maxsize=8)
def _written(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)
