"""One chat request's answer on the wire, for every client API: headers, then a stream with its keep-alives, or a body.

After the status line a failure is one typed event. What is told of a request at its end is put together here, as all of
it passes by. Not here: what is answered, and by whom (`client_apis`).
"""

import asyncio
from collections.abc import Sequence
from functools import lru_cache

from starlette.types import Send

from qrelay.apis import errors
from qrelay.apis.dialect import Call, Dialect, ReplyWriter
from qrelay.completion import fold
from qrelay.errors import RelayError
from qrelay.events import Event, Finish
from qrelay.http.endings import Ending, Endings
from qrelay.reply import Reply, Served
from qrelay.trace import Trace

_SSE = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class Delivery:
    """What was sent so far, and what is told of it at the end."""

    def __init__(
        self,
        dialect: Dialect,
        id_: str,
        send: Send,
        *,
        ping_seconds: float,
        headers: Sequence[tuple[bytes, bytes]],
        endings: Endings,
        show_account: bool,
    ) -> None:
        self.id = id_
        self.request_id = f"req_{id_}"
        self.outcome = "ok"
        self.ended = False
        self.served: Served | None = None
        self.trace = Trace()
        self.client: str | None = None
        self.owner = ""
        self._call: Call | None = None
        self._finish: Finish | None = None
        self._dialect = dialect
        self._send = send
        self._writer: ReplyWriter | None = None
        self._ping_seconds = ping_seconds
        self._always = headers
        self._endings = endings
        self._show_account = show_account
        self._error: str | None = None
        self._status = 200
        self._streaming = False
        self._loop = asyncio.get_running_loop()
        self._last_write = self._loop.time()
        self._first_byte_ms: float | None = None
        self._writing = False
        self._pings: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def left(self) -> None:
        """The client went away before its answer ended."""
        self.outcome, self._status = "client_left", 499
        self._endings.traffic.disconnects += 1

    def given_up(self, seconds: float) -> None:
        """The call to the service is over, so long after nobody wanted it any more."""
        self._endings.traffic.cancels.add(seconds)

    def asked_for(self, call: Call) -> None:
        self._call = call

    # --- a streamed reply ---------------------------------------------------------------------------------------------

    async def stream(self, call: Call, reply: Reply) -> None:
        writer = call.writer()
        await self._start(200, [*_SSE, *self._headers(call, reply.served)])
        self._writer = writer
        self._streaming = True
        self._endings.traffic.streams += 1
        self._timer = self._loop.call_later(self._ping_seconds, self._ping_if_silent)
        data = writer.start() + writer.feed(reply.head)
        events = reply.head
        while not reply.ended:
            await self._write(data)
            events = await reply.next()
            data = writer.feed(events)
        self._note(events)
        await self._end(data + writer.close())

    def _note(self, events: list[Event]) -> None:
        if events and isinstance(events[-1], Finish):
            self._finish = events[-1]

    async def _write(self, data: bytes) -> None:
        if not data:
            return
        self._writing = True
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self._writing = False
        self._last_write = self._loop.time()

    def _ping_if_silent(self) -> None:
        """One timer a stream, set again for the time that is left: nothing is done per event."""
        due = self._last_write + self._ping_seconds
        now = self._loop.time()
        if now >= due and not self._writing:
            task = asyncio.create_task(self._ping())
            self._pings.add(task)
            task.add_done_callback(self._pings.discard)
            due = now + self._ping_seconds
        self._timer = self._loop.call_at(max(due, now + 1), self._ping_if_silent)

    async def _ping(self) -> None:
        if not self.ended:  # it may have, since this was decided
            await self._write(self._dialect.ping)

    # --- a whole reply and failures -----------------------------------------------------------------------------------

    async def whole(self, call: Call, events: list[Event]) -> None:
        self._note(events)
        body = call.whole(fold(events))
        json = [(b"content-type", b"application/json")]
        await self._write_whole(200, [*json, *self._headers(call, self.served)], body)

    async def fail(self, error: RelayError) -> None:
        """Tell a failure: as an HTTP answer, or as an event if the reply has begun."""
        self.outcome, self._error = error.code, error.message
        row = error.row
        self._status = row.anthropic_status if self._dialect.family == "anthropic" else row.status
        if self.ended:
            return
        if self._writer is not None:
            self._endings.traffic.stream_errors[self._dialect.name, error.code] += 1
            await self._end(self._writer.fail(error))
        elif self._first_byte_ms is None:
            status, headers, body = errors.reply(error, self._dialect.family, self.request_id)
            await self._write_whole(status, [*headers, *self._path()], body)

    def _headers(self, call: Call, served: Served | None) -> list[tuple[bytes, bytes]]:
        name = b"request-id" if self._dialect.family == "anthropic" else b"x-request-id"
        headers = [(name, self.request_id.encode())]
        if served is not None:
            headers.append((b"x-qrelay-model", _header(served.model)))
            if ignored := (*call.ignored, *served.ignored):
                headers.append((b"x-qrelay-ignored", _header(", ".join(dict.fromkeys(ignored)))))
            if served.adjustments:
                headers.append((b"x-qrelay-adjusted", _header(", ".join(served.adjustments))))
        return headers + self._path()

    def _path(self) -> list[tuple[bytes, bytes]]:
        """How it was served: after how many calls, and by which account where that may be shown."""
        attempts = self.trace.attempts
        if not attempts:
            return []
        headers = [(b"x-qrelay-attempts", str(len(attempts)).encode())]
        if self._show_account:
            headers.append((b"x-qrelay-account", _header(attempts[-1].label)))
        return headers

    async def _write_whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        await self._start(status, [*headers, (b"content-length", str(len(body)).encode())])
        await self._end(body)

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._first_byte_ms = self.trace.elapsed_ms()
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, *self._always]})

    async def _end(self, data: bytes) -> None:
        self._stop_pings()
        self.ended = True
        if self._pings:  # one may be on its way to a slow client, and nothing comes after the end
            await asyncio.wait(self._pings)
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    def _stop_pings(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def tell(self) -> None:
        """The end of it, for all who keep account of requests."""
        self._stop_pings()
        self._endings.traffic.streams -= self._streaming
        call = self._call
        self._endings.tell(
            Ending(
                request_id=self.request_id,
                dialect=self._dialect.name,
                outcome=str(self.outcome),
                status=self._status,
                error=self._error,
                client=self.client,
                key_id=self.owner,
                stream=call.stream if call else None,
                model_asked=call.conversation.model if call else None,
                ignored=call.ignored if call else (),
                served=self.served,
                usage=self._finish.usage if self._finish else None,
                trace=self.trace,
                first_byte_ms=self._first_byte_ms,
            )
        )


def _header(text: str) -> bytes:
    """Return text from outside as a header's value: visible ASCII, at most 1000 characters."""
    return _visible(text[:1000])


@lru_cache(maxsize=512)
def _visible(text: str) -> bytes:
    """Cached: the same texts come again. Only the start is a key, as a client chooses the length."""
    return "".join(char if " " <= char <= "~" else "?" for char in text).encode("ascii")
