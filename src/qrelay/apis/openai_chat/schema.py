"""The request of `POST /v1/chat/completions` as clients send it. Not what it means (`request.py`).

Field names are the wire's own. Structs are flat, with every member that some role or kind has, because that is the
cheapest thing to decode and the most forgiving one: a member that belongs to another kind is simply not looked at.
Unknown members are dropped by the decoder. Sources: CLIENTS.md (b) "OpenAI Chat Completions"; the types of the openai
package, `openai.types.chat.completion_create_params`. Raw() stands for an absent member.
"""

from typing import Any, cast

import msgspec
from msgspec import Raw, Struct

from qrelay.apis import body

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
TEXT_PARTS = frozenset({"text", "input_text", "output_text"})
"""`input_text` and `output_text` are the Responses API's; programs that speak both mix them up."""
PARTS = TEXT_PARTS | {"image_url", "input_image", "input_audio", "file", "refusal"}
TOOLS = frozenset({"function", "custom"})
ABSENT = Raw()
"""A member of the request that isn't there."""


class ImageUrl(Struct, gc=False):
    url: str


class File(Struct, gc=False):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class ContentPart(Struct, gc=False):
    type: str = "text"
    text: str | None = None
    image_url: ImageUrl | str | None = None
    file: File | None = None
    refusal: str | None = None


class FunctionCall(Struct, gc=False):
    """`arguments` is a string of JSON by the API's rules; some clients send the object itself."""

    name: str
    arguments: str | dict[str, Raw] | None = None


class CustomCall(Struct, gc=False):
    name: str
    input: str = ""


class ToolCall(Struct, gc=False):
    id: str
    type: str = "function"
    function: FunctionCall | None = None
    custom: CustomCall | None = None


class Message(Struct, gc=False):
    role: str
    content: str | list[ContentPart] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    refusal: str | None = None
    function_call: FunctionCall | None = None
    reasoning_content: Raw = Raw()
    audio: Raw = Raw()


class Function(Struct, gc=False):
    name: str
    description: str | None = None
    parameters: Raw = Raw()
    strict: bool | None = None


class Grammar(Struct, gc=False):
    definition: str | None = None
    syntax: str | None = None


class CustomFormat(Struct, gc=False):
    type: str = "text"
    grammar: Grammar | None = None


class Custom(Struct, gc=False):
    name: str
    description: str | None = None
    format: CustomFormat | None = None


class Tool(Struct, gc=False):
    """`name`, `description`, `parameters` at this level are how the Responses API writes a function."""

    type: str = "function"
    function: Function | None = None
    custom: Custom | None = None
    name: str | None = None
    description: str | None = None
    parameters: Raw = Raw()


class Name(Struct, gc=False):
    name: str


class AllowedTool(Struct, gc=False):
    type: str = "function"
    function: Name | None = None
    custom: Name | None = None


class AllowedTools(Struct, gc=False):
    mode: str = "auto"
    tools: list[AllowedTool] = []


class ToolChoice(Struct, gc=False):
    type: str = "function"
    function: Name | None = None
    custom: Name | None = None
    allowed_tools: AllowedTools | None = None


class StreamOptions(Struct, gc=False):
    include_usage: bool | None = None


class ResponseFormat(Struct, gc=False):
    type: str = "text"
    json_schema: Raw = Raw()


class Request(Struct, gc=False):
    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[Tool] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: list[Function] | None = None
    function_call: str | Name | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    reasoning_effort: str | None = None
    prompt_cache_key: str | None = None
    user: str | None = None
    # From here on: what the upstream has no field for, read to be reported.
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: ResponseFormat | None = None
    modalities: list[str] | None = None
    service_tier: str | None = None
    verbosity: str | None = None
    store: bool | None = None
    logit_bias: Raw = ABSENT
    audio: Raw = ABSENT
    prediction: Raw = ABSENT
    web_search_options: Raw = ABSENT
    moderation: Raw = ABSENT
    metadata: Raw = ABSENT


_decoder = msgspec.json.Decoder(Request)


def decode(raw: bytes) -> Request:
    """Raises RelayError(request_invalid) naming the field."""
    return body.decode(raw, _decoder, _forgive)


def _forgive(request: dict[str, Any]) -> None:
    """Empty what is of a kind we don't know, so that its members can't be of a wrong type."""
    for message in _objects(request.get("messages")):
        if isinstance(content := message.get("content"), list):
            message["content"] = [_part(part) for part in cast("list[object]", content)]
        elif isinstance(role := message.get("role"), str) and role not in ROLES:
            message["content"] = content if isinstance(content, str) else None
        for call in _objects(message.get("tool_calls")):
            _empty_unless(call, TOOLS, keep=("type", "id"))
    for tool in _objects(request.get("tools")):
        _empty_unless(tool, TOOLS, keep=("type",))


def _part(part: object) -> object:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, dict):
        _empty_unless(cast("dict[str, object]", part), PARTS, keep=("type",))
    return cast("object", part)


def _empty_unless(value: dict[str, object], known: frozenset[str], keep: tuple[str, ...]) -> None:
    kind = value.get("type")
    if isinstance(kind, str) and kind not in known:
        for name in value.keys() - keep:
            del value[name]


def _objects(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        return []
    return [cast("dict[str, Any]", each) for each in cast("list[object]", value) if isinstance(each, dict)]
