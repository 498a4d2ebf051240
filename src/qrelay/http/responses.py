"""`GET` and `DELETE /v1/responses/{id}`: what was answered before, for the key that asked for it."""

from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qrelay.errors import ErrorCode, RelayError
from qrelay.http.doors import Doors
from qrelay.http.models import error_response
from qrelay.http.shelf import Shelf


def routes(shelf: Shelf, doors: Doors, new_id: Callable[[], str]) -> list[Route]:
    async def answer(request: Request) -> Response:
        response_id: str = request.path_params["id"]
        try:
            owner = doors.check_client(request.scope)
            if request.method == "DELETE":
                there = await shelf.delete(owner, response_id)
                body = msgspec.json.encode({"id": response_id, "object": "response", "deleted": True})
            else:
                kept = await shelf.get(owner, response_id)
                there, body = kept is not None, b"" if kept is None else kept.body
            if not there:
                raise RelayError(ErrorCode.response_unknown, f"No response {response_id[:100]!r} is kept.")  # noqa: TRY301 - told below
        except RelayError as error:
            return error_response(error, "openai", f"req_{new_id()}")
        return Response(body, media_type="application/json", headers={"x-request-id": f"req_{new_id()}"})

    return [Route(f"{prefix}/responses/{{id}}", answer, methods=["GET", "DELETE"]) for prefix in ("/v1", "")]
