"""aq2api's routes about its one account, with its bodies (SWITCHING.md, aq2api). Here it is the active account.

    GET  /credentials   {"has_credentials", "has_access_token", "token_expiry", "has_profile_arn"}
    POST /credentials   the same; the account is added and becomes the active one
    GET  /test/token    {"success": true, "token_preview"}: forces a refresh

A failure is `{"success": false, "error": text}` (`management.refusal`).
"""

import time
from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from qrelay.accounts.account import Account, AccountChanges, NewAccount
from qrelay.accounts.refresher import Refresher
from qrelay.accounts.store import AccountStore
from qrelay.errors import ErrorCode, RelayError
from qrelay.http.fields import MaybeWord, Word, iso, parse_body, read
from qrelay.http.management import told

_PREVIEW = 10


class CredentialsBody(BaseModel):
    """`POST /credentials`."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, defer_build=True)

    client_id: Word
    client_secret: Word
    refresh_token: Word
    profile_arn: MaybeWord = None


def routes(store: AccountStore, refresher: Refresher) -> list[Route]:
    """All of them."""
    desk = _Desk(store, refresher)
    return [
        Route("/credentials", told(desk.shown), methods=["GET"]),
        Route("/credentials", told(desk.replaced), methods=["POST"]),
        Route("/test/token", told(desk.tested), methods=["GET"]),
    ]


class _Desk:
    def __init__(self, store: AccountStore, refresher: Refresher) -> None:
        self._store = store
        self._refresher = refresher

    async def shown(self, _request: Request) -> JSONResponse:
        return JSONResponse(_credentials(self._account()))

    async def replaced(self, request: Request) -> JSONResponse:
        body = read(CredentialsBody, await parse_body(request))
        account = await self._store.add(
            NewAccount(
                refresh_token=body.refresh_token,
                client_id=body.client_id,
                client_secret=body.client_secret,
                profile_arn=body.profile_arn,
            )
        )
        account = await self._store.patch(account.id, AccountChanges(is_active=True, enabled=True))
        return JSONResponse(_credentials(account))

    async def tested(self, request: Request) -> JSONResponse:
        # A GET that does something: a page elsewhere could ask for it as an image, and no Origin would be sent.
        if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            raise RelayError(ErrorCode.client_forbidden, "Pages of other origins may not manage this gateway.")
        account = self._account()
        if account is None:
            raise RelayError(ErrorCode.no_account, "No account is stored.", remedy="Add one: `qrelay login`.")
        account = await self._refresher.refresh(account.id)
        token = account.access_token or ""
        shown = f"{token[:_PREVIEW]}…" if len(token) >= 2 * _PREVIEW else "…"
        return JSONResponse({"success": True, "token_preview": shown, "token_expiry": iso(account.expires_at)})

    def _account(self) -> Account | None:
        """The one that is meant where only one can be: the active one, else the first."""
        accounts = self._store.accounts()
        return next((account for account in accounts if account.is_active), accounts[0] if accounts else None)


def _credentials(account: Account | None) -> dict[str, Any]:
    return {
        "has_credentials": account is not None,
        "has_access_token": account is not None and account.lives(time.time()),
        "token_expiry": iso(account.expires_at) if account is not None else None,
        "has_profile_arn": account is not None and account.profile_arn is not None,
    }
