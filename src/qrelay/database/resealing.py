"""A change of the master key: every record that is not of the vault's first key is sealed with that.

It may be broken off at any moment and done again: until the last record is of the new key, the old one stays. It runs
beside everything else; a row that changes meanwhile has been sealed with the new key by whoever changed it. A record
that can't be opened stays as it is.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final, NamedTuple

import structlog
from sqlalchemy import Column, Row, and_, select, update

from qrelay.database.opened import Database
from qrelay.database.schema import CANARY, SEALED_CELLS
from qrelay.errors import RelayError
from qrelay.vault import Vault

log = structlog.get_logger()

_AT_ONCE: Final = 20


class Resealed(NamedTuple):
    """Numbers of records: those sealed with the new key, and those that can't be opened and stay as they are."""

    sealed: int
    unreadable: int


async def reseal(database: Database) -> Resealed:
    """Seal every record with the first key. Raises RelayError(store_failed) when the database can't be used."""
    sealed = 0
    while True:
        step = await _sweep(database)
        sealed += step.sealed
        if not step.sealed:
            return Resealed(sealed, step.unreadable)


async def _sweep(database: Database) -> Resealed:
    vault = database.vault
    sealed = unreadable = 0
    for table, naming, columns in SEALED_CELLS:
        async for name, *records in _rows(database, naming, columns):
            old = {
                column: record
                for column, record in zip(columns, records, strict=True)
                if record is not None and not vault.is_current(record)
            }
            new: dict[Column[Any], bytes] = {}
            for column, record in old.items():
                try:
                    new[column] = _anew(vault, record, column, name)
                except RelayError as error:
                    unreadable += 1
                    log.warning("a sealed record can't be read, and stays as it is", reason=error.message)
            if not new:
                continue
            unchanged = and_(naming == name, *(column == old[column] for column in new))
            async with database.writing() as connection:
                values = {column.name: record for column, record in new.items()}
                await connection.execute(update(table).where(unchanged).values(values))
            sealed += len(new)
    return Resealed(sealed, unreadable)


def _anew(vault: Vault, record: bytes, column: Column[Any], row: str) -> bytes:
    place = {"table": column.table.name, "row": row, "column": column.name}
    return vault.seal(vault.open(record, **place), **place)


async def _rows(database: Database, naming: Column[Any], columns: Sequence[Column[Any]]) -> AsyncGenerator[Row[Any]]:
    """A few at a time: what is sealed may be long."""
    async with database.reading() as connection:
        names = (await connection.scalars(select(naming).where(naming != CANARY))).all()
    for start in range(0, len(names), _AT_ONCE):
        some = naming.in_(names[start : start + _AT_ONCE])
        async with database.reading() as connection:
            rows = (await connection.execute(select(naming, *columns).where(some))).all()
        for row in rows:
            yield row
