"""`GET` and `DELETE /v1/responses/{id}`: what was answered before, for the key that asked for it."""

from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qrelay.apis.openai_responses import ResponsesStore
from qrelay.errors import ErrorCode, RelayError
from qrelay.http.doors import Doors
from qrelay.http.models import error_response


def routes(store: ResponsesStore, doors: Doors, new_id: Callable[[], str]) -> list[Route]:
    async def answer(request: Request) -> Response:
        response_id: str = request.path_params["id"]
        try:
            memory = store.scoped(doors.check_client(request.scope))
            kept = memory.get(response_id)
            if kept is None:
                raise RelayError(ErrorCode.response_unknown, f"No response {response_id[:100]!r} is kept.")  # noqa: TRY301 -- told below
        except RelayError as error:
            return error_response(error, "openai", f"req_{new_id()}")
        if request.method == "DELETE":
            memory.delete(response_id)
            body = msgspec.json.encode({"id": response_id, "object": "response", "deleted": True})
        else:
            body = kept.body
        return Response(body, media_type="application/json", headers={"x-request-id": f"req_{new_id()}"})

    return [Route(f"{prefix}/responses/{{id}}", answer, methods=["GET", "DELETE"]) for prefix in ("/v1", "")]
