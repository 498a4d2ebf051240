"""amq2api's routes about accounts, with its bodies (SWITCHING.md, amq2api). The same accounts as `/v2/accounts`.

    GET    /api/accounts                {"success": true, "data": [account]}
    POST   /api/accounts                {"success": true, "message", "data": account}
    POST   /api/accounts/{id}/activate  {"success": true, "message", "data": account}
    DELETE /api/accounts/{id}           {"success": true, "message"}

A failure is `{"success": false, "message"}` (`management.refusal`).
"""

from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from qrelay.accounts.account import Account, AccountChanges, NewAccount
from qrelay.accounts.store import AccountStore
from qrelay.http.account_answers import masked
from qrelay.http.fields import Line, MaybeWord, Word, iso, parse_body, read
from qrelay.http.management import told


class AccountBody(BaseModel):
    """`POST /api/accounts`."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, defer_build=True)

    name: Line = None
    refresh_token: Word
    client_id: Word
    client_secret: Word
    profile_arn: MaybeWord = None


def routes(store: AccountStore) -> list[Route]:
    """All of them."""
    desk = _Desk(store)
    return [
        Route("/api/accounts", told(desk.listed), methods=["GET"]),
        Route("/api/accounts", told(desk.created), methods=["POST"]),
        Route("/api/accounts/{id}", told(desk.deleted), methods=["DELETE"]),
        Route("/api/accounts/{id}/activate", told(desk.activated), methods=["POST"]),
    ]


class _Desk:
    def __init__(self, store: AccountStore) -> None:
        self._store = store

    async def listed(self, _request: Request) -> JSONResponse:
        return JSONResponse({"success": True, "data": [_row(account) for account in self._store.accounts()]})

    async def created(self, request: Request) -> JSONResponse:
        body = read(AccountBody, await parse_body(request))
        account = await self._store.add(
            NewAccount(
                label=body.name,
                refresh_token=body.refresh_token,
                client_id=body.client_id,
                client_secret=body.client_secret,
                profile_arn=body.profile_arn,
            )
        )
        return _done(f"Account {account.name} was added.", account)

    async def activated(self, request: Request) -> JSONResponse:
        """One account is the active one and no other. It is switched on too: to be active is to serve."""
        changes = AccountChanges(is_active=True, enabled=True)
        account = await self._store.patch(request.path_params["id"], changes)
        return _done(f"Account {account.name} is active.", account)

    async def deleted(self, request: Request) -> JSONResponse:
        account = self._store.get(request.path_params["id"])
        await self._store.delete(account.id)
        return JSONResponse({"success": True, "message": f"Account {account.name} was deleted."})


def _done(message: str, account: Account) -> JSONResponse:
    return JSONResponse({"success": True, "message": message, "data": _row(account)})


def _row(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "name": account.name,
        "is_active": account.is_active,
        "refresh_token": masked(account.refresh_token),
        "client_id": account.client_id,
        "client_secret": None if account.client_secret is None else "***",
        "profile_arn": account.profile_arn,
        "created_at": iso(account.created_at),
        "last_refresh_time": iso(account.last_refresh_time),
        "last_refresh_status": account.last_refresh_status,
        "enabled": account.enabled,
        "state": account.state,
    }
