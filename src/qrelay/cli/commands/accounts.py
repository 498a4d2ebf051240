"""`qrelay accounts`: its commands and their options."""

from typing import Annotated, Any

import typer

from qrelay.cli.commands.shared import AsJson, Yes, load

app = typer.Typer(
    help="See and change the stored accounts.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Its id, the beginning of it, or its label.")]
Names = Annotated[list[str], typer.Argument(metavar="ACCOUNT", help="Ids, beginnings of them, or labels.")]
MaybeNames = Annotated[list[str] | None, typer.Argument(metavar="ACCOUNT", help="Ids or labels.")]
Kind = Annotated[
    str | None,
    typer.Option(help="builder_id, identity_center, social, external_idp or api_key.", show_default="from the rest"),
]
Label = Annotated[str | None, typer.Option(help="What you call it.")]
Region = Annotated[str | None, typer.Option(help="The region of its log-in.")]
StartUrl = Annotated[str | None, typer.Option(help="The start URL of its organisation.")]
ProfileArn = Annotated[str | None, typer.Option(help="Its profile ARN.")]
ClientId = Annotated[str | None, typer.Option(help="The client id it logged in with.")]
ClientSecret = Annotated[str | None, typer.Option(help="The secret of that client.")]
RefreshToken = Annotated[str | None, typer.Option(help="Its refresh token.")]
AccessToken = Annotated[str | None, typer.Option(help="Its access token.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show every account. Secrets are never shown whole."""
    from qrelay.cli.accounts import list_accounts

    list_accounts(load(), as_json=as_json)


@app.command()
def show(account: Name, as_json: AsJson = False) -> None:
    """Show everything about one account. Secrets are never shown whole."""
    from qrelay.cli.accounts import show_account

    show_account(load(), account, as_json=as_json)


@app.command()
def add(
    *,
    label: Label = None,
    kind: Kind = None,
    client_id: ClientId = None,
    client_secret: ClientSecret = None,
    refresh_token: RefreshToken = None,
    access_token: AccessToken = None,
    api_key: Annotated[str | None, typer.Option(help="A Kiro API key, in place of all that.")] = None,
    region: Region = None,
    start_url: StartUrl = None,
    profile_arn: ProfileArn = None,
    file: Annotated[str | None, typer.Option(help="A file with the account as JSON; - for standard input.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add an account by its tokens.

    What is missing is asked for. Other users of this machine can see a command line while it runs: secrets are better
    asked for or put into --file. The same account again is the same account.
    """
    from qrelay.cli.accounts import add_account

    said = {
        "label": label,
        "kind": kind,
        "clientId": client_id,
        "clientSecret": client_secret,
        "refreshToken": refresh_token,
        "accessToken": access_token,
        "apiKey": api_key,
        "region": region,
        "startUrl": start_url,
        "profileArn": profile_arn,
    }
    add_account(load(), said, file, as_json=as_json)


@app.command()
def edit(
    account: Name,
    *,
    label: Label = None,
    client_id: ClientId = None,
    client_secret: ClientSecret = None,
    refresh_token: RefreshToken = None,
    access_token: AccessToken = None,
    region: Region = None,
    start_url: StartUrl = None,
    profile_arn: ProfileArn = None,
    as_json: AsJson = False,
) -> None:
    """Change an account. An empty --label, --start-url or --profile-arn takes it away."""
    from qrelay.cli.accounts import change_accounts

    said = {
        "label": label,
        "clientId": client_id,
        "clientSecret": client_secret,
        "refreshToken": refresh_token,
        "accessToken": access_token,
        "region": region,
        "startUrl": start_url,
        "profileArn": profile_arn,
    }
    changes: dict[str, Any] = {name: value or None for name, value in said.items() if value is not None}
    change_accounts(load(), [account], changes, "Changed", as_json=as_json)


@app.command()
def enable(accounts: Names, as_json: AsJson = False) -> None:
    """Switch accounts on, and forget their errors."""
    from qrelay.cli.accounts import change_accounts

    change_accounts(load(), accounts, {"enabled": True}, "Enabled", as_json=as_json)


@app.command()
def disable(accounts: Names, as_json: AsJson = False) -> None:
    """Switch accounts off. Their tokens stay."""
    from qrelay.cli.accounts import change_accounts

    change_accounts(load(), accounts, {"enabled": False}, "Disabled", as_json=as_json)


@app.command()
def activate(account: Name, as_json: AsJson = False) -> None:
    """Make an account the active one."""
    from qrelay.cli.accounts import change_accounts

    change_accounts(load(), [account], {"is_active": True}, "Active", as_json=as_json)


@app.command()
def delete(accounts: Names, yes: Yes = False, as_json: AsJson = False) -> None:
    """Delete accounts for good. Variables and imports don't bring them back."""
    from qrelay.cli.accounts import delete_accounts

    delete_accounts(load(), accounts, yes=yes, as_json=as_json)


@app.command()
def refresh(
    accounts: MaybeNames = None,
    every: Annotated[bool, typer.Option("--all", help="Every enabled account.")] = False,
    as_json: AsJson = False,
) -> None:
    """Refresh the tokens of accounts."""
    from qrelay.cli.accounts import refresh_accounts

    if bool(accounts) == every:
        raise typer.BadParameter("name accounts, or all of them with --all.")
    refresh_accounts(load(), accounts or [], as_json=as_json)


@app.command("test")
def try_out(account: Name, as_json: AsJson = False) -> None:
    """Send one tiny real request with an account."""
    from qrelay.cli.accounts import try_account

    try_account(load(), account, as_json=as_json)


@app.command()
def stats(as_json: AsJson = False) -> None:
    """Show sums over all accounts, then each.

    As q2api's account_stats did.
    """
    from qrelay.cli.accounts import show_stats

    show_stats(load(), as_json=as_json)


@app.command("retry-failed")
def retry_failed(as_json: AsJson = False) -> None:
    """Refresh those whose refresh failed; enable what works.

    As q2api's retry_failed_accounts did.
    """
    from qrelay.cli.accounts import retry_failed as work

    work(load(), as_json=as_json)


@app.command()
def reset(as_json: AsJson = False) -> None:
    """Enable every account that is off.

    As q2api's reset_accounts did.
    """
    from qrelay.cli.accounts import reset_accounts

    reset_accounts(load(), as_json=as_json)
