"""The `messages` of a Chat Completions request as system text and turns. Not the request's options (`request.py`).

    leading system and developer messages -> system          later ones -> a system turn where they stand
    user, unknown roles                   -> a user turn      (an unknown role is reported)
    assistant                             -> an assistant turn: reasoning, text, tool uses
    tool, function, one after another     -> one user turn of tool results

What this service has no place for (audio, unknown kinds of parts and calls) is left out and reported: such a part must
not make a conversation unusable for good. What the client can correct (a remote image, an uploaded file) is refused.
"""

import msgspec
from msgspec import Raw

from qrelay.apis import arguments, custom_tools, files, images
from qrelay.apis.body import invalid
from qrelay.apis.ignored import Ignored
from qrelay.apis.openai_chat.schema import TEXT_PARTS, ContentPart, FunctionCall, Message, ToolCall
from qrelay.conversation import Document, Image, Part, Reasoning, Text, ToolResult, ToolUse, Turn

_strings = msgspec.json.Decoder(str)


def read(messages: list[Message], ignored: Ignored) -> tuple[tuple[str, ...], tuple[Turn, ...]]:
    """(system, turns). Raises RelayError(request_invalid) naming the message and its field."""
    reader = _Reader(ignored)
    for index, message in enumerate(messages):
        reader.add(message, f"messages[{index}]")
    reader.close_results()
    return tuple(reader.system), tuple(reader.turns)


class _Reader:
    def __init__(self, ignored: Ignored) -> None:
        self.system: list[str] = []
        self.turns: list[Turn] = []
        self._ignored = ignored
        self._results: list[ToolResult] = []
        self._functions: dict[str, str] = {}
        """Legacy calls have a name and no id: name -> the id we gave the last one."""

    def add(self, message: Message, place: str) -> None:
        role = message.role
        if role == "tool":
            if message.tool_call_id is None:
                raise invalid("A tool message must say which call it answers.", f"{place}.tool_call_id")
            self._results.append(ToolResult(message.tool_call_id, self._content(message, place)))
            return
        if role == "function":
            if message.name is None:
                raise invalid("A function message must say which function it answers.", f"{place}.name")
            called = self._functions.pop(message.name, f"function_{message.name}")
            self._results.append(ToolResult(called, self._content(message, place)))
            return
        self.close_results()
        if message.name is not None:
            self._ignored.add("messages.name")
        match role:
            case "assistant":
                self.turns.append(Turn("assistant", self._assistant(message, place)))
            case "system" | "developer":
                self._note(self._content(message, place))
            case _:
                if role != "user":
                    self._ignored.add_kind("messages.role", role)
                self.turns.append(Turn("user", self._content(message, place)))

    def close_results(self) -> None:
        if self._results:
            self.turns.append(Turn("user", tuple(self._results)))
            self._results.clear()

    def _note(self, content: tuple[Text | Image | Document, ...]) -> None:
        texts = tuple(part for part in content if isinstance(part, Text))
        if len(texts) < len(content):
            self._ignored.add("messages.system.content")
        if self.turns:
            self.turns.append(Turn("system", texts))
        else:
            self.system.extend(part.text for part in texts)

    def _content(self, message: Message, place: str) -> tuple[Text | Image | Document, ...]:
        content = message.content
        if content is None or content == "":
            return ()
        if isinstance(content, str):
            return (Text(content),)
        parts = (self._part(part, f"{place}.content[{index}]") for index, part in enumerate(content))
        return tuple(part for part in parts if part is not None)

    def _part(self, part: ContentPart, place: str) -> Text | Image | Document | None:
        kind = part.type
        if kind in TEXT_PARTS:
            if part.text is None:
                raise invalid("A text part must have its text.", f"{place}.text")
            return Text(part.text) if part.text else None
        match kind:
            case "image_url" | "input_image":
                if part.image_url is None:
                    raise invalid("An image part must have its image.", f"{place}.image_url")
                if isinstance(part.image_url, str):
                    return images.from_url(part.image_url, f"{place}.image_url")
                return images.from_url(part.image_url.url, f"{place}.image_url.url")
            case "file":
                file = part.file
                return files.from_data(file and file.file_data, file and file.filename, f"{place}.file.file_data")
            case "refusal":
                return Text(part.refusal) if part.refusal else None
            case _:
                self._ignored.add_kind("messages.content", kind)
                return None

    def _assistant(self, message: Message, place: str) -> tuple[Part, ...]:
        parts: list[Part] = []
        if bytes(message.reasoning_content)[:1] == b'"':
            parts.append(Reasoning(_strings.decode(message.reasoning_content)))
        parts.extend(self._content(message, place))
        if message.refusal:
            parts.append(Text(message.refusal))
        if bytes(message.audio) not in {b"", b"null"}:
            self._ignored.add("messages.audio")
        for index, call in enumerate(message.tool_calls or ()):
            use = self._tool_use(call, f"{place}.tool_calls[{index}]")
            if use is not None:
                parts.append(use)
        if (call := message.function_call) is not None:
            name = f"{place}.function_call".translate(_TO_ID)
            self._functions[call.name] = name
            parts.append(ToolUse(name, call.name, self._arguments(call)))
        return tuple(parts)

    def _tool_use(self, call: ToolCall, place: str) -> ToolUse | None:
        match call.type:
            case "function":
                if call.function is None:
                    raise invalid("A call of a function must have the function.", f"{place}.function")
                return ToolUse(call.id, call.function.name, self._arguments(call.function))
            case "custom":
                if call.custom is None:
                    raise invalid("A call of a custom tool must have the tool.", f"{place}.custom")
                return ToolUse(call.id, call.custom.name, custom_tools.wrap(call.custom.input))
            case kind:
                self._ignored.add_kind("messages.tool_calls", kind)
                return None

    def _arguments(self, call: FunctionCall) -> Raw:
        return arguments.read(call.arguments, self._ignored, "messages.tool_calls.arguments")


_TO_ID = str.maketrans({"[": "_", "]": None, ".": "_"})
