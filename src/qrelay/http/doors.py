"""Who may do what: keys for the client routes, the admin secret or loopback for the management routes.

    client routes      a key in `Authorization: Bearer` or `x-api-key`. Without any key, of the settings or made here,
                       and bound to loopback: callers that name the gateway by a loopback (or allowed) host and come
                       from no foreign page
    management routes  with an admin secret: that secret as a bearer, or a session's cookie; a client key never
                       without: the peer and the Host are loopback, no foreign Origin, no header a proxy adds
    the console        its page and files, by which one logs in: with an admin secret everybody; without it those whom
                       the management routes answer
    /metrics           either of these two
    the owner          whoever calls through what `for_owner` made is let in everywhere

A browser page on another site can make requests to 127.0.0.1, and a DNS name can be pointed there: Host and Origin are
what tells them from the user. A page on another port of this machine even sends the cookie: so whatever a session
changes needs a header that only our own pages can send. Secrets are compared by digest, so that time says nothing.
"""

import hmac
import time
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from qrelay.errors import ErrorCode, RelayError
from qrelay.http.asked import (
    Asked,
    asked,
    from_foreign_page,
    from_this_machine,
    header,
    origin,
    same_origin,
    session_token,
)
from qrelay.http.host import Host
from qrelay.http.visitors import Visitors
from qrelay.keys import Keys
from qrelay.keys.attempts import Attempts
from qrelay.keys.sessions import Sessions
from qrelay.records.audit import Actor

CSRF_HEADER: Final = "x-qrelay-csrf"
BACKGROUND_HEADER: Final = "x-qrelay-background"
"""With it a page asks by itself, and nobody is there for all we know: that keeps no session alive."""

_OWNER = "qrelay.owner"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_CHANGING = frozenset({"/test/token"})  # a GET that does something, as aq2api has it


def for_owner(app: ASGIApp) -> ASGIApp:
    """The same app for a way in that only the owner of the state has: a 0600 socket, or this very process.

    Nothing a caller can send is looked at: which app the connection was given to is what counts.
    """

    async def calling(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, _OWNER: True}, receive, send)

    return calling


def from_owner(scope: Scope) -> bool:
    """Whether the request came by a way that only the owner has."""
    return scope.get(_OWNER) is True


class Doors:
    """Checks requests. Each check raises RelayError (`client_unauthorized`, `client_forbidden`) or lets it pass.

    `sessions` are there where there is an admin secret; `on_loopback` is whether only this machine can reach us.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        on_loopback: bool,
        admin_secret: str | None = None,
        sessions: Sessions | None = None,
        allowed_hosts: Iterable[str] = (),
        cors_origins: Iterable[str] = (),
        trusted_proxies: Iterable[str] = (),
    ) -> None:
        self.visitor = Visitors(trusted_proxies).address
        self._keys = keys
        self._on_loopback = on_loopback
        self._admin = _digest(admin_secret) if admin_secret else None
        self._sessions = sessions
        self._guesses = Attempts(per_place=300, in_all=1000)
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)
        self._cors_origins = frozenset(origin.rstrip("/").lower() for origin in cors_origins)

    @property
    def needs_secret(self) -> bool:
        """Whether managing takes the admin secret."""
        return self._admin is not None

    def check_client(self, scope: Scope) -> str:
        """Returns who asks: the id of the key, "" where there are none. What is kept for one is not for another."""
        if from_owner(scope):
            return ""
        request = asked(scope)
        if self._keys.needed or not self._on_loopback:
            return self._check_key(request)
        if not self._is_ours(request.host):
            name = request.host.name if request.host else ""
            raise RelayError(
                ErrorCode.client_forbidden,
                f"Host {name[:100]!r} is not allowed.",
                remedy="Add it to QRELAY_ALLOWED_HOSTS, or call the gateway by a loopback name.",
            )
        page = origin(request)
        if request.origin and not (self.allows_origin(request.origin) or (page and page.host.loopback)):
            raise RelayError(
                ErrorCode.client_forbidden,
                f"Pages of {request.origin[:100]!r} may not use this gateway.",
                remedy="Name the origin in QRELAY_CORS_ORIGINS.",
            )
        return ""

    def _check_key(self, request: Asked) -> str:
        if request.bearer and request.api_key and request.bearer != request.api_key:
            raise RelayError(ErrorCode.client_unauthorized, "Authorization and x-api-key hold two different keys.")
        key = request.bearer or request.api_key
        if not key:
            raise RelayError(ErrorCode.client_unauthorized, "This gateway needs a key, and the request has none.")
        return self._keys.check(key)

    async def check_management(self, scope: Scope) -> Actor:
        """Returns as whom the caller is let in."""
        if from_owner(scope):
            return "owner"
        request = asked(scope)
        if self._admin is None:
            if not from_this_machine(scope, request):
                raise _not_from_here()
            return "loopback"
        if request.bearer:
            now, place = time.monotonic(), self.visitor(scope) or ""
            if (wait := self._guesses.wait(place, now)) > 0:
                raise RelayError(
                    ErrorCode.too_many_attempts,
                    "There were too many wrong secrets in the last minute.",
                    retry_after=wait,
                )
            if not self.is_admin_secret(request.bearer):
                if self._keys.id_of(request.bearer) is None:
                    self._guesses.failed(place, now)
                raise RelayError(
                    ErrorCode.client_forbidden,
                    "That is not the admin secret.",
                    remedy="Client keys do not open management routes; send QRELAY_ADMIN_SECRET.",
                )
            self._guesses.passed(place)
            if request.origin and not same_origin(request):
                raise _foreign_page()
            return "admin"
        await self._check_session(scope, request)
        return "session"

    async def _check_session(self, scope: Scope, request: Asked) -> None:
        token = session_token(scope)
        if not token:
            raise RelayError(
                ErrorCode.client_unauthorized,
                "This route needs the admin secret.",
                remedy="Send it as 'Authorization: Bearer …' (QRELAY_ADMIN_SECRET), or log in to the console.",
            )
        self.check_page(scope)
        if await self.session_ends_at(scope) is None:
            raise RelayError(
                ErrorCode.client_unauthorized, "This session has ended.", remedy="Log in to the console again."
            )
        if scope["method"] in _READING and scope["path"] not in _CHANGING:
            return
        ours = request.origin or header(scope, b"sec-fetch-site").lower() == "same-origin"
        if header(scope, CSRF_HEADER.encode()) != "1" or not ours:
            raise RelayError(
                ErrorCode.client_forbidden,
                "A session may change something from the console's own pages only.",
                remedy=f"Send the header '{CSRF_HEADER}: 1' from a page of this gateway; programs send the admin "
                "secret as a bearer.",
            )

    def check_page(self, scope: Scope) -> None:
        """Refuse what a browser sends for a page of another origin: another port of this machine is one."""
        if from_foreign_page(scope, asked(scope)):
            raise _foreign_page()

    async def session_ends_at(self, scope: Scope) -> float | None:
        """When the caller's session ends at the latest, None without one. Raises RelayError(store_failed)."""
        token = session_token(scope)
        if not token or self._sessions is None:
            return None
        return await self._sessions.ends_at(token, touch=not _in_background(scope))

    async def still_open(self, scope: Scope) -> bool:
        """Whether who was let in to a management route, and is still there, would be let in again.

        Only a session can have ended since. Raises RelayError(store_failed).
        """
        if from_owner(scope) or self._admin is None or asked(scope).bearer:
            return True
        return await self.session_ends_at(scope) is not None

    def check_console(self, scope: Scope) -> None:
        """What is on its page comes through `check_management`; nobody needs the page who isn't let in there."""
        if not self.shows_console(scope):
            raise _not_from_here()

    def shows_console(self, scope: Scope) -> bool:
        """Whether the caller may see the console's page: with a secret everybody, for there one logs in."""
        return self.needs_secret or from_owner(scope) or from_this_machine(scope, asked(scope))

    async def check_metrics(self, scope: Scope) -> None:
        """Figures are for this machine too when there is an admin secret: who scrapes them from here needs no key."""
        if not from_this_machine(scope, asked(scope)):
            await self.check_management(scope)

    def key_of(self, scope: Scope) -> str | None:
        """The id of the client key that a request has in the admin secret's place, None for any other."""
        request = asked(scope)
        key = request.bearer or request.api_key
        return self._keys.id_of(key) if key and self._admin is not None else None

    def is_admin_secret(self, text: str) -> bool:
        """Whether it is; where there is none, nothing is."""
        return self._admin is not None and hmac.compare_digest(_digest(text), self._admin)

    def allows_origin(self, origin: str) -> bool:
        """Whether a browser page of that origin may read the client routes' answers (CORS)."""
        return origin.rstrip("/").lower() in self._cors_origins

    def _is_ours(self, host: Host | None) -> bool:
        return host is not None and (host.loopback or host.name in self._allowed_hosts)


def _in_background(scope: Scope) -> bool:
    """Whether a page asks by itself; a stream of events connects anew by itself, and can send no header of ours."""
    return scope["method"] in _READING and (
        header(scope, BACKGROUND_HEADER.encode()) == "1" or header(scope, b"accept") == "text/event-stream"
    )


def _not_from_here() -> RelayError:
    return RelayError(
        ErrorCode.client_forbidden,
        "Without an admin secret this route answers only direct requests from this machine to a loopback name.",
        remedy="Set QRELAY_ADMIN_SECRET and send it as 'Authorization: Bearer …'.",
    )


def _foreign_page() -> RelayError:
    return RelayError(ErrorCode.client_forbidden, "Pages of other origins may not manage this gateway.")


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
