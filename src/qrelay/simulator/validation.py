"""What the service refuses in a request, rule by rule (PROTOCOL.md §2.6). Pure: a body in, None or a Violation out.

Each rule has a name. A violation carries the newer hosts' specific reason; `in_style` turns it into what the older
ones say about nearly everything, `Improperly formed request.` with a null reason.

    shape               §2.1-2.4   a member that is unknown, missing, null, of another type or over its limit
    first_entry_user          1    the history starts with a user
    last_entry_assistant      2    … and ends with an assistant
    alternation               3    … and the two alternate
    first_user_tool_results   4    the first user message answers no tools
    tool_results_match        5    each tool use is answered in the next user message, and nothing else is
    tool_result_duplicate     6    … once
    tools_missing             7    tools are declared if the history used any
    tool_unknown              8    … and those used are among them
    tool_input_object         9    a tool's input is an object
    empty_content            10    text or tool results
    schema_strictness        11    no `required: []`, no `additionalProperties`, no cache point among the tools
    tool_format              12    names, ids and descriptions
    tool_duplicate           13    each tool once
    tool_schema              13    a tool's schema is of an object
    message_size             14    600,000 characters a message, 800,000 a tool result
    history_length           15    10,000 entries
    body_size                16    1,300,000 bytes besides the images
    image_*                  17    ten, of a known format, of the one they are said to be, not too large
    thinking_signature       20    reasoning comes back with the signature it was given
    context_window            -    the whole isn't more than the model's window (§3.4: 3.5 characters a token)
"""

import re
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias, TypeVar, cast

import msgspec
from msgspec import UNSET, Struct, UnsetType

from qrelay.simulator import schema
from qrelay.simulator.errors import IMPROPER, TOO_LONG, ServiceError, validation
from qrelay.simulator.images import check_image

Style: TypeAlias = Literal["new", "old"]
Member = TypeVar("Member")
CHARACTERS_PER_TOKEN = 3.5


class Limits(Struct, frozen=True):
    """What is uncertain about the service, so that it can be set. `without` names rules that are left out."""

    body_bytes: int = 1_300_000
    message_characters: int = 600_000
    tool_result_characters: int = 800_000
    history_entries: int = 10_000
    images: int = 10
    without: frozenset[str] = frozenset()


class Violation(Struct, frozen=True):
    """One broken rule: its name, what exactly was wrong (for people), and the newer hosts' answer."""

    rule: str
    detail: str
    error: ServiceError

    def in_style(self, style: Style) -> ServiceError:
        """The older hosts only say more than `Improperly formed request.` when the input is too long."""
        if style == "new" or self.error.message == TOO_LONG:
            return self.error
        return validation(None, IMPROPER)


def check(
    body: object,
    size: int,
    *,
    send_message: bool = False,
    limits: Limits | None = None,
    signed: Callable[[str, str], bool] = lambda _text, _signature: True,
    window: int | None = None,
) -> Violation | None:
    """The first rule that `body` breaks. `size` is in bytes, `window` in tokens; `signed` knows our signatures."""
    limits = limits or Limits()
    model = schema.SendMessageRequest if send_message else schema.GenerateAssistantResponseRequest
    try:
        request = msgspec.convert(body, model)
    except msgspec.ValidationError as error:
        return _shape(str(error))
    for violation in _violations(request.conversationState, size, limits, signed, window):
        if violation.rule not in limits.without:
            return violation
    return None


def _shape(detail: str) -> Violation:
    if re.search(r"toolUses\[\d+\]\.input`", detail):
        return Violation("tool_input_object", detail, validation("REQUEST_BODY_INVALID"))
    if "inputSchema.json" in detail:
        return Violation("tool_schema", detail, validation("TOOL_SCHEMA_INVALID"))
    if re.search(r"tool(Uses|Results|Specification)\b.*(name|description|toolUseId)`", detail):
        return Violation("tool_format", detail, validation("REQUEST_BODY_INVALID", "Invalid tool use format."))
    if re.search(r"images\[\d+\]\.format`", detail):
        return Violation("image_format", detail, validation("IMAGE_FORMAT_UNSUPPORTED"))
    if "conversationId`" in detail:
        return Violation("shape", detail, validation("INVALID_CONVERSATION_ID"))
    return Violation("shape", detail, validation("REQUEST_BODY_INVALID"))


def _violations(
    state: schema.ConversationState,
    size: int,
    limits: Limits,
    signed: Callable[[str, str], bool],
    window: int | None,
) -> Iterator[Violation]:
    current = state.currentMessage.userInputMessage
    if current is UNSET or state.currentMessage.assistantResponseMessage is not UNSET:
        yield _invalid("shape", "currentMessage must hold a userInputMessage and nothing else")
        return
    for position, entry in enumerate(state.history):
        if (entry.userInputMessage is UNSET) == (entry.assistantResponseMessage is UNSET):
            yield _invalid("shape", f"history[{position}] must have exactly one of the two members")
            return
    users = [entry.userInputMessage for entry in state.history if entry.userInputMessage is not UNSET]
    assistants = [
        entry.assistantResponseMessage for entry in state.history if entry.assistantResponseMessage is not UNSET
    ]
    messages = [*users, current]
    yield from _sizes(state, messages, size, limits)
    yield from _order(state.history)
    yield from _unions(messages, assistants)
    yield from _tools(current)
    yield from _tool_pairs([*state.history, state.currentMessage])
    yield from _tools_of_history(users, assistants, current)
    for message in messages:
        if not message.content.strip() and not _context(message).toolResults:
            yield _invalid("empty_content", "a message has neither text nor tool results")
    yield from _images(messages, limits)
    for assistant in assistants:
        if assistant.reasoningContent is not UNSET and assistant.reasoningContent.reasoningText is not UNSET:
            thought = assistant.reasoningContent.reasoningText
            if not signed(thought.text, _or(thought.signature, "")):
                yield Violation(
                    "thinking_signature",
                    "reasoning has a signature that was never given for it",
                    validation("THINKING_SIGNATURE_INVALID"),
                )
    if window is not None and (tokens := count_tokens(state)) > window:
        yield _too_long("context_window", f"about {tokens} tokens are more than the window of {window}")


def _sizes(
    state: schema.ConversationState, messages: list[schema.UserInputMessage], size: int, limits: Limits
) -> Iterator[Violation]:
    pictures = sum(len(image.source.bytes) for message in messages for image in _or(message.images, []))
    if size - pictures > limits.body_bytes:
        yield _invalid("body_size", f"{size - pictures} bytes besides images are more than {limits.body_bytes}")
    if len(state.history) > limits.history_entries:
        yield _invalid("history_length", f"{len(state.history)} entries are more than {limits.history_entries}")
    for message in messages:
        if len(message.content) > limits.message_characters:
            yield _too_long("message_size", f"a message has {len(message.content)} characters")
        for result in _or(_context(message).toolResults, []):
            if sum(len(_or(part.text, "")) for part in result.content) > limits.tool_result_characters:
                yield _too_long("message_size", f"the result {result.toolUseId} is too long")


def _order(history: list[schema.Message]) -> Iterator[Violation]:
    if not history:
        return
    if history[0].userInputMessage is UNSET:
        yield _invalid("first_entry_user", "the history starts with an assistant's message")
    for position in range(1, len(history)):
        if (history[position].userInputMessage is UNSET) == (history[position - 1].userInputMessage is UNSET):
            yield _invalid("alternation", f"history[{position - 1}] and [{position}] are of the same role")
    if history[-1].assistantResponseMessage is UNSET:
        yield _invalid("last_entry_assistant", "the history ends with a user's message")
    first = history[0].userInputMessage
    if first is not UNSET and _context(first).toolResults:
        yield _mismatch("first_user_tool_results", "the first message answers tools nobody used")


def _unions(
    messages: list[schema.UserInputMessage], assistants: list[schema.AssistantResponseMessage]
) -> Iterator[Violation]:
    for message in messages:
        for result in _or(_context(message).toolResults, []):
            for part in result.content:
                if (part.text is UNSET) == (part.json is UNSET):
                    yield _invalid("shape", f"the result {result.toolUseId} has a part that isn't one of text and json")
        for tool in _or(_context(message).tools, []):
            if (tool.toolSpecification is UNSET) == (tool.cachePoint is UNSET):
                yield _invalid("shape", "an entry of tools must have exactly one of the two members")
    for assistant in assistants:
        thought = assistant.reasoningContent
        if thought is not UNSET and (thought.reasoningText is UNSET) == (thought.redactedContent is UNSET):
            yield _invalid("shape", "reasoningContent must have exactly one of the two members")


def _tools(current: schema.UserInputMessage) -> Iterator[Violation]:
    names: set[str] = set()
    for tool in _or(_context(current).tools, []):
        if tool.toolSpecification is UNSET:
            yield _invalid("schema_strictness", "a cache point stands among the tools")
            continue
        name, document = tool.toolSpecification.name, tool.toolSpecification.inputSchema.json
        if name in names:
            yield Violation("tool_duplicate", f"{name} is declared twice", validation("TOOL_DUPLICATE"))
        names.add(name)
        if document.get("type") != "object" or not isinstance(document.get("properties", {}), dict):
            yield _bad_schema("tool_schema", f"{name}'s schema is not of an object")
        for problem in _schema_problems(document):
            yield _bad_schema("schema_strictness", f"{name}'s schema {problem}")


def _schema_problems(document: object) -> Iterator[str]:
    """Walks a JSON schema, so that a property that happens to be called `required` is no problem."""
    if isinstance(document, list):
        for item in cast("list[object]", document):
            yield from _schema_problems(item)
    if not isinstance(document, dict):
        return
    members = cast("dict[str, object]", document)
    if members.get("required") == []:
        yield "has an empty `required`"
    if "additionalProperties" in members:
        yield "has `additionalProperties`"
    for name, value in members.items():
        if name in _OF_NAMED_SCHEMAS and isinstance(value, dict):
            for named in cast("dict[str, object]", value).values():
                yield from _schema_problems(named)
        elif name in _OF_SCHEMAS:
            yield from _schema_problems(value)


_OF_NAMED_SCHEMAS = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
_OF_SCHEMAS = {"items", "prefixItems", "contains", "anyOf", "oneOf", "allOf", "not", "if", "then", "else"}


def _tool_pairs(turns: list[schema.Message]) -> Iterator[Violation]:
    open_uses: set[str] = set()
    for turn in turns:
        if turn.assistantResponseMessage is not UNSET:
            ids = [use.toolUseId for use in _or(turn.assistantResponseMessage.toolUses, [])]
            open_uses = set(ids)
            if len(open_uses) < len(ids):
                yield _mismatch("tool_results_match", "a message uses one tool-use id twice")
            continue
        if turn.userInputMessage is UNSET:
            continue
        answered = [result.toolUseId for result in _or(_context(turn.userInputMessage).toolResults, [])]
        if len(set(answered)) < len(answered):
            yield _mismatch("tool_result_duplicate", "a tool use is answered twice")
        if missing := open_uses - set(answered):
            yield _mismatch("tool_results_match", f"not answered: {', '.join(sorted(missing))}")
        if surplus := set(answered) - open_uses:
            yield _mismatch("tool_results_match", f"answered, but not used just before: {', '.join(sorted(surplus))}")
        open_uses = set()


def _tools_of_history(
    users: list[schema.UserInputMessage],
    assistants: list[schema.AssistantResponseMessage],
    current: schema.UserInputMessage,
) -> Iterator[Violation]:
    declared = {
        tool.toolSpecification.name for tool in _or(_context(current).tools, []) if tool.toolSpecification is not UNSET
    }
    used = {use.name for assistant in assistants for use in _or(assistant.toolUses, [])}
    if (used or any(_context(user).toolResults for user in users)) and not declared:
        yield Violation("tools_missing", "the history used tools, none are declared", validation("TOOL_CONFIG_MISSING"))
    elif unknown := used - declared:
        yield Violation(
            "tool_unknown",
            f"used in the history, but not declared: {', '.join(sorted(unknown))}",
            validation("REQUEST_BODY_INVALID", "Invalid tool use format."),
        )


def _images(messages: list[schema.UserInputMessage], limits: Limits) -> Iterator[Violation]:
    images = [image for message in messages for image in _or(message.images, [])]
    if len(images) > limits.images:
        yield Violation(
            "image_count", f"{len(images)} images are more than {limits.images}", validation("IMAGE_COUNT_EXCEEDED")
        )
    for image in images:
        if problem := check_image(image.format, image.source.bytes):
            rule, detail, reason = problem
            yield Violation(rule, detail, validation(reason))


def count_tokens(state: schema.ConversationState) -> int:
    """An estimate of the prompt: its characters by §3.4's ratio."""
    characters = 0
    for turn in (*state.history, state.currentMessage):
        if turn.assistantResponseMessage is not UNSET:
            characters += len(turn.assistantResponseMessage.content)
            characters += sum(len(str(use.input)) for use in _or(turn.assistantResponseMessage.toolUses, []))
        if turn.userInputMessage is not UNSET:
            characters += len(turn.userInputMessage.content)
            context = _context(turn.userInputMessage)
            for result in _or(context.toolResults, []):
                characters += sum(len(_or(part.text, "")) for part in result.content)
            for tool in _or(context.tools, []):
                if tool.toolSpecification is not UNSET:
                    characters += len(tool.toolSpecification.description)
                    characters += len(str(tool.toolSpecification.inputSchema.json))
    return max(1, int(characters / CHARACTERS_PER_TOKEN))


def _context(message: schema.UserInputMessage) -> schema.UserInputMessageContext:
    return _or(message.userInputMessageContext, schema.UserInputMessageContext())


def _or(member: Member | UnsetType, otherwise: Member) -> Member:
    return otherwise if member is UNSET else member


def _invalid(rule: str, detail: str) -> Violation:
    return Violation(rule, detail, validation("REQUEST_BODY_INVALID"))


def _mismatch(rule: str, detail: str) -> Violation:
    return Violation(rule, detail, validation("TOOL_USE_RESULT_MISMATCH"))


def _bad_schema(rule: str, detail: str) -> Violation:
    return Violation(rule, detail, validation("TOOL_SCHEMA_INVALID"))


def _too_long(rule: str, detail: str) -> Violation:
    return Violation(rule, detail, validation("CONTENT_LENGTH_EXCEEDS_THRESHOLD"))
