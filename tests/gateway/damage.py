"""A database in which beside every healthy row there are copies of it, each with one damaged cell."""

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Column, Table

from qrelay.database.schema import SEALED, accounts, metadata
from qrelay.vault import Vault, open_vault

UNREADABLE_TEXT: Final = object()
"""A text cell whose bytes are no UTF-8."""
GARBAGE: Final = (
    *(None, "garbled", "", '{"broken', "[[1, 2", "\x1b[2J\u202e"),
    *(b"\xff\x00", UNREADABLE_TEXT, 10**18, -1e300, float("inf")),
)
FLIPPED: Final = {"version": 0, "key id": 3, "nonce": 9, "ciphertext": 17, "tag": -1}
"""The parts of a sealed record, each with a byte in it."""

_number = count(1)


def damage(home: Path) -> dict[str, tuple[str, str]]:
    """Add the damaged copies. Return the ids of those accounts whose sealed cells are damaged: column and part."""
    vault = open_vault(home)
    broken: dict[str, tuple[str, str]] = {}
    with _without_not_null(home / "qrelay.sqlite3") as database:
        for table in metadata.sorted_tables:
            if table.name == "secrets":
                continue
            healthy = database.execute(f"SELECT * FROM {table.name} LIMIT 1").fetchone()
            assert healthy is not None, f"{table.name} has no row to copy"
            for column in table.columns:
                if column.autoincrement is True:
                    continue  # SQLite itself takes nothing but a number there
                if table is accounts and column.name in SEALED:
                    for part, record in _flipped(b"\x01" + bytes(80)):
                        row = _copy(table, healthy) | {column.name: record}
                        broken[str(row["id"])] = (column.name, part)
                        _insert(database, table, row, vault_of=(vault, column.name, part))
                for value in GARBAGE:
                    row = _copy(table, healthy) | {column.name: _unique(column, value)}
                    _insert(database, table, row, vault_of=(vault, column.name, None))
    return broken


def _copy(table: Table, healthy: Any) -> dict[str, Any]:
    """A row like it, of another key."""
    row = dict(zip(table.columns.keys(), healthy, strict=True))
    for column in table.columns:
        if column.autoincrement is True:
            row[column.name] = None  # SQLite gives the next number
        elif _must_differ(column):
            is_text = isinstance(row[column.name], str)
            row[column.name] = f"{row[column.name]}-{next(_number)}" if is_text else next(_number)
    if table is accounts:
        row |= {"is_active": 0, "created_at": row["created_at"] + next(_number)}
    return row


def _must_differ(column: Column[Any]) -> bool:
    unique = any(index.unique and column.name in index.columns for index in column.table.indexes)
    return unique or (bool(column.primary_key) and column.name != "model")


def _unique(column: Column[Any], value: object) -> object:
    """Garbage that no other row has, where none may have the same."""
    if not _must_differ(column) or value is None:
        return value
    number = next(_number)
    match value:
        case str():
            return f"{value}{number}"
        case bytes():
            return value + str(number).encode()
        case _:
            return value


def _flipped(record: bytes) -> Iterator[tuple[str, bytes]]:
    for part, at in FLIPPED.items():
        changed = bytearray(record)
        changed[at] ^= 0x10
        yield part, bytes(changed)
    yield "cut", record[:20]
    yield "empty", b""


def _insert(
    database: sqlite3.Connection, table: Table, row: dict[str, Any], *, vault_of: tuple[Vault, str, str | None]
) -> None:
    """Insert it. Sealed cells of a copied account are sealed for it, and then damaged."""
    vault, damaged, part = vault_of
    if table is accounts:
        for column in SEALED:
            if column == damaged and part is None:
                continue
            if (row[column] is None and column != damaged) or not isinstance(row["id"], str):
                continue
            record = vault.seal(_TEXTS.get(column, "text"), table="accounts", row=row["id"], column=column)
            row[column] = dict(_flipped(record))[part] if part is not None and column == damaged else record
    marks = ["CAST(? AS TEXT)" if value is UNREADABLE_TEXT else "?" for value in row.values()]
    unreadable = b"\xff\xfe" + str(next(_number)).encode()
    values = [unreadable if value is UNREADABLE_TEXT else value for value in row.values()]
    database.execute(f"INSERT OR IGNORE INTO {table.name} VALUES ({', '.join(marks)})", values)


_TEXTS: Final = {"other": '{"note": "text"}'}


@contextmanager
def _without_not_null(path: Path) -> Generator[sqlite3.Connection]:
    """The database, which takes NULL everywhere for so long."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        known = database.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL"
        ).fetchall()
        _rewrite(database, [(name, sql.replace(" NOT NULL", "")) for name, sql in known])
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN")
        yield database
        database.execute("COMMIT")
        _rewrite(database, known)


def _rewrite(database: sqlite3.Connection, schema: list[tuple[str, str]]) -> None:
    database.execute("PRAGMA writable_schema = ON")
    for name, sql in schema:
        database.execute("UPDATE sqlite_master SET sql = ? WHERE name = ? AND type = 'table'", (sql, name))
    database.execute("PRAGMA writable_schema = OFF")
