"""The one way to the management routes: the door, the body's size, the audit log. Not what the routes do.

    let in?  ->  body  ->  a row in the audit log  ->  the route  ->  how it ended into that row  ->  the answer
      no     ->  where a client key was tried, a row that says so: somebody has it who wants more

An answer is sent when its row is complete, so whoever reads the log next finds it there. A change whose row can't be
written is refused (docs/decisions/0008-no-change-without-a-trace.md).
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import structlog
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qrelay.errors import ErrorCode, RelayError
from qrelay.http import audited
from qrelay.http.body import Bodies, ClientLeft, Share
from qrelay.http.doors import Doors, from_owner
from qrelay.http.management import opens_with_a_secret, refusal
from qrelay.records.audit import KEY_REFUSED, Actor, AuditLog
from qrelay.redaction import Redactor

log = structlog.get_logger()

_STRANGERS_BODY: Final = 16 * 1024
_PRIVATE: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_REFUSED: Final = frozenset({ErrorCode.client_forbidden, ErrorCode.client_unauthorized})
_NOTED_EVERY: Final = 60.0
_LONGEST_TARGET: Final = 100


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
        bodies: Bodies,
    ) -> None:
        self._app = app
        self._routes = routes
        self._doors = doors
        self._audit = audit
        self._console = console
        self._bodies = bodies
        self._noted: dict[str, float] = {}  # when a key was last told of, by its id: so there are few
        self._redact = Redactor().mask

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._bodies.share() as share:
            await self._pass(scope, receive, _unkept(send), share)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, share: Share) -> None:
        try:
            actor = await self._enter(scope)
            body = await self._read(actor, scope, receive, share)
            change = None if actor is None else await self._begin(actor, scope, body)
        except RelayError as error:
            if error.code in _REFUSED:
                await self._note_key(scope)
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

    async def _read(self, actor: Actor | None, scope: Scope, receive: Receive, share: Share) -> bytes:
        if actor is None and self._bodies.max_bytes > _STRANGERS_BODY:
            return await self._bodies.read(scope, receive, share, limit=_STRANGERS_BODY, too_large=_no_log_in)
        return await self._bodies.read(scope, receive, share)

    async def _begin(self, actor: Actor, scope: Scope, body: bytes) -> _Change | None:
        """Its row; None where nothing is changed, or there is no such route. Raises RelayError(store_failed)."""
        route, params = self._route(scope)
        action = None if route is None else audited.action(scope["method"], route)
        if action is None:
            return None
        target = self._target(params.get("id"))
        names = await self._bodies.apart(body, partial(audited.members, body))
        detail = {"members": names} if names else {}
        seq = await self._audit.begin(actor, self._doors.visitor(scope), action, target, detail)
        return _Change(seq, target, detail)

    def _route(self, scope: Scope) -> tuple[str | None, dict[str, Any]]:
        for route in self._routes():
            match, found = route.matches(scope)
            if match is Match.FULL and isinstance(route, Route):
                return route.path, found["path_params"]
        return None, {}

    def _target(self, said: str | None) -> str | None:
        """An id as somebody wrote it: who revokes a key may well give the key itself."""
        return None if said is None or not said.isprintable() else self._redact(said)[:_LONGEST_TARGET]

    async def _note_key(self, scope: Scope) -> None:
        """Once a minute for each key, for its holder shall not fill the log with it."""
        key_id = self._doors.key_of(scope)
        now = time.monotonic()
        if key_id is None or now - self._noted.get(key_id, -_NOTED_EVERY) < _NOTED_EVERY:
            return
        self._noted[key_id] = now
        route, _ = self._route(scope)
        detail = {} if route is None else {"route": f"{scope['method']} {route}"}
        try:
            await self._audit.note(
                "system", KEY_REFUSED, peer=self._doors.visitor(scope), target=key_id, status=403, detail=detail
            )
        except RelayError as error:  # it is refused all the same
            log.warning(
                "a client key at a management route is missing in the audit log", key=key_id, reason=error.message
            )


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


def _no_log_in(limit: int) -> RelayError:
    return RelayError(
        ErrorCode.request_too_large,
        f"Before a log-in a request's body has {limit} bytes at most.",
        remedy='Send the admin secret alone, as {"secret": "…"}.',
    )


def _unkept(send: Send) -> Send:
    """Answers about the gateway are for who asked, by what they say they are; pages may say how long they are kept."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            given = {name for name, _ in headers}
            message = {**message, "headers": [*headers, *(header for header in _PRIVATE if header[0] not in given)]}
        await send(message)

    return sending


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The request's body again, for a reader that comes after its size was checked."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receiving() -> Message:
        return waiting.pop() if waiting else await receive()

    return receiving
