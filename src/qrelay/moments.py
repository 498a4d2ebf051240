"""Moments that others tell us: epoch seconds that a calendar has, or nothing.

    1796083200         as it is
    1796083200000      milliseconds: no year is that far in seconds
    -1, 9e18, nan      nothing: no such day can be shown, compared or waited for

What was kept unchecked would make every later answer that shows it fail. No clock and no format: `database.clock` and
the answers have those.
"""

from datetime import UTC, datetime
from typing import Final

LAST: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
"""The last moment there is, in epoch seconds."""


def told(value: float | None) -> float | None:
    """Epoch seconds, of seconds or milliseconds; None for None and for what is no date."""
    if value is None:
        return None
    seconds = value / 1000 if LAST < value <= LAST * 1000 else value  # JSON's integers have no largest one
    return float(seconds) if 0 < seconds <= LAST else None
