"""One request on a client's connection and its answer: ASGI's `receive` and `send`. Bytes are parsed in `connection`.

    run(app) ── receive: the body as it comes; then that the client left, or that the answer is complete
             └─ send:    the head waits for the first part of the body and leaves with it, in one write; alone where
                         none comes at once

Beside what ASGI asks for, `scope[WHEN_LEFT]` takes what to call when the client leaves before its answer is complete:
to be told that way costs nothing, where a task that waits in `receive` costs as much as a tenth of a short request.
"""

import asyncio
import http
import logging
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Protocol

from starlette.types import ASGIApp, Message, Scope

WHEN_LEFT: Final = "qrelay.when_left"

_log = logging.getLogger("uvicorn.error")
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus
}
_NO_HEADER_NAME: Final = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z]")
_NO_HEADER_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_WITHOUT_BODY: Final = frozenset({204, 304})
_UNREAD_LIMIT: Final = 64 * 1024
"""Bytes of a body that wait for the app before the client is told to wait too."""


class Line(Protocol):
    """What a request needs of its connection."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    full: asyncio.Future[None] | None
    """Done when a client that reads slowly has read, or is gone; None while it reads fast enough."""

    def always(self) -> bytes: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def answered(self) -> None: ...


class Incoming:
    """`keep_alive`: whether the connection may serve another request after this one."""

    def __init__(self, scope: Scope, line: Line, *, keep_alive: bool, asks_first: bool) -> None:
        self.keep_alive = keep_alive
        self.complete = False
        """The whole answer has been given to the transport."""
        self._scope = scope
        self._line = line
        self._asks_first = asks_first
        self._unread: list[bytes] = []
        self._unread_size = 0
        self._whole = False
        self._told_whole = False
        self._left = False
        self._when_left: Callable[[], None] | None = None
        self._news: asyncio.Future[None] | None = None
        self._started = False
        self._bodiless = False
        self._head = b""
        self._head_alone: asyncio.Handle | None = None
        self._chunked = False
        self._missing: int | None = None
        """Bytes of the body that the head has announced and that haven't come; None where it announced nothing."""
        scope[WHEN_LEFT] = self.when_left

    # --- from the connection ------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """A part of the body."""
        if not self.complete:
            self._unread.append(data)
            self._unread_size += len(data)
            if self._unread_size > _UNREAD_LIMIT:
                self._line.pause_reading()
            self._wake()

    def end(self) -> None:
        """The request is whole."""
        self._whole = True
        self._wake()

    def lost(self) -> None:
        """The connection is."""
        if not self.complete:
            self._left = True
            told, self._when_left = self._when_left, None
            if told is not None:
                told()
        self._wake()

    @property
    def answering(self) -> bool:
        """A part of the answer is on its way."""
        return self._started and not self._head

    # --- for the app --------------------------------------------------------------------------------------------------

    def when_left(self, told: Callable[[], None] | None) -> None:
        """Call this when the client leaves before its answer is complete; None: no longer."""
        if told is not None and self._left:
            told()
        else:
            self._when_left = told

    async def run(self, app: ASGIApp) -> None:
        try:
            await app(self._scope, self.receive, self.send)
        except BaseException as error:  # noqa: BLE001 - the edge: a server answers whatever happens in the app
            _log.error("Exception in ASGI application", exc_info=error)
            await self._broken()
        else:
            if not self.complete and not self._left:
                _log.error("the app returned without a whole answer")
                await self._broken()

    async def receive(self) -> Message:
        if self._asks_first and not self._line.transport.is_closing():
            self._asks_first = False
            self._line.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not (self._left or self.complete):
            if self._unread or (self._whole and not self._told_whole):
                unread = self._unread
                self._unread = []
                self._unread_size = 0
                self._told_whole = self._whole
                body = unread[0] if len(unread) == 1 else b"".join(unread)
                return {"type": "http.request", "body": body, "more_body": not self._whole}
            self._line.resume_reading()
            self._news = self._line.loop.create_future()
            await self._news
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        while (full := self._line.full) is not None:
            await asyncio.shield(full)  # a ping may wait for it too
        if self._left:
            return
        kind = message["type"]
        if self.complete:
            raise RuntimeError(f"{kind} comes after the end of the answer")
        if not self._started:
            if kind != "http.response.start":
                raise RuntimeError(f"{kind} comes before the start of the answer")
            self._begin(message)
        elif kind == "http.response.body":
            self._pass_on(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"{kind} comes in the middle of an answer")

    # --- inside -------------------------------------------------------------------------------------------------------

    def _begin(self, message: Message) -> None:
        status: int = message["status"]
        lines = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status, self._line.always()]
        values: list[bytes] = []
        for given, value in message.get("headers", ()):
            name = _header_name(given)
            if name == b"content-length":
                self._missing = int(value)
            elif name == b"transfer-encoding":
                self._chunked = value.lower() == b"chunked"
            elif name == b"connection" and b"close" in value.lower():
                self.keep_alive = False
                continue
            values.append(value)
            lines += (name, b": ", value, b"\r\n")
        if _NO_HEADER_VALUE.search(b"\t".join(values)):
            raise RuntimeError("a header's value can't be written")
        self._bodiless = self._scope["method"] == "HEAD" or status in _WITHOUT_BODY
        if self._bodiless:
            self._missing, self._chunked = None, False
        elif self._missing is None and not self._chunked:
            if self._scope["http_version"] == "1.0":
                self.keep_alive = False  # it knows no chunks: the end of the connection is the body's
            else:
                self._chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        self._started = True
        self._asks_first = False
        self._head = b"".join(lines)
        self._head_alone = self._line.loop.call_soon(self._send_head)

    def _send_head(self) -> None:
        head, self._head = self._head, b""
        if head and not self._left:
            self._line.transport.write(head)

    def _pass_on(self, body: bytes, *, more: bool) -> None:
        if self._missing is not None:
            self._missing -= len(body)
            if self._missing < 0 or (self._missing and not more):
                raise RuntimeError("the answer is not as long as its content-length says")
        if self._head_alone is not None:
            self._head_alone.cancel()
            self._head_alone = None
        parts = [self._head]
        self._head = b""
        if self._chunked:
            if body:
                parts += (b"%x\r\n" % len(body), body, b"\r\n")
            if not more:
                parts.append(b"0\r\n\r\n")
        elif not self._bodiless:
            parts.append(body)
        if data := b"".join(parts):
            self._line.transport.write(data)
        if not more:
            self.complete = True
            self._wake()
            if not self.keep_alive:
                self._line.transport.close()
            self._line.answered()

    async def _broken(self) -> None:
        """The app has failed: said where nothing was sent yet, else the connection is cut."""
        if self._left or self.complete:
            return
        self.keep_alive = False
        if self.answering:
            self._line.transport.close()
            return
        self._started, self._head = False, b""
        body = b"Internal Server Error"
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        self._missing, self._chunked = None, False
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    def _wake(self) -> None:
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)


@lru_cache(maxsize=256)
def _header_name(given: bytes) -> bytes:
    name = given.lower()
    if _NO_HEADER_NAME.search(name) or not name:
        raise RuntimeError("a header's name can't be written")
    return name
