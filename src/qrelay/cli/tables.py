"""What commands print: tables for people, plain columns for pipes, JSON for programs. Not what is in them.

Words from elsewhere (labels, what a service said) are printed without anything a terminal would obey.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text


def show_rows(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str = "") -> None:
    """A row for each; `empty` when there is none. On a terminal a table, else columns that nothing is cut from."""
    held = [[_cell(cell) for cell in row] for row in rows]
    if not held:
        typer.echo(empty)
        return
    if sys.stdout.isatty():
        table = Table(*columns, box=box.SIMPLE_HEAD)
        for row in held:
            table.add_row(*map(Text, row))
        Console().print(table)
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


def progress() -> Progress:
    """A bar on standard error, shown only where somebody watches."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def plain(text: str) -> str:
    """Text without what a terminal would obey."""
    return "".join(character if character.isprintable() else "�" for character in text)


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
