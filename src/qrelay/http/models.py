"""`GET /v1/models`: one path, two shapes (CLIENTS.md, "Models"). Which names exist: `upstream/models.py`."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qrelay.apis import errors
from qrelay.apis.dialect import Family
from qrelay.errors import ErrorCode, RelayError
from qrelay.gateway import Gateway
from qrelay.http.doors import Doors
from qrelay.upstream.models import Model, serving

_CREATED = datetime(2025, 1, 1, tzinfo=UTC)
"""The service says no date and both shapes need one; the same for all, so that nobody reads anything into it."""

_MOST_ROWS = 1000


def family_of(request: Request) -> Family:
    """Whose shape a caller wants where the route doesn't say: on a path both families share, or one nobody has."""
    anthropic = "anthropic-version" in request.headers or "x-api-key" in request.headers
    return "anthropic" if anthropic or "messages" in request.scope["path"].split("/") else "openai"


def error_response(error: RelayError, family: Family, request_id: str) -> Response:
    """A failure in the caller's shape, for routes that Starlette serves."""
    status, headers, body = errors.reply(error, family, request_id)
    response = Response(body, status)
    response.raw_headers.extend(headers)
    return response


def routes(gateway: Gateway, doors: Doors, new_id: Callable[[], str]) -> list[Route]:
    async def list_models(request: Request) -> Response:
        family = family_of(request)
        try:
            doors.check_client(request.scope)
            models = await gateway.models()
        except RelayError as error:
            return error_response(error, family, f"req_{new_id()}")
        if family == "openai":
            return JSONResponse({"object": "list", "data": [_openai(model, model.id) for model in models]})
        return JSONResponse(_page(request, [_anthropic(model, model.id) for model in models]))

    async def get_model(request: Request) -> Response:
        family = family_of(request)
        name = request.path_params["id"]
        try:
            doors.check_client(request.scope)
            models = await gateway.models()
            model = serving(name, models)
            if model is None:
                raise RelayError(ErrorCode.model_unknown, f"There is no model {name[:100]!r}.")  # noqa: TRY301 - told below
        except RelayError as error:
            return error_response(error, family, f"req_{new_id()}")
        return JSONResponse(_openai(model, name) if family == "openai" else _anthropic(model, name))

    return [
        Route(f"{prefix}/models{suffix}", endpoint, methods=["GET"])
        for prefix in ("/v1", "", "/v1/v1")
        for suffix, endpoint in (("", list_models), ("/{id:path}", get_model))
    ]


def _openai(model: Model, id_: str) -> dict[str, Any]:
    return {
        "id": id_,
        "object": "model",
        "created": int(_CREATED.timestamp()),
        "owned_by": "anthropic" if model.id.startswith("claude") else "amazon",
        "display_name": model.name or model.id,
        "description": model.description,
    }


def _anthropic(model: Model, id_: str) -> dict[str, Any]:
    return {
        "type": "model",
        "id": id_,
        "display_name": model.name or model.id,
        "created_at": _CREATED.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "max_input_tokens": model.max_input_tokens or None,
        "max_tokens": model.max_output_tokens or None,
    }


def _page(request: Request, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Anthropic's paging: `limit` rows behind `after_id`, or those just before `before_id`."""
    ids = [row["id"] for row in rows]
    after, before = request.query_params.get("after_id"), request.query_params.get("before_id")
    size = _limit(request.query_params.get("limit", ""))
    if before in ids:
        rows = rows[: ids.index(before)]
        shown = rows[-size:]
    else:
        rows = rows[ids.index(after) + 1 :] if after in ids else rows
        shown = rows[:size]
    return {
        "data": shown,
        "has_more": len(rows) > len(shown),
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
    }


def _limit(asked: str) -> int:
    """1 to 1000; what is no number asks for all."""
    return min(max(int(asked), 1), _MOST_ROWS) if asked.isdecimal() and len(asked) <= 4 else _MOST_ROWS
