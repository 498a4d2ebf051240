"""The request of `POST /v1/responses` as clients send it. Not what it means (`request.py`).

Field names are the wire's own; structs are flat, as in the Chat room and for the same reason. The body is decoded into
two things: `Request`, which is read, and `Told`, the members that the response object repeats word for word.
Sources: CLIENTS.md A2 and (b) "OpenAI Responses"; `openai.types.responses.response_create_params`. Raw() stands for an
absent member.
"""

from typing import Any, cast

import msgspec
from msgspec import Raw, Struct

from qrelay.apis import body

TEXT_PARTS = frozenset({"input_text", "output_text", "text"})
PARTS = TEXT_PARTS | {"refusal", "input_image", "image_url", "input_file"}
CALLS = {"local_shell_call": "local_shell", "shell_call": "shell", "apply_patch_call": "apply_patch"}
"""Calls of OpenAI's own client-side tools in a history, and the names of those tools."""
OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output", *(f"{call}_output" for call in CALLS)})
ITEMS = OUTPUTS | {
    *CALLS,
    "message",
    "function_call",
    "custom_tool_call",
    "reasoning",
    "compaction",
    "compaction_summary",
    "context_compaction",
    "item_reference",
    "additional_tools",
}
TOOLS = frozenset({"function", "custom", "namespace"})


class ImageUrl(Struct, gc=False):
    url: str


class ContentPart(Struct, gc=False):
    type: str = "input_text"
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | str | None = None
    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None


class SummaryPart(Struct, gc=False):
    text: str = ""


class Format(Struct, gc=False):
    """A custom tool's input format."""

    type: str = "text"
    definition: str | None = None
    syntax: str | None = None


class Tool(Struct, gc=False):
    type: str = "function"
    name: str | None = None
    description: str | None = None
    parameters: Raw = Raw()
    strict: bool | None = None
    format: Format | None = None
    tools: list["Tool"] | None = None


class Item(Struct, gc=False):
    """One member of `input`. `output` is a string, a list of parts, or whatever a tool of OpenAI's own gave."""

    type: str | None = None
    role: str | None = None
    id: str | None = None
    content: str | list[ContentPart] | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | dict[str, Raw] | None = None
    input: str | None = None
    output: Raw = Raw()
    action: Raw = Raw()
    operation: Raw = Raw()
    summary: list[SummaryPart] | None = None
    encrypted_content: str | None = None
    tools: list[Tool] | None = None


class NamedTool(Struct, gc=False):
    type: str = "function"
    name: str | None = None
    namespace: str | None = None


class ToolChoice(Struct, gc=False):
    type: str = "function"
    name: str | None = None
    namespace: str | None = None
    mode: str = "auto"
    tools: list[NamedTool] | None = None


class Reasoning(Struct, gc=False):
    effort: str | None = None
    summary: str | None = None


class TextFormat(Struct, gc=False):
    type: str = "text"
    schema: Raw = Raw()


class TextConfig(Struct, gc=False):
    format: TextFormat | None = None
    verbosity: str | None = None


class Request(Struct, gc=False):
    model: str
    input: str | list[Item] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    stream: bool | None = None
    include: list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    reasoning: Reasoning | None = None
    prompt_cache_key: str | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    # What can't be served, and is refused.
    background: bool | None = None
    conversation: Raw = Raw()
    prompt: Raw = Raw()
    # What the upstream has no field for, read to be reported.
    text: TextConfig | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    top_logprobs: int | None = None
    max_tool_calls: int | None = None
    truncation: str | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    context_management: Raw = Raw()
    moderation: Raw = Raw()


class Told(Struct, gc=False):
    """What is repeated as it came; what it means, and whether its types are right, is `Request`'s."""

    input: Raw = Raw()
    instructions: Raw = Raw()
    metadata: Raw = Raw()
    previous_response_id: Raw = Raw()
    prompt_cache_key: Raw = Raw()
    safety_identifier: Raw = Raw()
    temperature: Raw = Raw()
    presence_penalty: Raw = Raw()
    frequency_penalty: Raw = Raw()
    text: Raw = Raw()
    tool_choice: Raw = Raw()
    tools: list[Raw] | None = None
    top_p: Raw = Raw()
    truncation: Raw = Raw()
    user: Raw = Raw()


class Stored(Struct, gc=False):
    """Items that were kept, wrapped so that they decode as a request does."""

    input: list[Item]


_requests = msgspec.json.Decoder(Request)
_told = msgspec.json.Decoder(Told)
_stored = msgspec.json.Decoder(Stored)
_parts = msgspec.json.Decoder(list[ContentPart])


def decode(raw: bytes) -> tuple[Request, Told]:
    """Raises RelayError(request_invalid) naming the field."""
    request = body.decode(raw, _requests, _forgive)
    try:
        return request, _told.decode(raw)
    except msgspec.DecodeError:
        return request, _told.decode(body.mended(raw))


def decode_stored(items: bytes) -> list[Item]:
    """A JSON array of items that was accepted before."""
    return body.decode(b'{"input":%b}' % items, _stored, _forgive).input


def decode_parts(raw: Raw) -> list[ContentPart] | None:
    """A tool's output as parts; None if it is something else."""
    try:
        parts = _parts.decode(raw)
    except msgspec.DecodeError:
        return None
    return parts if all(map(_is_part, parts)) else None


def _is_part(part: ContentPart) -> bool:
    if part.type in TEXT_PARTS:
        return part.text is not None
    return part.type in PARTS or part.type == "input_audio"


def _forgive(request: dict[str, Any]) -> None:
    """Empty what is of a kind we don't know, so that its members can't be of a wrong type."""
    for item in _objects(request.get("input")):
        kind = item.get("type")
        if isinstance(kind, str) and kind not in ITEMS:
            for name in item.keys() - {"type", "id", "call_id"}:
                del item[name]
        if isinstance(content := item.get("content"), list):
            item["content"] = [_part(part) for part in cast("list[object]", content)]
        _forgive_tools(item.get("tools"))
    _forgive_tools(request.get("tools"))


def _forgive_tools(tools: object) -> None:
    for tool in _objects(tools):
        kind = tool.get("type")
        if isinstance(kind, str) and kind not in TOOLS:
            tool.clear()
            tool["type"] = kind
        _forgive_tools(tool.get("tools"))


def _part(part: object) -> object:
    if isinstance(part, str):
        return {"type": "input_text", "text": part}
    if isinstance(part, dict):
        members = cast("dict[str, object]", part)
        kind = members.get("type")
        if isinstance(kind, str) and kind not in PARTS and kind != "reasoning_text":
            return {"type": kind}
    return cast("object", part)


def _objects(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        return []
    return [cast("dict[str, Any]", each) for each in cast("list[object]", value) if isinstance(each, dict)]
