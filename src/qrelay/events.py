"""What comes back, in a form no client owns. Not frames (`upstream/`) and not SSE (`apis/`).

The grammar of a reply, which `upstream/response.py` guarantees and every writer may rely on:

    reply     = part* Finish                     exactly one Finish, last; a reply that fails raises RelayError instead
    part      = TextDelta+ | reasoning | tool | References | WebLinks
    reasoning = ReasoningDelta* ReasoningSignature?  |  RedactedReasoning
    tool      = ToolUseStart ToolInputDelta+ ToolUseEnd      deltas concatenate to the text of one JSON object

Parts never interleave. Two equal deltas in a row are two deltas.
"""

from typing import Literal, TypeAlias

from msgspec import Struct

StopReason: TypeAlias = Literal["end_turn", "tool_use", "max_tokens", "stop_sequence", "refusal", "context_window"]


class TextDelta(Struct, frozen=True, gc=False):
    text: str


class ReasoningDelta(Struct, frozen=True, gc=False):
    text: str


class ReasoningSignature(Struct, frozen=True, gc=False):
    """Closes the reasoning part it follows: the upstream's proof that the text is its own."""

    signature: str


class RedactedReasoning(Struct, frozen=True, gc=False):
    """A reasoning part of its own whose text the upstream keeps to itself; `data` is base64."""

    data: str


class ToolUseStart(Struct, frozen=True, gc=False):
    id: str
    name: str


class ToolInputDelta(Struct, frozen=True, gc=False):
    json: str


class ToolUseEnd(Struct, frozen=True, gc=False):
    pass


class Reference(Struct, frozen=True, gc=False):
    """Licensed code the reply resembles: `start` and `end` are character offsets into the reply's text, if known."""

    license_name: str
    repository: str
    url: str
    start: int | None = None
    end: int | None = None


class References(Struct, frozen=True, gc=False):
    references: tuple[Reference, ...]


class WebLink(Struct, frozen=True, gc=False):
    url: str
    title: str
    snippet: str = ""


class WebLinks(Struct, frozen=True, gc=False):
    links: tuple[WebLink, ...]


class Usage(Struct, frozen=True, kw_only=True, gc=False):
    """Token counts. `input_tokens` excludes what came from or went to the cache, as in Anthropic's API.

    `estimated` says that they are ours and not the upstream's. `credits` and `context_percentage` are the upstream's
    or None.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    estimated: bool = False
    credits: float | None = None
    context_percentage: float | None = None

    @property
    def prompt_tokens(self) -> int:
        """Input as OpenAI's APIs count it: with everything cached."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens


class Finish(Struct, frozen=True, gc=False):
    stop_reason: StopReason
    usage: Usage
    stop_sequence: str | None = None


Event: TypeAlias = (
    TextDelta
    | ReasoningDelta
    | ReasoningSignature
    | RedactedReasoning
    | ToolUseStart
    | ToolInputDelta
    | ToolUseEnd
    | References
    | WebLinks
    | Finish
)
