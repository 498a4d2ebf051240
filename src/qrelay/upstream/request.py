"""A `Conversation` to the service's request body, obeying every rule of PROTOCOL.md §2.6. Pure: ids are given.

    system text                      -> a leading user/assistant pair, as the official CLI does (§2.5)
    all turns but the last           -> history             (`history.arrange`)
    the last turn, tools, model id   -> currentMessage      (`tools.toolbox`: tools only here, §2.2)

What had to be changed is named in `Payload.adjustments`; what the service has no place for, in `Payload.ignored`.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, assert_never

import msgspec
from msgspec import UNSET

from qrelay.conversation import (
    Conversation,
    Document,
    Image,
    Reasoning,
    RedactedReasoning,
    Text,
    ToolResult,
    ToolSpec,
    ToolUse,
    Turn,
)
from qrelay.errors import ErrorCode, RelayError
from qrelay.upstream import history, schema
from qrelay.upstream.images import MAX_IMAGES, ImageUnusableError, to_block
from qrelay.upstream.tools import Toolbox, toolbox

MAX_MESSAGE_CHARACTERS = 600_000  # rule 14
MAX_RESULT_CHARACTERS = 800_000  # §2.3, what the official CLI's source says of the service
CHARACTERS_PER_TOKEN = 3.5  # the official language server's own ratio (§3.4)
_ACKNOWLEDGED = "Understood. I will follow these instructions."
_ENCODER = msgspec.json.Encoder()


class Payload(NamedTuple):
    """A body ready to send. `original` maps the service's tool names back to the client's."""

    body: bytes
    original: Mapping[str, str]
    adjustments: tuple[str, ...]
    ignored: tuple[str, ...]


class Addressing(NamedTuple):
    """What the account and its endpoint decide about a request. `conversation_id`: 1 to 128 characters."""

    conversation_id: str
    model: str
    origin: str
    profile_arn: str | None


def _any_signature(_: str) -> bool:
    return True


def to_payload(
    conversation: Conversation,
    addressing: Addressing,
    signed_upstream: Callable[[str], bool] = _any_signature,
) -> Payload:
    """Write the request. `signed_upstream` says whether a reasoning signature came from the service (rule 20).

    Raises RelayError: `request_invalid` for an image in the current turn that can't be sent, `context_too_long` for a
    message over the service's size.
    """
    return _Builder(conversation, addressing, signed_upstream).build()


class _Builder:
    def __init__(
        self, conversation: Conversation, addressing: Addressing, signed_upstream: Callable[[str], bool]
    ) -> None:
        self._conversation = conversation
        self._addressing = addressing
        self._signed_upstream = signed_upstream
        self._adjustments: dict[str, None] = {}
        self._ignored: list[str] = []
        self._images_left = MAX_IMAGES

    def build(self) -> Payload:
        asked = self._conversation
        turns = asked.turns
        silent = asked.tool_choice.mode == "none"
        if silent and any(isinstance(part, ToolUse | ToolResult) for turn in turns for part in turn.parts):
            turns = history.flatten(turns)
            self._adjustments["tool_history_flattened"] = None
        arranged = history.arrange(turns)
        self._adjustments.update(dict.fromkeys(arranged.adjustments))
        used = dict.fromkeys(
            part.name for turn in arranged.turns for part in turn.parts if isinstance(part, ToolUse)
        )  # in order, once each
        box = toolbox(() if silent else self._offered(used), used)
        self._adjustments.update(dict.fromkeys(box.adjustments))

        # From the newest to the oldest: when there are too many images, the oldest go.
        entries = [self._entry(turn, box, current=n == 0) for n, turn in enumerate(reversed(arranged.turns))]
        entries.reverse()
        system = self._system(box)
        if system:
            acknowledged = schema.AssistantResponseMessage(_ACKNOWLEDGED)
            entries[:0] = [
                schema.UserTurn(schema.UserInputMessage(system, self._addressing.origin)),
                schema.AssistantTurn(acknowledged),
            ]
        current = entries.pop()
        if not isinstance(current, schema.UserTurn):  # `arrange` ends with the user's turn
            raise TypeError("the last turn is not the user's")
        message = current.userInputMessage
        message.modelId = self._addressing.model
        if box.tools:
            if message.userInputMessageContext is UNSET:
                message.userInputMessageContext = schema.UserInputMessageContext()
            message.userInputMessageContext.tools = box.tools
        request = schema.GenerateAssistantResponseRequest(
            schema.ConversationState(self._addressing.conversation_id, entries, current),
            self._addressing.profile_arn or UNSET,
        )
        if asked.effort is not None:
            self._ignored.append("effort")
        return Payload(_ENCODER.encode(request), box.original, tuple(self._adjustments), tuple(self._ignored))

    def _offered(self, used: Mapping[str, None]) -> tuple[ToolSpec, ...]:
        """The tools to show: with a named tool choice, that one and those the history has used."""
        asked = self._conversation
        if asked.tool_choice.mode != "named":
            return asked.tools
        return tuple(tool for tool in asked.tools if tool.name == asked.tool_choice.name or tool.name in used)

    def _system(self, box: Toolbox) -> str:
        asked = self._conversation
        texts = [text for text in asked.system if text.strip()]
        texts.extend(box.overflow)
        if box.tools and asked.tool_choice.mode == "any":
            texts.append("Answer the latest message by calling one of the tools.")
            self._adjustments["tool_choice_instructed"] = None
        elif box.tools and asked.tool_choice.mode == "named":
            name = box.alias.get(asked.tool_choice.name, asked.tool_choice.name)
            texts.append(f"Answer the latest message by calling the tool {name}.")
            self._adjustments["tool_choice_instructed"] = None
        if not texts:
            return ""
        return "--- CONTEXT ENTRY BEGIN ---\n" + "\n\n".join(texts) + "\n--- CONTEXT ENTRY END ---"

    def _entry(self, turn: Turn, box: Toolbox, *, current: bool) -> schema.UserTurn | schema.AssistantTurn:
        if turn.role == "assistant":
            return schema.AssistantTurn(self._assistant(turn, box))
        return schema.UserTurn(self._user(turn, current=current))

    def _assistant(self, turn: Turn, box: Toolbox) -> schema.AssistantResponseMessage:
        texts: list[str] = []
        uses: list[schema.ToolUse] = []
        message = schema.AssistantResponseMessage("")
        for part in turn.parts:
            match part:
                case Text():
                    texts.append(part.text)
                case ToolUse():
                    uses.append(schema.ToolUse(part.id, box.alias[part.name], part.input))
                case Reasoning():
                    if part.signature and self._signed_upstream(part.signature):
                        signed = schema.ReasoningText(part.text, part.signature)
                        message.reasoningContent = schema.ReasoningContent(reasoningText=signed)
                    else:
                        self._adjustments["reasoning_dropped"] = None
                case RedactedReasoning():
                    if self._signed_upstream(part.data):
                        message.reasoningContent = schema.ReasoningContent(redactedContent=part.data)
                    else:
                        self._adjustments["reasoning_dropped"] = None
                case Image() | Document() | ToolResult():  # no client API has these in an assistant's turn
                    self._adjustments["assistant_part_dropped"] = None
                case _:
                    assert_never(part)
        message.content = _joined(texts)
        if uses:
            message.toolUses = uses
        return message

    def _user(self, turn: Turn, *, current: bool) -> schema.UserInputMessage:
        texts: list[str] = []
        images: list[schema.ImageBlock] = []
        results: list[schema.ToolResult] = []
        for part in turn.parts:
            match part:
                case Text():
                    texts.append(part.text)
                case Image():
                    self._image(part, images, texts, refuse=current)
                case Document():
                    texts.append(self._document(part))
                case ToolResult():
                    results.append(self._result(part, images))
                case Reasoning() | RedactedReasoning() | ToolUse():  # no client API has these in a user's turn
                    self._adjustments["user_part_dropped"] = None
                case _:
                    assert_never(part)
        content = _joined(texts)
        if len(content) > MAX_MESSAGE_CHARACTERS:
            raise _too_long("A message", len(content), MAX_MESSAGE_CHARACTERS)
        if not content.strip() and not results:
            content = "(See the attached image.)"
        message = schema.UserInputMessage(content, self._addressing.origin)
        if images:
            message.images = images
        if results:
            message.userInputMessageContext = schema.UserInputMessageContext(toolResults=results)
        return message

    def _result(self, result: ToolResult, images: list[schema.ImageBlock]) -> schema.ToolResult:
        """A tool's result; its images travel with the turn, since the service's result holds text only (§2.3)."""
        texts: list[str] = []
        for part in result.content:
            match part:
                case Text():
                    texts.append(part.text)
                case Image():
                    self._image(part, images, texts, refuse=False)
                case Document():
                    texts.append(self._document(part))
                case _:
                    assert_never(part)
        size = sum(map(len, texts))
        if size > MAX_RESULT_CHARACTERS:
            raise _too_long("A tool's result", size, MAX_RESULT_CHARACTERS)
        content = [schema.ToolResultContent(text) for text in texts] or [schema.ToolResultContent("")]
        return schema.ToolResult(result.tool_use_id, content, "error" if result.is_error else "success")

    def _image(self, image: Image, images: list[schema.ImageBlock], texts: list[str], *, refuse: bool) -> None:
        if not self._images_left:
            self._adjustments["image_dropped_over_count"] = None
            texts.append(f"(An image was left out: the service takes {MAX_IMAGES} in one request.)")
            return
        try:
            images.append(to_block(image))
        except ImageUnusableError as error:
            if refuse:
                raise RelayError(
                    ErrorCode.request_invalid, f"An image can't be sent: {error}.", param="messages"
                ) from None
            self._adjustments["image_dropped_unusable"] = None
            texts.append(f"(An image was left out: {error}.)")
        else:
            self._images_left -= 1

    def _document(self, document: Document) -> str:
        self._adjustments["document_dropped"] = None
        kind = document.media_type or "unknown type"
        return f"(The document {document.name!r} of {kind} was left out: only text and images can be sent.)"


def _joined(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else "\n\n".join(text for text in texts if text)


def _too_long(what: str, characters: int, limit: int) -> RelayError:
    return RelayError(
        ErrorCode.context_too_long,
        f"{what} has {characters} characters; the service takes {limit}.",
        tokens=(int(characters / CHARACTERS_PER_TOKEN), int(limit / CHARACTERS_PER_TOKEN)),
    )
