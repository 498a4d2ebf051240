"""The management routes that look whether an account works, and what it has left (DESIGN.md §3.2). Not the asking.

    POST /v2/accounts/{id}/test   one tiny real request -> {"success", "latency_ms", "model", "text", …}
    GET  /v2/accounts/{id}/quota  {"plan", "used", "limit", "resets_at", "allowances", "stale", …}

A quota is at most a minute old, or `stale`, with the error that kept a newer one away.
"""

import asyncio
import time
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from qrelay.completion import fold
from qrelay.errors import ErrorCode, RelayError
from qrelay.gateway import Gateway
from qrelay.http.account_answers import grant_answer
from qrelay.http.fields import iso
from qrelay.http.management import error_answer, told
from qrelay.quotas import Known, Quotas
from qrelay.upstream.quota import Allowance

_LONGEST_TEXT = 200


def routes(gateway: Gateway, quotas: Quotas) -> list[Route]:
    """Both of them."""
    desk = _CheckDesk(gateway, quotas)
    return [
        Route("/v2/accounts/{id}/test", told(desk.tried), methods=["POST"]),
        Route("/v2/accounts/{id}/quota", told(desk.quota), methods=["GET"]),
    ]


class _CheckDesk:
    def __init__(self, gateway: Gateway, quotas: Quotas) -> None:
        self._gateway = gateway
        self._quotas = quotas

    async def tried(self, request: Request) -> JSONResponse:
        """A refusal that the account caused is a 400, the service's fault a 502."""
        loop = asyncio.get_running_loop()
        started = loop.time()

        def so_far() -> float:
            return round((loop.time() - started) * 1000, 1)

        try:
            async with await self._gateway.try_account(request.path_params["id"]) as reply:
                first_event = so_far()
                events = list(reply.head)
                while not reply.ended:
                    events.extend(await reply.next())
        except RelayError as error:
            if error.code is ErrorCode.account_unknown:
                raise
            body = {"success": False, "message": error.message, "latency_ms": so_far(), "error": error_answer(error)}
            return JSONResponse(body, 400 if error.row.status < 500 else 502)
        completion = fold(events)
        usage = completion.usage
        return JSONResponse(
            {
                "success": True,
                "message": f"{reply.served.model} answered.",
                "latency_ms": so_far(),
                "first_event_ms": first_event,
                "model": reply.served.model,
                "text": completion.text[:_LONGEST_TEXT],
                "input_tokens": usage.prompt_tokens,
                "output_tokens": usage.output_tokens,
                "credits": usage.credits,
            }
        )

    async def quota(self, request: Request) -> JSONResponse:
        known = await self._quotas.of(request.path_params["id"])
        return JSONResponse(_quota_answer(known))


def _quota_answer(known: Known) -> dict[str, Any]:
    """The allowance that chats are taken from stands in front."""
    quota, now = known.quota, time.time()
    rows = [_allowance_answer(allowance) for allowance in quota.allowances]
    return {
        "plan": quota.plan,
        "plan_type": quota.plan_type,
        "overage_allowed": quota.overage_allowed,
        **_allowance_answer(quota.main or Allowance("", 0, 0)),
        "exhausted": quota.exhausted(now),
        "allowances": rows,
        "age_seconds": round(known.age, 1),
        "stale": known.failure is not None,
        "error": None if known.failure is None else error_answer(known.failure),
    }


def _allowance_answer(allowance: Allowance) -> dict[str, Any]:
    told = {**msgspec.to_builtins(allowance), "resets_at": iso(allowance.resets_at)}
    told["trial"] = grant_answer(allowance.trial)
    told["bonuses"] = [grant_answer(bonus) for bonus in allowance.bonuses]
    return told
