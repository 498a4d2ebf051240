"""What clients write to `/v1/messages`, in the wire's own names. Not what it means: that is `request.py`.

Only what is read is listed; everything else is skipped by the decoder. A block of a kind that is not listed here
would fail the typed decode, so `decode` takes a second look and wraps such blocks as `Other`: no kind of block a
client invents, whatever its members hold, makes a request fail. Source: CLIENTS.md A1 and (b) "Anthropic Messages".
"""

import re
from typing import Any, TypeAlias, TypeVar, Union, cast, get_args

import msgspec
from msgspec import Raw, Struct

from qrelay.apis import body
from qrelay.errors import RelayError

NULL = Raw(b"null")
"""What an absent member kept as `Raw` holds: absent and null mean the same."""


class Source(Struct, gc=False):
    """Where an image or document is: `base64` (media_type, data), `text` (data), `content`, `url` or `file`."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    content: "str | list[Block] | None" = None


class TextBlock(Struct, tag_field="type", tag="text", gc=False):
    text: str


class ImageBlock(Struct, tag_field="type", tag="image", gc=False):
    source: Source


class DocumentBlock(Struct, tag_field="type", tag="document", gc=False):
    source: Source
    title: str | None = None
    context: str | None = None


class ToolUseBlock(Struct, tag_field="type", tag="tool_use", gc=False):
    id: str
    name: str
    input: Raw = NULL


class ToolResultBlock(Struct, tag_field="type", tag="tool_result", gc=False):
    tool_use_id: str
    content: "str | list[Block] | None" = None
    is_error: bool | None = None


class ThinkingBlock(Struct, tag_field="type", tag="thinking", gc=False):
    thinking: str
    signature: str | None = None


class RedactedThinkingBlock(Struct, tag_field="type", tag="redacted_thinking", gc=False):
    data: str


class SearchResultBlock(Struct, tag_field="type", tag="search_result", gc=False):
    title: str
    source: str
    content: "list[Block]"


class ToolReferenceBlock(Struct, tag_field="type", tag="tool_reference", gc=False):
    tool_name: str


class Other(Struct, tag_field="type", tag="qrelay:other", gc=False):
    """A block of any other kind, or of none, as the client wrote it. No client writes this tag; `decode` does."""

    value: dict[str, Any]


Block: TypeAlias = Union[  # noqa: UP007 - named in the annotations above as a string, so it must be one object
    TextBlock,
    ImageBlock,
    DocumentBlock,
    ToolUseBlock,
    ToolResultBlock,
    ThinkingBlock,
    RedactedThinkingBlock,
    SearchResultBlock,
    ToolReferenceBlock,
    Other,
]


class Message(Struct, gc=False):
    """`output_config` and `clear_at` stand beside `role:"system"`, where `content` may be missing."""

    role: str
    content: str | list[Block] | None = None
    output_config: Raw = NULL
    clear_at: Raw = NULL


class Tool(Struct, gc=False):
    """A client's own tool if it has an `input_schema`; else one that Anthropic's servers would know, by its `type`."""

    type: str | None = None
    name: str | None = None
    description: str | None = None
    input_schema: Raw = NULL
    strict: Raw = NULL
    allowed_callers: Raw = NULL
    input_examples: Raw = NULL


class ToolChoice(Struct, gc=False):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Prompt(Struct, kw_only=True, gc=False):
    """What `/v1/messages` and `/v1/messages/count_tokens` have in common."""

    model: str
    messages: list[Message]
    system: str | list[Block] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    output_config: Raw = NULL
    thinking: Raw = NULL


class Request(Prompt, kw_only=True):
    """Members kept as `Raw` are looked at only to be reported, or are read leniently."""

    max_tokens: int
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    metadata: Raw = NULL
    temperature: Raw = NULL
    top_p: Raw = NULL
    top_k: Raw = NULL
    service_tier: Raw = NULL
    speed: Raw = NULL
    inference_geo: Raw = NULL
    container: Raw = NULL
    mcp_servers: Raw = NULL
    thread: Raw = NULL
    context_management: Raw = NULL
    compaction: Raw = NULL
    fallbacks: Raw = NULL
    diagnostics: Raw = NULL
    output_format: Raw = NULL


Asked = TypeVar("Asked", bound=Prompt)

_KNOWN = frozenset(kind.__struct_config__.tag for kind in get_args(Block) if kind is not Other)


def decode(raw: bytes, decoder: msgspec.json.Decoder[Asked]) -> Asked:
    """Read a body. Raises RelayError(request_invalid), `param` as Anthropic's API writes it: "messages.3.content"."""
    try:
        return body.decode(raw, decoder, _wrap_unknown)
    except RelayError as error:
        message, param = (text and re.sub(r"\[(\d+)\]", r".\1", text) for text in (error.message, error.param))
        raise body.invalid(message or "", param, error.remedy) from None


def _wrap_unknown(request: dict[str, Any]) -> None:
    request["system"] = _wrapped(request.get("system"))
    for message in _dicts(request.get("messages")):
        message["content"] = _wrapped(message.get("content"))
    for tool in _dicts(request.get("tools")):
        if tool.get("input_schema") is None and tool.get("type") not in (None, "custom"):
            for member in tool.keys() - {"type"}:
                del tool[member]


def _wrapped(blocks: Any) -> Any:
    if not isinstance(blocks, list):
        return blocks
    return [
        _wrap(cast("dict[str, Any]", each)) if isinstance(each, dict) else each for each in cast("list[Any]", blocks)
    ]


def _wrap(block: dict[str, Any]) -> dict[str, Any]:
    kind = block.get("type")
    if not isinstance(kind, str) or kind not in _KNOWN:
        return {"type": Other.__struct_config__.tag, "value": block}
    if "content" in block:
        block["content"] = _wrapped(block["content"])
    for source in _dicts([block.get("source")]):
        source["content"] = _wrapped(source.get("content"))
    return block


def _dicts(values: Any) -> list[dict[str, Any]]:
    if not isinstance(values, list):
        return []
    return [cast("dict[str, Any]", each) for each in cast("list[Any]", values) if isinstance(each, dict)]
