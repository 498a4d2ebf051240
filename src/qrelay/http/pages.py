"""`GET /docs`: the API's routes for people, each with a form to try it. Static files, nothing from another host.
Not the console: `console`.
"""

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


def routes() -> list[Route]:
    """The page, behind the management doors, and what it is made of."""
    return [
        _file("/docs", "docs.html", "text/html"),
        _file("/docs/docs.js", "docs.js", "text/javascript"),
        _file("/docs/page.css", "page.css", "text/css"),
    ]


def _file(path: str, name: str, media_type: str) -> Route:
    content = _read(name)

    async def answer(_: Request) -> Response:
        return Response(content, media_type=media_type, headers=_HEADERS)

    return Route(path, answer, methods=["GET", "HEAD"])


def _read(name: str) -> bytes:
    return (files("qrelay.http") / "static" / name).read_bytes()
