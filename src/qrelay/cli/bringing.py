"""`qrelay import`: what other programs keep, found, shown, and sent to the management API. Reading it: `importing`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import typer

from qrelay.accounts import parcel
from qrelay.accounts.account import NewAccount
from qrelay.accounts.importing import documents
from qrelay.accounts.importing.files import Reading, read_file
from qrelay.accounts.importing.sources import SHARED, SOURCES, Machine
from qrelay.cli.management import Management, failure, work
from qrelay.cli.outcome import Failed
from qrelay.cli.passphrase import passphrase
from qrelay.cli.printing import say
from qrelay.cli.tables import plain, progress, show_json, show_rows
from qrelay.errors import RelayError
from qrelay.settings import Settings

_AT_ONCE: Final = 100
_WORDS: Final = {
    "added": "added",
    "known": "was here already",
    "renewed": "logged in again",
    "deleted": "was deleted here, and stays so (--revive brings it back)",
    "revived": "brought back",
}
_CHANGES: Final = frozenset({"added", "renewed", "revived"})
_AHEAD: Final = {**_WORDS, "added": "new", "known": "is here already", "renewed": "new log-in", "revived": "comes back"}


class Found(NamedTuple):
    """One account, and where it was found."""

    source: str
    path: Path
    account: NewAccount


def this_machine() -> Machine:
    """The machine as it is."""
    return Machine(sys.platform, Path.home(), Path.cwd(), os.environ)


def import_accounts(
    chosen: Settings, source: str, path: str | None, *, revive: bool, passphrase_file: str | None, as_json: bool
) -> None:
    """Import from one place. Raises Failed, RelayError when nothing could be."""
    place = Path(path).expanduser() if path is not None else _usual_place(source)
    reading = read_source(source, place, passphrase_file)
    _tell_skipped(reading.skipped)
    if not reading.accounts:
        raise Failed(f"{place} holds no account that could be imported.")
    _bring(chosen, [Found(source, place, account) for account in reading.accounts], revive=revive, as_json=as_json)


def scan(chosen: Settings, *, yes: bool, revive: bool, as_json: bool) -> None:
    """Look everywhere, show what is there, ask, import. Raises Failed when nobody says yes."""
    found: list[Found] = []
    for name, source in SOURCES.items():
        for place in source.places(this_machine()):
            if not place.exists():
                continue
            try:
                reading = source.read(place)
            except RelayError as error:
                _tell_skipped([error.message])
                continue
            _tell_skipped(reading.skipped)
            found += [Found(name, place, account) for account in reading.accounts]
    if not found:
        raise Failed("No account of another program was found.", f"Looked for: {', '.join(_everywhere())}.")

    async def task(api: Management) -> None:
        ahead = await _send(api, found, revive=revive, dry_run=True)
        if not (yes and as_json):
            _show(found, ahead, _AHEAD, as_json=as_json)
        wanted = [one for one, result in zip(found, ahead, strict=True) if result["outcome"] in _CHANGES]
        if not wanted:
            say("There is nothing new to import.", err=True)
            return
        if not yes:
            if not sys.stdin.isatty():
                raise Failed("Nothing was imported: nobody could be asked.", "Say so beforehand: --yes")
            typer.confirm(f"Import {len(wanted)}?", default=True, abort=True, err=True)
        _end(wanted, await _send(api, wanted, revive=revive), as_json=as_json)

    work(chosen, task)


def read_source(source: str, place: Path, passphrase_file: str | None = None) -> Reading:
    """What is in one place, an encrypted export included. Raises RelayError, Failed."""
    if source != "json":
        return SOURCES[source].read(place)
    raw = read_file(place)
    if parcel.is_parcel(raw):
        raw = parcel.unseal(raw, passphrase(passphrase_file, new=False))
    return documents.parse(raw, place)


def _usual_place(source: str) -> Path:
    places = SOURCES[source].places(this_machine())
    if not places:
        raise Failed(f"Where it is has to be said: qrelay import {source} PATH.")
    return next((place for place in places if place.exists()), places[0])


def _everywhere() -> list[str]:
    return [str(place) for source in SOURCES.values() for place in source.places(this_machine())]


def _bring(chosen: Settings, found: Sequence[Found], *, revive: bool, as_json: bool) -> None:
    async def task(api: Management) -> None:
        _end(found, await _send(api, found, revive=revive), as_json=as_json)

    work(chosen, task)


async def _send(
    api: Management, found: Sequence[Found], *, revive: bool, dry_run: bool = False
) -> list[dict[str, Any]]:
    """What becomes of each, in order."""
    results: list[dict[str, Any]] = []
    with progress("Looking them up" if dry_run else "Importing", len(found)) as advance:
        for start in range(0, len(found), _AT_ONCE):
            rows = [as_row(one.account) for one in found[start : start + _AT_ONCE]]
            body = {"accounts": rows, "revive": revive, "dry_run": dry_run}
            results += (await api.ask("POST", "/v2/import", body))["results"]
            advance(len(rows))
    return results


def as_row(account: NewAccount) -> dict[str, Any]:
    """An account as the management API takes it."""
    said = {name: getattr(account, name) for name in NewAccount.__struct_fields__}
    return {_camel(name): value for name, value in said.items() if value is not None}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def _end(found: Sequence[Found], results: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """Show how it went. Raises Failed when not one of them is here now."""
    _show(found, results, _WORDS, as_json=as_json)
    shared = {SOURCES[one.source].title for one in found if one.source in SHARED}
    if shared and not as_json:
        say(
            f"{' and '.join(sorted(shared))} and qrelay now share a log-in, and a refresh by one can end it for the "
            "other. A log-in of its own is safer: qrelay login",
            err=True,
        )
    refused = [result for result in results if result["outcome"] == "refused"]
    if refused and len(refused) == len(results):
        raise failure(refused[0])


def _show(found: Sequence[Found], results: Sequence[dict[str, Any]], words: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        show_json(
            [
                {"source": one.source, "path": str(one.path)} | {name: result.get(name) for name in _told(result)}
                for one, result in zip(found, results, strict=True)
            ]
        )
        return
    rows = [
        (
            one.source,
            one.account.label,
            one.account.kind or "builder_id",
            one.account.region,
            words.get(result["outcome"]) or f"refused: {result['error']['message']}",
            str(one.path),
        )
        for one, result in zip(found, results, strict=True)
    ]
    show_rows(("SOURCE", "LABEL", "KIND", "REGION", "RESULT", "FROM"), rows, spare=("REGION", "KIND", "FROM"))


def _told(result: dict[str, Any]) -> list[str]:
    return ["outcome", "error"] if result["outcome"] == "refused" else ["outcome", "account"]


def _tell_skipped(sentences: Sequence[str]) -> None:
    for sentence in sentences:
        say(f"Left out: {plain(sentence)}", err=True)
