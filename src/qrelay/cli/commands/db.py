"""`qrelay db`: its commands and their options."""

from typing import Annotated

import typer

from qrelay.cli.commands.shared import load

app = typer.Typer(help="Look after the database.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def upgrade() -> None:
    """Bring the database to this version. `serve` does it by itself."""
    from qrelay.cli.database import upgrade as work

    work(load())


@app.command()
def check() -> None:
    """Look whether the database is whole and of this version."""
    from qrelay.cli.database import check as work

    typer.echo(work(load()))


@app.command()
def backup(
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="Where it goes.", show_default="backups/ in QRELAY_HOME"),
    ] = None,
) -> None:
    """Copy the database, beside a running server too."""
    from qrelay.cli.database import back_up as work

    work(load(), output)
