"""The whole reply as a fold of the streamed one, so that the two cannot disagree."""

from collections.abc import Iterable
from typing import TypeAlias, assert_never

from msgspec import Raw, Struct

from qrelay import conversation, events
from qrelay.conversation import Reasoning, RedactedReasoning, Text, ToolUse
from qrelay.events import Event, Finish, Reference, StopReason, Usage, WebLink

CompletionPart: TypeAlias = Text | Reasoning | RedactedReasoning | ToolUse


class Completion(Struct, frozen=True):
    """A finished reply: its parts in order, why it stopped, and what it cost."""

    parts: tuple[CompletionPart, ...]
    stop_reason: StopReason
    usage: Usage
    stop_sequence: str | None = None
    references: tuple[Reference, ...] = ()
    web_links: tuple[WebLink, ...] = ()

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))


def fold(stream: Iterable[Event]) -> Completion:
    """Fold a whole reply's events. Raises ValueError if they do not follow the grammar of `events`."""
    parts: list[CompletionPart] = []
    references: list[Reference] = []
    links: list[WebLink] = []
    text: list[str] = []
    thinking: list[str] | None = None
    tool: events.ToolUseStart | None = None
    finish: Finish | None = None

    def close(signature: str = "") -> None:
        nonlocal thinking
        if text:
            parts.append(Text("".join(text)))
            text.clear()
        if thinking is not None:
            parts.append(Reasoning("".join(thinking), signature))
            thinking = None

    tool_input: list[str] = []
    for event in stream:
        if finish is not None:
            raise ValueError("an event after Finish")
        match event:
            case events.TextDelta():
                if thinking is not None:
                    close()
                text.append(event.text)
            case events.ReasoningDelta():
                if thinking is None:
                    close()
                    thinking = []
                thinking.append(event.text)
            case events.ReasoningSignature():
                if thinking is None:
                    close()
                    thinking = []
                close(event.signature)
            case events.RedactedReasoning():
                close()
                parts.append(conversation.RedactedReasoning(event.data))
            case events.ToolUseStart():
                close()
                tool = event
                tool_input.clear()
            case events.ToolInputDelta():
                tool_input.append(event.json)
            case events.ToolUseEnd():
                if tool is None:
                    raise ValueError("ToolUseEnd without ToolUseStart")
                parts.append(ToolUse(tool.id, tool.name, Raw("".join(tool_input))))
                tool = None
            case events.References():
                references.extend(event.references)
            case events.WebLinks():
                links.extend(event.links)
            case Finish():
                close()
                finish = event
            case _:
                assert_never(event)
    if finish is None or tool is not None:
        raise ValueError("a reply without Finish")
    return Completion(
        tuple(parts), finish.stop_reason, finish.usage, finish.stop_sequence, tuple(references), tuple(links)
    )
