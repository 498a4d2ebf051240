"""`qrelay master-key`: its command."""

import typer

from qrelay.cli.commands.shared import AsJson, load

app = typer.Typer(help="The key that stored secrets are sealed with.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def master_key() -> None:
    """Makes `rotate` a word of its own even while it is the only one."""


@app.command()
def rotate(as_json: AsJson = False) -> None:
    """Change the master key.

    Every stored secret is sealed anew, beside a running server too. It may be broken off and run again. Older copies of
    the database need the old key, which goes to backups/.
    """
    from qrelay.cli.master_key import rotate as work

    work(load(), as_json=as_json)
