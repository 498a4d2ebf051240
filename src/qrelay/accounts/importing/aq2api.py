"""aq2api's `amazonq_credentials.json`: its one account (SWITCHING.md)."""

from pathlib import Path

from qrelay.accounts.importing.documents import read_rows
from qrelay.accounts.importing.files import Reading, as_object, read_json, unreadable


def read(path: Path) -> Reading:
    """Its account. Raises RelayError."""
    fields = as_object(read_json(path))
    if fields is None or "refresh_token" not in fields:
        raise unreadable(f"{path} is not aq2api's: it holds no object with refresh_token.")
    return read_rows([fields], path)
