"""What stands behind the question mark of a management route: read, or refused with the name of what is wrong."""

from collections.abc import Collection
from datetime import UTC, datetime

from starlette.requests import Request

from qrelay.errors import ErrorCode, RelayError

_LARGEST = 2**63 - 1
_LONGEST = 300


def number(request: Request, name: str, default: int, most: int) -> int:
    """A whole number from 1 to `most`. Raises RelayError(request_invalid)."""
    given = request.query_params.get(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdigit() and 1 <= int(given[:20]) <= most):
        raise _wrong(name, f"a number from 1 to {most}")
    return int(given)


def position(text: str | None, name: str) -> int | None:
    """The number of a row, None without one. Raises RelayError(request_invalid)."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text[:20]) <= _LARGEST):
        raise _wrong(name, "the number of a row")
    return int(text)


def text(request: Request, name: str) -> str | None:
    """A word, None without one. Raises RelayError(request_invalid)."""
    given = request.query_params.get(name)
    if given and not (given.isprintable() and len(given) <= _LONGEST):
        raise _wrong(name, f"a word of at most {_LONGEST} characters")
    return given or None


def choice(request: Request, name: str, default: str, choices: Collection[str]) -> str:
    """One of these words. Raises RelayError(request_invalid)."""
    given = request.query_params.get(name) or default
    if given not in choices:
        raise _wrong(name, f"one of {', '.join(choices)}")
    return given


def some(request: Request, name: str, choices: Collection[str]) -> frozenset[str]:
    """Any of these words, separated by commas; none without it. Raises RelayError(request_invalid)."""
    given = frozenset((text(request, name) or "").split(",")) - {""}
    if not given.issubset(choices):
        raise _wrong(name, f"any of {', '.join(choices)}, with commas between them")
    return given


def moment(request: Request, name: str) -> float | None:
    """A time in ISO 8601, UTC where it doesn't say, as seconds since the epoch. Raises RelayError(request_invalid)."""
    given = request.query_params.get(name)
    if not given:
        return None
    for written in (given, given.replace(" ", "+")):  # a plus that nobody quoted comes as a space
        try:
            read = datetime.fromisoformat(written)
            return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            continue
    raise _wrong(name, "a time as in 2026-11-21T10:00:00Z")


def _wrong(name: str, wanted: str) -> RelayError:
    return RelayError(
        ErrorCode.request_invalid, f"{name} should be {wanted}.", remedy="Correct it and ask again.", param=name
    )
