"""Accounts that come from elsewhere and go elsewhere, whole (`qrelay import`, `qrelay export`).

    POST /v2/import       {"accounts": [...], "revive"?, "dry_run"?}   what became, or would become, of each row
    POST /v2/import/file  ?name=&revive=1&dry_run=1, a file's bytes    the same of its accounts; q2api's database, the
                                                                       CLIs', JSON as other gateways write it
    POST /v2/export       {"ids"?: [...]}                              the accounts with their secrets, for the owner

Importing names accounts as variables do: one that is known keeps its tokens, which are newer than any file's, and a
deleted one stays deleted unless `revive` is said. Secrets leave only by the owner's own way in (`doors.for_owner`),
never by an address, whatever secret is shown there.
"""

import asyncio
import re
from typing import Any, Literal, TypeAlias

from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from qrelay.accounts.account import Account, NewAccount
from qrelay.accounts.importing import sent
from qrelay.accounts.store import AccountStore
from qrelay.errors import ErrorCode, RelayError
from qrelay.http.account_answers import account_answer
from qrelay.http.account_bodies import MOST_ROWS, CreateBody, new_account
from qrelay.http.doors import from_owner
from qrelay.http.fields import Json, parse_body, read
from qrelay.http.management import error_answer, told

Outcome: TypeAlias = Literal["added", "known", "renewed", "deleted", "revived", "refused"]
"""renewed: a dead log-in of the same client was given the new tokens. deleted: it was deleted here, and stays so."""


def routes(store: AccountStore) -> list[Route]:
    """All of them."""
    desk = _TransferDesk(store)
    return [
        Route("/v2/import", told(desk.imported), methods=["POST"]),
        Route("/v2/import/file", told(desk.imported_file), methods=["POST"]),
        Route("/v2/export", told(desk.exported), methods=["POST"]),
    ]


class ImportBody(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, defer_build=True)

    accounts: list[Any] = Field(max_length=MOST_ROWS)
    revive: bool = False
    dry_run: bool = False


class _ImportRow(CreateBody):
    user_id: str | None = Field(default=None, alias="userId", max_length=256)
    client_secret_expires_at: float | None = Field(default=None, alias="clientSecretExpiresAt")


class ExportBody(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    ids: list[str] | None = Field(default=None, max_length=MOST_ROWS)


class _TransferDesk:
    def __init__(self, store: AccountStore) -> None:
        self._store = store

    async def imported(self, request: Request) -> JSONResponse:
        body = read(ImportBody, await parse_body(request))
        results = [await self._row_outcome(row, body) | {"index": index} for index, row in enumerate(body.accounts)]
        return JSONResponse({"results": results})

    async def imported_file(self, request: Request) -> JSONResponse:
        asked = request.query_params
        name = re.sub(r"[^\w. -]", "_", asked.get("name", ""))[-100:] or "the file"
        reading = await asyncio.to_thread(sent.read, await request.body(), name)
        how = {"revive": asked.get("revive") == "1", "dry_run": asked.get("dry_run") == "1"}
        results = [
            {"index": index, "label": new.label, "kind": new.kind} | await self._outcome(new, **how)
            for index, new in enumerate(reading.accounts)
        ]
        return JSONResponse({"results": results, "skipped": list(reading.skipped)})

    async def exported(self, request: Request) -> JSONResponse:
        if not from_owner(request.scope):
            raise RelayError(
                ErrorCode.client_forbidden,
                "Secrets don't leave by an address.",
                remedy="Run 'qrelay export' on this machine, as the user who runs the server.",
            )
        ids = read(ExportBody, await parse_body(request)).ids
        accounts = self._store.accounts() if ids is None else [self._store.get(account_id) for account_id in ids]
        return JSONResponse({"accounts": [_whole(account) for account in accounts]})

    async def _row_outcome(self, row: Json, body: ImportBody) -> dict[str, Any]:
        await asyncio.sleep(0)  # a row that is refused waits for nothing
        try:
            new = _named(row)
        except RelayError as error:
            return {"outcome": "refused", "error": error_answer(error)}
        return await self._outcome(new, revive=body.revive, dry_run=body.dry_run)

    async def _outcome(self, new: NewAccount, *, revive: bool, dry_run: bool) -> dict[str, Any]:
        try:
            outcome, account = await self._take(new, revive=revive, dry_run=dry_run)
        except RelayError as error:
            return {"outcome": "refused", "error": error_answer(error)}
        return {"outcome": outcome, "account": account_answer(account) if account else None}

    async def _take(self, new: NewAccount, *, revive: bool, dry_run: bool) -> tuple[Outcome, Account | None]:
        known, account_id = await self._store.recognise(new)
        match known:
            case "known" if account_id is not None:
                return "known", self._store.get(account_id) if dry_run else await self._store.adopt(new)
            case "deleted" if revive:
                return "revived", None if dry_run else await self._store.add(new)
            case "deleted":
                return "deleted", None
            case _:
                pass
        if dead := self._dead(new):
            return "renewed", dead if dry_run else await self._store.log_in_again(dead.id, new)
        return "added", None if dry_run else await self._store.adopt(new)

    def _dead(self, new: NewAccount) -> Account | None:
        """The account whose log-in has died and whose client has got new tokens since, elsewhere: the same log-in."""
        if new.client_id is None or new.refresh_token is None:
            return None
        found = [account for account in self._store.accounts() if account.client_id == new.client_id]
        match found:
            case [account] if account.state == "needs_login" and account.kind == (new.kind or account.kind):
                return account
            case _:
                return None


def _named(row: Json) -> NewAccount:
    body = read(_ImportRow, row)
    return replace(
        new_account(body), user_id=body.user_id or None, client_secret_expires_at=body.client_secret_expires_at
    )


def _whole(account: Account) -> dict[str, Any]:
    """An account as it is shown, with its secrets, and with what only another store needs."""
    return account_answer(account) | {
        "clientSecret": account.client_secret,
        "clientSecretExpiresAt": account.client_secret_expires_at,
        "refreshToken": account.refresh_token,
        "accessToken": account.access_token,
        "other": account.other,
        "userId": account.user_id,
    }
