"""The service's answer to `events`: bytes in, meaning out, as they come. No I/O, no clock.

    bytes --FrameDecoder--> frames --ReplyReader--> events, in the grammar of `events`

What it settles, so that no writer has to (PROTOCOL.md §3.2 to §3.4):

    tool input in fragments, in one frame, as an object or absent -> ToolUseStart ToolInputDelta+ ToolUseEnd
    something else in the middle of a tool's input                -> waits until the tool has ended
    a tool without its end, a frame without its end, nothing at all -> failure, never a finish
    the duplicate before a code reference -> dropped; only a delta that repeats the end of the text waits for it
    exception and error frames, invalidStateEvent -> failure
    stop reason, token counts, credits (`tail`) -> one Finish
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec
from msgspec import Raw

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
from qrelay.redaction import CLEAN, Clean
from qrelay.upstream import schema
from qrelay.upstream.errors import from_error_frame, from_frame
from qrelay.upstream.eventstream import Frame, FrameDecoder
from qrelay.upstream.tail import Estimate, Tail, informative

TailPolicy: TypeAlias = Literal["auto", "always", "never"]
"""Must a reply have a tail event to count as finished? On some hosts there is none (§3.3), so `auto` asks for it only
where the HTTP body's own end proves nothing."""

_assistant_response = msgspec.json.Decoder(schema.AssistantResponseEvent).decode
_tool_use = msgspec.json.Decoder(schema.ToolUseEvent).decode
_reasoning = msgspec.json.Decoder(schema.ReasoningContentEvent).decode
_code_reference = msgspec.json.Decoder(schema.CodeReferenceEvent).decode
_web_links = msgspec.json.Decoder(schema.SupplementaryWebLinksEvent).decode
_citation = msgspec.json.Decoder(schema.CitationEvent).decode
_invalid_state = msgspec.json.Decoder(schema.InvalidStateEvent).decode
_json_text = msgspec.json.Decoder(str).decode
_json_object = msgspec.json.Decoder(dict[str, Raw]).decode
_SMALLER = "Try again; ask for large files to be written in smaller pieces."


class ReplyReader:
    """Reads one reply. After `failure` is set there are no more events; those before it are returned normally.

    `original` maps the service's tool names to the client's; `signed` is told each piece of reasoning the service
    vouches for, as (text, signature); redacted reasoning as ("", data). `clean` is for what the service says in a
    failure, never for the reply.
    """

    def __init__(
        self,
        estimate: Estimate,
        original: Mapping[str, str] | None = None,
        tail: TailPolicy = "auto",
        signed: Callable[[str, str], None] | None = None,
        clean: Clean = CLEAN,
    ) -> None:
        self.failure: RelayError | None = None
        self._clean = clean
        self._original = original or {}
        self._tail_policy: TailPolicy = tail
        self._signed = signed
        self._decoder = FrameDecoder()
        self._tail = Tail(estimate, clean)
        self._said: list[str] = []  # text deltas delivered, for the duplicate quirk and the local count
        self._other_output: list[str] = []  # reasoning and tool input, for the local count
        self._withheld: str | None = None
        self._reasoned: list[str] = []  # the reasoning part that is open; references and links do not end it
        self._tool_id: str | None = None
        self._tool_input: list[str] = []
        self._ended_tools: set[str] = set()
        self._waiting: list[Frame] = []  # came in the middle of a tool's input
        self._has_content = False

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
        """Say that the answer ended. The last event is Finish, unless that was no end of a reply: `failure` says why.

        `framed`: HTTP itself said that the body is complete (a length or a last chunk), not just a closed connection.
        """
        if self.failure is not None:
            return []
        try:
            stop_reason = self._stop_reason(framed=framed)
        except RelayError as error:
            self.failure = error  # what is withheld stays so: a reference could have followed
            return []
        out: list[Event] = []
        self._release(out)
        return [*out, Finish(stop_reason, self.usage())]

    def _stop_reason(self, *, framed: bool) -> StopReason:
        """Raises RelayError if what has come is no whole reply."""
        self._decoder.close()
        if self._tool_id is not None:
            raise RelayError(
                ErrorCode.upstream_protocol,
                "The upstream ended its answer in the middle of a tool's input. It cut it off, or its output limit "
                "was reached.",
                remedy=_SMALLER,
            )
        tail = self._tail
        if not self._has_content and not tail.concluded:
            raise RelayError(ErrorCode.upstream_protocol, "The upstream answered 200 and then said nothing.")
        if not tail.arrived and (self._tail_policy == "always" or (self._tail_policy == "auto" and not framed)):
            raise RelayError(
                ErrorCode.upstream_protocol, "The upstream's answer was cut: its closing events are missing."
            )
        return tail.stop_reason(len(self._ended_tools))

    @property
    def counted(self) -> bool:
        """Whether the service has counted the tokens, so that `close` and `usage` need not."""
        return self._tail.counted

    def usage(self) -> Usage:
        """What is known of the reply's cost so far; the service's numbers come with its end."""
        return self._tail.usage(lambda: "".join((*self._said, *self._other_output, *self._tool_input)))

    # --- frames -------------------------------------------------------------------------------------------------------

    def _frame(self, frame: Frame, out: list[Event]) -> None:
        payload = frame.payload
        kind = frame.headers.get(":event-type")
        try:
            if kind == "assistantResponseEvent":
                self._text(frame, _assistant_response(payload).content, out)
            elif kind == "toolUseEvent":
                self._release(out)
                self._tool(frame, _tool_use(payload), out)
            elif kind == "reasoningContentEvent":
                self._release(out)
                self._reason(frame, _reasoning(payload), out)
            elif kind == "codeReferenceEvent":
                self._withheld = None  # the text before a reference was a repetition of what it refers to
                self._code_references(frame, out)
            else:
                self._release(out)
                self._aside(frame, out)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            named = self._clean(str(kind))
            raise RelayError(
                ErrorCode.upstream_protocol, f"The upstream sent an event {named!r} that can't be read: {error}."
            ) from None

    def _aside(self, frame: Frame, out: list[Event]) -> None:
        """What is rare, and what is not content: the tail, failures, and events this gateway has no use for."""
        headers, payload = frame.headers, frame.payload
        match headers.get(":message-type"), headers.get(":event-type"):
            case "exception", _:
                raise from_frame(str(headers.get(":exception-type", "")), payload, self._clean)
            case "error", _:
                code, message = str(headers.get(":error-code", "")), str(headers.get(":error-message", ""))
                raise from_error_frame(code, message, self._clean)
            case _, "metadataEvent":
                self._tail.metadata(payload)
            case _, "contextUsageEvent":
                self._tail.context_usage(payload)
            case _, "meteringEvent":
                self._tail.metering(payload)
            case _, "supplementaryWebLinksEvent":
                self._links(frame, out)
            case _, "citationEvent":
                self._cited(frame, out)
            case _, "codeEvent":
                self._text(frame, _assistant_response(payload).content, out)
            case _, "invalidStateEvent":
                state = _invalid_state(payload)
                said = self._clean(state.message or state.reason or "no reason given")
                raise RelayError(ErrorCode.upstream_failed, f"The upstream is in an invalid state: {said}.")
            case _:
                pass  # unknown and informational events are skipped, as official clients do (§3.2)

    def _text(self, frame: Frame, content: str | None, out: list[Event]) -> None:
        self._release(out)
        if not content or (self._tool_id is not None and not self._tool_gives_way(frame, out)):
            return
        self._has_content = True
        if self._reasoned:
            self._reasoned.clear()
        if self._repeats_the_end(content):
            self._withheld = content
        else:
            self._said.append(content)
            out.append(TextDelta(content))

    def _repeats_the_end(self, content: str) -> bool:
        said = self._said
        if not said or said[-1][-1] != content[-1]:
            return False
        left = len(content)
        for delta in reversed(said):
            if left <= len(delta):
                return delta.endswith(content[:left])
            if not content.endswith(delta, 0, left):
                return False
            left -= len(delta)
        return False

    def _release(self, out: list[Event]) -> None:
        if self._withheld is not None:
            self._said.append(self._withheld)
            out.append(TextDelta(self._withheld))
            self._withheld = None

    def _reason(self, frame: Frame, event: schema.ReasoningContentEvent, out: list[Event]) -> None:
        if not (event.text or event.signature or event.redactedContent):
            return
        if self._tool_id is not None and not self._tool_gives_way(frame, out):
            return
        self._has_content = True
        if event.text:
            self._reasoned.append(event.text)
            self._other_output.append(event.text)
            out.append(ReasoningDelta(event.text))
        if event.signature:
            self._vouched("".join(self._reasoned), event.signature)
            out.append(ReasoningSignature(event.signature))
        if event.redactedContent:
            self._vouched("", event.redactedContent)
            out.append(RedactedReasoning(event.redactedContent))

    def _vouched(self, text: str, proof: str) -> None:
        self._reasoned.clear()
        if self._signed is not None:
            self._signed(text, proof)

    def _links(self, frame: Frame, out: list[Event]) -> None:
        event = informative(_web_links, frame.payload)
        links = [
            WebLink(link.url, link.title or link.url, link.snippet or "")
            for link in (event and event.supplementaryWebLinks) or ()
            if link.url
        ]
        self._link(frame, links, out)

    def _cited(self, frame: Frame, out: list[Event]) -> None:
        """Where it is from. What of the text it is for is not passed on: no client API counts places as this one."""
        event = informative(_citation, frame.payload)
        if event and event.citationLink:
            self._link(frame, [WebLink(event.citationLink, event.citationLink, event.citationText or "")], out)

    def _link(self, frame: Frame, links: Sequence[WebLink], out: list[Event]) -> None:
        if links and (self._tool_id is None or self._tool_gives_way(frame, out)):
            out.append(WebLinks(tuple(links)))

    def _code_references(self, frame: Frame, out: list[Event]) -> None:
        event = informative(_code_reference, frame.payload)
        references = tuple(_reference(found) for found in (event and event.references) or ())
        if references and (self._tool_id is None or self._tool_gives_way(frame, out)):
            out.append(References(references))

    # --- tools --------------------------------------------------------------------------------------------------------

    def _tool(self, frame: Frame, event: schema.ToolUseEvent, out: list[Event]) -> None:
        id_ = event.toolUseId or self._tool_id
        fragment = _fragment(bytes(event.input))
        if id_ is None:
            raise _broken("The upstream sent a piece of a tool's input without its id.")
        if id_ != self._tool_id:
            if id_ in self._ended_tools:
                if fragment:
                    raise _broken("The upstream went on with a tool's input after its end.")
                return  # the end, said twice
            if self._tool_id is not None and not self._tool_gives_way(frame, out):
                return
            self._begin_tool(id_, event.name, out)
        if fragment:
            self._tool_input.append(fragment)
            out.append(ToolInputDelta(fragment))
        if event.stop:
            self._end_tool(out)

    def _begin_tool(self, id_: str, name: str | None, out: list[Event]) -> None:
        if not name:
            raise _broken("The upstream began a tool call without the tool's name.")
        self._has_content = True
        self._reasoned.clear()
        self._tool_id = id_
        out.append(ToolUseStart(id_, self._original.get(name, name)))

    def _tool_gives_way(self, frame: Frame, out: list[Event]) -> bool:
        """Whether the part that `frame` begins may begin, because the open tool's input is complete; else it waits."""
        if not self._waiting and _is_object("".join(self._tool_input)):
            self._end_tool(out)
            return True
        self._waiting.append(frame)
        return False

    def _end_tool(self, out: list[Event]) -> None:
        """End the open tool, then read what waited for it. Raises RelayError if its input is not one JSON object."""
        text = "".join(self._tool_input)
        if not text:
            out.append(ToolInputDelta("{}"))  # a tool without parameters (§3.3)
        elif not _is_object(text):
            raise _broken(
                "The upstream sent a tool call whose input is not a JSON object: "
                "the model's output was cut or malformed.",
                remedy=_SMALLER,
            )
        out.append(ToolUseEnd())
        self._other_output.append(text)
        self._ended_tools.add(self._tool_id or "")
        self._tool_id = None
        self._tool_input.clear()
        waiting, self._waiting = self._waiting, []
        for frame in waiting:
            self._frame(frame, out)


def _fragment(raw: bytes) -> str:
    """A piece of a tool's input as JSON text: it comes as a string of it, as the object itself, as null or not."""
    if not raw or raw == b"null":
        return ""
    return _json_text(raw) if raw.startswith(b'"') else raw.decode()


def _is_object(text: str) -> bool:
    try:
        _json_object(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return False
    return True


def _broken(message: str, remedy: str | None = None) -> RelayError:
    return RelayError(ErrorCode.upstream_protocol, message, remedy=remedy)


def _reference(found: schema.CodeReference) -> Reference:
    span = found.recommendationContentSpan or schema.Span()
    return Reference(found.licenseName or "", found.repository or "", found.url or "", span.start, span.end)
