"""The request log's table: rows in by batches, rows out by pages. Not when they are written: that is the journal's."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Row, Select, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from qrelay.database.schema import requests
from qrelay.records.ended import GOOD, Ended

_COLUMNS: Final = Ended.__struct_fields__
_MARKS: Final[Mapping[str, str]] = {"sqlite": "?", "postgresql": "%s"}
_INSERT: Final = {
    engine: f"INSERT INTO requests ({', '.join(_COLUMNS)}) VALUES ({', '.join([mark] * len(_COLUMNS))}) "  # noqa: S608 - our own words
    "ON CONFLICT (id) DO NOTHING"
    for engine, mark in _MARKS.items()
}
_SAMPLE: Final = 1000
_STATUS_DIGITS: Final = 3
COLUMNS: Final = tuple(requests.c.keys())
"""What a row that is read holds."""


class Wanted(Struct, frozen=True, kw_only=True):
    """Which rows. `status` is `ok`, `error`, an outcome or an HTTP status; `since` is in seconds since the epoch."""

    before: int | None = None
    account: str | None = None
    key: str | None = None
    model: str | None = None
    status: str | None = None
    dialect: str | None = None
    since: float | None = None

    def of(self, statement: Select[Any]) -> Select[Any]:
        """The statement, for these rows only."""
        columns = requests.c
        conditions = [
            None if self.before is None else columns.seq < self.before,
            None if self.account is None else columns.account_id == self.account,
            None if self.key is None else columns.key_id == self.key,
            None if self.model is None else or_(columns.model == self.model, columns.model_asked == self.model),
            None if self.dialect is None else columns.dialect == self.dialect,
            None if self.since is None else columns.at >= self.since,
        ]
        match self.status:
            case None:
                pass
            case "error":
                conditions.append(columns.outcome.not_in(GOOD))
            case number if number.isascii() and number.isdigit() and len(number) == _STATUS_DIGITS:
                conditions.append(columns.status == int(number))
            case _:
                conditions.append(columns.outcome == self.status)
        return statement.where(*(condition for condition in conditions if condition is not None))


async def insert(connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Add `Ended` values as tuples. One that is there already, after a commit nobody heard of, stays as it is.

    The statement is written by hand: for thousands of rows, what SQLAlchemy does for each costs more than they do.
    """
    await connection.exec_driver_sql(_INSERT[connection.dialect.name], list(rows))


async def prune(connection: AsyncConnection, most: int) -> None:
    """The oldest make room: at most so many stay."""
    newest = select(func.max(requests.c.seq)).scalar_subquery()
    await connection.execute(delete(requests).where(requests.c.seq <= newest - most))


async def page(connection: AsyncConnection, wanted: Wanted, limit: int) -> tuple[Sequence[Row[Any]], int | None]:
    """The newest first, and the `before` of the next page, None at the end."""
    statement = wanted.of(select(requests)).order_by(requests.c.seq.desc()).limit(limit + 1)
    rows = (await connection.execute(statement)).all()
    return rows[:limit], rows[limit - 1].seq if len(rows) > limit else None


async def find(connection: AsyncConnection, request_id: str) -> Row[Any] | None:
    """One row by the id that its client was told."""
    return (await connection.execute(select(requests).where(requests.c.id == request_id))).one_or_none()


async def newest(connection: AsyncConnection) -> int:
    """The highest number there is, 0 without any row."""
    return await connection.scalar(select(func.max(requests.c.seq))) or 0


async def numbers_after(connection: AsyncConnection, seq: int, limit: int) -> list[int]:
    """The numbers above this one, rising."""
    statement = select(requests.c.seq).where(requests.c.seq > seq).order_by(requests.c.seq).limit(limit)
    return list(await connection.scalars(statement))


async def with_numbers(connection: AsyncConnection, numbers: Sequence[int]) -> Sequence[Row[Any]]:
    """These rows, those that are still there, by rising number."""
    statement = select(requests).where(requests.c.seq.in_(numbers)).order_by(requests.c.seq)
    return (await connection.execute(statement)).all()


async def count_since(connection: AsyncConnection, since: float) -> int:
    """How many of the rows that are kept began then or later."""
    return await connection.scalar(select(func.count()).where(requests.c.at >= since)) or 0


async def first_bytes(connection: AsyncConnection, since: float) -> list[float]:
    """Milliseconds to the first byte of the last good answers, rising."""
    statement = (
        select(requests.c.first_byte_ms)
        .where(requests.c.at >= since, requests.c.outcome == "ok", requests.c.first_byte_ms.is_not(None))
        .order_by(requests.c.seq.desc())
        .limit(_SAMPLE)
    )
    return sorted(await connection.scalars(statement))
