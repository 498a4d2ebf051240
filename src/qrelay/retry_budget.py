"""How much trying again may cost: a fifth of all requests, and ten a second besides. Pure; the clock is passed in.

A service that fails every call would be asked three times as often otherwise, just when it can bear it least
(OPERATIONS.md C-6, after Finagle).
"""

from collections.abc import Callable
from typing import Final

_SHARE: Final = 0.2
_PER_SECOND: Final = 10.0
_MOST_EARNED: Final = 100.0
"""What a busy time saves up for a bad one: as many retries as five hundred requests earn."""


class RetryBudget:
    """`clock` is in seconds, from anywhere on."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._at = clock()
        self._free = _PER_SECOND
        self._earned = 0.0

    def earn(self) -> None:
        """A request has come."""
        self._earned = min(_MOST_EARNED, self._earned + _SHARE)

    def spend(self) -> bool:
        """Whether one more call may be made because another has failed."""
        now = self._clock()
        self._free = min(_PER_SECOND, self._free + (now - self._at) * _PER_SECOND)
        self._at = now
        if self._earned >= 1:
            self._earned -= 1
        elif self._free >= 1:
            self._free -= 1
        else:
            return False
        return True
