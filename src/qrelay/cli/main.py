"""The command line: its commands, their options and exit codes. What a command does is in the module it names.

Exit codes: 0 done, 1 failed, 2 wrong usage, 78 refused configuration. Commands import what they need when they are
called, so that `--help` and a Ctrl-C in the first moment find nothing half-loaded.
"""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Literal, NoReturn

import typer

from qrelay.cli.commands import accounts, clients, db, keys, master_key, transfer
from qrelay.cli.commands.sections import Sections
from qrelay.cli.commands.shared import AsJson, load
from qrelay.cli.outcome import FAILED, REFUSED, Failed
from qrelay.cli.printing import say
from qrelay.cli.standard_streams import open_standard_streams
from qrelay.errors import ErrorCode, RelayError
from qrelay.home import HomeRefused, HomeUnusable
from qrelay.settings import SettingsRefused

app = typer.Typer(
    name="qrelay",
    cls=Sections,
    help="OpenAI's and Anthropic's APIs in front of Amazon Q Developer and Kiro.\n\n"
    "Commands work beside a running server, and nearly all without one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


Host = Annotated[str | None, typer.Option(help="The address to listen on.", show_default="QRELAY_HOST or 127.0.0.1")]
Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="The port; 0 takes a free one.", show_default="QRELAY_PORT or 8000"),
]


@app.command()
def serve(host: Host = None, port: Port = None) -> None:
    """Serve on the stored accounts.

    It goes on until Ctrl-C. On any other address than a loopback one it needs a client key and an admin secret.
    """
    from qrelay.cli.serve import serve as work

    work(load(host, port))


@app.command()
def demo(host: Host = None, port: Port = None) -> None:
    """Serve in front of a simulated service.

    No account is needed and none is touched. It sends itself one request through each client API, so that the answers
    are seen, and goes on until Ctrl-C.
    """
    from qrelay.cli.demo import demo as work

    work(load(host, port))


@app.command("run", hidden=True)
def run_either(host: Host = None, port: Port = None) -> None:
    """What `make run` calls: `serve` when there is an account, else `demo`."""
    from qrelay.cli.run import run as work

    work(load(host, port))


@app.command()
def simulate(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 9100,
) -> None:
    """Run the simulated service alone, for tests.

    It stands in for the service a gateway calls, refuses what the service refuses, and plays scenarios.
    """
    from qrelay.cli.simulate import simulate as work

    work(load(), host, port)


@app.command()
def login(
    *,
    start_url: Annotated[
        str | None, typer.Option(help="The start URL of your organisation.", show_default="a Builder ID's")
    ] = None,
    region: Annotated[str | None, typer.Option(help="The region of that start URL.", show_default="us-east-1")] = None,
    label: Annotated[str | None, typer.Option(help="What you call the account.")] = None,
    account: Annotated[
        str | None, typer.Option(metavar="ACCOUNT", help="Log this account in again: its id or its label.")
    ] = None,
    profile_arn: Annotated[
        str | None, typer.Option(help="The profile to use, where there are several.", show_default="the first")
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=100, help="So many log-ins, one after another.")] = 1,
    no_qr: Annotated[bool, typer.Option("--no-qr", help="Print no QR code.")] = False,
    as_json: AsJson = False,
) -> None:
    """Log an account in, by a page in your browser.

    It shows a link and a code, waits until you have approved it there, and stores the account.
    """
    from qrelay.cli.log_in import log_in as work

    if account is not None and (count > 1 or label is not None):
        raise typer.BadParameter("--account is logged in once, and keeps its label.")
    said = {"startUrl": start_url, "region": region, "label": label, "profileArn": profile_arn}
    wish = {name: value for name, value in said.items() if value is not None}
    work(load(), wish, account=account, count=count, qr=not no_qr, as_json=as_json)


@app.command("settings")
def show_settings(as_json: AsJson = False) -> None:
    """Print every setting and its source.

    Secrets are masked.
    """
    from qrelay.cli.inspect import show_settings as work

    work(load(), as_json=as_json)


@app.command("health")
def show_health(
    url: Annotated[str | None, typer.Option(help="The server to ask.", show_default="the one that runs here")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask the running server if it is ready.

    Exit code 0 means it is.
    """
    from qrelay.cli.inspect import show_health as work

    work(load(), url, as_json=as_json)


@app.command("models")
def show_models(as_json: AsJson = False) -> None:
    """Print the models your accounts may use."""
    from qrelay.cli.views import show_models as work

    work(load(), as_json=as_json)


@app.command("usage")
def show_usage(
    *,
    by: Annotated[
        Literal["model", "account", "key", "dialect"] | None, typer.Option(help="Print what each of these used.")
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="In so many days; 1 is the last 24 hours.", show_default="1")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print it as CSV, a line for each hour or day.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print what was served, and what plans have left.

    Of each account; with --by, --days or --csv, of each model, account, client key or API: requests, tokens and
    credits.
    """
    if as_csv and as_json:
        raise typer.BadParameter("--csv and --json don't go together.")
    if by or days or as_csv:
        from qrelay.cli.records import show_span

        show_span(load(), by=by or "model", days=days or 1, as_csv=as_csv, as_json=as_json)
    else:
        from qrelay.cli.views import show_usage as work

        work(load(), as_json=as_json)


@app.command("requests")
def show_requests(
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="So many, the newest.")] = 20,
    errors: Annotated[bool, typer.Option("--errors", help="Only those that failed.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with each that ends, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the request log.

    Who asked, who served, how long it took, what it cost. What was said is never in it.
    """
    from qrelay.cli.records import show_requests as work

    if follow and as_json:
        raise typer.BadParameter("--follow and --json don't go together.")
    work(load(), limit=limit, errors=errors, follow=follow, as_json=as_json)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Look at everything a working gateway needs.

    It changes nothing. Exit code 0 means that nothing is bad.
    """
    from qrelay.cli.doctor import examine as work

    work(load(), as_json=as_json)


@app.command("audit")
def show_audit(
    limit: Annotated[int, typer.Option(min=1, max=50_000, help="So many of the newest rows.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Print who changed what, and who logged in."""
    from qrelay.cli.audit import show_audit as work

    work(load(), limit=limit, as_json=as_json)


@app.command()
def statusline() -> None:
    """Print a line for Claude Code's status line.

    It shows the model, how the accounts are, what is left and until when. Name it in Claude Code's settings:
    {"statusLine": {"type": "command", "command": "qrelay statusline"}}
    """
    from qrelay.cli.statusline import print_line as work

    work()


app.add_typer(accounts.app, name="accounts")
app.add_typer(keys.app, name="keys")
app.command("import")(transfer.import_)
app.command("export")(transfer.export)
app.add_typer(db.app, name="db")
app.add_typer(master_key.app, name="master-key")
for program in clients.TITLES:
    app.command(program, context_settings=clients.PASS_ON)(clients.command(program))


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"qrelay {version('qrelay')}")
        raise typer.Exit


@app.callback()
def qrelay(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def run() -> NoReturn:
    """What `qrelay` on the command line calls."""
    open_standard_streams()
    try:
        app(prog_name="qrelay")
    except SettingsRefused as refused:
        _leave(REFUSED, refused.message, refused.remedies)
    except Failed as failed:
        _leave(FAILED, failed.message, failed.remedies)
    except RelayError as error:
        refused = error.code is ErrorCode.configuration_refused
        _leave(REFUSED if refused else FAILED, error.message, (error.remedy,))
    except HomeRefused as refused:
        _leave(REFUSED, str(refused), ("Name another folder in QRELAY_HOME, or make this one yours to write.",))
    except HomeUnusable as unusable:
        _leave(FAILED, str(unusable))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def _leave(code: int, message: str, remedies: Sequence[str] = ()) -> NoReturn:
    say("\n  ".join([f"qrelay: {message}", *filter(None, remedies)]), err=True)
    sys.exit(code)
