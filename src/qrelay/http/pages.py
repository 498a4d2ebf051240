"""The pages people open in a browser: what this is, and the API's routes. Static files of this package, no script in
them, nothing from another host. What they show comes from the management API.
"""

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qrelay import __version__

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
    """The pages behind the management doors, and what they are made of."""
    return [
        _file("/admin", "admin.html", "text/html"),
        _file("/admin/page.css", "page.css", "text/css"),
        _file("/docs", "docs.html", "text/html"),
        _file("/docs/docs.js", "docs.js", "text/javascript"),
    ]


def root(*, console: bool) -> Route:
    """`GET /`, open to everybody: the first page for people; two words for programs, and where there is no console."""
    page = _read("admin.html")

    async def answer(request: Request) -> Response:
        accepted = request.headers.get("accept", "*/*")
        if console and ("text/html" in accepted or "*/*" in accepted):
            return Response(page, media_type="text/html", headers=_HEADERS)
        return JSONResponse({"name": "qrelay", "version": __version__})

    return Route("/", answer, methods=["GET", "HEAD"])


def _file(path: str, name: str, media_type: str) -> Route:
    content = _read(name)

    async def answer(_: Request) -> Response:
        return Response(content, media_type=media_type, headers=_HEADERS)

    return Route(path, answer, methods=["GET", "HEAD"])


def _read(name: str) -> bytes:
    return (files("qrelay.http") / "static" / name).read_bytes()
