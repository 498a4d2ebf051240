"""`qrelay db`: its commands and their options."""

from typing import Annotated

import typer

from qrelay.cli.commands.shared import AsJson, load

app = typer.Typer(help="Look after the database.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def upgrade(as_json: AsJson = False) -> None:
    """Bring the database to this version. `serve` does it by itself."""
    from qrelay.cli.database import upgrade as work

    work(load(), as_json=as_json)


@app.command()
def check(as_json: AsJson = False) -> None:
    """Look whether the database is whole and of this version."""
    from qrelay.cli.database import show_check as work

    work(load(), as_json=as_json)


@app.command()
def backup(
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="Where it goes.", show_default="backups/ in QRELAY_HOME"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy the database, beside a running server too."""
    from qrelay.cli.database import back_up as work

    work(load(), output, as_json=as_json)
