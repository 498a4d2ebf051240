"""The chat routes: one driver for every client API, plain ASGI, synchronous between a read and a write.

    body -> Dialect.read -> Gateway.converse (first event) -> 200 -> for each read upstream: one write -> end

The status line waits for the first event. After it, a failure is one typed event; a client that leaves cancels the call
upstream. Nothing is awaited, queued or spawned per event.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache

import structlog
from msgspec.structs import replace
from starlette.types import Receive, Scope, Send

from qrelay.apis import errors
from qrelay.apis.dialect import Call, Dialect, ReplyWriter, Stamp
from qrelay.completion import fold
from qrelay.errors import ErrorCode, RelayError
from qrelay.events import Event, Finish
from qrelay.gateway import Gateway
from qrelay.http.body import ClientLeft, read_body
from qrelay.http.doors import Doors
from qrelay.http.endings import Ending, Endings, client_of
from qrelay.http.incoming import WHEN_LEFT
from qrelay.http.leaving import Leaving
from qrelay.reply import Reply, Served
from qrelay.trace import Trace

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_SSE = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class ChatRoute:
    """Answers one client API's POSTs. `new_id` gives a fresh hex id, `now` epoch seconds; every answer has `headers`.

    `read` is the dialect's, given who asks as well (`Doors.check_client`): some APIs refer to what was answered before.
    What is not in memory `recall` may fetch; it says whether to read again.
    """

    def __init__(
        self,
        dialect: Dialect,
        read: Callable[[bytes, Stamp, str], Call],
        gateway: Gateway,
        doors: Doors,
        *,
        max_body: int,
        ping_seconds: float,
        new_id: Callable[[], str],
        endings: Endings,
        leaving: Leaving,
        recall: Callable[[bytes, str], Awaitable[bool]] | None = None,
        show_account: bool = False,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self._dialect = dialect
        self._read = read
        self._gateway = gateway
        self._doors = doors
        self._max_body = max_body
        self._ping_seconds = ping_seconds
        self._new_id = new_id
        self._endings = endings
        self._leaving = leaving
        self._recall = recall
        self._show_account = show_account
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _Exchange(
            self._dialect,
            self._new_id(),
            send,
            ping_seconds=self._ping_seconds,
            headers=self._headers,
            endings=self._endings,
            show_account=self._show_account,
        )
        exchange.client = client_of(scope)
        try:
            exchange.owner = owner = self._doors.check_client(scope)
            body = await read_body(scope, receive, self._max_body)
            call = await self._understood(body, Stamp(exchange.id, time.time), owner)
            if session := _session(scope):
                call = call._replace(conversation=replace(call.conversation, session=session))
            exchange.asked_for(call)
            await _to_its_end(scope[WHEN_LEFT], exchange, self._leaving, self._answer(call, exchange))
        except ClientLeft:
            exchange.left()
        except RelayError as error:
            await exchange.fail(error)
        except Exception:  # the ASGI edge: whatever it is, the client gets an answer and the log gets the trace
            log.exception("a request failed inside the gateway", request_id=exchange.request_id)
            await exchange.fail(
                RelayError(ErrorCode.internal, f"The gateway itself failed (request {exchange.request_id}).")
            )
        finally:
            exchange.tell()

    async def _understood(self, body: bytes, stamp: Stamp, owner: str) -> Call:
        try:
            return self._read(body, stamp, owner)
        except RelayError as error:
            unknown = error.code is ErrorCode.previous_response_unknown
            if not unknown or self._recall is None or not await self._recall(body, owner):
                raise
        return self._read(body, stamp, owner)

    async def _answer(self, call: Call, exchange: "_Exchange") -> None:
        async with await self._gateway.converse(call.conversation, exchange.trace) as reply:
            exchange.served = reply.served
            if call.stream:
                await exchange.stream(call, reply)
            else:
                events = list(reply.head)
                while not reply.ended:
                    events.extend(await reply.next())
                await exchange.whole(call, events)


async def _to_its_end(
    when_left: Callable[[Callable[[], None] | None], None],
    exchange: "_Exchange",
    leaving: Leaving,
    answer: Awaitable[None],
) -> None:
    """Run `answer`; a client that disconnects cancels it, and so does the server's end.

    Raises ClientLeft, RelayError(stopping) then.
    """
    working = asyncio.current_task()
    why: ClientLeft | RelayError | None = None

    def stop(reason: ClientLeft | RelayError) -> None:
        nonlocal why
        if working is not None and why is None and not exchange.ended:
            why = reason
            working.cancel()

    def hurried() -> None:
        stop(RelayError(ErrorCode.stopping, "The gateway is being stopped, and this answer took too long to wait for."))

    when_left(lambda: stop(ClientLeft()))
    leaving.enter(hurried)
    try:
        await answer
    except asyncio.CancelledError:
        if why is not None and working is not None and working.uncancel() == 0:
            raise why from None
        raise
    finally:
        leaving.leave(hurried)
        when_left(None)


class _Exchange:
    """One request's answer on the wire: what was sent so far, and what is told of it at the end."""

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
        await self._whole(200, [*json, *self._headers(call, self.served)], body)

    async def fail(self, error: RelayError) -> None:
        """Tell a failure: as an HTTP answer, or as an event if the reply has begun."""
        self.outcome, self._error = error.code, error.message
        row = error.row
        self._status = row.anthropic_status if self._dialect.family == "anthropic" else row.status
        if self.ended:
            return
        if self._writer is not None:
            await self._end(self._writer.fail(error))
        elif self._first_byte_ms is None:
            status, headers, body = errors.reply(error, self._dialect.family, self.request_id)
            await self._whole(status, [*headers, *self._path()], body)

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

    async def _whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        await self._start(status, [*headers, (b"content-length", str(len(body)).encode())])
        await self._end(body)

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._first_byte_ms = self.trace.elapsed_ms()
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, *self._always]})

    async def _end(self, data: bytes) -> None:
        self.stop_pings()
        self.ended = True
        if self._pings:  # one may be on its way to a slow client, and nothing comes after the end
            await asyncio.wait(self._pings)
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    def stop_pings(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def tell(self) -> None:
        """The end of it, for all who keep account of requests."""
        self.stop_pings()
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


_SESSION_HEADERS = frozenset({b"x-claude-code-session-id", b"session-id", b"x-session-id"})


def _session(scope: Scope) -> str:
    """The conversation's name in a header, which goes before one in the body; "" without."""
    for name, value in scope["headers"]:
        if name in _SESSION_HEADERS:
            return value.decode("latin-1")[:200]
    return ""


@lru_cache(maxsize=512)
def _header(text: str) -> bytes:
    """Text from elsewhere as a header's value: visible ASCII, and not without end; remembered, for it comes again."""
    return "".join(char if " " <= char <= "~" else "?" for char in text)[:1000].encode("ascii")
