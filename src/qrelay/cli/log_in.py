"""`qrelay login`: a link, a code and a QR code for somebody to approve, and how it ended. Not the log-in itself.

With `--json` it prints one object a line: what to show, then how it ended, for each log-in.
"""

import asyncio
import io
import shutil
import sys
from contextlib import suppress
from typing import Any, Final

import msgspec
import segno
import typer
from rich.console import Console

from qrelay import home
from qrelay.cli.accounts import find
from qrelay.cli.management import Answer, Management, failure, work
from qrelay.cli.outcome import Failed
from qrelay.cli.printing import say
from qrelay.cli.tables import plain
from qrelay.control_characters import escape_controls
from qrelay.settings import Settings

_DARK_ON_LIGHT: Final = ("\x1b[97;40m", "\x1b[0m")
"""The blocks are the code's light parts: white on black, whatever the terminal's own colours are."""


def log_in(chosen: Settings, wish: dict[str, Any], *, account: str | None, count: int, qr: bool, as_json: bool) -> None:
    """So many log-ins, one after another. Raises Failed when one of them has not been completed."""

    async def task(api: Management) -> None:
        asked = dict(wish)
        if account is not None:
            asked["accountId"] = (await find(api, account))["id"]
        failures: list[Failed] = []
        for number in range(1, count + 1):
            this = asked | _numbered(wish, number, count)
            if count > 1 and not as_json:
                say(f"Log-in {number} of {count}")
            # What can't even begin now won't for the next one either.
            started = await api.ask("POST", "/v2/auth/start", this)
            try:
                await _approved(api, started, qr=qr, as_json=as_json)
            except Failed as failed:
                failures.append(failed)
                if count > 1:
                    say(f"qrelay: {failed.message}", err=True)
        if failures:
            raise failures[0] if count == 1 else Failed(f"{len(failures)} of {count} log-ins were not completed.")

    work(chosen, task)
    if not as_json and chosen.database_path is not None and home.running(chosen.home) is None:
        _say("No server runs yet. Start it: qrelay serve")


def qr_code(link: str, *, columns: int | None = None, colours: bool = False) -> str:
    """The link as a QR code of half blocks; "" where it would not fit into so many columns."""
    drawn = io.StringIO()
    segno.make(link, error="l", micro=False).terminal(out=drawn, border=2, compact=True)
    lines = drawn.getvalue().splitlines()
    if columns is not None and max(map(len, lines)) > columns:
        return ""
    before, after = _DARK_ON_LIGHT if colours else ("", "")
    return "\n".join(f"{before}{line}{after}" for line in lines)


async def _approved(api: Management, started: dict[str, Any], *, qr: bool, as_json: bool) -> None:
    """Show what to approve, and how that ended. Raises Failed when it wasn't."""
    if as_json:
        _show_line(started)
    else:
        _show(started, qr=qr)
    claim = asyncio.create_task(api.answer("POST", f"/v2/auth/claim/{started['authId']}"))
    try:
        status, ended = await _watched(api, started, claim, quiet=as_json)
    except Failed as gone:
        raise Failed(gone.message, "The log-in ended with it. Once it is back: qrelay login") from gone
    finally:
        claim.cancel()
        with suppress(asyncio.CancelledError, Failed):
            await claim
    if as_json:
        _show_line(ended)
    match ended:
        case {"status": "completed", "account": dict()} if status < 400:
            if not as_json:
                _show_account(ended)
        case {"error": str(message), "remedy": str(remedy)}:
            raise Failed(plain(message), plain(remedy))
        case _:
            raise failure(ended)


async def _watched(api: Management, started: dict[str, Any], claim: "asyncio.Task[Answer]", *, quiet: bool) -> Answer:
    """Wait for the claim; on a terminal, with the time that is left."""
    loop = asyncio.get_running_loop()
    standing = await api.ask("GET", f"/v2/auth/status/{started['authId']}")
    ends = loop.time() + standing["remaining"]
    console = Console()
    if quiet or not console.is_terminal:
        if not quiet:
            _say(f"Waiting for the approval, at most {_clock(standing['remaining'])} …")
        return await claim
    with console.status("") as line:
        while not claim.done():
            line.update(f"Waiting for the approval, {_clock(ends - loop.time())} left (Ctrl-C gives up)")
            await asyncio.wait({claim}, timeout=1)
    return await claim


def _show(started: dict[str, Any], *, qr: bool) -> None:
    link, code = plain(started["verificationUriComplete"]), plain(started["userCode"])
    terminal = sys.stdout.isatty()
    drawn = qr_code(link, columns=shutil.get_terminal_size().columns if terminal else None, colours=terminal)
    _say(f"Open this page, check that it shows the code {code}, and approve:\n\n  {link}\n")
    if qr and drawn and _can_print(drawn):
        typer.echo(f"{drawn}\n")  # its colours are escape sequences of ours


def _show_account(ended: dict[str, Any]) -> None:
    account = ended["account"]
    _say(f"Logged in: {plain(account['label'] or account['id'][:8])} ({account['id']})")
    if len(ended["profiles"]) > 1:
        for profile in ended["profiles"]:
            used = "  used" if profile["arn"] == account["profileArn"] else ""
            _say(f"  {plain(profile['arn'])}  {plain(profile['name'])}{used}")
    if ended["note"]:
        _say(plain(ended["note"]))


def _numbered(wish: dict[str, Any], number: int, count: int) -> dict[str, Any]:
    return {"label": f"{wish['label']} {number}"} if count > 1 and wish.get("label") else {}


def _show_line(value: Any) -> None:
    _say(escape_controls(msgspec.json.encode(value).decode()))


def _say(text: str) -> None:
    """At once: whoever reads this through a pipe has to act on it."""
    say(text)
    sys.stdout.flush()


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes}:{rest:02}"
