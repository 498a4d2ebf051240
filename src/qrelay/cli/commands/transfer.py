"""`qrelay import` and `qrelay export`: their options."""

from enum import StrEnum
from typing import Annotated

import typer

from qrelay.cli.commands.shared import AsJson, load


class SourceName(StrEnum):
    """The programs accounts can be imported from (`importing/sources.py`)."""

    q2api = "q2api"
    amq2api = "amq2api"
    aq2api = "aq2api"
    q_cli = "q-cli"
    kiro_cli = "kiro-cli"
    kiro_ide = "kiro-ide"
    aws_toolkit = "aws-toolkit"
    json = "json"


class Format(StrEnum):
    """The files accounts can be exported to."""

    json = "json"
    aq2api = "aq2api"
    q2api = "q2api"


PassphraseFile = Annotated[
    str | None, typer.Option(metavar="FILE", help="A file with the passphrase; else it is asked for.")
]


def import_(
    source: Annotated[
        SourceName | None, typer.Argument(metavar="SOURCE", help="The program to import from.", show_default=False)
    ] = None,
    path: Annotated[
        str | None, typer.Argument(metavar="PATH", help="Its file.", show_default="where that program keeps it")
    ] = None,
    *,
    scan: Annotated[bool, typer.Option("--scan", help="Look everywhere, show what is there, and ask.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask, with --scan.")] = False,
    revive: Annotated[bool, typer.Option("--revive", help="Bring back accounts that were deleted here.")] = False,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Take over accounts of other programs.

    Their files are only read. Importing twice is importing once, and a deleted account stays deleted.
    """
    from qrelay.cli.bringing import import_accounts
    from qrelay.cli.bringing import scan as look

    if scan == (source is not None):
        raise typer.BadParameter("name a source, or look for all of them with --scan.")
    if source is None:
        look(load(), yes=yes, revive=revive, as_json=as_json)
    else:
        import_accounts(load(), source.value, path, revive=revive, passphrase_file=passphrase_file, as_json=as_json)


def export(
    *,
    form: Annotated[Format, typer.Option("--format", help="Whose file it is to be.")] = Format.json,
    source: Annotated[
        SourceName | None, typer.Option(help="Export what another program keeps.", show_default="qrelay's accounts")
    ] = None,
    account: Annotated[
        str | None, typer.Option(metavar="ACCOUNT", help="Only this one: its id or label.", show_default="all")
    ] = None,
    plaintext: Annotated[bool, typer.Option("--plaintext", help="Don't encrypt it.")] = False,
    passphrase_file: PassphraseFile = None,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="Where it goes.", show_default="standard output"),
    ] = None,
) -> None:
    """Write accounts with their secrets, encrypted.

    `qrelay import json FILE` takes them in again. The older gateways' formats can't be encrypted.
    """
    from qrelay.cli.taking import export as work

    work(
        load(),
        form.value,
        source=source.value if source else None,
        account=account,
        plaintext=plaintext,
        passphrase_file=passphrase_file,
        output=output,
    )
