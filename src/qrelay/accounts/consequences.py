"""What a failure means for the account that had it and for the request: one table, and what it says in numbers. Pure.

    consequence(error).another      may another account do better, and up to how many upstream calls
                      .scope        what rests: the whole account, the account for one model, nothing
                      .rest         how long (see Rest)
                      .counted      whether it counts towards QRELAY_MAX_ERROR_COUNT
                      .transient    whether trying elsewhere is charged to the retry budget

docs/reference/failures.md is this table joined with the one of `upstream/errors.py`, which says what the service's
words mean. What the request itself did wrong has no consequence, and is never tried again.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Literal, NamedTuple, TypeAlias

from qrelay.errors import ErrorCode, RelayError, Resets

Scope: TypeAlias = Literal["account", "model"]

MOST_CALLS: Final = 3
"""Upstream calls for one request, at most."""
TRIPS_AFTER: Final = 5
"""Failures in a row that open a circuit (Envoy's outlier detection has the same figure)."""
_OPEN_SECONDS, _LONGEST_OPEN_SECONDS = 30.0, 300.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_LONGEST_RETRY_AFTER: Final = 31 * 86_400.0


class Rest(StrEnum):
    """How long an account isn't asked. The values are the words of the docs."""

    nothing = "it goes on as before"
    pause = "for `retry-after`, exactly; else 1 to 60 s, longer with each in a row"
    reset = "to the date on which the quota begins anew"
    circuit = f"after {TRIPS_AFTER} in a row 30 s, then longer up to 5 min; one request probes it then"
    log_in = "to a new log-in, when the token service refuses too; else as a broken circuit"
    taken_out = "to the day somebody enables it again"


class Consequence(NamedTuple):
    """One row. `most_calls` counts the calls of the whole request, the failed one too."""

    another: bool = False
    most_calls: int = 1
    scope: Scope | None = None
    rest: Rest = Rest.nothing
    counted: bool = False
    transient: bool = False


NOTHING: Final = Consequence()


def _elsewhere(scope: Scope, rest: Rest, *, counted: bool = True, transient: bool = False) -> Consequence:
    return Consequence(True, MOST_CALLS, scope, rest, counted, transient)


_NETWORK: Final = Consequence(True, 2, "account", Rest.circuit, transient=True)
"""Not counted: a network that is down would switch every account off. Tried elsewhere once, or it takes too long."""

CONSEQUENCES: Final[Mapping[ErrorCode, Consequence]] = {
    **dict.fromkeys(ErrorCode, NOTHING),
    ErrorCode.account_throttled: _elsewhere("model", Rest.pause),
    ErrorCode.quota_exhausted: _elsewhere("account", Rest.reset),
    ErrorCode.account_suspended: _elsewhere("account", Rest.taken_out),
    ErrorCode.account_expired: _elsewhere("account", Rest.log_in),
    ErrorCode.account_forbidden: _elsewhere("account", Rest.circuit),
    ErrorCode.feature_blocked: _elsewhere("account", Rest.circuit),
    ErrorCode.upstream_overloaded: _elsewhere("model", Rest.circuit, transient=True),
    ErrorCode.upstream_failed: _elsewhere("account", Rest.circuit, transient=True),
    ErrorCode.upstream_protocol: _elsewhere("account", Rest.circuit, transient=True),
    ErrorCode.upstream_unreachable: _NETWORK,
    ErrorCode.upstream_timeout: _NETWORK,
}
"""Every code. What isn't named has no consequence: the request, the client or the gateway itself caused it."""

LIMITS: Final = frozenset({Rest.pause, Rest.reset})
"""Rests that the service asked for: nobody is asked before they are over. A circuit is a guess, and is probed."""


def consequence(error: RelayError) -> Consequence:
    """What one failure means. A limit that no reset ends, one conversation's for example, is the request's own."""
    if error.code is ErrorCode.quota_exhausted and error.resets is None:
        return NOTHING
    return CONSEQUENCES[error.code]


def pause(retry_after: float | None, strikes: int, chance: Callable[[], float]) -> float:
    """Seconds without a request: what was said, else full jitter up to twice as long with each strike in a row.

    `chance` gives 0 to 1.
    """
    if retry_after is not None:
        return min(max(retry_after, 0.0), _LONGEST_RETRY_AFTER)
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(strikes, 10))
    return _FIRST_PAUSE + chance() * (longest - _FIRST_PAUSE)


def open_seconds(times: int) -> float:
    """How long a circuit is open the n-th time in a row."""
    return min(_LONGEST_OPEN_SECONDS, _OPEN_SECONDS * times)


def reset_at(resets: Resets | None, now: float) -> float:
    """When a quota begins anew if nobody says: the next day or month, by UTC. Epoch seconds in and out."""
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if resets == "daily":
        return (today + timedelta(days=1)).timestamp()
    return (today.replace(day=1) + timedelta(days=32)).replace(day=1).timestamp()


def whole_seconds(seconds: float) -> float:
    """Rounded up, at least one: as a `retry-after` is told."""
    return float(max(1, math.ceil(seconds)))
