"""The management routes about accounts (DESIGN.md §3.2; SWITCHING.md, q2api). Not who may call them: `doors`.

    POST   /v2/accounts               the account            GET     /v2/accounts         a list; ?state=a,b&limit=n
    POST   /v2/accounts/batch         each row's outcome     GET     /v2/accounts/{id}    the account
    POST   /v2/accounts/refresh       each account's         PATCH   /v2/accounts/{id}    the account
    POST   /v2/accounts/{id}/refresh  the account, and amq2api's body around it
    DELETE /v2/accounts/{id}          {"deleted": id}

An error is `{"error": {"code", "message", "remedy", "param"}}`.
"""

import asyncio
from typing import Any, Final, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from qrelay.accounts.account import Account, AccountState
from qrelay.accounts.pool import Pool
from qrelay.accounts.refresher import Refresher
from qrelay.accounts.store import AccountStore
from qrelay.errors import ErrorCode, RelayError
from qrelay.http import queries
from qrelay.http.account_answers import account_answer
from qrelay.http.account_bodies import MOST_ROWS, ChangeBody, CreateBody, account_changes, new_account, without_masks
from qrelay.http.fields import Json, parse_body, read
from qrelay.http.management import error_answer, told
from qrelay.http.standing import standing_answer

_MOST: Final = 1_000_000


def routes(store: AccountStore, refresher: Refresher, pool: Pool) -> list[Route]:
    """All of them."""
    desk = _AccountsDesk(store, refresher, pool)
    return [
        Route("/v2/accounts", told(desk.listed), methods=["GET"]),
        Route("/v2/accounts", told(desk.created), methods=["POST"]),
        Route("/v2/accounts/batch", told(desk.created_many), methods=["POST"]),
        Route("/v2/accounts/refresh", told(desk.refreshed_all), methods=["POST"]),
        Route("/v2/accounts/{id}", told(desk.one), methods=["GET"]),
        Route("/v2/accounts/{id}", told(desk.changed), methods=["PATCH"]),
        Route("/v2/accounts/{id}", told(desk.deleted), methods=["DELETE"]),
        Route("/v2/accounts/{id}/refresh", told(desk.refreshed), methods=["POST"]),
    ]


class _AccountsDesk:
    def __init__(self, store: AccountStore, refresher: Refresher, pool: Pool) -> None:
        self._store = store
        self._refresher = refresher
        self._pool = pool

    async def listed(self, request: Request) -> JSONResponse:
        """All of them, or the first few, or those in certain states: who shows five needn't read a thousand."""
        accounts = self._store.accounts()
        if states := queries.some(request, "state", get_args(AccountState)):
            accounts = [account for account in accounts if self._pool.roll.state(account) in states]
        limit = queries.number(request, "limit", _MOST, _MOST)
        return JSONResponse([self._answer(account) for account in accounts[:limit]])

    async def one(self, request: Request) -> JSONResponse:
        return JSONResponse(self._answer(self._store.get(request.path_params["id"])))

    async def created(self, request: Request) -> JSONResponse:
        return JSONResponse(self._answer(await self._create(await parse_body(request))))

    async def created_many(self, request: Request) -> JSONResponse:
        body = await parse_body(request)
        rows = body.get("accounts") if isinstance(body, dict) else body
        if not isinstance(rows, list):
            raise RelayError(ErrorCode.request_invalid, "accounts: it should be a list.", param="accounts")
        if len(rows) > MOST_ROWS:
            message = f"accounts: {len(rows)} rows; one request takes {MOST_ROWS}."
            raise RelayError(ErrorCode.request_invalid, message, param="accounts")
        results: list[dict[str, Any]] = []
        for index, row in enumerate(rows):
            await asyncio.sleep(0)  # a row that is refused waits for nothing
            try:
                account = await self._create(row)
            except RelayError as error:
                results.append({"index": index, "created": False, "error": error_answer(error)})
            else:
                results.append({"index": index, "created": True, "account": self._answer(account)})
        created = sum(result["created"] for result in results)
        return JSONResponse({"created": created, "failed": len(results) - created, "results": results})

    async def changed(self, request: Request) -> JSONResponse:
        account = self._store.get(request.path_params["id"])
        body = read(ChangeBody, without_masks(await parse_body(request), account))
        return JSONResponse(self._answer(await self._store.patch(account.id, account_changes(body))))

    async def deleted(self, request: Request) -> JSONResponse:
        account_id: str = request.path_params["id"]
        await self._store.delete(account_id)
        return JSONResponse({"deleted": account_id})

    async def refreshed(self, request: Request) -> JSONResponse:
        answer, status = await self._refresh(request.path_params["id"])
        return JSONResponse(answer, status)

    async def refreshed_all(self, _request: Request) -> JSONResponse:
        able = [account.id for account in self._store.accounts() if account.enabled and account.refreshable]
        return JSONResponse([(await self._refresh(account_id))[0] for account_id in able])

    def _answer(self, account: Account) -> dict[str, Any]:
        return account_answer(account) | standing_answer(account, self._pool)

    async def _create(self, value: Json) -> Account:
        return await self._store.add(new_account(read(CreateBody, value)))

    async def _refresh(self, account_id: str) -> tuple[dict[str, Any], int]:
        """q2api's body and amq2api's in one. A refusal that the account caused is a 400, the service's fault a 502."""
        self._store.get(account_id)
        try:
            account = await self._refresher.refresh(account_id)
        except RelayError as error:
            answer = self._answer(self._store.get(account_id))
            if not (answer["last_refresh_status"] or "").startswith("failed"):
                answer["last_refresh_status"] = f"failed: {error.message}"
            status = 400 if error.row.status < 500 else 502
            return answer | _amq2api(answer, error.message) | {"error": error_answer(error)}, status
        answer = self._answer(account)
        return answer | _amq2api(answer, None), 200


def _amq2api(answer: dict[str, Any], failure: str | None) -> dict[str, Any]:
    return {
        "success": failure is None,
        "message": failure or "The token was refreshed.",
        "data": {
            "id": answer["id"],
            "name": answer["label"],
            "last_refresh_time": answer["last_refresh_time"],
            "last_refresh_status": answer["last_refresh_status"],
        },
    }
