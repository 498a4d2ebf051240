"""`qrelay export`: accounts with their secrets, sealed with a passphrase or in an older gateway's own format.

json    ours, to be imported again; sealed unless --plaintext is said
aq2api  amazonq_credentials.json, one account    q2api  data.sqlite3       both can only be plain text
"""

import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from qrelay.accounts import parcel
from qrelay.accounts.importing.sources import SOURCES
from qrelay.cli.accounts import find
from qrelay.cli.bringing import as_row, read_source, this_machine
from qrelay.cli.management import Management, work
from qrelay.cli.outcome import Failed
from qrelay.cli.passphrase import passphrase
from qrelay.cli.printing import say
from qrelay.control_characters import escape_controls
from qrelay.private_files import write_private
from qrelay.settings import Settings

_WARNING: Final = "This is plain text: whoever reads it can use the account. Keep it private, and delete it soon."
_COLUMNS: Final = (
    "id TEXT PRIMARY KEY, label TEXT, clientId TEXT, clientSecret TEXT, refreshToken TEXT, accessToken TEXT, "
    "other TEXT, last_refresh_time TEXT, last_refresh_status TEXT, created_at TEXT, updated_at TEXT, "
    "enabled INTEGER DEFAULT 1, error_count INTEGER DEFAULT 0, success_count INTEGER DEFAULT 0"
)


def export(
    chosen: Settings,
    form: str,
    *,
    source: str | None,
    account: str | None,
    plaintext: bool,
    passphrase_file: str | None,
    output: str | None,
) -> None:
    """Write accounts to a file that only its owner may read, or to standard output. Raises Failed, RelayError."""
    if form == "q2api" and output is None:
        raise Failed("A SQLite file can't be printed.", "Say where it goes: -o data.sqlite3")
    sealed = form == "json" and not plaintext
    secret = passphrase(passphrase_file, new=True) if sealed else ""
    rows = _of_source(source) if source is not None else _of_store(chosen, account)
    if not rows:
        raise Failed("There is no account to export.")
    match form:
        case "q2api":
            data = _database(rows)
        case "aq2api":
            data = _object(rows)
        case _:
            data = msgspec.json.encode({"qrelay_accounts": 1, "accounts": rows})
    if sealed:
        data = parcel.seal(data, secret)
    else:
        say(_WARNING, err=True)
    if output is None:
        say(escape_controls(data.decode()))
        return
    _write(Path(output).expanduser(), data)
    say(f"Exported {1 if form == 'aq2api' else len(rows)} to {output}.", err=True)


def _of_source(name: str) -> list[dict[str, Any]]:
    places = SOURCES[name].places(this_machine())
    place = next((place for place in places if place.exists()), None)
    if place is None:
        raise Failed(f"{SOURCES[name].title} keeps nothing here.", f"Looked for: {', '.join(map(str, places))}.")
    return [as_row(account) for account in read_source(name, place).accounts]


def _of_store(chosen: Settings, name: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    async def task(api: Management) -> None:
        if not api.as_owner:
            raise Failed("Secrets don't leave a running server by an address.", "End it, then export again.")
        ids = {} if name is None else {"ids": [(await find(api, name))["id"]]}
        found.extend((await api.ask("POST", "/v2/export", ids))["accounts"])

    work(chosen, task)
    return found


def _object(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """aq2api's file: the active account, if there is more than one."""
    chosen = next((row for row in rows if row.get("is_active")), rows[0])
    if not chosen.get("refreshToken"):
        raise Failed("That account has no refresh token, which aq2api needs.", "Name another: --account ACCOUNT")
    names = {
        "client_id": "clientId",
        "client_secret": "clientSecret",
        "refresh_token": "refreshToken",
        "profile_arn": "profileArn",
        "access_token": "accessToken",
        "expires_at": "expiresAt",
    }
    held = {theirs: chosen[ours] for theirs, ours in names.items() if chosen.get(ours) is not None}
    return msgspec.json.format(msgspec.json.encode(held), indent=2)


def _database(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """q2api's file, made where nobody else can read it."""
    able = [row for row in rows if row.get("refreshToken") and row.get("clientId") and row.get("clientSecret")]
    if not able:
        raise Failed("None of the accounts has the client and refresh token that q2api needs.")
    names = [column.split()[0] for column in _COLUMNS.split(", ")]
    with tempfile.TemporaryDirectory(prefix="qrelay-") as folder:
        path = Path(folder, "data.sqlite3")
        connection = sqlite3.connect(path)
        try:
            connection.execute(f"CREATE TABLE accounts ({_COLUMNS})")
            marks = ", ".join("?" * len(names))
            for number, row in enumerate(able):
                held: dict[str, Any] = {"id": str(number), "error_count": 0, "success_count": 0, **row}
                held["enabled"] = int(held.get("enabled") is not False)
                connection.execute(
                    f"INSERT INTO accounts VALUES ({marks})",  # noqa: S608 - question marks
                    [held.get(name) for name in names],
                )
            connection.commit()
        finally:
            connection.close()
        return path.read_bytes()


def _write(path: Path, data: bytes) -> None:
    try:
        write_private(path, data, replace=False)
    except FileExistsError as error:
        raise Failed(f"{path} is there already.", "Choose another name, or move it away.") from error
    except OSError as error:
        raise Failed(f"{path} can't be written: {error.strerror}.") from error
