"""From an HTTP request to the record of it: operation, binding, headers and JSON body. It answers nothing."""

from typing import Any, Literal

import msgspec
from starlette.requests import Request

from qrelay.simulator.service import RecordedRequest, Service


async def record(
    service: Service, request: Request, operation: str, binding: Literal["awsJson", "restJson", "oidc", "other"]
) -> RecordedRequest:
    raw = await request.body()
    body: Any = None
    if raw:
        try:
            body = msgspec.json.decode(raw)
        except msgspec.DecodeError:
            body = None
    recorded = RecordedRequest(
        number=len(service.requests) + 1,
        at=service.now(),
        operation=operation,
        binding=binding,
        method=request.method,
        path=request.url.path,
        query=dict(request.query_params),
        headers=dict(request.headers),
        raw=raw,
        body=body,
    )
    service.requests.append(recorded)
    return recorded
