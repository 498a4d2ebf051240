"""Which paths manage the gateway, and how each of their surfaces tells a failure. Not who may call them: `doors`.

    /v2/…                        ours and q2api's    {"error": {"code", "message", "remedy", "param"}}
    /api/…                       amq2api's           {"success": false, "message": text, "error": {…}}
    /credentials, /test/…        aq2api's            {"success": false, "error": text, "message": text}
    /docs, /openapi.json         the API, described  as /v2

Everything under these names is managing, whether there is a route or not, but for what is named in `_PROBES`. The
console's page and its files have a door of their own (`Doors.check_console`): what they show comes from here. Logging
in is open to everybody where there is an admin secret.
"""

import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from qrelay.errors import RelayError

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

_ROOTS = ("/v2", "/api", "/credentials", "/test", "/docs", "/openapi.json")
_TREES = tuple(f"{root}/" for root in _ROOTS)
_PROBES = frozenset({"/api/hello"})  # asked by Claude Code before its first request


def is_management(path: str) -> bool:
    """Whether a path changes or shows the gateway itself."""
    return path in _ROOTS or (path.startswith(_TREES) and path not in _PROBES)


def opens_with_a_secret(method: str, path: str) -> bool:
    """Whether everybody may come in where an admin secret guards the rest: to log in, and to see if one has to."""
    return path == "/v2/session" and method in {"GET", "HEAD", "POST"}


def told(endpoint: Endpoint) -> Endpoint:
    """The endpoint, with every RelayError told as its surface does."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except RelayError as error:
            return refusal(error, request.scope["path"])

    return answer


def refusal(error: RelayError, path: str) -> JSONResponse:
    """A failure as a whole answer of the surface that `path` belongs to."""
    told = f"{error.message} {error.remedy}"
    body: dict[str, Any]
    if path.startswith("/api/"):
        body = {"success": False, "message": told, "error": error_answer(error)}
    elif path == "/credentials" or path.startswith("/test/"):
        body = {"success": False, "error": told, "message": told}
    else:
        body = {"error": error_answer(error)}
    headers = {} if error.retry_after is None else {"retry-after": str(math.ceil(error.retry_after))}
    return JSONResponse(body, error.row.status, headers)


def error_answer(error: RelayError) -> dict[str, str | None]:
    """A failure as management routes tell it."""
    return {"code": error.code, "message": error.message, "remedy": error.remedy, "param": error.param}
