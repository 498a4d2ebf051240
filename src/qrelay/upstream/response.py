"""The service's answer to `events`: bytes in, meaning out, as they come. No I/O, no clock.

    bytes --FrameDecoder--> frames --ReplyReader--> events, in the grammar of `events`

What it settles, so that no writer has to (PROTOCOL.md §3.2 to §3.4):

    tool input in fragments, in one frame, as an object or absent -> ToolUseStart ToolInputDelta+ ToolUseEnd
    a tool without its end, a frame without its end, nothing at all -> failure, never a finish
    the duplicate before a code reference -> dropped; only a delta that repeats the end of the text waits for it
    exception and error frames, invalidStateEvent -> failure
    stop reason, token counts, credits from the tail -> one Finish
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from qrelay.errors import ErrorCode, RelayError
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
from qrelay.upstream import schema
from qrelay.upstream.errors import from_frame
from qrelay.upstream.eventstream import Frame, FrameDecoder

TailPolicy: TypeAlias = Literal["auto", "always", "never"]
"""Must a reply have a tail event to count as finished? On some hosts there is none (§3.3), so `auto` asks for it only
where the HTTP body's own end proves nothing."""

_STOP_REASONS: dict[str, StopReason] = {
    "END_TURN": "end_turn",
    "TOOL_USE": "tool_use",
    "MAX_TOKENS": "max_tokens",
    "STOP_SEQUENCE": "stop_sequence",
    "CONTENT_FILTERED": "refusal",
    "GUARDRAIL_INTERVENED": "refusal",
    "MODEL_CONTEXT_WINDOW_EXCEEDED": "context_window",
}

_assistant_response = msgspec.json.Decoder(schema.AssistantResponseEvent).decode
_tool_use = msgspec.json.Decoder(schema.ToolUseEvent).decode
_reasoning = msgspec.json.Decoder(schema.ReasoningContentEvent).decode
_metadata = msgspec.json.Decoder(schema.MetadataEvent).decode
_context_usage = msgspec.json.Decoder(schema.ContextUsageEvent).decode
_metering = msgspec.json.Decoder(schema.MeteringEvent).decode
_code_reference = msgspec.json.Decoder(schema.CodeReferenceEvent).decode
_web_links = msgspec.json.Decoder(schema.SupplementaryWebLinksEvent).decode
_invalid_state = msgspec.json.Decoder(schema.InvalidStateEvent).decode
_json_text = msgspec.json.Decoder(str).decode
_json_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Estimate(NamedTuple):
    """How to count when the service doesn't: both are called at most once, at the end. `window` is in tokens."""

    input_tokens: Callable[[], int]
    output_tokens: Callable[[str], int]
    window: int


class ReplyReader:
    """Reads one reply. After `failure` is set, `feed` returns nothing more; events before it are returned normally.

    `original` maps the service's tool names to the client's; `signed` is told each reasoning signature and redacted
    reasoning that comes by.
    """

    def __init__(
        self,
        estimate: Estimate,
        original: Mapping[str, str] | None = None,
        tail: TailPolicy = "auto",
        signed: Callable[[str], None] | None = None,
    ) -> None:
        self.failure: RelayError | None = None
        self._estimate = estimate
        self._original = original or {}
        self._tail_policy: TailPolicy = tail
        self._signed = signed
        self._decoder = FrameDecoder()
        self._said: list[str] = []  # text deltas delivered, for the duplicate quirk and the local count
        self._other_output: list[str] = []  # reasoning and tool input, for the local count
        self._withheld: str | None = None
        self._tool_id: str | None = None
        self._ended_tool_id: str | None = None
        self._tool_input: list[str] = []
        self._tools_used = 0
        self._has_content = False
        self._metadata: schema.MetadataEvent | None = None
        self._percentage: float | None = None
        self._credits: float | None = None
        self._has_tail = False

    def feed(self, data: bytes) -> list[Event]:
        """Read the next bytes, cut anywhere."""
        if self.failure is not None:
            return []
        damage: RelayError | None = None
        try:
            frames = self._decoder.feed(data)
        except RelayError as error:
            frames, damage = self._decoder.rescued, error
        out: list[Event] = []
        try:
            for frame in frames:
                self._frame(frame, out)
        except RelayError as error:
            damage = error  # before the damage in the stream, so this is the one to tell
        if damage is not None:
            self._release(out)
            self.failure = damage
        return out

    def close(self, *, framed: bool) -> list[Event]:
        """Say that the answer ended; the last event is Finish. Raises RelayError if that is no end of a reply.

        `framed`: HTTP itself said that the body is complete (a length or a last chunk), not just a closed connection.
        """
        if self.failure is not None:
            raise self.failure
        self._decoder.close()
        out: list[Event] = []
        self._release(out)
        if self._tool_id is not None:
            raise RelayError(
                ErrorCode.upstream_protocol,
                "The upstream ended its answer in the middle of a tool's input. It cut it off, or its output limit "
                "was reached.",
                remedy="Try again; ask for large files to be written in smaller pieces.",
            )
        if not self._has_content and self._metadata is None:
            raise RelayError(ErrorCode.upstream_protocol, "The upstream answered 200 and then said nothing.")
        if not self._has_tail and (self._tail_policy == "always" or (self._tail_policy == "auto" and not framed)):
            raise RelayError(
                ErrorCode.upstream_protocol, "The upstream's answer was cut: its closing events are missing."
            )
        out.append(Finish(self._stop_reason(), self.usage()))
        return out

    # --- frames -------------------------------------------------------------------------------------------------------

    def _frame(self, frame: Frame, out: list[Event]) -> None:
        headers, payload = frame
        kind = headers.get(":event-type")
        try:
            if kind == "assistantResponseEvent":
                self._text(_assistant_response(payload).content, out)
            elif kind == "toolUseEvent":
                self._release(out)
                self._tool(_tool_use(payload), out)
            elif kind == "reasoningContentEvent":
                self._release(out)
                self._reason(_reasoning(payload), out)
            elif kind == "codeReferenceEvent":
                self._withheld = None  # the text before a reference was a repetition of what it refers to
                self._code_references(_code_reference(payload), out)
            else:
                self._release(out)
                self._aside(frame, out)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RelayError(
                ErrorCode.upstream_protocol, f"The upstream sent an event {kind!r} that can't be read: {error}."
            ) from None

    def _aside(self, frame: Frame, out: list[Event]) -> None:
        """Everything that is not content: the tail, failures, and events this gateway has no use for."""
        headers, payload = frame
        match headers.get(":message-type"), headers.get(":event-type"):
            case "exception", _:
                raise from_frame(str(headers.get(":exception-type", "")), payload)
            case "error", _:
                message = f"{headers.get(':error-code', '')} {headers.get(':error-message', '')}".strip()
                raise RelayError(
                    ErrorCode.upstream_failed, f"The upstream broke off its answer: {message or 'no reason'}."
                )
            case _, "metadataEvent":
                self._metadata = _metadata(payload)
                self._has_tail = True
            case _, "contextUsageEvent":
                self._percentage = _context_usage(payload).contextUsagePercentage
                self._has_tail = True
            case _, "meteringEvent":
                usage = _metering(payload).usage
                if usage is not None:
                    self._credits = (self._credits or 0.0) + usage
                self._has_tail = True
            case _, "supplementaryWebLinksEvent":
                links = [
                    WebLink(link.url, link.title or link.url, link.snippet or "")
                    for link in _web_links(payload).supplementaryWebLinks or ()
                    if link.url
                ]
                if links:
                    self._end_tool(out)
                    out.append(WebLinks(tuple(links)))
            case _, "codeEvent":
                self._text(_assistant_response(payload).content, out)
            case _, "invalidStateEvent":
                state = _invalid_state(payload)
                raise RelayError(
                    ErrorCode.upstream_failed,
                    f"The upstream is in an invalid state: {state.message or state.reason or 'no reason given'}.",
                )
            case _:
                pass  # unknown and informational events are skipped, as official clients do (§3.2)

    def _text(self, content: str | None, out: list[Event]) -> None:
        self._release(out)
        if not content:
            return
        if self._tool_id is not None:
            self._end_tool(out)
        self._has_content = True
        if self._repeats_the_end(content):
            self._withheld = content
        else:
            self._said.append(content)
            out.append(TextDelta(content))

    def _repeats_the_end(self, content: str) -> bool:
        said = self._said
        if not said or said[-1][-1] != content[-1]:
            return False
        tail = ""
        for delta in reversed(said):
            tail = delta + tail
            if len(tail) >= len(content):
                return tail.endswith(content)
        return False

    def _release(self, out: list[Event]) -> None:
        if self._withheld is not None:
            self._said.append(self._withheld)
            out.append(TextDelta(self._withheld))
            self._withheld = None

    def _reason(self, event: schema.ReasoningContentEvent, out: list[Event]) -> None:
        self._end_tool(out)
        if event.text:
            self._has_content = True
            self._other_output.append(event.text)
            out.append(ReasoningDelta(event.text))
        for proof in (event.signature, event.redactedContent):
            if proof and self._signed is not None:
                self._signed(proof)
        if event.signature:
            self._has_content = True
            out.append(ReasoningSignature(event.signature))
        if event.redactedContent:
            self._has_content = True
            out.append(RedactedReasoning(event.redactedContent))

    def _tool(self, event: schema.ToolUseEvent, out: list[Event]) -> None:
        if self._tool_id is None and event.toolUseId == self._ended_tool_id and not event.input:
            return  # the end, said twice
        if event.toolUseId and event.toolUseId != self._tool_id:
            self._end_tool(out)
            self._has_content = True
            self._tool_id = event.toolUseId
            name = event.name or ""
            out.append(ToolUseStart(event.toolUseId, self._original.get(name, name)))
        elif self._tool_id is None:
            raise RelayError(ErrorCode.upstream_protocol, "The upstream sent a piece of a tool's input without its id.")
        raw = bytes(event.input)
        if raw and raw != b"null":
            fragment = _json_text(raw) if raw.startswith(b'"') else raw.decode()
            if fragment:
                self._tool_input.append(fragment)
                out.append(ToolInputDelta(fragment))
        if event.stop:
            self._end_tool(out)

    def _end_tool(self, out: list[Event]) -> None:
        """End the open tool, if there is one. Raises RelayError if its input is not one JSON object."""
        if self._tool_id is None:
            return
        text = "".join(self._tool_input)
        if not text:
            out.append(ToolInputDelta("{}"))
        else:
            try:
                _json_object(text)
            except (msgspec.DecodeError, RecursionError):
                raise RelayError(
                    ErrorCode.upstream_protocol,
                    "The upstream sent a tool call whose input is not a JSON object: the model's output was cut or "
                    "malformed.",
                    remedy="Try again; ask for large files to be written in smaller pieces.",
                ) from None
        out.append(ToolUseEnd())
        self._other_output.append(text)
        self._tools_used += 1
        self._ended_tool_id, self._tool_id = self._tool_id, None
        self._tool_input.clear()

    def _code_references(self, event: schema.CodeReferenceEvent, out: list[Event]) -> None:
        references = tuple(
            Reference(
                found.licenseName or "",
                found.repository or "",
                found.url or "",
                found.recommendationContentSpan.start if found.recommendationContentSpan else None,
                found.recommendationContentSpan.end if found.recommendationContentSpan else None,
            )
            for found in event.references or ()
        )
        if references:
            self._end_tool(out)
            out.append(References(references))

    # --- the end ------------------------------------------------------------------------------------------------------

    def _stop_reason(self) -> StopReason:
        told = self._metadata.stopReason if self._metadata is not None else None
        if told is not None and told.startswith("MALFORMED"):
            raise RelayError(ErrorCode.upstream_protocol, f"The upstream gave up on the model's output ({told}).")
        reason = _STOP_REASONS.get(told or "")
        if reason in (None, "end_turn", "tool_use"):
            return "tool_use" if self._tools_used else "end_turn"
        return reason

    def usage(self) -> Usage:
        """What is known of the reply's cost so far; the service's numbers come with its end."""
        counted = self._metadata.tokenUsage if self._metadata is not None else None
        percentage = self._percentage
        if counted is not None:
            if percentage is None:
                percentage = counted.contextUsagePercentage
            if counted.uncachedInputTokens is not None or counted.outputTokens is not None:
                return Usage(
                    input_tokens=counted.uncachedInputTokens or 0,
                    output_tokens=counted.outputTokens or 0,
                    cache_read_tokens=counted.cacheReadInputTokens or 0,
                    cache_write_tokens=counted.cacheWriteInputTokens or 0,
                    credits=self._credits,
                    context_percentage=percentage,
                )
        output = self._estimate.output_tokens("".join((*self._said, *self._other_output)))
        if percentage is not None:
            used = max(0, round(percentage / 100 * self._estimate.window) - output)
        else:
            used = self._estimate.input_tokens()
        return Usage(
            input_tokens=used,
            output_tokens=output,
            estimated=True,
            credits=self._credits,
            context_percentage=percentage,
        )
