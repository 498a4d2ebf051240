"""`GET /docs`: Swagger UI on `/openapi.json`. Static files, nothing from another host. Not the console: `console`.

    /docs                            our page; docs.js starts Swagger UI, docs.css is what it leaves to us
    /docs/swagger-ui-{version}/…     Swagger UI as it was published (static/vendor, pinned by vendor.json)

The files are read from disk when they are asked for, a piece at a time: a server whose page nobody looks at has none of
their two megabytes in memory. All of it is behind the management doors.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

SWAGGER_UI: Final = "5.35.0"
"""The version under `static/vendor`. It is in the URL of what is kept for good."""
_STATIC: Final = Path(__file__).parent / "static"
# Nothing is loosened for Swagger UI but the pictures in its style sheet (`data:`). What it would make HTML of,
# descriptions in Markdown, docs.js shows as text.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


_SWAGGER_UI: Final = f"/docs/swagger-ui-{SWAGGER_UI}"
FILES: Final[Mapping[str, str]] = {
    "/docs/docs.js": "docs.js",
    "/docs/docs.css": "docs.css",
    f"{_SWAGGER_UI}/swagger-ui-bundle.js": "vendor/swagger-ui-bundle.js",
    f"{_SWAGGER_UI}/swagger-ui.css": "vendor/swagger-ui.css",
}
"""What the page is made of: by which path, and the file under `static`."""
_TYPES: Final[Mapping[str, str]] = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}


def routes() -> list[Route]:
    """The page, behind the management doors, and what it is made of."""
    return [_file(path, _STATIC / name) for path, name in {"/docs": "docs.html", **FILES}.items()]


def _file(path: str, file: Path) -> Route:
    for_good = path.startswith(_SWAGGER_UI)
    headers = {**_HEADERS, "cache-control": "public, max-age=31536000, immutable" if for_good else "no-cache"}

    async def answer(_: Request) -> Response:
        return FileResponse(file, media_type=_TYPES[file.suffix], headers=headers)

    return Route(path, answer, methods=["GET", "HEAD"])
