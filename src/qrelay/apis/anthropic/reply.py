"""A reply as Anthropic's Messages API tells it, streamed and whole. Not what it says: that is `events`.

     message_start ( content_block_start n content_block_delta n … content_block_stop n )… message_delta message_stop

Indexes rise by one and blocks never interleave. The true token counts come last, in `message_delta`, which overrides
`message_start` (CLIENTS.md (b) "Anthropic Messages", and the table of what breaks clients).

Code references and web links stand beside the content, in a member `qrelay` of `message_delta` and of the whole
message, where every SDK passes them by. As text they would be replayed as words the model never said; as `citations`
they would need an `encrypted_index` that only Anthropic's servers can make.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, assert_never

import msgspec

from qrelay.apis import errors, sse
from qrelay.completion import Completion
from qrelay.conversation import Reasoning, RedactedReasoning, Text, ToolUse
from qrelay.errors import RelayError
from qrelay.events import (
    Event,
    Finish,
    ReasoningDelta,
    ReasoningSignature,
    Reference,
    References,
    StopReason,
    TextDelta,
    ToolInputDelta,
    ToolUseEnd,
    ToolUseStart,
    Usage,
    WebLink,
    WebLinks,
)
from qrelay.events import RedactedReasoning as RedactedReasoningEvent

PING = b'event: ping\ndata: {"type": "ping"}\n\n'

_STOP_REASONS: dict[StopReason, str] = {
    "end_turn": "end_turn",
    "tool_use": "tool_use",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "refusal": "refusal",
    "context_window": "model_context_window_exceeded",
}
_encode = msgspec.json.Encoder().encode
_DELTA_END = b"}}\n\n"

_Kind: TypeAlias = Literal["text", "thinking", "tool_use"]
_DELTAS: dict[_Kind, bytes] = {
    "text": b'{"type":"text_delta","text":',
    "thinking": b'{"type":"thinking_delta","thinking":',
    "tool_use": b'{"type":"input_json_delta","partial_json":',
}
_EMPTY_TEXT = b'{"type":"text","text":""}'
_EMPTY_THINKING = b'{"type":"thinking","thinking":"","signature":""}'


class Writer:
    """One streamed reply (`dialect.ReplyWriter`). A delta is its pre-rendered head, one encoded string and its tail."""

    def __init__(self, message_id: str, model: str) -> None:
        self._message_id = message_id
        self._model = model
        self._blocks = 0
        self._open: _Kind | None = None
        self._head = b""
        self._input_begun = False
        self._references: list[Reference] = []
        self._links: list[WebLink] = []

    def start(self) -> bytes:
        message: dict[str, Any] = {
            "id": self._message_id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": _usage(Usage()),
        }
        return _event("message_start", {"message": message})

    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            match event:
                case TextDelta():
                    if self._open != "text":
                        self._begin("text", _EMPTY_TEXT, out)
                    out += (self._head, _encode(event.text), _DELTA_END)
                case ToolInputDelta():
                    self._input_begun = True
                    out += (self._head, _encode(event.json), _DELTA_END)
                case ReasoningDelta():
                    if self._open != "thinking":
                        self._begin("thinking", _EMPTY_THINKING, out)
                    out += (self._head, _encode(event.text), _DELTA_END)
                case ReasoningSignature():
                    if self._open != "thinking":
                        self._begin("thinking", _EMPTY_THINKING, out)
                    self._end(out, event.signature)
                case RedactedReasoningEvent():
                    redacted = {"type": "redacted_thinking", "data": event.data}
                    self._begin("thinking", _encode(redacted), out)
                    self._stop(out)
                case ToolUseStart():
                    tool: dict[str, Any] = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
                    self._begin("tool_use", _encode(tool), out)
                    self._input_begun = False
                case ToolUseEnd():
                    self._end(out)
                case References():
                    self._references += event.references
                case WebLinks():
                    self._links += event.links
                case Finish():
                    self._end(out)
                    out.append(self._finish(event))
                case _:
                    assert_never(event)
        return b"".join(out)

    def close(self) -> bytes:
        return _event("message_stop", {})

    def fail(self, error: RelayError) -> bytes:
        """Close what is open and tell the error.

        A tool use that is cut before its first byte of input is closed with a `{`, as every input begins: left empty,
        some clients read it as an input without arguments and run the tool.
        """
        out: list[bytes] = []
        if self._open == "tool_use" and not self._input_begun:
            out += (self._head, b'"{"', _DELTA_END)
        self._end(out)
        out.append(sse.event("error", errors.body(error, "anthropic")))
        return b"".join(out)

    def _begin(self, kind: _Kind, block: bytes, out: list[bytes]) -> None:
        self._end(out)
        index = self._blocks
        self._blocks += 1
        self._open = kind
        self._head = (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%b'
            % (index, _DELTAS[kind])
        )  # fmt: skip
        start = b'{"type":"content_block_start","index":%d,"content_block":%b}' % (index, block)
        out.append(sse.event("content_block_start", start))

    def _end(self, out: list[bytes], signature: str = "") -> None:
        """Close the open block, if one is. Clients want a thinking block's signature once, before its stop."""
        if self._open == "thinking":
            delta = {"type": "signature_delta", "signature": signature}
            out.append(_event("content_block_delta", {"index": self._blocks - 1, "delta": delta}))
        if self._open is not None:
            self._stop(out)

    def _stop(self, out: list[bytes]) -> None:
        out.append(_event("content_block_stop", {"index": self._blocks - 1}))
        self._open = None

    def _finish(self, finish: Finish) -> bytes:
        delta = {"stop_reason": _STOP_REASONS[finish.stop_reason], "stop_sequence": finish.stop_sequence}
        beside = _beside(self._references, self._links)
        return _event("message_delta", {"delta": delta, "usage": _usage(finish.usage), **beside})


def whole(message_id: str, model: str, completion: Completion) -> bytes:
    """The same reply in one body."""
    return _encode(
        {
            "id": message_id,
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [_block(part) for part in completion.parts],
            "stop_reason": _STOP_REASONS[completion.stop_reason],
            "stop_sequence": completion.stop_sequence,
            "usage": _usage(completion.usage),
            **_beside(completion.references, completion.web_links),
        }
    )


def _block(part: Text | Reasoning | RedactedReasoning | ToolUse) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Reasoning():
            return {"type": "thinking", "thinking": part.text, "signature": part.signature}
        case RedactedReasoning():
            return {"type": "redacted_thinking", "data": part.data}
        case ToolUse():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.input}
        case _:
            assert_never(part)


def _usage(usage: Usage) -> dict[str, Any]:
    counts: dict[str, Any] = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
    }
    return counts | {"estimated": True} if usage.estimated else counts


def _beside(references: Sequence[Reference], links: Sequence[WebLink]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if references:
        told["references"] = references
    if links:
        told["web_links"] = links
    return {"qrelay": told} if told else {}


def _event(name: str, members: dict[str, Any]) -> bytes:
    return sse.event(name, _encode({"type": name, **members}))
