"""Logging in to the console, where there is an admin secret (OPERATIONS.md B.3). Who a session lets in: `doors`.

    POST   /v2/session  {"secret"}  -> {"expires_at"} and a cookie; 401 for a wrong one, 429 for too many wrong ones
    GET    /v2/session              -> {"required", "open", "expires_at", "csrf": a header's name}
    DELETE /v2/session              -> {"required": true, "open": false, …}: logged out

The first two are open. What a session changes needs the header that `csrf` names, with the value 1. A log-in while
logged in ends the session before. Each log-in, good or bad, is a row in the audit log, and without that row nobody is
logged in.
"""

import time
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Scope

from qrelay.errors import ErrorCode, RelayError
from qrelay.http.asked import COOKIE, HOST_COOKIE, asked, by_https, session_token, session_tokens
from qrelay.http.doors import CSRF_HEADER, Doors
from qrelay.http.fields import iso, parse_body, read
from qrelay.http.management import told
from qrelay.keys.attempts import Attempts
from qrelay.keys.sessions import LONGEST_SECONDS, Sessions
from qrelay.records.audit import SESSION_REFUSED, AuditLog


def routes(sessions: Sessions | None, doors: Doors, audit: AuditLog) -> list[Route]:
    """All of them; without sessions they say that none is needed."""
    desk = _Desk(sessions, doors, audit)
    return [
        Route("/v2/session", told(desk.opened), methods=["POST"]),
        Route("/v2/session", told(desk.shown), methods=["GET"]),
        Route("/v2/session", told(desk.closed), methods=["DELETE"]),
    ]


class SessionBody(BaseModel):
    """`POST /v2/session`."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, defer_build=True)

    secret: Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class _Desk:
    def __init__(self, sessions: Sessions | None, doors: Doors, audit: AuditLog) -> None:
        self._sessions = sessions
        self._doors = doors
        self._audit = audit
        self._attempts = Attempts(per_place=5, in_all=50)

    async def opened(self, request: Request) -> JSONResponse:
        if self._sessions is None:
            raise RelayError(
                ErrorCode.request_invalid,
                "This gateway has no admin secret, so there is nothing to log in with.",
                remedy="From this machine the console needs no log-in; for others set QRELAY_ADMIN_SECRET.",
            )
        self._doors.check_page(request.scope)
        secret = read(SessionBody, await parse_body(request)).secret
        peer = self._doors.visitor(request.scope)
        now = time.monotonic()
        if (wait := self._attempts.wait(peer or "", now)) > 0:
            raise RelayError(
                ErrorCode.too_many_attempts, "There were too many wrong secrets in the last minute.", retry_after=wait
            )
        if not self._doors.is_admin_secret(secret):
            self._attempts.failed(peer or "", now)
            await self._audit.note("session", SESSION_REFUSED, peer=peer, status=401)
            raise RelayError(
                ErrorCode.client_unauthorized,
                "That is not the admin secret.",
                remedy="It is the value of QRELAY_ADMIN_SECRET; client keys don't open the console.",
            )
        self._attempts.passed(peer or "")
        seq = await self._audit.begin("session", peer, "session.open", None, {})
        opened = await self._sessions.open(peer, before=session_token(request.scope))
        await self._audit.end(seq, 200, None, {})
        answer = JSONResponse({"expires_at": iso(opened.ends_at)})
        _set_cookie(answer, request.scope, opened.token, round(LONGEST_SECONDS))
        return answer

    async def shown(self, request: Request) -> JSONResponse:
        return JSONResponse(await self._standing(request.scope))

    async def closed(self, request: Request) -> JSONResponse:
        for token in session_tokens(request.scope):
            if self._sessions is not None:
                await self._sessions.close(token)
        answer = JSONResponse(await self._standing(request.scope))
        _set_cookie(answer, request.scope, "", 0)
        return answer

    async def _standing(self, scope: Scope) -> dict[str, Any]:
        required = self._doors.needs_secret
        ends_at = await self._doors.session_ends_at(scope) if required else None
        try:
            await self._doors.check_management(scope)
        except RelayError as error:
            if error.code is ErrorCode.store_failed:
                raise
            allowed = False
        else:
            allowed = True
        return {"required": required, "open": allowed, "expires_at": iso(ends_at), "csrf": CSRF_HEADER}


def _set_cookie(answer: JSONResponse, scope: Scope, token: str, seconds: int) -> None:
    """No `Domain`: this host alone. Where the page came by https, browsers are held to that."""
    https = by_https(scope, asked(scope))
    answer.set_cookie(
        HOST_COOKIE if https else COOKIE,
        token,
        max_age=seconds,
        path="/",
        secure=https,
        httponly=True,
        samesite="strict",
    )
