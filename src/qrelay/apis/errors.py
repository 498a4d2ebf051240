"""A `RelayError` as each API family tells it, side by side. The words and codes that clients look for are here.

Sources: CLIENTS.md (b), "Error body" and "Errors", and (c) for the headers.
"""

from typing import Any, NamedTuple, assert_never

import msgspec

from qrelay.apis.dialect import Family
from qrelay.errors import ErrorCode, RelayError


class ErrorReply(NamedTuple):
    """A whole HTTP answer: `headers` are lower-case pairs, content type included."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def reply(error: RelayError, family: Family, request_id: str) -> ErrorReply:
    """The answer for a failure before the first byte of a reply."""
    row = error.row
    headers = [
        (b"content-type", b"application/json"),
        (b"request-id" if family == "anthropic" else b"x-request-id", request_id.encode()),
        (b"x-should-retry", b"true" if row.retryable else b"false"),
    ]
    if error.retry_after is not None:
        headers.append((b"retry-after", str(max(1, round(error.retry_after))).encode()))
    status = row.anthropic_status if family == "anthropic" else row.status
    return ErrorReply(status, headers, body(error, family, request_id))


def body(error: RelayError, family: Family, request_id: str | None = None) -> bytes:
    """The JSON of an error. Anthropic's carries the request id; in a stream it is left out."""
    match family:
        case "anthropic":
            whole: dict[str, Any] = {
                "type": "error",
                "error": {"type": error.row.anthropic_type, "message": text(error, family)},
            }
            if request_id is not None:
                whole["request_id"] = request_id
        case "openai":
            whole = {"error": openai_error(error)}
        case _:
            assert_never(family)
    return msgspec.json.encode(whole)


def openai_error(error: RelayError) -> dict[str, Any]:
    """The `error` object of OpenAI's APIs."""
    row = error.row
    return {"message": text(error, "openai"), "type": row.openai_type, "param": error.param, "code": row.openai_code}


def text(error: RelayError, family: Family) -> str:
    """What happened and what to do. For a prompt that is too long: the exact sentence the family's clients match."""
    if error.code is ErrorCode.context_too_long and error.tokens is not None:
        used, window = error.tokens
        if family == "anthropic":
            return f"prompt is too long: {used} tokens > {window} maximum"
        return (
            f"This model's maximum context length is {window} tokens. However, your messages resulted in {used} tokens."
        )
    if not error.remedy:
        return error.message
    ended = error.message.endswith((".", "!", "?", ")"))  # what the service says may end in mid-air
    return f"{error.message}{' ' if ended else '. '}{error.remedy}"
