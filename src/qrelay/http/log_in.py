"""The management routes that log an account in by device code (DESIGN.md §3.2; SWITCHING.md, q2api).

    POST /v2/auth/start         {"label"?, "enabled"?, "kind"?, "startUrl"?, "region"?, "accountId"?, "profileArn"?}
                                -> what to show: {"authId", "verificationUriComplete", "userCode", …}
    GET  /v2/auth/status/{id}   {"status": "pending" | "completed" | "error" | "timeout", "remaining", …}
    GET  /v2/auth/qr/{id}       the address to approve it at, as a QR code: a picture (SVG)
    POST /v2/auth/claim/{id}    the same once it has ended, and the account; 408 after its time, 4xx or 5xx for a no

Asking changes nothing: whoever shows the code may leave, ask twice or never claim.
"""

import asyncio
import io
import math
from contextlib import suppress
from typing import Any, Final

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qrelay.accounts.account import Account
from qrelay.accounts.standings import Standing
from qrelay.accounts.store import AccountStore
from qrelay.credential import LoginKind
from qrelay.errors import CATALOGUE, RelayError
from qrelay.http.account_answers import account_answer
from qrelay.http.fields import Line, MaybeWord, parse_body, read
from qrelay.http.leaving import Leaving
from qrelay.http.management import told
from qrelay.login import LogIns, Wish

_LONGEST_CLAIM: Final = 300.0
_PICTURE: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def routes(log_ins: LogIns, store: AccountStore, leaving: Leaving) -> list[Route]:
    """All of them."""
    desk = _LogInDesk(log_ins, store, leaving)
    return [
        Route("/v2/auth/start", told(desk.started), methods=["POST"]),
        Route("/v2/auth/status/{id}", told(desk.standing), methods=["GET"]),
        Route("/v2/auth/qr/{id}", told(desk.drawn), methods=["GET"]),
        Route("/v2/auth/claim/{id}", told(desk.claimed), methods=["POST"]),
    ]


class StartBody(BaseModel):
    """`POST /v2/auth/start`. Whether region and start URL make sense together is `accounts.device`'s business."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, defer_build=True)

    label: Line = None
    enabled: bool | None = None
    kind: LoginKind | None = None
    start_url: MaybeWord = Field(default=None, validation_alias=AliasChoices("startUrl", "start_url"))
    region: MaybeWord = None
    account_id: MaybeWord = Field(default=None, validation_alias=AliasChoices("accountId", "account_id"))
    profile_arn: MaybeWord = Field(default=None, validation_alias=AliasChoices("profileArn", "profile_arn"))


class _LogInDesk:
    def __init__(self, log_ins: LogIns, store: AccountStore, leaving: Leaving) -> None:
        self._leaving = leaving
        self._log_ins = log_ins
        self._store = store

    async def started(self, request: Request) -> JSONResponse:
        body = read(StartBody, await parse_body(request, b"{}"))
        log_in = await self._log_ins.start(Wish(**body.model_dump()))
        code = log_in.code
        return JSONResponse(
            {
                "authId": log_in.id,
                "verificationUri": code.verification_uri,
                "verificationUriComplete": code.verification_uri_complete,
                "userCode": code.user_code,
                "expiresIn": math.floor(code.expires_in),
                "interval": math.ceil(code.interval),
            }
        )

    async def standing(self, request: Request) -> JSONResponse:
        return JSONResponse(self._answer(await self._log_ins.find(request.path_params["id"])))

    async def drawn(self, request: Request) -> Response:
        """Black on white with a margin, whatever is around it: cameras want it so."""
        standing = await self._log_ins.find(request.path_params["id"])
        import segno  # noqa: PLC0415 - loaded when the first code is drawn, and not by every server

        picture = io.BytesIO()
        segno.make(standing.address, error="m", micro=False).save(
            picture, kind="svg", scale=4, border=3, dark="#000", light="#fff", svgns=True, xmldecl=False
        )
        return Response(picture.getvalue(), media_type="image/svg+xml", headers=_PICTURE)

    async def claimed(self, request: Request) -> JSONResponse:
        id_: str = request.path_params["id"]
        await self._log_ins.find(id_)
        await request.body()  # what comes after it is the caller leaving
        standing = await self._unless_gone(request, id_)
        answer = self._answer(standing)
        match standing.status:
            case "completed":
                account = await self._account(standing.account_id or "")
                return JSONResponse(answer | {"account": account_answer(account)})
            case "pending":
                late = {"status": "timeout", "error": "The log-in has not ended yet.", "remedy": "Claim it once more."}
                return JSONResponse(answer | late, 408)
            case "timeout" | "error":
                return JSONResponse(
                    answer, 500 if standing.failure is None else CATALOGUE[standing.failure.code].status
                )

    async def _unless_gone(self, request: Request, id_: str) -> Standing:
        """How it stands at its end; or now, for a caller who has left or when this server has no more time."""
        ended = asyncio.create_task(self._log_ins.wait(id_, _LONGEST_CLAIM))
        left = asyncio.create_task(_left(request))
        stopping = asyncio.create_task(self._leaving.wait())
        try:
            await asyncio.wait({ended, left, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return await (ended if ended.done() else self._log_ins.find(id_))
        finally:
            for task in (ended, left, stopping):
                task.cancel()
                with suppress(asyncio.CancelledError, RelayError):
                    await task

    async def _account(self, account_id: str) -> Account:
        """One that another process may have added a moment ago."""
        try:
            return self._store.get(account_id)
        except RelayError:
            return await self._store.reload(account_id)

    def _answer(self, standing: Standing) -> dict[str, Any]:
        failure = standing.failure
        remaining = standing.ends_at - self._log_ins.clock() if standing.status == "pending" else 0
        return {
            "status": standing.status,
            "remaining": math.ceil(min(max(remaining, 0), _LONGEST_CLAIM)),
            "error": failure.message if failure else None,
            "remedy": failure.remedy if failure else None,
            "accountId": standing.account_id if standing.status == "completed" else None,
            "profiles": [{"arn": profile.arn, "name": profile.name} for profile in standing.profiles],
            "note": standing.note,
        }


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
