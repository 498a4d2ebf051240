"""Refreshes that failed without saying anything about the account, and how long to leave the service in peace.

in the background    not before a pause has passed: full jitter, up to 2 s, then 4 s … 5 min, by failures in a row
for a request        the first failures are tried again at once; from the third on a call every few seconds, and
                     who comes in between is told what the last one was
"""

import random
import time
from typing import Final

from msgspec import Struct

from qrelay.errors import ErrorCode, RelayError

_FIRST, _LONGEST = 1.0, 300.0
_PATIENCE: Final = 2
"""After so many failures in a row requests stop trying at once."""
_BETWEEN_REQUESTS: Final = 5.0
_OF_THE_SERVICE: Final = frozenset(
    {
        ErrorCode.upstream_unreachable,
        ErrorCode.upstream_timeout,
        ErrorCode.upstream_overloaded,
        ErrorCode.account_forbidden,
    }
)


class _Setback(Struct, frozen=True):
    """`at` and `until` are times of a clock of the process's own."""

    failures: int
    at: float
    until: float
    error: RelayError | None


class Setbacks:
    """By account."""

    def __init__(self) -> None:
        self._setbacks: dict[str, _Setback] = {}

    def failed(self, account_id: str, error: RelayError | None) -> None:
        """A refresh failed; None is for what nobody thought of."""
        before = self._setbacks.get(account_id)
        failures = before.failures + 1 if before else 1
        now = time.monotonic()
        pause = random.uniform(_FIRST, min(_LONGEST, _FIRST * 2.0**failures))  # noqa: S311 - spreads load, hides nothing
        self._setbacks[account_id] = _Setback(failures, now, now + pause, error)

    def passed(self, account_id: str) -> None:
        """A refresh went well."""
        self._setbacks.pop(account_id, None)

    def forget(self, account_id: str) -> None:
        """The account is gone."""
        self._setbacks.pop(account_id, None)

    def holds(self, account_id: str) -> bool:
        """Whether it is too soon to ask without need."""
        setback = self._setbacks.get(account_id)
        return setback is not None and time.monotonic() < setback.until

    def check(self, account_id: str) -> None:
        """Raise the last failure again where it is too soon to ask even for a request."""
        setback = self._setbacks.get(account_id)
        if setback is None or setback.error is None or setback.failures <= _PATIENCE:
            return
        left = setback.at + _BETWEEN_REQUESTS - time.monotonic()
        if left > 0 and setback.error.code in _OF_THE_SERVICE:
            error = setback.error
            raise RelayError(error.code, error.message, remedy=error.remedy, retry_after=max(1.0, left))
