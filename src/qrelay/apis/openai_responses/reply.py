"""A reply as the Responses API streams it, and whole. Not how its items look (`response.py`).

    response.created, response.in_progress, item*, then one of
    response.completed | response.incomplete | response.failed

    message    output_item.added, content_part.added, output_text.delta*, output_text.annotation.added*,
               output_text.done, content_part.done, output_item.done
    reasoning  output_item.added, (reasoning_summary_part.added, reasoning_summary_text.delta*,
               reasoning_summary_text.done, reasoning_summary_part.done)?, output_item.done
    call       output_item.added, function_call_arguments.delta* | custom_tool_call_input.delta*, ….done,
               output_item.done

Every event has a `sequence_number`, counted from 0. Source: CLIENTS.md (b) "OpenAI Responses" and its table of what
breaks clients. The model's thinking goes into a reasoning item's summary, whether or not a summary was asked for.

When a reply fails, an open text or reasoning ends as incomplete; an open call is given no `output_item.done`, because
Codex runs a call as soon as it sees one. Web links become annotations of the text that the reply ends with; without
such a text they stand in `qrelay.web_links`, and code references in `qrelay.references`, of the response object.
"""

from collections.abc import Sequence
from typing import Any, Literal, assert_never

from msgspec import Struct

from qrelay import conversation
from qrelay.apis import custom_tools
from qrelay.apis.openai_responses import response
from qrelay.apis.openai_responses.response import INCOMPLETE, Head, Status, encode
from qrelay.apis.openai_responses.responses_store import Memory
from qrelay.apis.openai_responses.tools import Caller, Toolbox
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


class Envelope(Struct, frozen=True, kw_only=True):
    """How this request's reply is told. `seal`: the client asked for `reasoning.encrypted_content`.

    `memory`, if the response is to be kept, with `before`: the arrays of items that it answers.
    """

    head: Head
    toolbox: Toolbox
    seal: bool = False
    memory: Memory | None = None
    before: tuple[bytes, ...] = ()


class Output:
    """The finished items of one reply, as they are told and as they are kept."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._begun = 0
        self.told: list[bytes] = []
        self._kept: dict[str, bytes] = {}

    def new_id(self, kind: str) -> tuple[str, int]:
        """(item id, output_index) of the next item."""
        index = self._begun
        self._begun += 1
        return f"{kind}_{self._envelope.head.stamp}_{index}", index

    def add(self, item_id: str, told: bytes, kept: bytes | None = None) -> bytes:
        self.told.append(told)
        self._kept[item_id] = told if kept is None else kept
        return told

    def add_reasoning(self, item_id: str, status: Status, part: Reasoning | conversation.RedactedReasoning) -> bytes:
        told = response.reasoning(item_id, status, part, seal=self._envelope.seal)
        return self.add(item_id, told, response.reasoning(item_id, status, part, seal=True))

    def end(self, stop_reason: StopReason, usage: Usage, beside: bytes) -> tuple[str, bytes]:
        """(the status, the response object), which is kept if it is to be."""
        reason = INCOMPLETE.get(stop_reason)
        status: Literal["completed", "incomplete"] = "completed" if reason is None else "incomplete"
        envelope = self._envelope
        body = response.render(envelope.head, status, output=self.told, usage=usage, reason=reason, beside=beside)
        if envelope.memory is not None:
            envelope.memory.keep(envelope.head.id, body, envelope.before, self._kept)
        return status, body


class _Item(Struct):
    """The item that is open: what it is, its text so far, and what stands around each of its deltas."""

    kind: Literal["message", "reasoning", "call"]
    id: str
    index: int
    place: bytes
    """The members that say where an event of this item belongs."""
    delta_head: bytes = b""
    delta_tail: bytes = b',"sequence_number":%d}\n\n'
    pieces: list[str] = []
    caller: Caller = Caller("")
    call_id: str = ""
    free_text: custom_tools.FreeText | None = None


class Writer:
    """A `ReplyWriter`. An ordinary delta costs the encoding of its string and a number."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._output = Output(envelope)
        self._number = 0
        self._item: _Item | None = None
        self._links: list[WebLink] = []
        self._references: list[Reference] = []
        self._finish: Finish | None = None

    def start(self) -> bytes:
        begun = b'"response":' + response.render(self._envelope.head, "in_progress")
        return self._event("response.created", begun) + self._event("response.in_progress", begun)

    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            match event:
                case TextDelta():
                    item = self._item
                    if item is None or item.kind != "message":
                        item = self._begin_message(out)
                    self._delta(item, event.text, out)
                case ToolInputDelta():
                    if (item := self._item) is not None:
                        piece = event.json if item.free_text is None else item.free_text.feed(event.json)
                        if piece:
                            self._delta(item, piece, out)
                case ReasoningDelta():
                    item = self._item
                    if item is None or item.kind != "reasoning":
                        item = self._begin_reasoning(out)
                    if not item.pieces:
                        part = b',"part":{"type":"summary_text","text":""}'
                        out.append(self._event("response.reasoning_summary_part.added", item.place + part))
                    self._delta(item, event.text, out)
                case ReasoningSignature():
                    item = self._item
                    if item is None or item.kind != "reasoning":
                        item = self._begin_reasoning(out)
                    self._end_reasoning(item, "completed", event.signature, out)
                case RedactedReasoning():
                    self._redacted(event, out)
                case ToolUseStart():
                    self._begin_call(event, out)
                case ToolUseEnd():
                    if self._item is not None:
                        self._end_call(self._item, out)
                case WebLinks():
                    self._links.extend(event.links)
                case References():
                    self._references.extend(event.references)
                case Finish():
                    self._finish = event
                case _:
                    assert_never(event)
        return b"".join(out)

    def close(self) -> bytes:
        """The end of the open item and of the response: held back until here, so that `fail` has the last word."""
        finish = self._finish
        if finish is None:
            raise ValueError("close() before Finish")
        out: list[bytes] = []
        on_text = self._item is not None and self._item.kind == "message"
        self._end("incomplete" if finish.stop_reason in INCOMPLETE else "completed", out, self._links)
        beside = response.beside(self._references, () if on_text else self._links)
        status, body = self._output.end(finish.stop_reason, finish.usage, beside)
        out.append(self._event(f"response.{status}", b'"response":' + body))
        return b"".join(out)

    def fail(self, error: RelayError) -> bytes:
        out: list[bytes] = []
        self._end("incomplete", out)
        body = response.render(self._envelope.head, "failed", output=self._output.told, error=error)
        out.append(self._event("response.failed", b'"response":' + body))
        return b"".join(out)

    # --- events

    def _event(self, name: str, members: bytes) -> bytes:
        number = self._number
        self._number += 1
        kind = name.encode()
        return b'event: %b\ndata: {"type":"%b",%b,"sequence_number":%d}\n\n' % (kind, kind, members, number)

    def _delta(self, item: _Item, text: str, out: list[bytes]) -> None:
        item.pieces.append(text)
        out += (item.delta_head, encode(text), item.delta_tail % self._number)
        self._number += 1

    def _open(self, item: _Item, begun: bytes, delta: str, out: list[bytes], *, after: bytes = b"") -> _Item:
        """Announce an item; its deltas are events of the type `delta`, with the members `after` behind the text."""
        out.append(self._event("response.output_item.added", b'"output_index":%d,"item":%b' % (item.index, begun)))
        name = delta.encode()
        item.delta_head = b'event: %b\ndata: {"type":"%b",%b,"delta":' % (name, name, item.place)
        item.delta_tail = after + item.delta_tail
        self._item = item
        return item

    def _done(self, index: int, item: bytes, out: list[bytes]) -> None:
        out.append(self._event("response.output_item.done", b'"output_index":%d,"item":%b' % (index, item)))
        self._item = None

    # --- items

    def _begin_message(self, out: list[bytes]) -> _Item:
        self._end("completed", out)
        item_id, index = self._output.new_id("msg")
        place = b'"item_id":%b,"output_index":%d,"content_index":0' % (encode(item_id), index)
        begun = response.message(item_id, "in_progress", [])
        item = _Item("message", item_id, index, place)
        self._open(item, begun, "response.output_text.delta", out, after=b',"logprobs":[]')
        part = encode(response.text_part(""))
        out.append(self._event("response.content_part.added", place + b',"part":' + part))
        return item

    def _begin_reasoning(self, out: list[bytes]) -> _Item:
        self._end("completed", out)
        item_id, index = self._output.new_id("rs")
        place = b'"item_id":%b,"output_index":%d,"summary_index":0' % (encode(item_id), index)
        begun = response.reasoning(item_id, "in_progress", None, seal=self._envelope.seal)
        return self._open(
            _Item("reasoning", item_id, index, place), begun, "response.reasoning_summary_text.delta", out
        )

    def _begin_call(self, event: ToolUseStart, out: list[bytes]) -> None:
        self._end("completed", out)
        caller = self._envelope.toolbox.caller(event.name)
        item_id, index = self._output.new_id("ctc" if caller.custom else "fc")
        place = b'"item_id":%b,"output_index":%d' % (encode(item_id), index)
        item = _Item("call", item_id, index, place, caller=caller, call_id=event.id)
        if caller.custom:
            item.free_text = custom_tools.FreeText()
        delta = f"response.{_call_event(caller)}.delta"
        self._open(item, response.call(item_id, "in_progress", caller, event.id, ""), delta, out)

    def _end(self, status: Status, out: list[bytes], links: Sequence[WebLink] = ()) -> None:
        """End the open item, if one is. A call that is still open has been cut: it isn't told as done."""
        item = self._item
        if item is None:
            return
        match item.kind:
            case "message":
                self._end_message(item, status, links, out)
            case "reasoning":
                self._end_reasoning(item, status, "", out)
            case "call":
                self._item = None

    def _end_message(self, item: _Item, status: Status, links: Sequence[WebLink], out: list[bytes]) -> None:
        for index, link in enumerate(links):
            annotation = b',"annotation_index":%d,"annotation":%b' % (index, encode(response.citation(link)))
            out.append(self._event("response.output_text.annotation.added", item.place + annotation))
        text = "".join(item.pieces)
        part = response.text_part(text, links)
        out.append(self._event("response.output_text.done", b'%b,"text":%b,"logprobs":[]' % (item.place, encode(text))))
        out.append(self._event("response.content_part.done", b'%b,"part":%b' % (item.place, encode(part))))
        self._done(item.index, self._output.add(item.id, response.message(item.id, status, [part])), out)

    def _end_reasoning(self, item: _Item, status: Status, signature: str, out: list[bytes]) -> None:
        text = "".join(item.pieces)
        if item.pieces:
            part = encode({"type": "summary_text", "text": text})
            done = b'%b,"text":%b' % (item.place, encode(text))
            out.append(self._event("response.reasoning_summary_text.done", done))
            out.append(self._event("response.reasoning_summary_part.done", b'%b,"part":%b' % (item.place, part)))
        self._done(item.index, self._output.add_reasoning(item.id, status, Reasoning(text, signature)), out)

    def _redacted(self, event: RedactedReasoning, out: list[bytes]) -> None:
        item = self._begin_reasoning(out)
        part = conversation.RedactedReasoning(event.data)
        self._done(item.index, self._output.add_reasoning(item.id, "completed", part), out)

    def _end_call(self, item: _Item, out: list[bytes]) -> None:
        given = "".join(item.pieces)
        if item.free_text is not None:
            rest, given = item.free_text.close()
            if rest:
                self._delta(item, rest, out)
        name, member = encode(item.caller.name), b"input" if item.caller.custom else b"arguments"
        done = b'%b,"name":%b,"%b":%b' % (item.place, name, member, encode(given))
        out.append(self._event(f"response.{_call_event(item.caller)}.done", done))
        told = response.call(item.id, "completed", item.caller, item.call_id, given)
        self._done(item.index, self._output.add(item.id, told), out)


def _call_event(caller: Caller) -> str:
    return "custom_tool_call_input" if caller.custom else "function_call_arguments"


def whole(envelope: Envelope, completion: Completion) -> bytes:
    """The reply as one response object."""
    output = Output(envelope)
    links: Sequence[WebLink] = completion.web_links
    last = len(completion.parts) - 1
    for index, part in enumerate(completion.parts):
        cut: Status = "incomplete" if index == last and completion.stop_reason in INCOMPLETE else "completed"
        match part:
            case Text():
                item_id, _ = output.new_id("msg")
                content: list[dict[str, Any]] = [response.text_part(part.text, links if index == last else ())]
                if index == last:
                    links = ()
                output.add(item_id, response.message(item_id, cut, content))
            case Reasoning():
                item_id, _ = output.new_id("rs")
                output.add_reasoning(item_id, "completed" if part.signature else cut, part)
            case conversation.RedactedReasoning():
                item_id, _ = output.new_id("rs")
                output.add_reasoning(item_id, "completed", part)
            case ToolUse():
                caller = envelope.toolbox.caller(part.name)
                item_id, _ = output.new_id("ctc" if caller.custom else "fc")
                arguments = bytes(part.input)
                given = custom_tools.unwrap(arguments) if caller.custom else arguments.decode()
                output.add(item_id, response.call(item_id, "completed", caller, part.id, given))
            case _:
                assert_never(part)
    beside = response.beside(completion.references, links)
    return output.end(completion.stop_reason, completion.usage, beside)[1]
