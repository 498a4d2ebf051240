"""`qrelay keys`: its commands and their options."""

from typing import Annotated

import typer

from qrelay.cli.commands.shared import AsJson, Yes, load

app = typer.Typer(
    help="Make, see and revoke keys for clients.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Names = Annotated[list[str], typer.Argument(metavar="KEY", help="Ids, beginnings of them, names, or last characters.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show every key made here; never the key itself."""
    from qrelay.cli.keys import list_keys

    list_keys(load(), as_json=as_json)


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is, or what for.", show_default=False)] = "",
    *,
    expires: Annotated[
        str | None,
        typer.Option(help="When it ends: 30d, 12h, 4w, or a date such as 2027-01-31.", show_default="never"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, this once.

    As soon as there is one, every client needs a key.
    """
    from qrelay.cli.keys import create_key, moment

    if expires is not None and moment(expires) is None:
        raise typer.BadParameter(
            "--expires should be a time such as 30d, 12h or 4w, or a date to come such as 2027-01-31."
        )
    create_key(load(), name, expires, as_json=as_json)


@app.command()
def revoke(keys: Names, yes: Yes = False, as_json: AsJson = False) -> None:
    """End keys, at once and for good."""
    from qrelay.cli.keys import revoke_keys

    revoke_keys(load(), keys, yes=yes, as_json=as_json)
