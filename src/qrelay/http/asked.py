"""What of a request says who sends it: key, names, origin, cookie, a proxy's traces. Not what they may do: `doors`."""

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.types import Scope

from qrelay.settings import is_loopback

_PROXY_HEADERS = (b"forwarded", b"x-real-ip", b"via")
_PROXY_PREFIXES = (b"x-forwarded-", b"cf-")


class Asked(NamedTuple):
    """The headers of a request that doors look at; "" for one that isn't there."""

    host: str
    origin: str
    bearer: str
    api_key: str
    through_proxy: bool


def asked(scope: Scope) -> Asked:
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
    return Asked(host, origin, bearer, api_key, through_proxy)


def _joined(before: str, value: bytes) -> str:
    """Two of what there may be one of are no name of ours: who sends both means somebody to read the other one."""
    text = value.decode("latin-1")
    return f"{before}, {text}" if before else text


def from_this_machine(scope: Scope, request: Asked) -> bool:
    """A direct request from loopback to a loopback name, and from no page of another origin."""
    peer = scope.get("client")
    return (
        peer is not None
        and is_loopback(peer[0])
        and is_loopback(host_name_of(request.host))
        and not request.through_proxy
        and (not request.origin or same_origin(request))
    )


@lru_cache(maxsize=256)
def host_name_of(host: str) -> str:
    """`localhost:8000` to `localhost`, `[::1]:8000` to `::1`."""
    return hostname(f"//{host}")


def hostname(url: str) -> str:
    """The name in an address, "" where it is none: `localhost:80, evil.example` has no number for a port."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return ""
    return parts.hostname or ""


def same_origin(request: Asked) -> bool:
    try:
        return urlsplit(request.origin).netloc.lower() == request.host.lower() != ""
    except ValueError:
        return False


def peer_of(scope: Scope) -> str | None:
    """The address it came from: a proxy's, behind one. None for the owner's socket."""
    peer = scope.get("client")
    return str(peer[0]) if peer and peer[0] else None


# -- what only a console's requests have

COOKIE = "qrelay_session"
HOST_COOKIE = f"__Host-{COOKIE}"
"""Its name where the page came by https: browsers then take it from this very host only."""


def session_token(scope: Scope) -> str:
    """What the session cookie holds; "" without one."""
    held: dict[str, str] = {}
    for pair in header(scope, b"cookie", between="; ").split(";"):
        name, _, value = pair.partition("=")
        held.setdefault(name.strip(), value.strip())
    return held.get(HOST_COOKIE) or held.get(COOKIE) or ""


def by_https(scope: Scope, request: Asked) -> bool:
    """Whether the browser's side of the way is https, as far as can be told: a proxy may have ended it."""
    return (
        scope.get("scheme") == "https"
        or request.origin.lower().startswith("https://")
        or header(scope, b"x-forwarded-proto").lower() == "https"
    )


def header(scope: Scope, name: bytes, *, between: str = ", ") -> str:
    """One header's value; "" without it, all of them where there are several."""
    return between.join(value.decode("latin-1") for held, value in scope["headers"] if held == name).strip()
