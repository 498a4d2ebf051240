"""`qrelay keys …`: what each command asks the management API, and how the answer is shown.

A key is named by its id, by the beginning of it, by its name, or by its last four characters.
"""

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import typer

from qrelay.cli.management import Management, work
from qrelay.cli.outcome import Failed
from qrelay.cli.printing import say
from qrelay.cli.tables import plain, show_json, show_rows
from qrelay.settings import Settings

Row: TypeAlias = dict[str, Any]

_NONE: Final = "No key was made here. Make one: qrelay keys create NAME"
_SPAN: Final = re.compile(r"([1-9]\d{0,4})([mhdw])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def list_keys(chosen: Settings, *, as_json: bool) -> None:
    async def task(api: Management) -> None:
        answered = await api.ask("GET", "/v2/keys")
        if as_json:
            show_json(answered)
            return
        names = ("id", "name", "ending", "state", "created_at", "expires_at", "last_used_at")
        columns = ("ID", "NAME", "ENDS IN", "STATE", "MADE", "EXPIRES", "LAST USED")
        show_rows(
            columns,
            [[row[name] for name in names] for row in answered["keys"]],
            _NONE,
            spare=("MADE", "ID", "LAST USED"),
        )

    work(chosen, task)


def create_key(chosen: Settings, name: str, expires: str | None, *, as_json: bool) -> None:
    """Make one. The key alone goes to standard output, so that a script can keep it in a variable."""
    ends = None if expires is None else moment(expires)
    body: Row = {"name": name} | ({} if ends is None else {"expires_at": ends.isoformat()})

    async def task(api: Management) -> None:
        key = await api.ask("POST", "/v2/keys", body)
        if as_json:
            show_json(key)
            return
        say(key["key"])
        until = f" It ends on {key['expires_at']}." if key["expires_at"] else ""
        say(f"This key is shown this once: copy it now.{until} Every client needs a key from now on.", err=True)

    work(chosen, task)


def revoke_keys(chosen: Settings, names: Sequence[str], *, yes: bool, as_json: bool) -> None:
    """End them. On a terminal that is asked about first."""

    async def task(api: Management) -> None:
        rows = (await api.ask("GET", "/v2/keys"))["keys"]
        found = {row["id"]: row for row in (_named(rows, name) for name in names)}
        if not yes and sys.stdin.isatty():
            typer.confirm(f"Revoke {', '.join(map(_called, found.values()))}?", abort=True, err=True)
        for key_id in found:
            await api.ask("DELETE", f"/v2/keys/{key_id}")
        if as_json:
            show_json([{"deleted": key_id} for key_id in found])
            return
        for row in found.values():
            say(f"Revoked: {_called(row)}")

    work(chosen, task)


def moment(said: str) -> datetime | None:
    """`30d` from now, or a date and time (UTC unless it says otherwise); None for anything else, and for the past."""
    now = datetime.now(UTC)
    if span := _SPAN.fullmatch(said.strip()):
        return now + timedelta(**{_UNITS[span[2]]: int(span[1])})
    try:
        when = datetime.fromisoformat(said.strip())
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return when if when > now else None


def _named(rows: Sequence[Row], name: str) -> Row:
    for same in (
        [row for row in rows if row["id"] == name],
        [row for row in rows if row["name"] == name],
        [row for row in rows if row["ending"] == name],
        [row for row in rows if row["id"].startswith(name)] if len(name) >= 4 else [],
    ):
        if len(same) == 1:
            return same[0]
        if same:
            ids = ", ".join(row["id"] for row in same)
            raise Failed(f"{plain(name)!r} may be any of {len(same)} keys.", f"Name one by its id: {ids}")
    raise Failed(f"There is no key {plain(name)!r}.", "qrelay keys list shows those there are.")


def _called(row: Row) -> str:
    return plain(f"{row['name'] or row['id']} (…{row['ending']})")
