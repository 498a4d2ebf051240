"""`GET /v2/settings`: every setting, its value with secrets masked, and where it came from."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from qrelay.settings import Settings, Sourced, described, names


def routes(settings: Settings) -> list[Route]:
    async def shown(_: Request) -> JSONResponse:
        return JSONResponse({"settings": [_row(row) for row in settings.sources()]})

    return [Route("/v2/settings", shown, methods=["GET"])]


def _row(row: Sourced) -> dict[str, Any]:
    field = row.name.removeprefix("QRELAY_").lower()
    return {
        "name": row.name,
        "value": row.value,
        "source": str(row.source) if row.source else "default",
        "older_names": names(field)[1:],
        "description": described(field),
    }
