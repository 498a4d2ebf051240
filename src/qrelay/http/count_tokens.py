"""`POST /v1/messages/count_tokens`: an estimate made here, without a call to the service, beside the event loop."""

import asyncio
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qrelay.apis.anthropic import read_count
from qrelay.attachments import Attachments
from qrelay.errors import RelayError
from qrelay.http.body import Bodies, ClientLeft, is_large
from qrelay.http.doors import Doors
from qrelay.http.models import error_response
from qrelay.tokens import count_conversation


def routes(attachments: Attachments, doors: Doors, bodies: Bodies, new_id: Callable[[], str]) -> list[Route]:
    async def count(request: Request) -> Response:
        request_id = f"req_{new_id()}"
        with bodies.share() as share:
            try:
                doors.check_client(request.scope)
                body = await bodies.read(request.scope, request.receive, share)
                conversation = await bodies.apart(body, partial(read_count, body, limits=bodies.limits))
            except RelayError as error:
                return error_response(error, "anthropic", request_id)
            except ClientLeft:
                return Response(status_code=499)
            if is_large(body):
                conversation = replace(conversation, size=len(body))
            conversation = await attachments.read(conversation)
            tokens = await asyncio.to_thread(count_conversation, conversation)
        return JSONResponse({"input_tokens": tokens}, headers={"request-id": request_id})

    paths = ("/v1/messages/count_tokens", "/messages/count_tokens", "/v1/v1/messages/count_tokens")
    return [Route(path, count, methods=["POST"]) for path in paths]
