"""Messages and their blocks to turns and their parts. Not the request around them (`request.py`).

    system (text or blocks) + leading role:"system" messages   -> system text
    a later role:"system" message                              -> a system turn at its place
    role "assistant"; "user" and any role we don't know        -> assistant turn; user turn

What a client's history holds of Anthropic's server tools (searches, code runs) becomes text, since this upstream has no
place for it. A block we can't read at all is left out and reported.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias, assert_never, cast

import msgspec
from msgspec import Raw

from qrelay.apis import files, images
from qrelay.apis.anthropic import schema
from qrelay.apis.anthropic.schema import Block, Prompt
from qrelay.apis.body import invalid
from qrelay.apis.ignored import Ignored
from qrelay.conversation import Document, Image, Part, Reasoning, RedactedReasoning, Text, ToolResult, ToolUse, Turn

Plain: TypeAlias = Text | Image | Document
"""What a tool may return."""

BILLING_HEADER = "x-anthropic-billing-header:"
_NO_INPUT = Raw(b"{}")
_FOR_ONE_TURN = b'"next_user_message"'
"""`clear_at` of a note that is left out once a user message came after it."""


class Messages(NamedTuple):
    """`effort` is the last one a system message asked for, if any did."""

    system: tuple[str, ...]
    turns: tuple[Turn, ...]
    effort: str | None


def read(request: Prompt, ignored: Ignored) -> Messages:
    """Raises RelayError(request_invalid) for a message without content, and for what `_Reader` can't read."""
    if not request.messages:
        raise invalid("'messages' is empty: there is nothing to answer.", "messages")
    reader = _Reader(ignored)
    system = _without_billing_header([*reader.texts(request.system, "system")])
    turns: list[Turn] = []
    effort: str | None = None
    last_user = max((n for n, each in enumerate(request.messages) if each.role == "user"), default=-1)
    for n, message in enumerate(request.messages):
        if message.role == "system":
            effort = effort_of(message.output_config) or effort
            cleared = last_user > n and bytes(message.clear_at) == _FOR_ONE_TURN
            texts = () if cleared else tuple(reader.texts(message.content, "messages"))
            if not turns and n + 1 < len(request.messages):  # the last message is a turn, whoever speaks
                system.extend(texts)
            elif notes := tuple(map(Text, texts)):
                turns.append(Turn("system", notes))
        elif message.content is None:
            raise invalid(f"The request has no 'messages.{n}.content', which is required.", f"messages.{n}.content")
        else:
            role = "assistant" if message.role == "assistant" else "user"
            turns.append(Turn(role, reader.parts(message.content, f"messages.{n}.content")))
    return Messages(tuple(system), tuple(turns), effort)


def count_parts(content: str | list[Block] | None) -> int:
    """Count the parts of a content, including those inside other parts."""
    if content is None:
        return 0
    if isinstance(content, str):
        return 1
    count = len(content)
    for block in content:
        if isinstance(block, schema.ToolResultBlock | schema.SearchResultBlock):
            if block.content.__class__ is list:
                count += count_parts(block.content)
        elif isinstance(block, schema.DocumentBlock):
            count += count_parts(block.source.content)
    return count


def effort_of(output_config: Raw) -> str | None:
    """The `effort` an `output_config` asks for. Never a fault: Claude Code gives up if one is refused."""
    match msgspec.json.decode(output_config):
        case {"effort": str(effort)}:
            return effort
        case _:
            return None


def _without_billing_header(system: list[str]) -> list[str]:
    """Claude Code's first line names its version and changes every time: no instruction, and poison for caches."""
    if system and system[0].startswith(BILLING_HEADER):
        _, _, rest = system[0].partition("\n")
        return [rest, *system[1:]] if rest.strip() else system[1:]
    return system


class _Reader:
    def __init__(self, ignored: Ignored) -> None:
        self._ignored = ignored

    def texts(self, content: str | list[Block] | None, place: str) -> Iterator[str]:
        """What a system prompt or a system message says."""
        if isinstance(content, str):
            yield content
            return
        for block in content or ():
            if isinstance(block, schema.TextBlock):
                yield block.text
            elif (text := _rendered(block)) is not None:
                yield text
            else:
                self._ignored.add_kind(place, _kind(block))

    def parts(self, content: str | list[Block], place: str) -> tuple[Part, ...]:
        if isinstance(content, str):
            return (Text(content),)
        parts: list[Part] = []
        for n, block in enumerate(content):
            match block:
                case schema.TextBlock():
                    parts.append(Text(block.text))
                case schema.ToolUseBlock():
                    parts.append(ToolUse(block.id, block.name, _input(block.input, place, n)))
                case schema.ToolResultBlock():
                    result = self._result(block.content, place, n)
                    parts.append(ToolResult(block.tool_use_id, result, block.is_error is True))
                case schema.ThinkingBlock():
                    parts.append(Reasoning(block.thinking, block.signature or ""))
                case schema.RedactedThinkingBlock():
                    parts.append(RedactedReasoning(block.data))
                case _:
                    parts.extend(self._plain(block, f"{place}.{n}"))
        return tuple(parts)

    def _result(self, content: str | list[Block] | None, place: str, n: int) -> tuple[Plain, ...]:
        if isinstance(content, str):
            return (Text(content),)
        if content is None:
            return ()
        return tuple(self._plain_all(content, f"{place}.{n}.content"))

    def _plain_all(self, content: str | list[Block], place: str) -> Iterator[Plain]:
        if isinstance(content, str):
            yield Text(content)
            return
        for n, block in enumerate(content):
            if isinstance(block, schema.TextBlock):
                yield Text(block.text)
            else:
                yield from self._plain(block, f"{place}.{n}")

    def _plain(self, block: Block, place: str) -> Iterator[Plain]:
        match block:
            case schema.TextBlock():
                yield Text(block.text)
            case schema.ImageBlock():
                yield _image(block.source, f"{place}.source")
            case schema.DocumentBlock():
                yield from self._document(block, f"{place}.source")
            case schema.SearchResultBlock():
                yield Text(f"{block.title}\n{block.source}")
                yield from self._plain_all(block.content, f"{place}.content")
            case (
                schema.ToolReferenceBlock()
                | schema.Other()
                | schema.ToolUseBlock()
                | schema.ToolResultBlock()
                | schema.ThinkingBlock()
                | schema.RedactedThinkingBlock()
            ):
                text = _rendered(block)
                if text is None:
                    self._ignored.add_kind("messages", _kind(block))
                else:
                    yield Text(text)
            case _:
                assert_never(block)

    def _document(self, block: schema.DocumentBlock, place: str) -> Iterator[Plain]:
        source = block.source
        about = [text for text in (block.title, block.context) if text]
        match source.type:
            case "text" if source.data is not None:
                yield Text("\n\n".join([*about, source.data]))
            case "base64" if source.data is not None:
                if block.context:
                    yield Text(block.context)
                media_type = source.media_type or ""
                yield files.from_base64(source.data, media_type, block.title, f"{place}.source.data")
            case "content" if source.content is not None:
                if about:
                    yield Text("\n\n".join(about))
                yield from self._plain_all(source.content, f"{place}.content")
            case _:
                raise _unreadable(source, "document", place)


def _image(source: schema.Source, place: str) -> Image:
    if source.type == "base64" and source.data is not None:
        return Image(source.data, source.media_type or "", place)
    if source.type == "url" and source.url is not None:
        return images.from_url(source.url, f"{place}.url")
    raise _unreadable(source, "image", place)


def _unreadable(source: schema.Source, what: str, place: str) -> Exception:
    fault = invalid(f"'{place}' has a type this gateway can't read: {source.type[:40]!r}.", place)
    fault.remedy = f"Send the {what} itself, as base64 or text; this gateway fetches nothing and keeps no files."
    return fault


def _input(raw: Raw, place: str, n: int) -> Raw:
    """A tool's input: an object, as the API demands. None at all is an empty one."""
    text = bytes(raw)
    if text[:1] == b"{":
        return raw
    if text == b"null":
        return _NO_INPUT
    raise invalid(f"'{place}.{n}.input' has the wrong type: expected `object`.", f"{place}.{n}.input")


def _kind(block: Block) -> str:
    """What a client calls the kind of a block."""
    if isinstance(block, schema.Other):
        kind = block.value.get("type")
        return kind if isinstance(kind, str) else "block"
    return str(block.__struct_config__.tag)


def _rendered(block: Block) -> str | None:
    """A block this upstream has no part for, as text; None if it has nothing that can be said in text."""
    if isinstance(block, schema.ToolReferenceBlock):
        return f"Tool {block.tool_name} is available."
    if not isinstance(block, schema.Other):
        return None
    match block.value:
        case {"text": str(text)}:
            return text
        case {"type": "compaction", "content": str(summary)}:
            return summary
        case {"type": "tool_addition", "tool": {"type": "tool_reference", "name": str(name)}}:
            return f"Tool {name} is available."
        case {"type": "tool_removal", "tool": {"type": "tool_reference", "name": str(name)}}:
            return f"Tool {name} is no longer available."
        case {"type": "server_tool_use" | "mcp_tool_use" as kind, "name": str(name), **rest}:
            return f"{kind}: {name} {_json(rest.get('input'))}"
        case {"type": str(kind), "content": content} if kind.endswith("_tool_result"):
            return f"{kind}: {_json(content)}"
        case _:
            return None


def _json(value: Any) -> str:
    return msgspec.json.encode(_legible(value)).decode()


def _legible(value: Any) -> Any:
    """A value without what only Anthropic's servers can read, and without files in base64."""
    if isinstance(value, list):
        return [_legible(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        binary = members.get("type") == "base64"
        return {
            name: _legible(member)
            for name, member in members.items()
            if not name.startswith("encrypted_") and not (binary and name == "data")
        }
    return value
