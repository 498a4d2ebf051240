"""q2api's `data.sqlite3`: a table of accounts, with or without the two counters of its later version (SWITCHING.md)."""

import sqlite3
from pathlib import Path
from typing import Final

from qrelay.accounts.account import NewAccount
from qrelay.accounts.importing.databases import columns, reading
from qrelay.accounts.importing.files import Reading, unreadable
from qrelay.accounts.importing.shapes import read_account

_NEEDED: Final = frozenset({"id", "clientId", "clientSecret", "refreshToken"})


def read(path: Path) -> Reading:
    """Its accounts. Raises RelayError."""
    with reading(path) as connection:
        return read_table(connection, path)


def read_table(connection: sqlite3.Connection, path: Path) -> Reading:
    """The accounts of an open database that came from `path`. Raises RelayError."""
    accounts: list[NewAccount] = []
    skipped: list[str] = []
    if missing := _NEEDED - columns(connection, "accounts"):
        raise unreadable(f"{path} is not q2api's: its table accounts lacks {', '.join(sorted(missing))}.")
    for number, row in enumerate(connection.execute("SELECT * FROM accounts ORDER BY rowid"), 1):
        fields = dict(zip(row.keys(), tuple(row), strict=True))
        match read_account(fields):
            case str(reason):
                skipped.append(f"Row {number} of {path} {reason}.")
            case account:
                accounts.append(account)
    return Reading(accounts, skipped)
