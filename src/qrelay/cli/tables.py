"""What commands print: tables for people, plain columns for pipes, JSON for programs. Not what is in them.

Words from elsewhere (labels, what a service said) are printed without anything a terminal would obey.
"""

import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from qrelay.cli.printing import say
from qrelay.control_characters import escape_controls

_GAP: Final = 2
"""Blanks between columns."""


def show_rows(
    columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str = "", spare: Sequence[str] = ()
) -> None:
    """A row for each; `empty` when there is none. Nothing is cut from a cell.

    On a terminal that is too narrow some columns are left out: of `spare`, from its first on, as many as need be.
    """
    held = [[_cell(cell) for cell in row] for row in rows]
    if not held:
        say(empty)
        return
    if sys.stdout.isatty():
        _draw(columns, held, spare)
        return
    held.insert(0, list(columns))
    widths = [max(len(row[column]) for row in held) for column in range(len(columns))]
    for row in held:
        say("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def show_fields(fields: Mapping[str, object]) -> None:
    """A line for each field."""
    width = max(map(len, fields))
    for name, value in fields.items():
        say(f"{name:<{width}}  {_cell(value)}".rstrip())


def show_json(value: Any) -> None:
    """Print the value as JSON, for programs. Control characters in it are escaped: it stays exact."""
    say(escape_controls(msgspec.json.format(msgspec.json.encode(value), indent=2).decode()))


@contextmanager
def progress(doing: str, total: int) -> Generator[Callable[[int], None]]:
    """A bar on standard error, shown only where somebody watches; call what it gives with how many more are done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        ahead = bar.add_task(doing, total=total)
        yield lambda done: bar.advance(ahead, done)


def plain(text: str) -> str:
    """Text without what a terminal would obey."""
    return "".join(character if character.isprintable() else "�" for character in text)


def fitting(columns: Sequence[str], widths: Sequence[int], room: int, spare: Sequence[str]) -> list[int]:
    """Which columns are shown in so much room: all but the first ones of `spare` that have to go."""
    kept = list(range(len(columns)))
    for name in spare:
        if sum(widths[at] + _GAP for at in kept) - _GAP <= room:
            break
        kept.remove(columns.index(name))
    return kept


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]], spare: Sequence[str]) -> None:
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    widths = [max(cell_len(row[at]) for row in [columns, *rows]) for at in range(len(columns))]
    kept = fitting(columns, widths, console.width, spare)
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False)
    for at in kept:
        table.add_column(columns[at], overflow="fold")
    for row in rows:
        table.add_row(*(Text(row[at]) for at in kept))
    console.print(table)
    if left_out := [name for at, name in enumerate(columns) if at not in kept]:
        say(f"Left out for want of room: {', '.join(left_out)}. --json has all.", err=True)


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case str() | int() | float():
            return plain(str(value))
        case _:
            return plain(msgspec.json.encode(value).decode())
