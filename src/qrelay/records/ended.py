"""A request that has ended, as the request log keeps it: its fields are the columns of the table, in their order.

Words from elsewhere are made storable here: cut to a length, and without what a database refuses.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from qrelay.trace import Attempt

GOOD: Final = frozenset({"ok", "client_left"})
"""Outcomes that are nobody's error."""

ERROR_LENGTH: Final = 300
_WORD_LENGTH: Final = 200

_encode = msgspec.json.Encoder().encode


class Ended(Struct, kw_only=True):
    """One row but for its number. `at` is when it began, in seconds since the epoch.

    `attempts`, `ignored` and `adjusted` are JSON. No text of a prompt or an answer has a place here.
    """

    id: str
    at: float
    dialect: str
    client: str | None = None
    stream: bool | None = None
    status: int
    outcome: str
    error: str | None = None
    model_asked: str | None = None
    model: str | None = None
    account_id: str | None = None
    key_id: str | None = None
    attempts: str = "[]"
    duration_ms: float
    queue_ms: float | None = None
    refresh_ms: float | None = None
    connect_ms: float | None = None
    first_event_ms: float | None = None
    first_byte_ms: float | None = None
    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    estimated: bool = False
    credits: float | None = None
    ignored: str | None = None
    adjusted: str | None = None
    upstream_request_id: str | None = None


def word(text: str | None) -> str | None:
    """Return a name from outside as it can be stored."""
    return None if text is None else _word(text[:_WORD_LENGTH])


@lru_cache(maxsize=1024)
def _word(text: str) -> str:
    """Cached: the same names come again and again. Only the start is a key, as a client chooses the length."""
    return sentence(text, _WORD_LENGTH)


def sentence(text: str, length: int = ERROR_LENGTH) -> str:
    """A text from elsewhere, as it can be stored: neither engine takes lone surrogates, PostgreSQL takes no NUL."""
    text = text[:length]
    if text.isprintable():
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "�")


def words(texts: Sequence[str]) -> str | None:
    """Names as a JSON list, None for none."""
    return _encode([word(text) for text in dict.fromkeys(texts)]).decode() if texts else None


def attempts_text(attempts: Sequence[Attempt]) -> str:
    """Attempts as a JSON list of lists: account, endpoint, outcome, status, milliseconds."""
    if not attempts:
        return "[]"
    rows = [(held.account_id, held.endpoint, held.outcome, held.status, round(held.ms, 1)) for held in attempts]
    return _encode(rows).decode()


_AttemptRow: TypeAlias = tuple[str, str, str, int | None, float]


def attempts_of(text: str) -> list[dict[str, Any]]:
    """Read what `attempts_text` wrote, by name; return nothing for a damaged cell."""
    names = ("account_id", "endpoint", "outcome", "status", "ms")
    try:
        rows = msgspec.json.decode(text, type=list[_AttemptRow])
    except msgspec.DecodeError:
        return []
    return [dict(zip(names, row, strict=True)) for row in rows]
