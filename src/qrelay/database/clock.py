"""Seconds since the epoch that don't jump when somebody sets the machine's clock.

Expiry, cool-downs and leases are compared with it (OPERATIONS.md A-7). Beside replicas it goes by the database's clock,
the only one that they share: a replica whose own clock is a day off behaves as the others do.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

_BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", None)
"""Goes on while the machine sleeps, where there is one; monotonic time stands still then."""

steady: Final[Callable[[], float]] = time.monotonic if _BOOT_CLOCK is None else partial(time.clock_gettime, _BOOT_CLOCK)
"""Seconds since some moment that stays the same while this process lives."""


class SteadyClock:
    """Call it for the time. It starts at the machine's and goes on by itself."""

    def __init__(self) -> None:
        self._offset = time.time() - steady()

    def __call__(self) -> float:
        return self._offset + steady()

    def set(self, now: float) -> None:
        """From here on it is `now`."""
        self._offset = now - steady()
