"""`GET /v2/usage`: requests, tokens and credits by hour or day and by model, account, key or API. Times are UTC.

Every step between `from` and `to` has a point, one of zeros where nothing was asked. As CSV: one line for each point.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, cast

from msgspec.structs import asdict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qrelay.control_characters import replace_controls
from qrelay.errors import ErrorCode, RelayError
from qrelay.http import queries
from qrelay.http.fields import iso
from qrelay.http.management import told
from qrelay.http.request_log import Names
from qrelay.records import usage
from qrelay.records.journal import Journal
from qrelay.records.usage import Figures, Grouping

_HOURS: Final[Mapping[str, int]] = {"hour": 1, "day": 24}
_GROUPINGS: Final = ("model", "account", "key", "dialect", "none")
_USUAL_STEPS: Final[Mapping[str, int]] = {"hour": 24, "day": 30}
_MOST_POINTS: Final = 4000
_FAR_AWAY: Final = 250_000_000_000  # in the year 9892: calendars end soon after
_FORMULA: Final = re.compile(r"[\s\ufffd]*[=+\-@\uff1d\uff0b\uff0d\uff20|%]|[\t\r\n]")
"""Beginnings of a formula, also after blanks and in the full-width forms that spreadsheets accept."""
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?")
_COLUMNS: Final = ("at", "group", "name", *Figures.__struct_fields__)


class Asked(NamedTuple):
    """Steps from `first` up to but not `end`, each of `hours`; a step's number is its first hour divided by them."""

    first: int
    end: int
    hours: int
    step: str
    by: Grouping


def routes(journal: Journal, names: Names) -> list[Route]:
    async def used(request: Request) -> Response:
        asked = _asked(request, journal.clock())
        form = queries.choice(request, "format", "json", ("json", "csv"))
        await journal.flush()
        async with journal.database.reading() as connection:
            first, end = asked.first * asked.hours, asked.end * asked.hours
            rows = await usage.read(connection, first, end, asked.by, asked.hours)
        groups: dict[str, dict[int, Figures]] = {}
        for group, step, figures in rows:
            groups.setdefault(group, {})[step] = figures
        answered = _answer(asked, groups, names)
        if form == "json":
            return JSONResponse(answered)
        name = f"qrelay-usage-{answered['from'][:10]}.csv"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(as_csv(answered["series"]), media_type="text/csv", headers=headers)

    return [Route("/v2/usage", told(used), methods=["GET"])]


def _asked(request: Request, now: float) -> Asked:
    step = queries.choice(request, "step", "hour", tuple(_HOURS))
    seconds = _HOURS[step] * 3600
    to = queries.moment(request, "to")
    to = now if to is None else to
    since = queries.moment(request, "from")
    end = -int(-to // seconds)
    first = end - _USUAL_STEPS[step] if since is None else int(since // seconds)
    if not (0 <= first < end <= first + _MOST_POINTS and end * seconds < _FAR_AWAY):
        raise RelayError(
            ErrorCode.request_invalid,
            f"from should be before to, and at most {_MOST_POINTS} steps ({step}s) before it.",
            remedy="Ask for less at a time, or by day.",
            param="from",
        )
    by = cast("Grouping", queries.choice(request, "by", "model", _GROUPINGS))
    return Asked(first, end, _HOURS[step], step, by)


def _answer(asked: Asked, groups: Mapping[str, Mapping[int, Figures]], names: Names) -> dict[str, Any]:
    everything = Figures()
    series: list[dict[str, Any]] = []
    totals: list[dict[str, Any]] = []
    for group, points in groups.items():
        total = Figures()
        for figures in points.values():
            total.add(figures)
        everything.add(total)
        named = {"group": group, "name": _name(asked.by, group, names)}
        steps = [
            {"at": iso(step * asked.hours * 3600)} | _told(points.get(step, Figures()))
            for step in range(asked.first, asked.end)
        ]
        series.append(named | {"points": steps})
        totals.append(named | _told(total))
    most = {total["group"]: (-total["credits"], -total["requests"], total["group"]) for total in totals}
    return {
        "from": iso(asked.first * asked.hours * 3600),
        "to": iso(asked.end * asked.hours * 3600),
        "step": asked.step,
        "by": asked.by,
        "series": sorted(series, key=lambda row: most[row["group"]]),
        "totals": _told(everything),
        "groups": sorted(totals, key=lambda row: most[row["group"]]),
    }


def _told(figures: Figures) -> dict[str, Any]:
    return asdict(figures) | {"credits": round(figures.credits, 6)}


def _name(by: Grouping, group: str, names: Names) -> str | None:
    """What people call the group; None for one that is gone, or where there was none."""
    match by:
        case "account":
            return names.account(group or None)
        case "key":
            return names.key(group or None)
        case "none":
            return "all"
        case _:
            return group or None


def as_csv(series: Iterable[Mapping[str, Any]]) -> str:
    """A line for each point of each group."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for row in series:
        words = [_inert(row["group"]), _inert(row["name"] or "")]
        for point in row["points"]:
            writer.writerow([point["at"], *words, *(point[name] for name in Figures.__struct_fields__)])
    return out.getvalue()


def _inert(text: str) -> str:
    """Return a word that no spreadsheet takes for a formula and no terminal obeys. A number stays one."""
    text = replace_controls(text)
    if not _FORMULA.match(text) or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"
