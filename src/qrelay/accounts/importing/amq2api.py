"""amq2api's `account.json`: a list of accounts in snake_case (SWITCHING.md)."""

from pathlib import Path

from qrelay.accounts.importing.documents import read_rows
from qrelay.accounts.importing.files import Reading, as_list, read_json, unreadable


def read(path: Path) -> Reading:
    """Its accounts. Raises RelayError."""
    rows = as_list(read_json(path))
    if rows is None:
        raise unreadable(f"{path} is not amq2api's: it holds no list of accounts.")
    return read_rows(rows, path)
