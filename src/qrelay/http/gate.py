"""The one way to the management routes: the door, the body's size, the audit log. Not what the routes do.

    let in?  ->  body  ->  a row in the audit log  ->  the route  ->  how it ended into that row  ->  the answer

An answer is sent when its row is complete, so whoever reads the log next finds it there. A change whose row can't be
written is refused (docs/decisions/0008-no-change-without-a-trace.md).
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qrelay.errors import ErrorCode, RelayError
from qrelay.http import audited
from qrelay.http.asked import peer_of
from qrelay.http.body import ClientLeft, read_body
from qrelay.http.doors import Doors, from_owner
from qrelay.http.management import opens_with_a_secret, refusal
from qrelay.records.audit import Actor, AuditLog

_STRANGERS_BODY: Final = 16 * 1024
_PRIVATE: Final = (b"cache-control", b"no-store")


class _Change(NamedTuple):
    """One that is being made: its row in the audit log, and what stands there."""

    seq: int
    target: str | None
    detail: dict[str, Any]


class Gate:
    """In front of `app`, for management paths. `routes` are the app's, `console` whether there are any such paths."""

    def __init__(
        self,
        app: ASGIApp,
        routes: Callable[[], Sequence[BaseRoute]],
        doors: Doors,
        audit: AuditLog,
        *,
        console: bool,
        max_body: int,
    ) -> None:
        self._app = app
        self._routes = routes
        self._doors = doors
        self._audit = audit
        self._console = console
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        send = _unkept(send)
        try:
            actor = await self._enter(scope)
            body = await read_body(scope, receive, _STRANGERS_BODY if actor is None else self._max_body)
            change = None if actor is None else await self._begin(actor, scope, body)
        except RelayError as error:
            await refusal(error, scope["path"])(scope, receive, send)
            return
        except ClientLeft:
            return
        receive = _replayed(body, receive)
        if change is None:
            await self._app(scope, receive, send)
            return
        held = _Held()
        try:
            await self._app(scope, receive, held)
        finally:
            code = audited.failure(held.body)
            detail = change.detail if code is None else {**change.detail, "error": code}
            await self._audit.end(change.seq, held.status, change.target or audited.made(held.body), detail)
            await held.release(send)

    async def _enter(self, scope: Scope) -> Actor | None:
        """As whom; None for a stranger before what is open to all. Raises RelayError."""
        if not (self._console or from_owner(scope)):
            raise RelayError(ErrorCode.route_unknown, f"This gateway has no route {scope['path'][:200]}.")
        if self._doors.needs_secret and opens_with_a_secret(scope["method"], scope["path"]):
            return None
        return await self._doors.check_management(scope)

    async def _begin(self, actor: Actor, scope: Scope, body: bytes) -> _Change | None:
        """Its row; None where nothing is changed, or there is no such route. Raises RelayError(store_failed)."""
        for route in self._routes():
            match, found = route.matches(scope)
            if match is not Match.FULL or not isinstance(route, Route):
                continue
            action = audited.action(scope["method"], route.path)
            if action is None:
                return None
            target: str | None = found["path_params"].get("id")
            names = audited.members(body)
            detail = {"members": names} if names else {}
            seq = await self._audit.begin(actor, peer_of(scope), action, target, detail)
            return _Change(seq, target, detail)
        return None


class _Held:
    """An answer that isn't sent yet."""

    def __init__(self) -> None:
        self.status = 500
        self._messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        self._messages.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self._messages)

    async def release(self, send: Send) -> None:
        for message in self._messages:
            await send(message)


def _unkept(send: Send) -> Send:
    """Answers about the gateway are kept by no cache, unless a page says how long it may be."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if not any(name == b"cache-control" for name, _ in headers):
                message = {**message, "headers": [*headers, _PRIVATE]}
        await send(message)

    return sending


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The request's body again, for a reader that comes after its size was checked."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receiving() -> Message:
        return waiting.pop() if waiting else await receive()

    return receiving
