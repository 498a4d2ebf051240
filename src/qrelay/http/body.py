"""Reading a request's body, up to a size, and what to do with one that is larger."""

from collections.abc import Callable

from starlette.types import Receive, Scope

from qrelay.errors import ErrorCode, RelayError

_DRAIN_LIMIT = 512 * 1024 * 1024


class ClientLeft(Exception):  # noqa: N818 - not an error of ours, and nobody is there to be told
    """The client went away before its request was complete."""


def over_setting(limit: int) -> RelayError:
    """What is told of a body that is larger than anybody may send."""
    return RelayError(
        ErrorCode.request_too_large, f"The request's body is over the limit of {limit} bytes (QRELAY_MAX_BODY_BYTES)."
    )


async def read_body(
    scope: Scope, receive: Receive, limit: int, *, too_large: Callable[[int], RelayError] = over_setting
) -> bytes:
    """The whole body. Raises `too_large` (`request_too_large`) above `limit` bytes, after reading it to its end.

    A client that is still sending when the answer comes sees a reset connection instead of a 413, so the rest is taken
    off its hands first; one that asks before sending (`Expect: 100-continue`) is told at once.
    """
    declared, asks_first, encoding = _announced(scope)
    if encoding not in ("", "identity"):
        raise RelayError(
            ErrorCode.request_invalid,
            f"A body in the encoding {encoding[:40]!r} can't be read.",
            remedy="Send the body without content-encoding.",
            param="content-encoding",
        )
    if declared > limit and asks_first:
        raise too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        if not message.get("more_body", False) or size > _DRAIN_LIMIT:
            break
    if size > limit:
        raise too_large(limit)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _announced(scope: Scope) -> tuple[int, bool, str]:
    length, asks_first, encoding = 0, False, ""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            length = int(value)
        elif name == b"expect":
            asks_first = value.lower() == b"100-continue"
        elif name == b"content-encoding":
            encoding = value.decode("latin-1").strip().lower()
    return length, asks_first, encoding
