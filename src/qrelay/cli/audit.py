"""`qrelay audit`: who changed what, the newest last, as logs are read. Not what is written there."""

from typing import Any, Final

from qrelay.cli.management import Management, work
from qrelay.cli.tables import show_json, show_rows
from qrelay.settings import Settings

_PAGE: Final = 1000


def show_audit(chosen: Settings, *, limit: int, as_json: bool) -> None:
    """Print the newest `limit` rows of the audit log."""

    async def task(api: Management) -> None:
        entries: list[dict[str, Any]] = []
        before: int | None = None
        while len(entries) < limit:
            older = "" if before is None else f"&before={before}"
            answered = await api.ask("GET", f"/v2/audit?limit={min(limit - len(entries), _PAGE)}{older}")
            entries += answered["entries"]
            before = answered["next"]
            if before is None:
                break
        entries.reverse()
        if as_json:
            show_json(entries)
            return
        columns = ("AT", "WHO", "FROM", "WHAT", "OF", "STATUS", "DETAIL")
        names = ("at", "actor", "peer", "action", "target", "status")
        rows = [[*(entry[name] for name in names), _told(entry["detail"])] for entry in entries]
        show_rows(columns, rows, "Nothing was changed yet.", spare=("FROM", "STATUS", "DETAIL"))

    work(chosen, task)


def _told(detail: dict[str, Any]) -> str | None:
    words = dict(detail)
    members: list[str] = words.pop("members", [])
    return "; ".join([*([", ".join(members)] if members else []), *map(str, words.values())]) or None
