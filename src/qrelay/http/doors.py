"""Who may do what: keys for the client routes, the admin secret or loopback for the management routes.

    client routes      a key in `Authorization: Bearer` or `x-api-key`; without any key configured, only callers that
                       name the gateway by a loopback (or allowed) host and come from no foreign page
    management routes  with an admin secret: that secret as a bearer, nothing else
                       without: the peer and the Host are loopback, no foreign Origin, no header a proxy adds
    /metrics           either of these two
    the owner          whoever calls through what `for_owner` made is let in everywhere

A browser page on another site can make requests to 127.0.0.1, and a DNS name can be pointed there: Host and Origin are
what tells them from the user. Keys are compared by digest, so that time says nothing about them.
"""

import hmac
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from qrelay.errors import ErrorCode, RelayError
from qrelay.settings import is_loopback

_OWNER = "qrelay.owner"
_PROXY_HEADERS = (b"forwarded", b"x-real-ip", b"via")
_PROXY_PREFIXES = (b"x-forwarded-", b"cf-")


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


class _Asked(NamedTuple):
    """The headers of a request that doors look at; "" for one that isn't there."""

    host: str
    origin: str
    bearer: str
    api_key: str
    through_proxy: bool


def _asked(scope: Scope) -> _Asked:
    host = origin = authorization = api_key = ""
    through_proxy = False
    for name, value in scope["headers"]:
        if name == b"host":
            host = _joined(host, value)
        elif name == b"origin":
            origin = _joined(origin, value)
        elif name == b"authorization":
            authorization = value.decode("latin-1")
        elif name == b"x-api-key":
            api_key = value.decode("latin-1").strip()
        elif name in _PROXY_HEADERS or name.startswith(_PROXY_PREFIXES):
            through_proxy = True
    scheme, _, token = authorization.strip().partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return _Asked(host, origin, bearer, api_key, through_proxy)


def _joined(before: str, value: bytes) -> str:
    """Two of what there may be one of are no name of ours: who sends both means somebody to read the other one."""
    text = value.decode("latin-1")
    return f"{before}, {text}" if before else text


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


class Doors:
    """Checks requests. Each check raises RelayError (`client_unauthorized`, `client_forbidden`) or lets it pass."""

    def __init__(
        self,
        api_keys: Iterable[str] = (),
        admin_secret: str | None = None,
        allowed_hosts: Iterable[str] = (),
        cors_origins: Iterable[str] = (),
    ) -> None:
        self._keys = frozenset(map(_digest, api_keys))
        self._admin = _digest(admin_secret) if admin_secret else None
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)
        self._cors_origins = frozenset(origin.rstrip("/").lower() for origin in cors_origins)

    def check_client(self, scope: Scope) -> str:
        """Returns who asks: a digest of the key, "" where there are none. What is kept for one is not for another."""
        if from_owner(scope):
            return ""
        asked = _asked(scope)
        if self._keys:
            return self._check_key(asked)
        if not self._names_us(asked.host):
            raise RelayError(
                ErrorCode.client_forbidden, f"This gateway is not called {asked.host[:100]!r}, and it has no keys."
            )
        if asked.origin and not (self.allows_origin(asked.origin) or is_loopback(_hostname(asked.origin))):
            raise RelayError(
                ErrorCode.client_forbidden,
                f"Pages of {asked.origin[:100]!r} may not use this gateway.",
                remedy="Name the origin in QRELAY_CORS_ORIGINS.",
            )
        return ""

    def _check_key(self, asked: _Asked) -> str:
        if asked.bearer and asked.api_key and asked.bearer != asked.api_key:
            raise RelayError(ErrorCode.client_unauthorized, "Authorization and x-api-key hold two different keys.")
        key = asked.bearer or asked.api_key
        if not key:
            raise RelayError(ErrorCode.client_unauthorized, "This gateway needs a key, and the request has none.")
        digest = _digest(key)
        if digest not in self._keys:
            raise RelayError(ErrorCode.client_unauthorized, "This gateway does not know the key of the request.")
        return digest.hex()

    def check_management(self, scope: Scope) -> None:
        if from_owner(scope):
            return
        asked = _asked(scope)
        if self._admin is not None:
            if not asked.bearer:
                raise RelayError(
                    ErrorCode.client_unauthorized,
                    "This route needs the admin secret.",
                    remedy="Send it as 'Authorization: Bearer …' (QRELAY_ADMIN_SECRET).",
                )
            if not hmac.compare_digest(_digest(asked.bearer), self._admin):
                raise RelayError(
                    ErrorCode.client_forbidden,
                    "That is not the admin secret.",
                    remedy="Client keys do not open management routes; send QRELAY_ADMIN_SECRET.",
                )
            if asked.origin and not _same_origin(asked):
                raise RelayError(ErrorCode.client_forbidden, "Pages of other origins may not manage this gateway.")
            return
        if not _from_this_machine(scope, asked):
            raise RelayError(
                ErrorCode.client_forbidden,
                "Without an admin secret this route answers only direct requests from this machine to a loopback name.",
                remedy="Set QRELAY_ADMIN_SECRET and send it as 'Authorization: Bearer …'.",
            )

    def check_metrics(self, scope: Scope) -> None:
        """Figures are for this machine too when there is an admin secret: who scrapes them from here needs no key."""
        if not _from_this_machine(scope, _asked(scope)):
            self.check_management(scope)

    def allows_origin(self, origin: str) -> bool:
        """Whether a browser page of that origin may read the client routes' answers (CORS)."""
        return origin.rstrip("/").lower() in self._cors_origins

    def _names_us(self, host: str) -> bool:
        name = _host_name_of(host)
        return is_loopback(name) or name.lower() in self._allowed_hosts


def _from_this_machine(scope: Scope, asked: _Asked) -> bool:
    """A direct request from loopback to a loopback name, and from no page of another origin."""
    peer = scope.get("client")
    return (
        peer is not None
        and is_loopback(peer[0])
        and is_loopback(_host_name_of(asked.host))
        and not asked.through_proxy
        and (not asked.origin or _same_origin(asked))
    )


@lru_cache(maxsize=256)
def _host_name_of(host: str) -> str:
    """`localhost:8000` to `localhost`, `[::1]:8000` to `::1`."""
    return _hostname(f"//{host}")


def _hostname(url: str) -> str:
    """The name in an address, "" where it is none: `localhost:80, evil.example` has no number for a port."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return ""
    return parts.hostname or ""


def _same_origin(asked: _Asked) -> bool:
    try:
        return urlsplit(asked.origin).netloc.lower() == asked.host.lower() != ""
    except ValueError:
        return False
