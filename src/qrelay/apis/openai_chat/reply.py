"""A reply in the words of Chat Completions: streamed chunks or one `chat.completion`. Not the request.

The order of a stream, which SDKs check (CLIENTS.md (b) "OpenAI Chat Completions", rules 1-6):

    role chunk, (text | reasoning_content | tool call)*, extras?, finish chunk, usage chunk?, [DONE]
    a failure: an error in place of everything from the extras on; no finish chunk, no [DONE]

Beyond OpenAI's own shape, in members that its SDKs carry along and don't read:
- `reasoning_content` on delta and message: the model's reasoning, under the name that DeepSeek's API gave it and that
  chat front ends read. Signatures and redacted reasoning have no place in this API and are left out.
- `qrelay.references`: licensed code the reply resembles. `annotations` can't hold it: their one type is `url_citation`.
- `content` in a `url_citation`: the page's snippet. The span is 0 to 0: the service doesn't say what a link is for.
- `estimated` in usage, when the numbers are ours.

A call of a custom tool has the type `custom`, in a stream too. The SDK's chunk type knows only `function`, but OpenAI's
own service sends `custom` there (openai/openai-openapi issue 576) and programs that offer such tools wait for it. Its
input travels upstream as a JSON string inside an object, and is unwrapped as it comes.
"""

from collections.abc import Sequence
from typing import Any, assert_never

import msgspec
from msgspec import Struct

from qrelay import conversation
from qrelay.apis import custom_tools, errors, sse
from qrelay.completion import Completion
from qrelay.conversation import Reasoning, Text, ToolUse
from qrelay.errors import RelayError
from qrelay.events import (
    Event,
    Finish,
    ReasoningDelta,
    ReasoningSignature,
    RedactedReasoning,
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

_encode = msgspec.json.Encoder().encode

FINISH_REASONS: dict[StopReason, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "context_window": "length",
    "refusal": "content_filter",
}


class Envelope(Struct, frozen=True, kw_only=True):
    """What every chunk repeats, and how this client wants to be answered.

    `custom` are the names of its custom tools; `legacy`: it offered `functions` and reads `function_call`.
    """

    id: str
    created: int
    model: str
    include_usage: bool = False
    custom: frozenset[str] = frozenset()
    legacy: bool = False


class Writer:
    """A `ReplyWriter`. An ordinary delta costs the encoding of its string: everything around it is rendered once."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._head = b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,' % (
            _encode(envelope.id),
            envelope.created,
            _encode(envelope.model),
        )
        self._tail = b',"usage":null}\n\n' if envelope.include_usage else b"}\n\n"
        self._open = self._head + b'"choices":[{"index":0,"delta":{'
        self._shut = b'},"logprobs":null,"finish_reason":null}]' + self._tail
        self._text = self._open + b'"content":'
        self._reasoning = self._open + b'"reasoning_content":'
        self._arguments = self._arguments_end = b""
        self._begun = False
        self._calls = 0
        self._custom: custom_tools.FreeText | None = None
        """The custom tool's input, while one is open."""
        self._links: list[WebLink] = []
        self._references: list[Reference] = []
        self._finish: Finish | None = None

    def start(self) -> bytes:
        """Nothing yet: whether the first chunk's content is "" or null depends on the first event (rule 1)."""
        return b""

    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        if events and not self._begun:
            self._begun = True
            content = b"null" if isinstance(events[0], ToolUseStart) else b'""'
            out.append(self._open + b'"role":"assistant","content":' + content + self._shut)
        for event in events:
            match event:
                case TextDelta():
                    out.append(self._text + _encode(event.text) + self._shut)
                case ToolInputDelta():
                    piece = event.json if self._custom is None else self._custom.feed(event.json)
                    if piece:
                        out.append(self._arguments + _encode(piece) + self._arguments_end)
                case ReasoningDelta():
                    out.append(self._reasoning + _encode(event.text) + self._shut)
                case ToolUseStart():
                    out.append(self._start_call(event))
                case ToolUseEnd():
                    if self._custom is not None:
                        if rest := self._custom.close()[0]:
                            out.append(self._arguments + _encode(rest) + self._arguments_end)
                        self._custom = None
                case WebLinks():
                    self._links.extend(event.links)
                case References():
                    self._references.extend(event.references)
                case ReasoningSignature() | RedactedReasoning():
                    pass
                case Finish():
                    self._finish = event
                case _:
                    assert_never(event)
        return b"".join(out)

    def close(self) -> bytes:
        """Everything after the last delta: held back until here, so that `fail` still has the last word."""
        if self._finish is None:
            raise ValueError("close() before Finish")
        envelope = self._envelope
        out: list[bytes] = []
        if extras := _extras(self._links, self._references):
            out.append(self._open + _encode(extras)[1:-1] + self._shut)
        reason = _finish_reason(self._finish.stop_reason, called=self._calls > 0, legacy=envelope.legacy)
        out.append(self._open + b'},"logprobs":null,"finish_reason":"%b"}]' % reason.encode() + self._tail)
        if envelope.include_usage:
            out.append(self._head + b'"choices":[],"usage":%b}\n\n' % _encode(_usage(self._finish.usage)))
        out.append(sse.data(b"[DONE]"))
        return b"".join(out)

    def fail(self, error: RelayError) -> bytes:
        """An error and no more: the openai package raises APIError on it."""
        return sse.data(errors.body(error, "openai"))

    def _start_call(self, event: ToolUseStart) -> bytes:
        """The call's first delta, the only one with id and name; renders what its later ones have around them."""
        index = self._calls
        self._calls += 1
        name = _encode(event.name)
        if self._envelope.legacy and index == 0:
            self._arguments = self._open + b'"function_call":{"arguments":'
            self._arguments_end = b"}" + self._shut
            return self._open + b'"function_call":{"name":%b,"arguments":""}' % name + self._shut
        self._arguments_end = b"}}]" + self._shut
        if event.name in self._envelope.custom:
            self._custom = custom_tools.FreeText()
            kind, member = b"custom", b"input"
        else:
            kind, member = b"function", b"arguments"
        call = self._open + b'"tool_calls":[{"index":%d,' % index
        self._arguments = call + b'"%b":{"%b":' % (kind, member)
        first = b'"id":%b,"type":"%b","%b":{"name":%b,"%b":""}}]' % (_encode(event.id), kind, kind, name, member)
        return call + first + self._shut


def whole(envelope: Envelope, completion: Completion) -> bytes:
    """The reply as one `chat.completion`."""
    text: list[str] = []
    reasoning: list[str] = []
    calls: list[dict[str, Any]] = []
    for part in completion.parts:
        match part:
            case Text():
                text.append(part.text)
            case Reasoning():
                reasoning.append(part.text)
            case ToolUse():
                calls.append(_call(envelope, part))
            case conversation.RedactedReasoning():
                pass
            case _:
                assert_never(part)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(text) if text or not calls else None,
        "refusal": None,
        "annotations": [],
    }
    if any(reasoning):
        message["reasoning_content"] = "".join(reasoning)
    called = bool(calls)
    if calls and envelope.legacy:
        message["function_call"] = calls.pop(0)["function"]
    if calls:
        message["tool_calls"] = calls
    message |= _extras(completion.web_links, completion.references)
    reason = _finish_reason(completion.stop_reason, called=called, legacy=envelope.legacy)
    return _encode(
        {
            "id": envelope.id,
            "object": "chat.completion",
            "created": envelope.created,
            "model": envelope.model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
            "usage": _usage(completion.usage),
        }
    )


def _call(envelope: Envelope, use: ToolUse) -> dict[str, Any]:
    arguments = bytes(use.input)
    if use.name in envelope.custom:
        return {"id": use.id, "type": "custom", "custom": {"name": use.name, "input": custom_tools.unwrap(arguments)}}
    return {"id": use.id, "type": "function", "function": {"name": use.name, "arguments": arguments.decode()}}


def _extras(links: Sequence[WebLink], references: Sequence[Reference]) -> dict[str, Any]:
    """Told once and together: SDKs that add up deltas can't add to a list whose entries have no index."""
    extras: dict[str, Any] = {}
    if links:
        extras["annotations"] = [{"type": "url_citation", "url_citation": _citation(link)} for link in links]
    if references:
        extras["qrelay"] = {"references": references}
    return extras


def _citation(link: WebLink) -> dict[str, Any]:
    citation: dict[str, Any] = {"url": link.url, "title": link.title, "start_index": 0, "end_index": 0}
    if link.snippet:
        citation["content"] = link.snippet
    return citation


def _finish_reason(stop_reason: StopReason, *, called: bool, legacy: bool) -> str:
    """A reply that calls tools says so even if the service ended it as an ordinary turn: agents look here first."""
    reason = "tool_calls" if called and stop_reason == "end_turn" else FINISH_REASONS[stop_reason]
    return "function_call" if legacy and reason == "tool_calls" else reason


def _usage(usage: Usage) -> dict[str, Any]:
    told: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.prompt_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    if usage.estimated:
        told["estimated"] = True
    return told
