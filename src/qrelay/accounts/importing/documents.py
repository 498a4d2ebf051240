"""JSON and JSON Lines: our own export, amq2api's list, aq2api's one object, and what people made themselves.

A document is an object, a list of objects, `{"accounts": [...]}`, or an object a line.
"""

from pathlib import Path
from typing import Any

import msgspec

from qrelay.accounts.account import NewAccount
from qrelay.accounts.importing.files import Reading, as_list, as_object, decode, read_file, unreadable
from qrelay.accounts.importing.shapes import read_account
from qrelay.json_errors import JSON_ERRORS


def read(path: Path) -> Reading:
    """The accounts of a file that isn't encrypted. Raises RelayError."""
    return parse(read_file(path), path)


def parse(raw: bytes, path: Path) -> Reading:
    """The accounts in `raw`, which came from `path`. Raises RelayError, also when it holds none."""
    rows = _rows(raw, path)
    if not rows:
        raise unreadable(f"{path} holds no account.")
    return read_rows(rows, path)


def read_rows(rows: list[Any], path: Path, *, label: str | None = None) -> Reading:
    """The accounts among JSON values that came from `path`.

    The active one goes first (amq2api's `is_active`): the first that is stored becomes the active one.
    """
    active: list[NewAccount] = []
    accounts: list[NewAccount] = []
    skipped: list[str] = []
    for number, row in enumerate(rows, 1):
        match read_account(row, label=label):
            case str(reason):
                skipped.append(f"Entry {number} of {path} {reason}.")
            case account:
                marked = (as_object(row) or {}).get("is_active") is True
                (active if marked else accounts).append(account)
    return Reading([*active, *accounts], skipped)


def _rows(raw: bytes, path: Path) -> list[Any]:
    raw = raw.removeprefix(b"\xef\xbb\xbf").strip()
    try:
        found = msgspec.json.decode(raw)
    except JSON_ERRORS:
        lines = [line for line in raw.splitlines() if line.strip()]
        if len(lines) < 2:
            return [decode(raw, path)]  # which tells why not
        return [decode(line, path) for line in lines]
    for rows in (as_list(found), as_list((as_object(found) or {}).get("accounts"))):
        if rows is not None:
            return rows
    return [found]
