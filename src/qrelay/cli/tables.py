"""What commands print: tables for people, plain columns for pipes, JSON for programs. Not what is in them.

Words from elsewhere (labels, what a service said) are printed without anything a terminal would obey.
"""

import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import typer


def show_rows(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str = "") -> None:
    """A row for each; `empty` when there is none. On a terminal a table, else columns that nothing is cut from."""
    held = [[_cell(cell) for cell in row] for row in rows]
    if not held:
        typer.echo(empty)
        return
    if sys.stdout.isatty():
        _draw(columns, held)
        return
    held.insert(0, list(columns))
    widths = [max(len(row[column]) for row in held) for column in range(len(columns))]
    for row in held:
        typer.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def show_fields(fields: Mapping[str, object]) -> None:
    """A line for each field."""
    width = max(map(len, fields))
    for name, value in fields.items():
        typer.echo(f"{name:<{width}}  {_cell(value)}".rstrip())


def show_json(value: Any) -> None:
    """The value as JSON, for programs."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


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


def _draw(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


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
