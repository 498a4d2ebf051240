"""The request log as it grows, whoever writes to it: each call gives the rows that appeared since the last one.

It reads the table, so it shows the rows of all replicas. On PostgreSQL a row may appear after one with a higher number,
because numbers are given before a commit: there it looks back over the last seconds and knows what it has shown.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row

from qrelay.database import Database
from qrelay.records import requests

_LOOK_BACK_SECONDS: Final = 6.0
"""Longer than a statement may take (`database.engine`), so longer than a number waits for its commit."""
_MOST_NUMBERS: Final = 5_000
MOST_ROWS: Final = 500
_MOST_MISSED: Final = 1_000


class Tail:
    """One reader's place. `after` is the number of the last row it has, None to begin with the next one."""

    def __init__(self, database: Database, after: int | None = None) -> None:
        self._database = database
        self._after = after
        self._floor: int | None = None
        self._shown: set[int] = set()
        self._highest: deque[tuple[float, int]] = deque()

    async def next(self) -> Sequence[Row[Any]]:
        """The new rows by rising number, at most MOST_ROWS. Raises RelayError(store_failed)."""
        async with self._database.reading() as connection:
            if self._floor is None:
                newest = await requests.newest(connection)
                self._floor = newest if self._after is None else max(self._after, newest - _MOST_MISSED)
            numbers = await requests.numbers_after(connection, self._floor, _MOST_NUMBERS)
            new = [number for number in numbers if number not in self._shown][:MOST_ROWS]
            rows = await requests.with_numbers(connection, new) if new else ()
        self._show(new)
        return rows

    def _show(self, new: Sequence[int]) -> None:
        self._shown.update(new)
        now = asyncio.get_running_loop().time()
        if new:
            self._highest.append((now, max(new)))
        keep = _LOOK_BACK_SECONDS if self._database.shared else 0.0
        while self._highest and self._highest[0][0] <= now - keep:
            floor = max(self._highest.popleft()[1], self._floor or 0)
            self._shown = {number for number in self._shown if number > floor}
            self._floor = floor
