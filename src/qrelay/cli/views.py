"""`qrelay models` and `qrelay usage`: what the accounts may use, what they have used and have left."""

from typing import Any

from qrelay.cli.management import Management, work
from qrelay.cli.printing import say
from qrelay.cli.tables import progress, show_json, show_rows
from qrelay.settings import Settings


def show_models(chosen: Settings, *, as_json: bool) -> None:
    """Print the models of the stored accounts. Raises Failed when there is no account to ask with."""

    async def task(api: Management) -> None:
        answered = await api.ask("GET", "/v1/models")
        if as_json:
            show_json(answered)
            return
        rows = [(row["id"], row["display_name"], row["description"]) for row in answered["data"]]
        show_rows(("MODEL", "NAME", "DESCRIPTION"), rows, "The service named no model.")

    work(chosen, task)


def show_usage(chosen: Settings, *, as_json: bool) -> None:
    """Print what each account served and what its plan has left; of one that can't be asked, why."""

    async def task(api: Management) -> None:
        accounts = await api.ask("GET", "/v2/accounts")
        shown: list[dict[str, Any]] = []
        with progress("Asking", len(accounts)) as advance:
            for account in accounts:
                status, quota = await api.answer("GET", f"/v2/accounts/{account['id']}/quota")
                error = quota.get("error") if status >= 400 or quota.get("stale") else None
                names = ("id", "label", "state", "success_count", "error_count")
                row = {name: account[name] for name in names}
                shown.append(row | {"quota": None if status >= 400 else quota, "error": error})
                advance(1)
        if as_json:
            show_json(shown)
            return
        columns = ("LABEL", "STATE", "SERVED", "ERRORS", "PLAN", "USED", "OF", "RESETS")
        none = "No account is stored. Add one: qrelay login"
        show_rows(columns, [_cells(row) for row in shown], none, spare=("SERVED", "ERRORS", "PLAN"))
        for row in shown:
            if row["error"]:
                say(f"{row['label'] or row['id'][:8]}: {row['error']['message']}", err=True)

    work(chosen, task)


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    quota: dict[str, Any] = row["quota"] or {}
    figures = [None if (figure := quota.get(name)) is None else f"{figure:.2f}" for name in ("used", "limit")]
    told = (row["label"] or row["id"][:8], row["state"], row["success_count"], row["error_count"])
    return (*told, quota.get("plan"), *figures, quota.get("resets_at"))
