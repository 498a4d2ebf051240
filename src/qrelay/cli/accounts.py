"""`qrelay accounts …`: what each command asks the management API, and how the answer is shown.

An account is named by its id, by the beginning of it, or by its label.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import typer

from qrelay.cli.management import Management, failure, work
from qrelay.cli.outcome import Failed
from qrelay.cli.printing import say
from qrelay.cli.tables import plain, progress, show_fields, show_json, show_rows
from qrelay.json_errors import JSON_ERRORS
from qrelay.settings import Settings

Row: TypeAlias = dict[str, Any]

_NONE: Final = "No account is stored. Add one: qrelay login, qrelay import, qrelay accounts add."
_AT_ONCE: Final = 4


def list_accounts(chosen: Settings, *, as_json: bool) -> None:
    async def task(api: Management) -> None:
        rows = await api.ask("GET", "/v2/accounts")
        show_json(rows) if as_json else _show(rows)

    work(chosen, task)


def show_account(chosen: Settings, name: str, *, as_json: bool) -> None:
    async def task(api: Management) -> None:
        account = await find(api, name)
        show_json(account) if as_json else show_fields(account)

    work(chosen, task)


def add_account(chosen: Settings, said: Row, source: str | None, *, as_json: bool) -> None:
    """Add what options say, what a file or standard input (`-`) says, or what is asked for on a terminal."""
    body = {name: value for name, value in said.items() if value is not None}
    if source is not None:
        body = _read_object(source) | body
    elif not {"refreshToken", "apiKey"} & body.keys():
        body |= _ask_for(body)

    async def task(api: Management) -> None:
        account = await api.ask("POST", "/v2/accounts", body)
        show_json(account) if as_json else say(f"Stored: {_called(account)}")

    work(chosen, task)


def change_accounts(chosen: Settings, names: Sequence[str], changes: Row, done: str, *, as_json: bool) -> None:
    """PATCH each of them; `done` is what is then said of it."""
    if not changes:
        raise Failed("Nothing was said to change.", "qrelay accounts edit --help lists what can be.")

    async def task(api: Management) -> None:
        found = [await find(api, name) for name in names]
        changed = [await api.ask("PATCH", f"/v2/accounts/{account['id']}", changes) for account in found]
        if as_json:
            show_json(changed)
        else:
            for account in changed:
                say(f"{done}: {_called(account)}")

    work(chosen, task)


def delete_accounts(chosen: Settings, names: Sequence[str], *, yes: bool, as_json: bool) -> None:
    """Delete them for good. On a terminal that is asked about first."""

    async def task(api: Management) -> None:
        found = [await find(api, name) for name in names]
        if not yes and sys.stdin.isatty():
            typer.confirm(f"Delete {', '.join(map(_called, found))}, tokens and all?", abort=True, err=True)
        for account in found:
            await api.ask("DELETE", f"/v2/accounts/{account['id']}")
        if as_json:
            show_json([{"deleted": account["id"]} for account in found])
        else:
            for account in found:
                say(f"Deleted: {_called(account)}")

    work(chosen, task)


def refresh_accounts(chosen: Settings, names: Sequence[str], *, as_json: bool) -> None:
    """Refresh the named ones, or all that are enabled and can be. Raises Failed when one of them can't be."""

    async def task(api: Management) -> None:
        if names:
            found = [await find(api, name) for name in names]
        else:
            found = [row for row in await api.ask("GET", "/v2/accounts") if row["enabled"] and row["refreshToken"]]
        _report(found, await _refresh(api, found), "refreshed", as_json=as_json)

    work(chosen, task)


def retry_failed(chosen: Settings, *, as_json: bool) -> None:
    """q2api's `retry_failed_accounts`: what is off, or waits for a log-in, after a refresh failed is tried once more.
    Those that go well are enabled.
    """

    async def task(api: Management) -> None:
        found = [
            row
            for row in await api.ask("GET", "/v2/accounts")
            if row["refreshToken"]
            and (not row["enabled"] or row["state"] == "needs_login")
            and str(row["last_refresh_status"] or "").startswith("failed")
        ]
        failures = await _refresh(api, found)
        for account in found:
            if failures.get(account["id"]) is None:
                await api.ask("PATCH", f"/v2/accounts/{account['id']}", {"enabled": True})
        _report(found, failures, "refreshed and enabled", as_json=as_json)

    work(chosen, task)


def reset_accounts(chosen: Settings, *, as_json: bool) -> None:
    """q2api's `reset_accounts`: every account that is off is enabled again, and its errors are forgotten."""

    async def task(api: Management) -> None:
        off = [row for row in await api.ask("GET", "/v2/accounts") if not row["enabled"]]
        changed = [await api.ask("PATCH", f"/v2/accounts/{row['id']}", {"enabled": True}) for row in off]
        if as_json:
            show_json(changed)
        else:
            say(f"{len(changed)} enabled.")
            for account in changed:
                say(f"Enabled: {_called(account)}")

    work(chosen, task)


def try_account(chosen: Settings, name: str, *, as_json: bool) -> None:
    """One tiny real request. Raises Failed when it doesn't succeed."""

    async def task(api: Management) -> None:
        account = await find(api, name)
        status, answered = await api.answer("POST", f"/v2/accounts/{account['id']}/test")
        if as_json:
            show_json(answered)
        if status >= 400 or (isinstance(answered, dict) and answered.get("success") is False):  # pyright: ignore[reportUnknownMemberType] - JSON
            raise failure(answered)
        if not as_json:
            say(f"Works: {_called(account)}: {answered['model']} answered in {answered['latency_ms']:.0f} ms.")

    work(chosen, task)


def show_stats(chosen: Settings, *, as_json: bool) -> None:
    """q2api's `account_stats`: sums over all accounts, then a row for each."""

    async def task(api: Management) -> None:
        rows: list[Row] = await api.ask("GET", "/v2/accounts")
        sums = {
            "accounts": len(rows),
            "enabled": sum(row["enabled"] for row in rows),
            "disabled": sum(not row["enabled"] for row in rows),
            "refresh_failed": sum(str(row["last_refresh_status"] or "").startswith("failed") for row in rows),
            "needs_login": sum(row["state"] == "needs_login" for row in rows),
            "never_used": sum(not row["success_count"] for row in rows),
            "with_errors": sum(row["error_count"] > 0 for row in rows),
            "successes": sum(row["success_count"] for row in rows),
            "errors": sum(row["error_count"] for row in rows),
        }
        if as_json:
            show_json(sums | {"rows": rows})
            return
        show_fields(sums)
        if rows:
            say()
            _show(rows)

    work(chosen, task)


async def find(api: Management, name: str) -> Row:
    """The account of that name. Raises Failed when there is none, or more than one."""
    rows: list[Row] = await api.ask("GET", "/v2/accounts")
    found = (
        [row for row in rows if row["id"] == name]
        or [row for row in rows if row["label"] == name]
        or [row for row in rows if name and row["id"].startswith(name)]
    )
    match found:
        case [account]:
            return account
        case []:
            raise Failed(f"No account is called {plain(name)!r}.", "qrelay accounts list shows those there are.")
        case _:
            ids = ", ".join(row["id"] for row in found)
            raise Failed(f"{len(found)} accounts are called {plain(name)!r}.", f"Name one by its id: {ids}")


async def _refresh(api: Management, rows: Sequence[Row]) -> dict[str, Failed]:
    """Refresh them, a few at once; those that failed, by id."""
    failures: dict[str, Failed] = {}
    room = asyncio.Semaphore(_AT_ONCE)
    with progress("Refreshing", len(rows)) as advance:

        async def one(row: Row) -> None:
            async with room:
                status, answered = await api.answer("POST", f"/v2/accounts/{row['id']}/refresh")
            if status >= 400:
                failures[row["id"]] = failure(answered)
            advance(1)

        await asyncio.gather(*map(one, rows))
    return failures


def _report(rows: Sequence[Row], failures: dict[str, Failed], done: str, *, as_json: bool) -> None:
    if as_json:
        told = [
            {"id": row["id"], "label": row["label"], "success": row["id"] not in failures}
            | ({"message": failures[row["id"]].message} if row["id"] in failures else {})
            for row in rows
        ]
        show_json(told)
    else:
        if not rows:
            say("There is none to refresh.")
        for row in rows:
            if row["id"] in failures:
                say(f"Failed: {_called(row)}: {plain(failures[row['id']].message)}", err=True)
            else:
                say(f"{done.capitalize()}: {_called(row)}")
    if failures:
        first = next(iter(failures.values()))
        raise Failed(f"{len(failures)} of {len(rows)} could not be refreshed.", *first.remedies)


def _show(rows: Sequence[Row]) -> None:
    columns = (
        "ID",
        "LABEL",
        "KIND",
        "REGION",
        "STATE",
        "ACTIVE",
        "SERVED",
        "ERRORS",
        "CREDITS",
        "RESETS",
        "LAST REFRESH",
    )
    show_rows(
        columns,
        [
            (
                row["id"],
                row["label"],
                row["kind"],
                row["region"],
                row["state"],
                row["is_active"],
                row["success_count"],
                row["error_count"],
                row["quota"] and f"{row['quota']['used']:.2f}/{row['quota']['limit']:g}",
                row["quota"] and row["quota"]["resets_at"],
                row["last_refresh_time"] and f"{row['last_refresh_time']} {row['last_refresh_status']}",
            )
            for row in rows
        ],
        _NONE,
        spare=("REGION", "ACTIVE", "KIND", "LAST REFRESH", "RESETS", "SERVED", "ERRORS"),
    )


def _called(row: Row) -> str:
    return plain(f"{row['label']} ({row['id']})" if row["label"] else row["id"])


def _ask_for(body: Row) -> Row:
    """What is missing, from whoever sits at the terminal; secrets aren't shown."""
    if not sys.stdin.isatty():
        raise Failed(
            "An account needs --refresh-token with --client-id and --client-secret, or --api-key.",
            "Or give its JSON: qrelay accounts add --file FILE, or --file - from standard input.",
        )
    asked = {"clientId": False, "clientSecret": True, "refreshToken": True}
    return {name: typer.prompt(name, hide_input=hidden, err=True) for name, hidden in asked.items() if name not in body}


def _read_object(source: str) -> Row:
    try:
        raw = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        return msgspec.json.decode(raw, type=dict[str, Any])
    except OSError as error:
        raise Failed(f"{source} can't be read: {error.strerror}.") from error
    except JSON_ERRORS as error:
        where = "Standard input" if source == "-" else source
        raise Failed(f"{where} holds no JSON object.") from error
