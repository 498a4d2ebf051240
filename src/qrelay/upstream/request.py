"""A `Conversation` to the service's request body, obeying every rule of PROTOCOL.md §2.6. Pure: ids are given.

    system text                      -> a leading user/assistant pair, as the official CLI does (§2.5)
    all turns but the last           -> history             (`history.arrange`)
    the last turn, tools, model id   -> currentMessage      (`tools.toolbox`: tools only here, §2.2)

What had to be changed is named in `Payload.adjustments`; what the service has no place for, in `Payload.ignored`.
Besides the names of `history`, `tools` and `tool_schema`, adjustments are:

    tool_history_flattened    the caller wants no tool called: what tools did before became text, and none is offered
    tool_choice_instructed    the service has no such field: the instructions ask for the call
    answer_format_instructed  likewise: the instructions ask for JSON that matches the caller's schema
    tool_input_wrapped        a tool's input was not a JSON object (rule 9)
    reasoning_dropped         the service did not sign it, or has given no place for a second one in a turn (rule 20)
    image_dropped_over_count  the oldest images, when there are more than the service takes (rule 17)
    image_dropped_unusable    an image of an earlier turn, or of a tool, that the service would refuse
    image_captioned           a turn of images alone got a text (rule 10)
    image_shrunk              it had more bytes or pixels than the service takes
    document_as_text          the service takes text and images
    document_dropped          likewise, and there is no text of it
    surrogate_replaced        half a surrogate pair, which no UTF-8 can say, became U+FFFD
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, assert_never, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from qrelay.conversation import (
    LARGE,
    Conversation,
    Document,
    Image,
    Part,
    Reasoning,
    RedactedReasoning,
    Text,
    ToolResult,
    ToolSpec,
    ToolUse,
    Turn,
    attached,
)
from qrelay.errors import ErrorCode, RelayError
from qrelay.upstream import history, schema
from qrelay.upstream.images import MAX_IMAGES, ImageUnusableError, choose
from qrelay.upstream.models import Effort
from qrelay.upstream.tools import Toolbox, TooManyToolsError, toolbox

CHARACTERS_PER_TOKEN = 3.5  # the official language server's own ratio (§3.4)
_ACKNOWLEDGED = "Understood. I will follow these instructions."
_ANSWER_JSON = (
    "Unless you call a tool, answer the latest message with one JSON value and nothing else: no words before or after "
    "it and no code fence. It must match this JSON Schema:\n"
)
_SEE_IMAGE = "(See the attached image.)"
_MODEL_ID = re.compile(r"[a-zA-Z0-9_:.-]{1,1024}")  # §2.2
_ENCODER = msgspec.json.Encoder()
_json_object = msgspec.json.Decoder(dict[str, Raw]).decode
_json_value = msgspec.json.Decoder(Raw).decode


class Payload(NamedTuple):
    """A body ready to send. `original` maps the service's tool names back to the client's."""

    body: bytes
    original: Mapping[str, str]
    adjustments: tuple[str, ...]
    ignored: tuple[str, ...]


class Addressing(NamedTuple):
    """What the account, its endpoint and the model decide about a request. `conversation_id`: 1 to 128 characters."""

    conversation_id: str
    model: str
    origin: str
    profile_arn: str | None
    effort: Effort | None = None
    cached_from: int | None = None
    """Tools of at least so many tokens are marked for the service's cache; None: none are."""


class Limits(NamedTuple):
    """Sizes over which the service refuses a request. The last one is what was seen to pass; 1.3 MB was not."""

    message_characters: int = 600_000  # rule 14
    result_characters: int = 800_000  # §2.3, what the official CLI's source says of the service
    history_entries: int = 10_000  # rule 15
    body_bytes: int = 1_250_000  # rule 16, without the images


_LIMITS = Limits()


def _any_signature(_text: str, _signature: str) -> bool:
    return True


def to_payload(
    conversation: Conversation,
    addressing: Addressing,
    signed_upstream: Callable[[str, str], bool] = _any_signature,
    limits: Limits = _LIMITS,
) -> Payload:
    """Write the request. `signed_upstream` says whether (text, signature) came from the service (rule 20).

    Raises RelayError: `request_invalid` for an image in the last turn that can't be sent and for a tool choice that
    names no tool, `context_too_long` for what is over `limits`, `model_unknown` for a name that can't be a model's.
    """
    if not _MODEL_ID.fullmatch(addressing.model):
        raise RelayError(ErrorCode.model_unknown, f"There is no model {addressing.model[:100]!r}.", param="model")
    return _Builder(conversation, addressing, signed_upstream, limits).build()


class _Builder:
    def __init__(
        self,
        conversation: Conversation,
        addressing: Addressing,
        signed_upstream: Callable[[str, str], bool],
        limits: Limits,
    ) -> None:
        self._conversation = conversation
        self._addressing = addressing
        self._signed_upstream = signed_upstream
        self._limits = limits
        self._adjustments: dict[str, None] = {}
        self._ignored: list[str] = []
        self._turns: Sequence[Turn] = ()
        self._chosen: Iterator[schema.ImageBlock | ImageUnusableError | None] | None = None
        self._image_letters = 0
        self._just_attached: frozenset[int] | None = None
        """The ids of the last turn's images, once one was asked for."""

    def build(self) -> Payload:
        asked = self._conversation
        turns = asked.turns
        silent = asked.tool_choice.mode == "none"
        if silent and any(isinstance(part, ToolUse | ToolResult) for turn in turns for part in turn.parts):
            turns = history.flatten(turns)
            self._adjustments["tool_history_flattened"] = None
        self._turns, adjustments = history.arrange(turns)
        self._adjustments.update(dict.fromkeys(adjustments))
        used = dict.fromkeys(
            part.name for turn in self._turns for part in turn.parts if type(part) is ToolUse
        )  # in order, once each
        if asked.size > LARGE:
            self._check_size()
        try:
            box = toolbox(() if silent else self._offered(used), used, self._most_characters)
        except TooManyToolsError as error:
            limit = self._limits.body_bytes
            has = f"tools of more than {error.size} bytes"
            raise _too_long("The request", has, limit, error.size, error.size) from None
        self._adjustments.update(dict.fromkeys(box.adjustments))

        entries: list[schema.UserTurn | schema.AssistantTurn] = []
        if system := self._system(box):
            entries.append(schema.UserTurn(schema.UserInputMessage(system, self._addressing.origin)))
            entries.append(schema.AssistantTurn(schema.AssistantResponseMessage(_ACKNOWLEDGED)))
        *earlier, last = self._turns
        for turn in earlier:
            if turn.role == "assistant":
                entries.append(schema.AssistantTurn(self._assistant(turn, box)))
            else:
                entries.append(schema.UserTurn(self._user(turn)))
        message = self._user(last)
        message.modelId = self._addressing.model
        if box.tools:
            if message.userInputMessageContext is UNSET:
                message.userInputMessageContext = schema.UserInputMessageContext()
            message.userInputMessageContext.tools = self._with_cache_point(box.tools)
        request = schema.GenerateAssistantResponseRequest(
            schema.ConversationState(self._addressing.conversation_id, entries, schema.UserTurn(message)),
            self._addressing.profile_arn or UNSET,
            self._model_fields(),
        )
        try:
            body = _ENCODER.encode(request)
        except UnicodeEncodeError:
            self._adjustments["surrogate_replaced"] = None
            body = _ENCODER.encode(_sayable(request))
        size, limits = len(body) - self._image_letters, self._limits
        if size > limits.body_bytes:
            raise _too_long("The request", f"{size} bytes besides its images", limits.body_bytes, size, size)
        if len(entries) > limits.history_entries:
            raise _too_long("The conversation", f"{len(entries)} turns", limits.history_entries, len(entries), size)
        return Payload(body, box.original, tuple(self._adjustments), tuple(self._ignored))

    @property
    def _most_characters(self) -> int:
        """Far above what a request may have, and far below what would take long to write before it is refused."""
        return 4 * self._limits.body_bytes

    def _check_size(self) -> None:
        """Refuse what is so long that writing it would only cost time and memory. Raises RelayError."""
        size = sum(map(len, self._conversation.system))
        size += sum(_characters(part) for turn in self._turns for part in turn.parts)
        if size > self._most_characters:
            limit = self._limits.body_bytes
            raise _too_long("The request", f"{size} characters besides its images", limit, size, size)

    def _with_cache_point(self, tools: list[schema.Tool]) -> list[schema.Tool | schema.ToolsEnd]:
        """The same list, with its end marked if it is long enough to be cached."""
        least = self._addressing.cached_from
        if least is not None:
            specifications = [tool.toolSpecification for tool in tools]
            size = sum(len(each.description) + len(bytes(each.inputSchema.json)) for each in specifications)
            if size / CHARACTERS_PER_TOKEN >= least:
                return [*tools, schema.ToolsEnd()]
        return [*tools]

    def _model_fields(self) -> dict[str, dict[str, str]] | UnsetType:
        """The caller's effort, for a model that says which it takes: another word would be refused (§2.1)."""
        asked, taken = self._conversation.effort, self._addressing.effort
        if asked is None:
            return UNSET
        if taken is None or asked not in taken.words:
            self._ignored.append("effort")
            return UNSET
        return {taken.member: {"effort": asked}}

    def _offered(self, used: Mapping[str, None]) -> tuple[ToolSpec, ...]:
        """The tools to show: with a named tool choice, that one and those the history has used."""
        asked, choice = self._conversation, self._conversation.tool_choice
        if choice.mode != "named":
            return asked.tools
        if all(tool.name != choice.name for tool in asked.tools):
            raise RelayError(
                ErrorCode.request_invalid,
                f"The tool choice names {choice.name[:100]!r}, which is none of the tools.",
                param="tool_choice",
            )
        return tuple(tool for tool in asked.tools if tool.name == choice.name or tool.name in used)

    def _system(self, box: Toolbox) -> str:
        asked, choice = self._conversation, self._conversation.tool_choice
        texts = [text for text in asked.system if text.strip()]
        texts.extend(box.overflow)
        if choice.mode == "any" and not asked.tools:
            self._ignored.append("tool_choice")
        elif choice.mode == "any":
            texts.append("Answer the latest message by calling one of the tools.")
            self._adjustments["tool_choice_instructed"] = None
        elif choice.mode == "named":
            texts.append(f"Answer the latest message by calling the tool {box.alias[choice.name]}.")
            self._adjustments["tool_choice_instructed"] = None
        if asked.answer_schema is not None:
            texts.append(_ANSWER_JSON + bytes(asked.answer_schema).decode("utf-8", "replace"))
            self._adjustments["answer_format_instructed"] = None
        if not texts:
            return ""
        _check("The system text", sum(map(len, texts)), self._limits.message_characters)
        system = "--- CONTEXT ENTRY BEGIN ---\n" + "\n\n".join(texts) + "\n--- CONTEXT ENTRY END ---"
        _check("The system text", len(system), self._limits.message_characters)
        return system

    def _assistant(self, turn: Turn, box: Toolbox) -> schema.AssistantResponseMessage:
        texts: list[str] = []
        uses: list[schema.ToolUse] = []
        message = schema.AssistantResponseMessage("")
        for part in turn.parts:
            match part:
                case Text():
                    texts.append(part.text)
                case ToolUse():
                    uses.append(schema.ToolUse(part.id, box.alias[part.name], self._input(part.input)))
                case Reasoning() if part.signature and self._signed_upstream(part.text, part.signature):
                    signed = schema.ReasoningText(part.text, part.signature)
                    self._reason(message, schema.ReasoningContent(reasoningText=signed))
                case RedactedReasoning() if part.data and self._signed_upstream("", part.data):
                    self._reason(message, schema.ReasoningContent(redactedContent=part.data))
                case Reasoning() | RedactedReasoning():
                    self._adjustments["reasoning_dropped"] = None
                case Image() | Document() | ToolResult():  # `arrange` leaves none in an assistant's turn
                    raise TypeError(type(part))
                case _:
                    assert_never(part)
        message.content = _joined(texts)
        if uses:
            message.toolUses = uses
        return message

    def _reason(self, message: schema.AssistantResponseMessage, content: schema.ReasoningContent) -> None:
        """There is one place for it in a turn: the last one, which led to what the turn did, has it."""
        if message.reasoningContent is not UNSET:
            self._adjustments["reasoning_dropped"] = None
        message.reasoningContent = content

    def _input(self, given: Raw) -> Raw:
        text = bytes(given)
        try:
            if not text.isascii():
                text.decode()
            _json_object(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._adjustments["tool_input_wrapped"] = None
            return Raw(_ENCODER.encode({"value": _value(text)}))
        return given

    def _user(self, turn: Turn) -> schema.UserInputMessage:
        texts: list[str] = []
        images: list[schema.ImageBlock] = []
        results: list[schema.ToolResult] = []
        for part in turn.parts:
            match part:
                case Text():
                    texts.append(part.text)
                case ToolResult():
                    results.append(self._result(part, images))
                case Image():
                    self._image(part, images, texts)
                case Document():
                    texts.append(self._document(part))
                case Reasoning() | RedactedReasoning() | ToolUse():  # `arrange` leaves none in a user's turn
                    raise TypeError(type(part))
                case _:
                    assert_never(part)
        _check(
            "A message", sum(map(len, texts)), self._limits.message_characters
        )  # before it is joined: it may be huge
        content = _joined(texts)
        _check("A message", len(content), self._limits.message_characters)
        if not results and (not content or content.isspace()):  # `arrange` leaves no turn without anything
            self._adjustments["image_captioned"] = None
            content = _SEE_IMAGE
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
                    self._image(part, images, texts)
                case Document():
                    texts.append(self._document(part))
                case _:
                    assert_never(part)
        _check("A tool's result", sum(map(len, texts)), self._limits.result_characters)
        content = [schema.ToolResultContent(text) for text in texts or ("",)]
        return schema.ToolResult(result.tool_use_id, content, "error" if result.is_error else "success")

    def _image(self, image: Image, images: list[schema.ImageBlock], texts: list[str]) -> None:
        if self._chosen is None:
            self._chosen = iter(choose([piece for piece in attached(self._turns) if isinstance(piece, Image)]))
        match next(self._chosen):
            case schema.ImageBlock() as block:
                images.append(block)
                if image.shrunk:
                    self._adjustments["image_shrunk"] = None
                self._image_letters += len(block.source.bytes)
            case None:
                self._adjustments["image_dropped_over_count"] = None
                texts.append(f"(An image was left out: the service takes {MAX_IMAGES} in one request.)")
            case error:
                # Whoever has just attached it is told. Later it must not break the conversation it stays in.
                if self._just_attached is None:
                    self._just_attached = frozenset(map(id, self._conversation.turns[-1].parts))
                if id(image) in self._just_attached:
                    what = f"The image in '{image.place}'" if image.place else "An image"
                    message = f"{what} can't be sent: {error}."
                    raise RelayError(ErrorCode.request_invalid, message, param=image.place or None)
                self._adjustments["image_dropped_unusable"] = None
                texts.append(f"(An image was left out: {error}.)")

    def _document(self, document: Document) -> str:
        if document.text:
            self._adjustments["document_as_text"] = None
            return f"(The text of the document {document.name!r}, without pictures and layout:)\n\n{document.text}"
        self._adjustments["document_dropped"] = None
        kind = document.media_type or "unknown type"
        why = document.unreadable or "only text and images can be sent"
        return f"(The document {document.name!r} of {kind} was left out: {why}.)"


def _characters(part: Part) -> int:
    """The least that a part adds to the text of a request."""
    match part:
        case Text() | Reasoning():
            return len(part.text)
        case ToolUse():
            return len(bytes(part.input))
        case ToolResult():
            return sum(map(_characters, part.content))
        case Document():
            return len(part.text)
        case Image() | RedactedReasoning():
            return 0
        case _:
            assert_never(part)


def _check(what: str, characters: int, limit: int) -> None:
    if characters > limit:
        raise _too_long(what, f"{characters} characters", limit, characters, characters)


def _too_long(what: str, has: str, limit: int, size: int, characters: int) -> RelayError:
    """With how many tokens it has and might have: clients that shorten a conversation go by the two numbers."""
    tokens = int(characters / CHARACTERS_PER_TOKEN)
    return RelayError(
        ErrorCode.context_too_long,
        f"{what} has {has}; the service takes {limit}.",
        tokens=(tokens, tokens * limit // size),
    )


def _joined(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else "\n\n".join(text for text in texts if text)


def _value(text: bytes) -> Raw | str:
    try:
        return _json_value(text.decode())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text.decode("utf-8", "replace")


def _sayable(value: Any) -> Any:
    """The same wire value with every text fit for UTF-8: pairs that were split are joined, lone halves replaced."""
    match value:
        case str():
            return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        case list():
            return [_sayable(item) for item in cast("list[Any]", value)]
        case msgspec.Struct():
            members: list[Any] = [_sayable(getattr(value, name)) for name in value.__struct_fields__]
            return type(value)(*members)
        case _:
            return value
