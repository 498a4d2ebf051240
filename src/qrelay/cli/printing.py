"""Output of commands. Control characters in texts from clients, files or the service never reach a terminal.

`say` is for commands, and waits for its reader. `print_text` and `print_line` are for servers: a standard output that
nobody reads does not stop them.
"""

import sys
from functools import cache

import typer

from qrelay.control_characters import replace_controls
from qrelay.log_output import LineOutput


def say(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text on standard output, or on standard error."""
    typer.echo(replace_controls(text), err=err, nl=nl)


def print_text(text: str) -> None:
    """Print text without a line's end. It returns at once."""
    _output().write(replace_controls(text))


def print_line(text: str = "") -> None:
    """Print a line. It returns at once."""
    print_text(f"{text}\n")


@cache
def _output() -> LineOutput:
    sys.stdout.flush()
    return LineOutput(sys.stdout)
