"""Limits on the contents of one request (messages, parts, tools, JSON values), and the errors above them.

Real clients stay far below: a session of a million tokens has about 5,000 messages, 20,000 parts and 170,000 values.
"""

from typing import Final, NamedTuple

from qrelay.apis.body import invalid
from qrelay.apis.json_scan import JsonScan
from qrelay.errors import RelayError


class RequestLimits(NamedTuple):
    """The most of each. The settings of the same names say more."""

    messages: int = 20_000
    parts: int = 100_000
    tools: int = 2_000
    stop_sequences: int = 256
    stop_sequence_characters: int = 1_024
    json_values: int = 400_000
    json_depth: int = 128
    text_bytes: int = 12 * 1024 * 1024


LIMITS: Final = RequestLimits()


def check_messages(field: str, count: int, limits: RequestLimits) -> None:
    """Raises RelayError(request_invalid) naming `field` if there are too many."""
    if count > limits.messages:
        raise _too_many(field, count, "entries", limits.messages, "MAX_MESSAGES")


def check_parts(field: str, count: int, limits: RequestLimits) -> None:
    """Raises RelayError(request_invalid) naming `field` if there are too many."""
    if count > limits.parts:
        raise _too_many(field, count, "parts", limits.parts, "MAX_PARTS")


def check_tools(field: str, count: int, limits: RequestLimits) -> None:
    """Raises RelayError(request_invalid) naming `field` if there are too many."""
    if count > limits.tools:
        raise _too_many(field, count, "tools", limits.tools, "MAX_TOOLS")


def check_stop_sequences(field: str, sequences: list[str], limits: RequestLimits) -> None:
    """Raises RelayError(request_invalid) naming `field` if there are too many, or one is too long."""
    if len(sequences) > limits.stop_sequences:
        raise _too_many(field, len(sequences), "stop sequences", limits.stop_sequences, "MAX_STOP_SEQUENCES")
    longest = max(map(len, sequences), default=0)
    if longest > limits.stop_sequence_characters:
        name = "MAX_STOP_SEQUENCE_CHARACTERS"
        raise _too_many(field, longest, "characters in one sequence", limits.stop_sequence_characters, name)


def check_json(scan: JsonScan, limits: RequestLimits) -> None:
    """Check what was scanned so far. Raises RelayError(request_invalid)."""
    for has, what, limit, name in (
        (scan.values, "JSON values", limits.json_values, "MAX_JSON_VALUES"),
        (scan.depth, "levels of nested JSON", limits.json_depth, "MAX_JSON_DEPTH"),
        (scan.text_bytes, "bytes of text", limits.text_bytes, "MAX_TEXT_BYTES"),
    ):
        if has > limit:
            raise invalid(
                f"The request body has more than {limit} {what} (QRELAY_{name}).",
                remedy="Send less: shorten or compact the conversation.",
            )


def _too_many(field: str, count: int, what: str, limit: int, name: str) -> RelayError:
    return invalid(f"'{field}' has {count} {what}; this gateway takes {limit} (QRELAY_{name}).", field)
