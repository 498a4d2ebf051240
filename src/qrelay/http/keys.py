"""The management routes about client keys (DESIGN.md §3.2, §7). Not who may use them: `doors`.

    POST   /v2/keys       {"name"?, "expires_at"?}  -> {"id", "name", "key", "ending", "created_at", "expires_at"}
    GET    /v2/keys       {"keys": [{…, "last_used_at", "state": "active" | "expired"}]}
    DELETE /v2/keys/{id}  {"deleted": id}

A key is shown once, when it is made. `expires_at` is ISO 8601, UTC unless it says otherwise, or seconds since the
epoch, and has to lie ahead. What a key had begun when it was revoked is answered to its end.
"""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from qrelay.errors import ErrorCode, RelayError
from qrelay.http.fields import Line, blank_is_none, epoch, iso, parse_body, read
from qrelay.http.management import told
from qrelay.keys import Key, Keys


def routes(keys: Keys) -> list[Route]:
    """All of them."""
    desk = _KeysDesk(keys)
    return [
        Route("/v2/keys", told(desk.listed), methods=["GET"]),
        Route("/v2/keys", told(desk.created), methods=["POST"]),
        Route("/v2/keys/{id}", told(desk.revoked), methods=["DELETE"]),
    ]


class KeyBody(BaseModel):
    """`POST /v2/keys`."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, defer_build=True)

    name: Line = None
    expires_at: Annotated[datetime | None, BeforeValidator(blank_is_none)] = None


class _KeysDesk:
    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def listed(self, _request: Request) -> JSONResponse:
        return JSONResponse({"keys": [self._row(key) for key in await self._keys.listed()]})

    async def created(self, request: Request) -> JSONResponse:
        body = read(KeyBody, await parse_body(request, b"{}"))
        expires_at = None if body.expires_at is None else epoch(body.expires_at)
        if expires_at is not None and expires_at <= self._keys.now():
            raise RelayError(
                ErrorCode.request_invalid,
                "expires_at: it is over already.",
                remedy="Give a time that lies ahead; one without a zone is UTC.",
                param="expires_at",
            )
        key, text = await self._keys.create(body.name or "", expires_at)
        return JSONResponse(_answer(key) | {"key": text})

    async def revoked(self, request: Request) -> JSONResponse:
        key_id: str = request.path_params["id"]
        await self._keys.revoke(key_id)
        return JSONResponse({"deleted": key_id})

    def _row(self, key: Key) -> dict[str, Any]:
        state = "active" if self._keys.is_active(key) else "expired"
        return _answer(key) | {"last_used_at": iso(key.last_used_at), "state": state}


def _answer(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "ending": key.ending,
        "created_at": iso(key.created_at),
        "expires_at": iso(key.expires_at),
    }
