"""Column types that read whatever SQLite gives: a damaged cell must not fail the query that reads it.

SQLite stores any value in any column, so in a damaged file there may be text where a number should be. Such a cell is
read as "", 0, 0.0 or no bytes. A time of 0.0 is long past: a damaged expiry has expired, a damaged revocation holds.
NULL is read as the same where the column may not be NULL. PostgreSQL checks its columns itself.
"""

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import BigInteger, Double, Integer, LargeBinary, Table, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

from qrelay import moments

_EARLIEST: Final = -62_135_596_800.0
"""The first moment that a calendar has, in epoch seconds. `moments.LAST` is the last."""


class _Tolerant(TypeEngine[Any]):
    """Reads a cell that is no `valid` one as `fallback`, and NULL too where it is `required`."""

    fallback: Any = None
    valid: tuple[type, ...] = ()

    def __init__(self, required: bool = False) -> None:
        super().__init__()
        self.required = required

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        if dialect.name != "sqlite":
            return super().result_processor(dialect, coltype)
        fallback, valid, null = self.fallback, self.valid, self.fallback if self.required else None

        def read(value: Any) -> Any:
            return value if isinstance(value, valid) else null if value is None else fallback

        return read


class _Text(_Tolerant, Text):
    fallback = ""
    valid = (str,)


class _Bytes(_Tolerant, LargeBinary):
    fallback = b""
    valid = (bytes,)


class _Integer(_Tolerant, Integer):
    fallback = 0
    valid = (int,)


class _BigInteger(_Tolerant, BigInteger):
    fallback = 0
    valid = (int,)


class _Double(_Tolerant, Double[Any]):
    """Numbers that are not finite, or are no time that a calendar has, count as damage: no answer could show them."""

    fallback = 0.0
    valid = (float, int)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        read = super().result_processor(dialect, coltype)
        if read is None or dialect.name != "sqlite":
            return read

        def read_in_range(value: Any) -> Any:
            number = read(value)
            return number if number is None or _EARLIEST <= number <= moments.LAST else 0.0

        return read_in_range


_TYPES: Final[dict[type[TypeEngine[Any]], type[_Tolerant]]] = {
    Text: _Text,
    LargeBinary: _Bytes,
    Integer: _Integer,
    BigInteger: _BigInteger,
    Double: _Double,
}


def read_damaged_cells(tables: Iterable[Table]) -> None:
    """Give the columns of these tables types that read damaged cells."""
    for table in tables:
        for column in table.columns:
            # What SQLite itself keeps whole stays as it is: the number of a row, and booleans, which anything can be.
            if (tolerant := _TYPES.get(type(column.type))) is not None and column.autoincrement is not True:
                column.type = tolerant(not column.nullable)
