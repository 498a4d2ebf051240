"""A change of the master key: every record that is not of the vault's first key is sealed anew.

It may be broken off at any moment and done again: until the last record is of the new key, the old one stays. It runs
beside everything else; a row that changes meanwhile has been sealed with the new key by whoever changed it.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

import structlog
from sqlalchemy import Column, Row, and_, select, update

from qrelay.database.opened import Database
from qrelay.database.schema import CANARY, SEALED_CELLS, responses
from qrelay.errors import RelayError
from qrelay.vault import Vault

log = structlog.get_logger()

_AT_ONCE: Final = 20


async def reseal(database: Database) -> int:
    """How many records were sealed anew. Raises RelayError(store_failed)."""
    sealed = 0
    while step := await _sweep(database):
        sealed += step
    return sealed


async def _sweep(database: Database) -> int:
    vault = database.vault
    sealed = 0
    for table, naming, columns in SEALED_CELLS:
        async for name, *records in _rows(database, naming, columns):
            old = {
                column: record
                for column, record in zip(columns, records, strict=True)
                if record is not None and not vault.is_current(record)
            }
            if not old:
                continue
            try:
                new = {column.name: _anew(vault, record, column, name) for column, record in old.items()}
            except RelayError as error:
                if table is not responses:
                    raise
                log.warning("a kept response can't be read, and stays so", response=name, reason=error.message)
                continue
            unchanged = and_(naming == name, *(column == record for column, record in old.items()))
            async with database.writing() as connection:
                await connection.execute(update(table).where(unchanged).values(new))
            sealed += len(new)
    return sealed


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
