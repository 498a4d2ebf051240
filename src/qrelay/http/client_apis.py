"""The chat routes: one driver for every client API, plain ASGI, synchronous between a read and a write.

    body -> Dialect.read -> Gateway.converse (first event) -> 200 -> for each read upstream: one write -> end

The status line waits for the first event; a client that leaves cancels the call upstream. Nothing is awaited, queued or
spawned per event. Not here: what is written (`delivery`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import structlog
from msgspec.structs import replace
from starlette.types import Receive, Scope, Send

from qrelay.apis.dialect import Call, Dialect, Stamp
from qrelay.errors import ErrorCode, RelayError
from qrelay.gateway import Gateway
from qrelay.http.body import Bodies, ClientLeft, is_large
from qrelay.http.delivery import Delivery
from qrelay.http.doors import Doors
from qrelay.http.endings import Endings, client_of
from qrelay.http.leaving import Leaving
from qrelay.server.connections import OVER_CAPACITY
from qrelay.server.protocol import DISCONNECT

log: structlog.stdlib.BoundLogger = structlog.get_logger()

OnDisconnect: TypeAlias = Callable[[Callable[[], None] | None], None]


class ChatRoute:
    """Answers one client API's POSTs. `new_id` gives a fresh hex id; every answer has `headers`.

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
        bodies: Bodies,
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
        self._bodies = bodies
        self._ping_seconds = ping_seconds
        self._new_id = new_id
        self._endings = endings
        self._leaving = leaving
        self._recall = recall
        self._show_account = show_account
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        delivery = Delivery(
            self._dialect,
            self._new_id(),
            send,
            ping_seconds=self._ping_seconds,
            headers=self._headers,
            endings=self._endings,
            show_account=self._show_account,
        )
        delivery.client = client_of(scope)
        share = self._bodies.share()
        try:
            delivery.owner = owner = self._doors.check_client(scope)
            extensions: dict[str, Any] = scope.get("extensions") or {}
            _check_capacity(extensions)
            body = await self._bodies.read(scope, receive, share)
            call = await self._understood(body, Stamp(delivery.id, time.time), owner)
            if session := _session(scope):
                call = call._replace(conversation=replace(call.conversation, session=session))
            if is_large(body):
                size = len(body) + call.conversation.size
                call = call._replace(conversation=replace(call.conversation, size=size))
            del body  # what is needed of it is in the call
            delivery.asked_for(call)
            with _watched(extensions.get(DISCONNECT), receive) as on_disconnect:
                await _to_its_end(on_disconnect, delivery, self._leaving, self._answer(call, delivery))
        except ClientLeft:
            delivery.left()
        except RelayError as error:
            await delivery.fail(error)
        except Exception:  # the ASGI edge: whatever it is, the client gets an answer and the log gets the trace
            log.exception("a request failed inside the gateway", request_id=delivery.request_id)
            await delivery.fail(
                RelayError(ErrorCode.internal, f"The gateway itself failed (request {delivery.request_id}).")
            )
        finally:
            share.release()
            delivery.tell()

    async def _understood(self, body: bytes, stamp: Stamp, owner: str) -> Call:
        refers = self._recall is not None and any(name in body for name in _REFERENCES)
        if not refers and not is_large(body):
            return self._read(body, stamp, owner)
        reading = partial(self._read, body, stamp, owner)
        try:
            return await self._bodies.beside(reading)
        except RelayError as error:
            unknown = error.code is ErrorCode.previous_response_unknown
            if not unknown or self._recall is None or not await self._recall(body, owner):
                raise
        return await self._bodies.beside(reading)

    async def _answer(self, call: Call, delivery: Delivery) -> None:
        async with await self._gateway.converse(call.conversation, delivery.trace) as reply:
            delivery.served = reply.served
            if call.stream:
                await delivery.stream(call, reply)
            else:
                events = list(reply.head)
                while not reply.ended:
                    events.extend(await reply.next())
                await delivery.whole(call, events)


@contextmanager
def _watched(on_disconnect: OnDisconnect | None, receive: Receive) -> Generator[OnDisconnect]:
    """Return what takes a callback for the client's disconnect: the server's own, or one that waits in `receive`."""
    if on_disconnect is not None:
        yield on_disconnect
        return
    callback: Callable[[], None] | None = None

    def set_callback(given: Callable[[], None] | None) -> None:
        nonlocal callback
        callback = given

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        if callback is not None:
            callback()

    watching = asyncio.create_task(watch())
    try:
        yield set_callback
    finally:
        watching.cancel()


async def _to_its_end(
    on_disconnect: OnDisconnect,
    delivery: Delivery,
    leaving: Leaving,
    answer: Awaitable[None],
) -> None:
    """Run `answer`; a client that disconnects cancels it, and so does the server's end.

    Raises ClientLeft, RelayError(stopping) then.
    """
    working = asyncio.current_task()
    why: ClientLeft | RelayError | None = None
    stopped_at = 0.0

    def stop(reason: ClientLeft | RelayError) -> None:
        nonlocal why, stopped_at
        if working is not None and why is None and not delivery.ended:
            why, stopped_at = reason, time.monotonic()
            working.cancel()

    def hurried() -> None:
        stop(RelayError(ErrorCode.stopping, "The gateway is being stopped, and this answer took too long to wait for."))

    on_disconnect(lambda: stop(ClientLeft()))
    leaving.enter(hurried)
    try:
        await answer
    except asyncio.CancelledError:
        if why is not None and working is not None and working.uncancel() == 0:
            delivery.given_up(time.monotonic() - stopped_at)
            raise why from None
        raise
    finally:
        leaving.leave(hurried)
        on_disconnect(None)


def _check_capacity(extensions: Mapping[str, Any]) -> None:
    """Raise RelayError(gateway_overloaded) on a connection that is kept for probes and the console."""
    if OVER_CAPACITY in extensions:
        raise RelayError(ErrorCode.gateway_overloaded, "The gateway has too many open connections.", retry_after=5)


_REFERENCES = (b"previous_response_id", b"item_reference")
"""Members by which a request continues a stored conversation, which may be large."""
_SESSION_HEADERS = frozenset({b"x-claude-code-session-id", b"session-id", b"x-session-id"})


def _session(scope: Scope) -> str:
    """The conversation's name in a header, which goes before one in the body; "" without."""
    for name, value in scope["headers"]:
        if name in _SESSION_HEADERS:
            return value.decode("latin-1")[:200]
    return ""
