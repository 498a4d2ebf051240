"""The `input` of a Responses request as system text and turns. Not the request's options (`request.py`).

    instructions, leading system and developer messages  -> system      later ones -> a system turn where they stand
    user messages, unknown roles                         -> a user turn  (an unknown role is reported)
    assistant messages, reasoning, calls, in a row       -> one assistant turn
    outputs of calls, in a row                           -> one user turn of tool results
    a compaction of ours                                 -> a user turn with the summary

Kinds that this service has no place for (a web search that OpenAI's servers ran, another service's compaction) are left
out and reported. What the client can correct is refused.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Raw

from qrelay.apis import arguments, custom_tools, files, images
from qrelay.apis.body import invalid
from qrelay.apis.ignored import Ignored
from qrelay.apis.openai_responses import seals
from qrelay.apis.openai_responses.schema import CALLS, OUTPUTS, TEXT_PARTS, ContentPart, Item, decode_parts
from qrelay.apis.openai_responses.tools import Toolbox
from qrelay.conversation import Document, Image, Part, Text, ToolResult, ToolUse, Turn
from qrelay.errors import ErrorCode, RelayError

SUMMARY = "What follows is a summary of this conversation up to here, which was shortened:"

_strings = msgspec.json.Decoder(str)


def read(
    items: Iterable[tuple[Item, str]],
    instructions: str | None,
    toolbox: Toolbox,
    find: Callable[[str], Item | None],
    ignored: Ignored,
) -> tuple[tuple[str, ...], tuple[Turn, ...]]:
    """(system, turns) of items with their places. `find` looks up a referenced item by its id.

    Raises RelayError: request_invalid naming the item and its field, previous_response_unknown for a lost reference.
    """
    reader = _Reader(toolbox, find, ignored)
    if instructions:
        reader.system.append(instructions)
    for item, place in items:
        reader.add(item, place)
    reader.close()
    return tuple(reader.system), tuple(reader.turns)


class _Reader:
    def __init__(self, toolbox: Toolbox, find: Callable[[str], Item | None], ignored: Ignored) -> None:
        self.system: list[str] = []
        self.turns: list[Turn] = []
        self._toolbox = toolbox
        self._find = find
        self._ignored = ignored
        self._said: list[Part] = []
        """The assistant turn that is still growing."""
        self._results: list[ToolResult] = []
        """The turn of results that is still growing, behind what was said."""
        self._calls: OrderedDict[str, str] = OrderedDict()
        """Calls that wait for their output: call_id -> the tool's name upstream."""
        self._calls_of: dict[str, OrderedDict[str, None]] = {}
        """The same by name. Ordered dicts, whose oldest entry is found immediately however many were removed."""

    def add(self, item: Item, place: str) -> None:
        kind = item.type or ("message" if item.role is not None else "item_reference" if item.id is not None else "")
        if kind in OUTPUTS:
            self._result(item, place)
            return
        match kind:
            case "message":
                self._message(item, place)
            case "function_call":
                call_id, name = _called(item, place)
                given = arguments.read(item.arguments, self._ignored, "input.function_call.arguments")
                self._say(ToolUse(call_id, self._toolbox.flat(name, item.namespace), given))
            case "custom_tool_call":
                call_id, name = _called(item, place)
                self._say(
                    ToolUse(call_id, self._toolbox.flat(name, item.namespace), custom_tools.wrap(item.input or ""))
                )
            case "local_shell_call" | "shell_call" | "apply_patch_call":
                did = bytes(item.action) or bytes(item.operation)
                self._say(ToolUse(_call_id(item, place), CALLS[kind], Raw(did if did[:1] == b"{" else b"{}")))
            case "reasoning":
                text = "\n\n".join(part.text for part in item.summary or ())
                if not text and isinstance(item.content, list):
                    text = "\n\n".join(part.text or "" for part in item.content)
                reasoning = seals.opened(text, item.encrypted_content)
                if reasoning is not None:
                    self._say(reasoning)
            case "compaction" | "compaction_summary" | "context_compaction":
                self._compaction(item, kind)
            case "item_reference":
                self._reference(item, place)
            case "compaction_trigger":
                pass  # says what to do, not what was said (`compaction.py`)
            case "additional_tools":
                pass  # read with the tools
            case _:
                self._ignored.add_kind("input", kind)

    def close(self) -> None:
        """End the turn that is growing."""
        if self._said:
            self.turns.append(Turn("assistant", tuple(self._said)))
            self._said.clear()
        if self._results:
            self.turns.append(Turn("user", tuple(self._results)))
            self._results.clear()

    def _say(self, *parts: Part) -> None:
        if self._results:
            self.close()
        self._said.extend(parts)
        for part in parts:
            if isinstance(part, ToolUse) and self._calls.get(part.id) != part.name:
                self._answered_call(part.id)
                self._calls[part.id] = part.name
                self._calls_of.setdefault(part.name, OrderedDict())[part.id] = None

    def _answered_call(self, call_id: str) -> None:
        """A call that waits no longer."""
        name = self._calls.pop(call_id, None)
        if name is not None:
            del self._calls_of[name][call_id]

    def _message(self, item: Item, place: str) -> None:
        if item.role is None:
            raise invalid("A message must have a role.", f"{place}.role")
        content = self._content(item.content, f"{place}.content")
        match item.role:
            case "assistant":
                self._say(*content)
            case "system" | "developer":
                self.close()
                texts = tuple(part for part in content if isinstance(part, Text))
                if len(texts) < len(content):
                    self._ignored.add("input.system.content")
                if self.turns:
                    self.turns.append(Turn("system", texts))
                else:
                    self.system.extend(part.text for part in texts)
            case role:
                if role != "user":
                    self._ignored.add_kind("input.role", role)
                self.close()
                self.turns.append(Turn("user", content))

    def _result(self, item: Item, place: str) -> None:
        output = item.output
        match bytes(output)[:1]:
            case b"" | b"n":
                content: tuple[Text | Image | Document, ...] = ()
            case b'"':
                content = self._content(_strings.decode(output), f"{place}.output")
            case _:
                parts = decode_parts(output)
                told = bytes(output).decode() if parts is None else parts
                content = self._content(told, f"{place}.output")
        call_id = item.call_id or (item.id if item.type == "local_shell_call_output" else self._answered(item))
        if call_id is None:
            raise invalid("An output must say which call it answers.", f"{place}.call_id")
        self._answered_call(call_id)
        self._results.append(ToolResult(call_id, content))

    def _answered(self, item: Item) -> str | None:
        """The call that an output without `call_id` is for: the oldest one that waits, of the tool it names if any."""
        if item.name is None:
            return next(iter(self._calls), None)
        return next(iter(self._calls_of.get(self._toolbox.flat(item.name, item.namespace), ())), None)

    def _compaction(self, item: Item, kind: str) -> None:
        summary = seals.opened_summary(item.encrypted_content)
        if summary is None:
            self._ignored.add_kind("input", kind)
        else:
            self.close()
            self.turns.append(Turn("user", (Text(f"{SUMMARY}\n\n{summary}"),)))

    def _reference(self, item: Item, place: str) -> None:
        found = self._find(item.id or "")
        if found is None:
            raise RelayError(
                ErrorCode.previous_response_unknown,
                f"There is no stored item '{(item.id or '')[:200]}'.",
                param=f"{place}.id",
            )
        self.add(found, place)

    def _content(self, content: str | list[ContentPart] | None, place: str) -> tuple[Text | Image | Document, ...]:
        if content is None or content == "":
            return ()
        if isinstance(content, str):
            return (Text(content),)
        parts = (self._part(part, f"{place}[{index}]") for index, part in enumerate(content))
        return tuple(part for part in parts if part is not None)

    def _part(self, part: ContentPart, place: str) -> Text | Image | Document | None:
        kind = part.type
        if kind in TEXT_PARTS:
            if part.text is None:
                raise invalid("A text part must have its text.", f"{place}.text")
            return Text(part.text) if part.text else None
        match kind:
            case "refusal":
                return Text(part.refusal) if part.refusal else None
            case "input_image" | "image_url":
                if part.image_url is None:
                    raise invalid("This gateway keeps no uploaded images: send a data: URL.", f"{place}.image_url")
                url = part.image_url if isinstance(part.image_url, str) else part.image_url.url
                return images.from_url(url, f"{place}.image_url")
            case "input_file":
                return files.from_data(part.file_data, part.filename, f"{place}.file_data")
            case _:
                self._ignored.add_kind("input.content", kind)
                return None


def _called(item: Item, place: str) -> tuple[str, str]:
    if item.name is None:
        raise invalid("A call must have the name of its tool.", f"{place}.name")
    return _call_id(item, place), item.name


def _call_id(item: Item, place: str) -> str:
    if item.call_id is None:
        raise invalid("A call must have its call_id.", f"{place}.call_id")
    return item.call_id
