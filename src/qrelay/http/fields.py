"""What management bodies are made of: their JSON, fields of one word or one line, moments. Not what they are about."""

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final, TypeAlias, TypeVar

import msgspec
from pydantic import BaseModel, BeforeValidator, StringConstraints, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request

from qrelay import moments
from qrelay.accounts.account import REGION
from qrelay.conversation import LARGE
from qrelay.errors import ErrorCode, RelayError

Json: TypeAlias = "dict[str, Json] | list[Json] | str | float | bool | None"


def blank_is_none(value: object) -> object:
    """Forms send an empty field as an empty text."""
    return None if isinstance(value, str) and not value.strip() else value


_WORD: Final = r"^[\x21-\x7e]+$"
_LINE: Final = r"^[^\x00-\x1f\x7f]*$"
_ADDRESS: Final = r"^https://[\x21-\x7e]+$"
_REGION: Final = f"^{REGION.pattern}$"
_PATTERNS: Final[Mapping[str | None, str]] = {
    _WORD: "it should be one word of plain ASCII, without spaces or line breaks",
    _LINE: "it should be one line of text",
    _ADDRESS: "it should be an address that begins with https://",
    _REGION: "it should be a region such as us-east-1",
}

Word = Annotated[str, StringConstraints(strip_whitespace=True, max_length=16384, pattern=_WORD)]
"""Printable and without spaces: it will be part of a header."""
MaybeWord = Annotated[Word | None, BeforeValidator(blank_is_none)]
Line = Annotated[
    Annotated[str, StringConstraints(max_length=256, pattern=_LINE)] | None,
    BeforeValidator(blank_is_none),
]
Region = Annotated[
    Annotated[str, StringConstraints(strip_whitespace=True, pattern=_REGION)] | None,
    BeforeValidator(blank_is_none),
]
StartUrl = Annotated[
    Annotated[str, StringConstraints(strip_whitespace=True, max_length=2048, pattern=_ADDRESS)] | None,
    BeforeValidator(blank_is_none),
]


AnyBody = TypeVar("AnyBody", bound=BaseModel)


def parse(raw: bytes) -> Json:
    """A request's JSON. Raises RelayError(request_invalid)."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RelayError(ErrorCode.request_invalid, f"The body isn't JSON: {error}.") from None


async def parse_body(request: Request, empty: bytes = b"") -> Json:
    """Parse a request's whole body, beside the event loop if it is large; `empty` stands for one without a byte.

    Raises RelayError(request_invalid).
    """
    raw = await request.body() or empty
    return parse(raw) if len(raw) <= LARGE else await asyncio.to_thread(parse, raw)


def read(model: type[AnyBody], value: Json) -> AnyBody:
    """One body. Raises RelayError(request_invalid) naming the field."""
    if not isinstance(value, dict):
        raise RelayError(ErrorCode.request_invalid, "The body should be a JSON object.")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = str(first["loc"][0])
        raise RelayError(ErrorCode.request_invalid, f"{field}: {_found(first)}.", param=field) from None


def _found(finding: ErrorDetails) -> str:
    """What pydantic found, in words of ours where its own are a pattern's."""
    if finding["type"] == "missing":
        return "it is missing"
    pattern = finding.get("ctx", {}).get("pattern")
    return _PATTERNS.get(pattern, "") or re.sub(r"^(Input|String|List|Value) ", "it ", finding["msg"])


def iso(seconds: float | None) -> str | None:
    """As answers write a moment; None also for one that no calendar has."""
    if seconds is None or not 0 <= seconds <= moments.LAST:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def epoch(moment: datetime) -> float:
    """Seconds since the epoch; UTC unless it says otherwise. Raises RelayError(request_invalid) for odd years."""
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not 0 <= seconds <= moments.LAST:
        raise RelayError(
            ErrorCode.request_invalid, "expires_at: it should lie between 1970 and 9999.", param="expires_at"
        )
    return seconds
