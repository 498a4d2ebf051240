"""What of a request says who sends it: key, names, origin, cookie, a proxy's traces. Not what they may do: `doors`."""

from typing import NamedTuple

from starlette.types import Scope

from qrelay.http.host import Host, Origin, parse_host, parse_origin
from qrelay.settings import is_loopback

_PROXY_HEADERS = frozenset(
    {b"forwarded", b"x-real-ip", b"via", b"cdn-loop", b"true-client-ip", b"x-client-ip", b"x-cluster-client-ip"}
)
_PROXY_PREFIXES = (b"x-forwarded-", b"x-original-", b"cf-")
_OWN_SITES = frozenset({"", "same-origin", "none"})


class Asked(NamedTuple):
    """The headers of a request that doors look at; "" for one that isn't there.

    `host` is None without a valid one. `origin` is the header's text.
    """

    host: Host | None
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
            authorization = _joined(authorization, value)
        elif name == b"x-api-key":
            api_key = _joined(api_key, value)
        elif name in _PROXY_HEADERS or name.startswith(_PROXY_PREFIXES):
            through_proxy = True
    scheme, _, token = authorization.strip().partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return Asked(parse_host(host.strip(" \t")), origin, bearer, api_key.strip(), through_proxy)


def _joined(before: str, value: bytes) -> str:
    """Two of what there may be one of are no name and no key of ours: somebody is meant to read the other one."""
    text = value.decode("latin-1")
    return f"{before}, {text}" if before else text


def from_this_machine(scope: Scope, request: Asked) -> bool:
    """A direct request from loopback to a loopback name, and from no page of another origin.

    HTTP/1.0 is what nginx speaks to what is behind it where its configuration says nothing, without any other trace.
    """
    peer = scope.get("client")
    return (
        peer is not None
        and is_loopback(peer[0])
        and request.host is not None
        and request.host.loopback
        and not request.through_proxy
        and scope.get("http_version") != "1.0"
        and (not from_foreign_page(scope, request) or _follows_a_link(scope, request))
    )


def from_foreign_page(scope: Scope, request: Asked) -> bool:
    """Whether a browser says that it is for a page of another origin: another port of this machine is one."""
    site = header(scope, b"sec-fetch-site").lower()
    return site not in _OWN_SITES or bool(request.origin and not same_origin(request))


def _follows_a_link(scope: Scope, request: Asked) -> bool:
    """A person comes here from a page elsewhere, and that page does not see what they find."""
    return (
        scope["method"] == "GET"
        and not request.origin
        and header(scope, b"sec-fetch-mode") == "navigate"
        and header(scope, b"sec-fetch-dest") == "document"
    )


def origin(request: Asked) -> Origin | None:
    """Return the origin of the page that the request is for; None for a program's request, or an opaque origin."""
    return parse_origin(request.origin)


def same_origin(request: Asked) -> bool:
    """Return whether the request is for a page of this gateway."""
    page = origin(request)
    return page is not None and request.host is not None and page.is_at(request.host)


def peer_of(scope: Scope) -> str | None:
    """The address it came from: a proxy's, behind one. None for the owner's socket."""
    peer = scope.get("client")
    return str(peer[0]) if peer and peer[0] else None


# -- what only a console's requests have

COOKIE = "qrelay_session"
HOST_COOKIE = f"__Host-{COOKIE}"
"""Its name where the page came by https: browsers then take it from this very host only."""


def session_tokens(scope: Scope) -> list[str]:
    """What the session cookies hold, the one that counts first: who came by http and by https has one of each."""
    held: dict[str, str] = {}
    for pair in header(scope, b"cookie", between="; ").split(";"):
        name, _, value = pair.partition("=")
        held.setdefault(name.strip(), value.strip())
    return [token for name in (HOST_COOKIE, COOKIE) if (token := held.get(name))]


def session_token(scope: Scope) -> str:
    """The one that counts; "" without one."""
    return next(iter(session_tokens(scope)), "")


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
