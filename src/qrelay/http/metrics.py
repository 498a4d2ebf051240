"""`GET /metrics`: its door. What is told: `exposition`, loaded when somebody asks, since few servers are ever asked."""

from collections.abc import Sized
from functools import cache
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qrelay.accounts.pool import Pool
from qrelay.accounts.refresher import Refresher
from qrelay.errors import RelayError
from qrelay.gateway import Gateway
from qrelay.http.doors import Doors
from qrelay.http.management import refusal
from qrelay.http.traffic import Traffic
from qrelay.records.journal import Journal

if TYPE_CHECKING:
    from qrelay.http.exposition import Encoder


def routes(
    traffic: Traffic,
    gateway: Gateway,
    refresher: Refresher,
    pool: Pool,
    *,
    doors: Doors,
    journal: Journal,
    connections: Sized,
) -> list[Route]:
    """The one route. It has a door of its own: loopback or the admin secret."""

    @cache
    def encoder() -> "Encoder":
        from qrelay.http import exposition  # noqa: PLC0415 - see above

        return exposition.encoder(
            exposition.Counted(traffic, gateway, refresher, pool, journal, connections=connections)
        )

    async def metrics(request: Request) -> Response:
        try:
            await doors.check_metrics(request.scope)
        except RelayError as error:
            return refusal(error, request.scope["path"])
        text, content_type = encoder()(request.headers.get("accept", ""))
        return Response(text, headers={"content-type": content_type})

    return [Route("/metrics", metrics, methods=["GET", "HEAD"])]
