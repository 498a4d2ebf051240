"""`qrelay doctor`: what a working gateway needs, looked at one by one. It changes nothing and spends no credits.

ok    as it should be       note  works, and is worth knowing       bad  keeps the gateway from working well
"""

import asyncio
import stat
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from qrelay import __version__, home
from qrelay.cli.database import check, is_empty
from qrelay.cli.loop import run_loop
from qrelay.cli.management import management
from qrelay.cli.outcome import Failed
from qrelay.cli.printing import say
from qrelay.cli.tables import plain, show_json
from qrelay.errors import RelayError
from qrelay.home import HomeUnusable
from qrelay.http.from_settings import connections, endpoint_table
from qrelay.outward import USER_AGENT, proxy_for
from qrelay.settings import Settings
from qrelay.upstream.endpoints import all_endpoints

Verdict: TypeAlias = Literal["ok", "note", "bad"]

_SKEW: Final = 300.0  # seconds: more, and tokens are refreshed too late
_PATIENCE: Final = 10.0


class Finding(NamedTuple):
    """One thing that was looked at."""

    verdict: Verdict
    subject: str
    said: str


def examine(chosen: Settings, *, as_json: bool) -> None:
    """Print what is found. Raises Failed when something is bad."""
    found: list[Finding] = []

    def tell(finding: Finding) -> None:
        found.append(finding)
        if not as_json:
            say(f"{finding.verdict:<5} {finding.subject:<10} {plain(finding.said)}")

    run_loop(_examine(chosen, tell))
    if as_json:
        show_json([finding._asdict() for finding in found])
    bad = sum(finding.verdict == "bad" for finding in found)
    if bad:
        raise Failed(f"{bad} of {len(found)} are bad.", "docs/reference/settings.md and errors.md say more.")


async def _examine(chosen: Settings, tell: Callable[[Finding], None]) -> None:
    database = await asyncio.to_thread(_database, chosen)
    for finding in (*_programs(), *_files(chosen), database):
        tell(finding)
    if database.verdict != "bad":
        tell(await _accounts(chosen, there=database.verdict == "ok"))
    async for finding in _services(chosen):
        tell(finding)


def _programs() -> Generator[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("ok", "program", f"qrelay {__version__} on Python {python}, {sys.platform}")


def _files(chosen: Settings) -> Generator[Finding]:
    if not chosen.home.is_dir():
        yield Finding("note", "home", f"{chosen.home} isn't there yet; the first start makes it.")
        return
    yield _private(chosen.home, "home")
    server = home.running(chosen.home)
    match server:
        case None if chosen.database_path is None:
            pass  # servers on a shared database lock nothing, and may be anywhere
        case None:
            yield Finding("note", "server", "None runs with this state. Start it with: qrelay serve")
        case _ if server.url is None:
            yield Finding("note", "server", f"Process {server.pid} uses the state, and serves nothing.")
        case _:
            yield Finding("ok", "server", f"Process {server.pid} serves on {server.url}.")
    if chosen.master_key_file is not None:
        yield _private(chosen.master_key_file, "master key")
    elif chosen.master_key is not None:
        yield Finding("ok", "master key", "It comes from the settings.")
    elif chosen.database_path is None and not (chosen.home / "master.key").exists():
        yield Finding(
            "note", "master key", "None is set, nor is one in the home folder; a first start makes one there."
        )
    else:
        yield _private(chosen.home / "master.key", "master key")


def _private(path: Path, subject: str) -> Finding:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        return Finding("bad", subject, f"{path} can't be read: {error.strerror}.")
    if sys.platform != "win32" and mode & 0o077:
        return Finding("bad", subject, f"Others may read {path}. Close it with: chmod go= {path}")
    return Finding("ok", subject, f"Only you may read {path}.")


def _database(chosen: Settings) -> Finding:
    path = chosen.database_path
    if path is not None and not path.exists():
        return Finding("note", "database", f"{path} isn't there yet; the first start makes it.")
    try:
        if path is None and is_empty(chosen):
            return Finding("note", "database", "It can be reached, and is empty; the first start fills it.")
        return Finding("ok", "database", check(chosen))
    except Failed as failed:
        return Finding("bad", "database", " ".join((failed.message, *failed.remedies)))
    except RelayError as error:
        return Finding("bad", "database", f"{error.message} {error.remedy}")


async def _accounts(chosen: Settings, *, there: bool) -> Finding:
    if not there:
        return Finding("bad", "accounts", "No account is stored. Add one: qrelay login")
    try:
        async with management(chosen) as api:
            rows = await api.ask("GET", "/v2/accounts")
    except (Failed, RelayError) as error:
        return Finding("bad", "accounts", error.message)
    except HomeUnusable as unusable:
        return Finding("bad", "accounts", str(unusable))
    if not rows:
        return Finding("bad", "accounts", "No account is stored. Add one: qrelay login")
    states = ", ".join(f"{number} {state}" for state, number in Counter(row["state"] for row in rows).items())
    usable = any(row["state"] == "ready" for row in rows)
    return Finding("ok" if usable else "bad", "accounts", f"{len(rows)} stored: {states}.")


async def _services(chosen: Settings) -> AsyncGenerator[Finding]:
    """Whether the service and the token service can be reached, and whether their clocks are ours."""
    first, *others = all_endpoints(endpoint_table(chosen))
    urls = [first.url, *(endpoint.url for endpoint in others if endpoint.name == first.name)]
    urls.append(chosen.token_endpoint or "https://oidc.us-east-1.amazonaws.com/token")
    way = proxy_for(chosen.proxy, chosen.no_proxy)
    skews: list[float] = []
    calls, token_calls = connections(chosen)
    for url in urls:
        place = urlsplit(url).netloc
        words = f"{place} through the proxy" if way(url) else place
        ours = token_calls if url == urls[-1] else calls
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await ours.request("GET", url, {"user-agent": USER_AGENT}, connect_seconds=_PATIENCE)
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
            yield Finding("bad", "network", f"{words} can't be reached ({reason}). QRELAY_PROXY names a proxy.")
            continue
        answer.close()
        yield Finding("ok", "network", f"{words} answers.")
        try:
            skews.append(abs(parsedate_to_datetime(answer.headers.get("date", "")).timestamp() - time.time()))
        except ValueError:
            continue
    calls.close()
    token_calls.close()
    if skews and min(skews) > _SKEW:
        yield Finding("bad", "clock", f"It is {min(skews):.0f} seconds off. Set it, or tokens end unnoticed.")
    elif skews:
        yield Finding("ok", "clock", "It is right.")
