"""What is asked, in a form no client owns. Not any wire format: those live in each room's `schema.py`.

A `Conversation` models what this upstream can express and no more. It is private: never serialised, never stored.

    Conversation = system text, turns, tools, and what the caller wants honoured
    Turn         = role + parts      (roles: user, assistant, system: a note placed between turns)
    Part         = Text | Image | Document | Reasoning | RedactedReasoning | ToolUse | ToolResult

Values are msgspec structs rather than dataclasses: as frozen, and ten times cheaper to make (docs/decisions/0002).
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal, TypeAlias

from msgspec import Raw, Struct
from msgspec.structs import replace

Role: TypeAlias = Literal["user", "assistant", "system"]

LARGE: Final = 128 * 1024
"""Bytes of a request above which work on it is done beside the event loop."""


class Text(Struct, frozen=True, gc=False):
    text: str


class Image(Struct, frozen=True, gc=False):
    """`data` is base64; `media_type` is what the client declared and may be wrong or empty (the bytes decide).

    `place` is the request's field that holds it, for who must be told that it can't be sent. One with a `url` is
    elsewhere: it has no `data` until it was fetched, or else `unusable` says why it wasn't. `shrunk`: `data` is of a
    smaller one than was attached (`attachments`).
    """

    data: str
    media_type: str = ""
    place: str = ""
    url: str = ""
    unusable: str = ""
    shrunk: bool = False


class Document(Struct, frozen=True, gc=False):
    """A file as base64 `data`; plain text travels as `Text` instead.

    `text` is what was read in it, else `unreadable` says why there is none, if that was tried (`attachments`).
    """

    name: str
    data: str
    media_type: str = ""
    text: str = ""
    unreadable: str = ""


class Reasoning(Struct, frozen=True, gc=False):
    """A model's thinking, replayed. Without a `signature` the upstream gave, it can't go back as thinking."""

    text: str
    signature: str = ""


class RedactedReasoning(Struct, frozen=True, gc=False):
    data: str


class ToolUse(Struct, frozen=True, gc=False):
    """`input` is the text of one JSON object, kept as the client wrote it."""

    id: str
    name: str
    input: Raw


class ToolResult(Struct, frozen=True, gc=False):
    tool_use_id: str
    content: tuple[Text | Image | Document, ...]
    is_error: bool = False


Part: TypeAlias = Text | Image | Document | Reasoning | RedactedReasoning | ToolUse | ToolResult


class Turn(Struct, frozen=True, gc=False):
    role: Role
    parts: tuple[Part, ...]


def attached(turns: Iterable[Turn]) -> Iterator[Image | Document]:
    """All images and documents, in the order in which they are written."""
    for turn in turns:
        for part in turn.parts:
            for piece in part.content if isinstance(part, ToolResult) else (part,):
                if isinstance(piece, (Image, Document)):
                    yield piece


def with_attached(turns: Iterable[Turn], change: Callable[[Image | Document], Image | Document]) -> tuple[Turn, ...]:
    """The same turns with each image and document as `change` gives it."""

    def content(piece: Text | Image | Document) -> Text | Image | Document:
        return change(piece) if isinstance(piece, (Image, Document)) else piece

    def changed(part: Part) -> Part:
        if isinstance(part, ToolResult):
            return replace(part, content=tuple(map(content, part.content)))
        return change(part) if isinstance(part, (Image, Document)) else part

    return tuple(Turn(turn.role, tuple(map(changed, turn.parts))) for turn in turns)


def texts(conversation: "Conversation") -> Iterator[str]:
    """Return all that a client wrote, and what was read in its files: everything but images and ids."""
    yield from conversation.system
    for tool in conversation.tools:
        yield from (tool.name, tool.description, _json_text(tool.schema))
    for turn in conversation.turns:
        for part in turn.parts:
            match part:
                case ToolUse():
                    yield from (part.name, _json_text(part.input))
                case ToolResult():
                    yield from (text for piece in part.content for text in _piece_texts(piece))
                case RedactedReasoning():
                    yield part.data
                case Reasoning():
                    yield part.text
                case _:
                    yield from _piece_texts(part)


def _piece_texts(piece: Text | Image | Document) -> tuple[str, ...]:
    match piece:
        case Image():
            return (piece.url,)
        case Document():
            return (piece.name, piece.text)
        case Text():
            return (piece.text,)


def _json_text(raw: Raw) -> str:
    return bytes(raw).decode("utf-8", "replace")


class ToolSpec(Struct, frozen=True, gc=False):
    """`schema` is JSON Schema text, as the client wrote it. `custom`: a freeform tool (OpenAI) shown upstream as a
    function with one string property, `input`. `namespace` is echoed to the client that sent it.
    """

    name: str
    description: str
    schema: Raw
    custom: bool = False
    namespace: str | None = None


class ToolChoice(Struct, frozen=True, gc=False):
    """`named` must call `name`; `any` must call some tool; `none` must not call one."""

    mode: Literal["auto", "none", "any", "named"] = "auto"
    name: str = ""


class Conversation(Struct, frozen=True, kw_only=True, gc=False):
    """One request for one reply.

    `answer_schema` is the JSON Schema text that the answer's text should match; None: it may be any text.
    `max_tokens` and `stop_sequences` have no upstream field and are honoured here; `effort` is the caller's wish
    (`low`, `medium`, `high` …) or None; `session` is the client's own name for the conversation, "" when it has none.
    `size` is how many bytes of JSON it was read from, or 0 for a small one.
    """

    model: str
    turns: tuple[Turn, ...]
    system: tuple[str, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_uses: bool = True
    max_tokens: int | None = None
    stop_sequences: tuple[str, ...] = ()
    answer_schema: Raw | None = None
    effort: str | None = None
    session: str = ""
    size: int = 0
