"""The routes under `/_sim/`: what tests do with the object, other programs do over HTTP. `WHAT_THERE_IS` lists them."""

from collections.abc import Awaitable, Callable
from typing import Final, Literal

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from qrelay.simulator.errors import CATALOGUE
from qrelay.simulator.models import Tier
from qrelay.simulator.named import SCENARIOS
from qrelay.simulator.oauth_errors import ERRORS
from qrelay.simulator.oidc import Oidc
from qrelay.simulator.scenario import Scenario, check_names
from qrelay.simulator.service import AccountKind, Service

WHAT_THERE_IS: Final = """\
This is qrelay's simulated service. It is steered by:

POST /_sim/next            {"name": "throttled"} or {"scenario": {...}}, and "times": what the next chats are answered
GET  /_sim/scenarios       the names of what is ready-made
GET  /_sim/requests        what came in, without bearers and secrets
POST /_sim/reset           forget requests and queue
POST /_sim/tokens/expire   every access token stops being valid
POST /_sim/token-errors    {"errors": ["slow_down", ...]}: what the next calls of /token are told
POST /_sim/accounts        {"name", "kind", "tier", "profileArn"}: a new account, and what its owner holds
POST /_sim/devices         {"userCode", "decision": "approved" or "denied"}: what is said to a log-in
"""


class Next(Struct, forbid_unknown_fields=True):
    name: str | None = None
    scenario: Scenario | None = None
    times: int = 1


class TokenErrors(Struct, forbid_unknown_fields=True):
    errors: list[str]


class NewAccount(Struct, forbid_unknown_fields=True):
    name: str | None = None
    kind: AccountKind = "builder_id"
    tier: Tier = "paid"
    profileArn: str | None = None  # noqa: N815 - JSON's spelling, as everywhere in this protocol


class Approval(Struct, forbid_unknown_fields=True):
    userCode: str  # noqa: N815 - as above
    decision: Literal["approved", "denied"] = "approved"


Endpoint = Callable[[Request], Awaitable[Response]]


def routes(service: Service, oidc: Oidc) -> list[Route]:
    async def next_(request: Request) -> Response:
        order = msgspec.json.decode(await request.body(), type=Next)
        if (order.name is None) == (order.scenario is None):
            raise ValueError("name or scenario, one of them")
        if order.scenario is not None:
            check_names(order.scenario)
        service.next(order.scenario or order.name or "", order.times)
        return JSONResponse({"queued": len(service.queued)})

    async def index(_request: Request) -> Response:
        return PlainTextResponse(WHAT_THERE_IS)

    async def requests(_request: Request) -> Response:
        told = [recorded.summary() for recorded in service.requests]
        return Response(msgspec.json.encode({"requests": told}), media_type="application/json")

    async def reset(_request: Request) -> Response:
        service.reset()
        return JSONResponse({})

    async def expire(_request: Request) -> Response:
        service.expire_access_tokens()
        return JSONResponse({"expired": len(service.access_tokens)})

    async def token_errors(request: Request) -> Response:
        wanted = msgspec.json.decode(await request.body(), type=TokenErrors).errors
        if unknown := set(wanted) - set(ERRORS):
            raise ValueError(f"no such errors: {', '.join(sorted(unknown))}")
        oidc.next_errors.extend(wanted)
        return JSONResponse({"queued": len(oidc.next_errors)})

    async def accounts(request: Request) -> Response:
        wanted = msgspec.json.decode(await request.body() or b"{}", type=NewAccount)
        account = service.account(wanted.name, wanted.kind, tier=wanted.tier, profile_arn=wanted.profileArn)
        login = oidc.log_in(account)
        told = {
            "name": account.name,
            "kind": account.kind,
            "profileArn": account.profile_arn,
            "clientId": login.client_id,
            "clientSecret": login.client_secret,
            "refreshToken": login.refresh_token,
            "accessToken": login.access_token,
        }
        return JSONResponse(told, 201)

    async def devices(request: Request) -> Response:
        approval = msgspec.json.decode(await request.body(), type=Approval)
        if not oidc.decide(approval.userCode, approval.decision):
            raise KeyError(approval.userCode)
        return JSONResponse({})

    async def scenarios(_request: Request) -> Response:
        return JSONResponse({"scenarios": sorted(SCENARIOS), "errors": sorted(CATALOGUE)})

    return [
        Route("/", index, methods=["GET"]),
        Route("/_sim/", index, methods=["GET"]),
        Route("/_sim/next", _told(next_), methods=["POST"]),
        Route("/_sim/requests", requests, methods=["GET"]),
        Route("/_sim/reset", reset, methods=["POST"]),
        Route("/_sim/tokens/expire", expire, methods=["POST"]),
        Route("/_sim/token-errors", _told(token_errors), methods=["POST"]),
        Route("/_sim/accounts", _told(accounts), methods=["POST"]),
        Route("/_sim/devices", _told(devices), methods=["POST"]),
        Route("/_sim/scenarios", scenarios, methods=["GET"]),
    ]


def _told(endpoint: Endpoint) -> Endpoint:
    """What is wrong with an order is said, as a 400 or 404."""

    async def checked(request: Request) -> Response:
        try:
            return await endpoint(request)
        except KeyError as error:
            return JSONResponse({"error": f"there is no {error.args[0]}"}, 404)
        except (ValueError, msgspec.DecodeError) as error:
            return JSONResponse({"error": str(error)}, 400)

    return checked
