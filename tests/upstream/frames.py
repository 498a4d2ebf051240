"""Frames as the service sends them, written by our own encoder (which `test_eventstream` holds to AWS's decoder)."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from qrelay.events import Event
from qrelay.upstream.eventstream import encode
from qrelay.upstream.response import Estimate, ReplyReader, TailPolicy


def event(kind: str, payload: Any = None, *, raw: bytes | None = None) -> bytes:
    """One `event` frame; `raw` is a payload as bytes, whatever they are."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encode(headers, json.dumps(payload or {}).encode() if raw is None else raw)


def text(content: str) -> bytes:
    return event("assistantResponseEvent", {"content": content})


def tool(id_: str | None = "t1", name: str | None = "ls", **more: Any) -> bytes:
    """`more`: `input`, `stop`."""
    return event("toolUseEvent", {"toolUseId": id_, "name": name, **more})


def tool_steps(id_: str, name: str, *fragments: str) -> bytes:
    """A tool use in the four steps of PROTOCOL.md §3.3."""
    pieces = [tool(id_, name, input=fragment) for fragment in fragments]
    return b"".join([tool(id_, name), *pieces, tool(id_, name, stop=True)])


def exception(kind: str, payload: Any) -> bytes:
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return encode(headers, json.dumps(payload).encode())


def metadata(stop_reason: str | None = None, usage: dict[str, Any] | None = None) -> bytes:
    return event("metadataEvent", {"stopReason": stop_reason, "tokenUsage": usage})


END = metadata("END_TURN", {"uncachedInputTokens": 10, "outputTokens": 5, "totalTokens": 15})

ESTIMATE = Estimate(input_tokens=lambda: 1000, output_tokens=len, window=200_000)
"""So that an estimate can be told from a count: the prompt is 1000, the reply one token a character."""


def read(
    *frames: bytes,
    framed: bool = True,
    estimate: Estimate = ESTIMATE,
    original: Mapping[str, str] | None = None,
    tail: TailPolicy = "auto",
    signed: Callable[[str, str], None] | None = None,
) -> list[Event]:
    """All events of a reply. Raises the RelayError it ends with, if it does."""
    reader = ReplyReader(estimate, original, tail, signed)
    events = reader.feed(b"".join(frames)) + reader.close(framed=framed)
    if reader.failure is not None:
        raise reader.failure
    return events


def read_until_failure(*frames: bytes) -> tuple[list[Event], ReplyReader]:
    """The events before a failure, which is in the reader."""
    reader = ReplyReader(ESTIMATE)
    return reader.feed(b"".join(frames)), reader
