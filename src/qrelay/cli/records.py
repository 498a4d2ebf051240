"""`qrelay requests`, and `qrelay usage` over days: what was served, as written down. Not what plans have left."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from qrelay import home
from qrelay.cli.management import Management, work
from qrelay.cli.outcome import Failed
from qrelay.cli.printing import say
from qrelay.cli.tables import plain, show_json, show_rows
from qrelay.settings import Settings

_COLUMNS: Final = (
    "AT",
    "STATUS",
    "OUTCOME",
    "API",
    "MODEL",
    "KEY",
    "ACCOUNT",
    "CALLS",
    "FIRST",
    "TOOK",
    "TOKENS",
    "CREDITS",
)
_WIDTHS: Final = (19, 6, 19, 9, 20, 12, 16, 5, 7, 7, 12, 7)
_SPARE: Final = ("FIRST", "CALLS", "API", "CREDITS", "ACCOUNT", "STATUS", "TOKENS", "KEY")
_EVERY_SECONDS: Final = 1.0
_MOST: Final = 1000


def show_requests(chosen: Settings, *, limit: int, errors: bool, follow: bool, as_json: bool) -> None:
    """Print the newest requests, the last one last; then, to follow, each as it ends, until Ctrl-C.

    Raises Failed where there is nobody to follow.
    """
    if follow and chosen.database_path is not None and home.running(chosen.home) is None:
        raise Failed("No server runs here, so there is nothing to follow.", "Start one: qrelay serve")

    async def task(api: Management) -> None:
        rows = await _newest(api, limit, errors=errors)
        if as_json:
            show_json(rows)
        elif follow:
            _print_line(_COLUMNS)
            await _follow(api, rows, errors=errors)
        else:
            show_rows(_COLUMNS, map(_cells, rows), "No request is in the log.", _SPARE)

    work(chosen, task)


def show_span(chosen: Settings, *, by: str, days: int, as_csv: bool, as_json: bool) -> None:
    """Print what was used in the last so many days: a row for each group, or as CSV one for each point of time."""
    query = {"by": by}
    if days > 1:
        first = datetime.now(UTC).date() - timedelta(days=days - 1)
        query |= {"step": "day", "from": first.isoformat()}

    async def task(api: Management) -> None:
        used = await api.ask("GET", f"/v2/usage?{urlencode(query)}")
        if as_csv:
            from qrelay.http.usage import as_csv as written

            say(written(used["series"]), nl=False)
        elif as_json:
            show_json(used)
        else:
            rows = [_sums(row["name"] or row["group"] or "-", row) for row in used["groups"]]
            if len(rows) > 1:
                rows.append(_sums("all", used["totals"]))
            columns = (by.upper(), "REQUESTS", "ERRORS", "INPUT", "CACHED", "OUTPUT", "CREDITS")
            show_rows(columns, rows, "Nothing was asked in that time.", ("CACHED", "ERRORS"))

    work(chosen, task)


async def _newest(api: Management, limit: int, *, errors: bool) -> list[dict[str, Any]]:
    query: dict[str, Any] = {"limit": limit} | ({"status": "error"} if errors else {})
    answered = await api.ask("GET", f"/v2/requests?{urlencode(query)}")
    return answered["requests"][::-1]


async def _follow(api: Management, rows: Sequence[Mapping[str, Any]], *, errors: bool) -> None:
    """A line for each, and then for each that was not there a second before."""
    shown: set[int] = set()
    while True:
        for row in rows:
            if row["seq"] not in shown:
                _print_line(_cells(row))
        shown = {row["seq"] for row in rows}
        await asyncio.sleep(_EVERY_SECONDS)
        rows = [row for row in await _newest(api, _MOST, errors=errors) if not shown or row["seq"] > min(shown)]


def _print_line(cells: Sequence[object]) -> None:
    words = (plain("-" if cell is None else str(cell)) for cell in cells)
    say("  ".join(f"{word:<{width}}" for word, width in zip(words, _WIDTHS, strict=True)).rstrip())


def _cells(row: Mapping[str, Any]) -> tuple[object, ...]:
    timings, tokens = row["timings"], row["tokens"]
    told = None
    if tokens["output"] is not None:
        asked = tokens["input"] + tokens["cache_read"] + tokens["cache_write"]
        told = f"{'~' if tokens['estimated'] else ''}{asked}+{tokens['output']}"
    return (
        row["at"][:19].replace("T", " "),
        row["status"],
        row["outcome"],
        row["dialect"],
        row["model"] or row["model_asked"],
        row["key"],
        row["account"],
        len(row["attempts"]),
        _seconds(timings["first_byte_ms"]),
        _seconds(timings["duration_ms"]),
        told,
        None if row["credits"] is None else f"{row['credits']:.3f}",
    )


def _seconds(milliseconds: float | None) -> str | None:
    return None if milliseconds is None else f"{milliseconds / 1000:.2f}s"


def _sums(name: str, row: Mapping[str, Any]) -> tuple[object, ...]:
    cached = row["cache_read_tokens"] + row["cache_write_tokens"]
    tokens = (row["input_tokens"], cached, row["output_tokens"])
    return (name, row["requests"], row["errors"], *tokens, f"{row['credits']:.3f}")
