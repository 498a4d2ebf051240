"""A file that somebody sent instead of naming it: what it is shows in its bytes. Nothing of it is written anywhere.

SQLite with a table `accounts`   q2api             SQLite with `auth_kv`   Amazon Q CLI, Kiro CLI
JSON, JSON Lines                 amq2api, aq2api, our own export, and what `documents` knows besides
"""

from pathlib import Path

from qrelay.accounts import parcel
from qrelay.accounts.importing import cli, documents, q2api
from qrelay.accounts.importing.databases import columns, is_database, reading_bytes
from qrelay.accounts.importing.files import Reading, unreadable


def read(raw: bytes, name: str) -> Reading:
    """Its accounts; `name` is what sentences about it call it. Raises RelayError."""
    path = Path(name)
    if not is_database(raw):
        if parcel.is_parcel(raw):
            raise unreadable(f"{path} is sealed with a passphrase.", "On the command line: qrelay import json FILE.")
        return documents.parse(raw, path)
    with reading_bytes(raw, path) as connection:
        if columns(connection, "auth_kv"):
            return cli.read_tables(connection, path, label="Kiro CLI" if "kiro" in name.lower() else "Amazon Q CLI")
        return q2api.read_table(connection, path)
