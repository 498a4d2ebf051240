"""The passphrase of an export: from a file, or asked for on a terminal. Never from an argument or a variable."""

import sys
from pathlib import Path

import typer

from qrelay.cli.outcome import Failed

_SHORTEST = 8


def passphrase(file: str | None, *, new: bool) -> str:
    """The passphrase; one that is `new` is asked for twice. Raises Failed."""
    if file is not None:
        try:
            said = Path(file).read_text("utf-8").strip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise Failed(f"The passphrase can't be read from {file}.") from error
    elif sys.stdin.isatty():
        said = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True)
    else:
        raise Failed(
            "Nobody is there to be asked for a passphrase.", "Give a file that holds it: --passphrase-file FILE"
        )
    if new and len(said) < _SHORTEST:
        raise Failed(f"The passphrase is too short: it should have {_SHORTEST} characters or more.")
    return said
