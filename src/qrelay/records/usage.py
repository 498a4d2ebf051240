"""What was used, by hour: counted in memory, stored as totals, read as sums.

    (hour, account, key, model, dialect)  ->  requests, errors, estimated, tokens four ways, credits

Each process writes rows of its own (`writer`), and each time their whole totals: writing twice is writing once, and no
two processes ever want the same row (OPERATIONS.md C.5). An hour is the hours since the epoch; a request counts for the
hour it ended in. `estimated` is how many of the requests have tokens that were counted here.
"""

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct
from sqlalchemy import Integer, Row, delete, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.elements import Label

from qrelay.database import inserting
from qrelay.database.schema import usage
from qrelay.records.ended import GOOD, Ended

Grouping: TypeAlias = Literal["model", "account", "key", "dialect", "none"]

_GROUPS: Final = {
    "model": usage.c.model,
    "account": usage.c.account_id,
    "key": usage.c.key_id,
    "dialect": usage.c.dialect,
}
_MOST_MODELS: Final = 200
OTHER_MODEL: Final = "other"


class Figures(Struct):
    """What is counted. Tokens are as in `events.Usage`: input without what is cached."""

    requests: int = 0
    errors: int = 0
    estimated: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    credits: float = 0.0

    def add(self, more: "Figures") -> None:
        for name in Figures.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(more, name))


class _Key(Struct, frozen=True, gc=False):
    hour: int
    account_id: str
    key_id: str
    model: str
    dialect: str


class Counts:
    """What this process counted and may still add to. No I/O."""

    def __init__(self, writer: str | None = None) -> None:
        self.writer = writer or secrets.token_hex(8)
        self._totals: dict[_Key, Figures] = {}
        self._changed: set[_Key] = set()
        self._hour = 0
        self._models: set[str] = set()

    def add(self, ended: Ended, now: float) -> None:
        """A request has ended."""
        self._hour = max(self._hour, int(now // 3600))  # a clock that is set back doesn't reopen what is stored
        model = self._bounded(ended.model or "")
        key = _Key(self._hour, ended.account_id or "", ended.key_id or "", model, ended.dialect)
        figures = self._totals.get(key)
        if figures is None:
            figures = self._totals[key] = Figures()
        figures.requests += 1
        figures.errors += ended.outcome not in GOOD
        if ended.output_tokens is not None:
            figures.estimated += ended.estimated
            figures.input_tokens += ended.input_tokens or 0
            figures.cache_read_tokens += ended.cache_read_tokens or 0
            figures.cache_write_tokens += ended.cache_write_tokens or 0
            figures.output_tokens += ended.output_tokens
        if ended.credits:
            figures.credits += ended.credits
        self._changed.add(key)

    def changed(self) -> list[dict[str, Any]]:
        """The rows to store: totals. Afterwards they count as stored, unless `again` says that they are not."""
        rows = [
            {"writer": self.writer}
            | {name: getattr(key, name) for name in _Key.__struct_fields__}
            | {name: getattr(self._totals[key], name) for name in Figures.__struct_fields__}
            for key in self._changed
        ]
        self._changed.clear()
        return rows

    def again(self, rows: Iterable[dict[str, Any]]) -> None:
        """These could not be stored."""
        self._changed.update(_Key(**{name: row[name] for name in _Key.__struct_fields__}) for row in rows)

    def forget(self) -> None:
        """Drop what is stored and can't change any more."""
        over = [key for key in self._totals if key.hour < self._hour and key not in self._changed]
        for key in over:
            del self._totals[key]

    def _bounded(self, model: str) -> str:
        """Names come from elsewhere, so there is an end to them."""
        if model not in self._models:
            if len(self._models) >= _MOST_MODELS:
                return OTHER_MODEL
            self._models.add(model)
        return model


async def store(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Write totals over what is there of the same writer."""
    insert = inserting(usage, connection.dialect.name)
    totals = {name: insert.excluded[name] for name in Figures.__struct_fields__}
    statement = insert.on_conflict_do_update(index_elements=list(usage.primary_key.columns), set_=totals)
    await connection.execute(statement, list(rows))


async def prune(connection: AsyncConnection, before: int) -> None:
    """Forget hours before this one."""
    await connection.execute(delete(usage).where(usage.c.hour < before))


async def read(
    connection: AsyncConnection, first: int, end: int, by: Grouping, hours: int
) -> list[tuple[str, int, Figures]]:
    """Sums over all writers for hours from `first` up to but not `end`: group, step, figures.

    A step is so many `hours`; its number is the hour it begins with divided by them. Groups come in no order.
    """
    # No parameter, since it must be the same expression in GROUP BY.
    step = literal_column(f"hour / {hours:d}", Integer).label("step")
    group = _GROUPS.get(by)
    keys: list[Label[Any]] = [step] if group is None else [step, group.label("name")]
    sums = [func.sum(usage.c[name]).label(name) for name in Figures.__struct_fields__]
    statement = select(*keys, *sums).where(usage.c.hour >= first, usage.c.hour < end).group_by(*keys)
    rows = (await connection.execute(statement)).all()
    return [("" if group is None else row.name, int(row.step), _figures(row)) for row in rows]


def _figures(row: Row[Any]) -> Figures:
    """PostgreSQL sums big integers to decimals."""
    return Figures(
        **{name: int(getattr(row, name)) for name in Figures.__struct_fields__ if name != "credits"},
        credits=float(row.credits),
    )
