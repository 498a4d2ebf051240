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
    history_length           15    10,000 entries, 198 for a user agent of an unknown `KiroIDE-`
    body_size                16    1,300,000 bytes besides the images
    image_*                  17    ten, of a known format, of the one they are said to be, not too large
    thinking_signature       20    reasoning comes back with the signature it was given

That the whole fits the model's window is asked later, when the model is known (chat.py).
"""

import re
from collections.abc import Callable, Iterator

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from qrelay.simulator import schema
from qrelay.simulator.errors import validation
from qrelay.simulator.images import check_image
from qrelay.simulator.schema import context_of, given
from qrelay.simulator.tool_rules import declared_tools, tool_list, tool_pairs
from qrelay.simulator.violation import Violation, invalid, mismatch, too_long

_OLD_IDE = re.compile(r"KiroIDE-(?!\d+\.\d+\.\d+)")


class Limits(Struct, frozen=True):
    """What is uncertain about the service, so that it can be set. `without` names rules that are left out.

    `old_ide_entries` is the history's limit for user agents whose `KiroIDE-` isn't followed by a version (§1.3).
    """

    body_bytes: int = 1_300_000
    message_characters: int = 600_000
    tool_result_characters: int = 800_000
    history_entries: int = 10_000
    old_ide_entries: int = 198
    images: int = 10
    without: frozenset[str] = frozenset()


def check(
    body: object,
    size: int,
    *,
    send_message: bool = False,
    limits: Limits | None = None,
    signed: Callable[[str, str], bool] = lambda _text, _signature: True,
    user_agent: str = "",
) -> Violation | None:
    """The first rule that `body` breaks. `size` is in bytes; `signed` knows our signatures."""
    limits = limits or Limits()
    if _OLD_IDE.search(user_agent):
        limits = replace(limits, history_entries=limits.old_ide_entries)
    model = schema.SendMessageRequest if send_message else schema.GenerateAssistantResponseRequest
    try:
        request = msgspec.convert(body, model)
    except msgspec.ValidationError as error:
        return _shape(str(error))
    for violation in _violations(request.conversationState, size, limits, signed):
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
) -> Iterator[Violation]:
    current = state.currentMessage.userInputMessage
    if current is UNSET or state.currentMessage.assistantResponseMessage is not UNSET:
        yield invalid("shape", "currentMessage must hold a userInputMessage and nothing else")
        return
    for position, entry in enumerate(state.history):
        if (entry.userInputMessage is UNSET) == (entry.assistantResponseMessage is UNSET):
            yield invalid("shape", f"history[{position}] must have exactly one of the two members")
            return
    users = [entry.userInputMessage for entry in state.history if entry.userInputMessage is not UNSET]
    assistants = [
        entry.assistantResponseMessage for entry in state.history if entry.assistantResponseMessage is not UNSET
    ]
    messages = [*users, current]
    yield from _sizes(state, messages, size, limits)
    yield from _order(state.history)
    yield from _unions(messages, assistants)
    yield from tool_list(current)
    yield from tool_pairs([*state.history, state.currentMessage])
    yield from declared_tools(users, assistants, current)
    for message in messages:
        if not message.content.strip() and not context_of(message).toolResults:
            yield invalid("empty_content", "a message has neither text nor tool results")
    yield from _images(messages, limits)
    for assistant in assistants:
        if assistant.reasoningContent is not UNSET and assistant.reasoningContent.reasoningText is not UNSET:
            thought = assistant.reasoningContent.reasoningText
            if not signed(thought.text, given(thought.signature, "")):
                yield Violation(
                    "thinking_signature",
                    "reasoning has a signature that was never given for it",
                    validation("THINKING_SIGNATURE_INVALID"),
                )


def _sizes(
    state: schema.ConversationState, messages: list[schema.UserInputMessage], size: int, limits: Limits
) -> Iterator[Violation]:
    pictures = sum(len(image.source.bytes) for message in messages for image in given(message.images, []))
    if size - pictures > limits.body_bytes:
        yield invalid("body_size", f"{size - pictures} bytes besides images are more than {limits.body_bytes}")
    if len(state.history) > limits.history_entries:
        yield invalid("history_length", f"{len(state.history)} entries are more than {limits.history_entries}")
    for message in messages:
        if len(message.content) > limits.message_characters:
            yield too_long("message_size", f"a message has {len(message.content)} characters")
        for result in given(context_of(message).toolResults, []):
            if sum(len(given(part.text, "")) for part in result.content) > limits.tool_result_characters:
                yield too_long("message_size", f"the result {result.toolUseId} is too long")


def _order(history: list[schema.Message]) -> Iterator[Violation]:
    if not history:
        return
    if history[0].userInputMessage is UNSET:
        yield invalid("first_entry_user", "the history starts with an assistant's message")
    for position in range(1, len(history)):
        if (history[position].userInputMessage is UNSET) == (history[position - 1].userInputMessage is UNSET):
            yield invalid("alternation", f"history[{position - 1}] and [{position}] are of the same role")
    if history[-1].assistantResponseMessage is UNSET:
        yield invalid("last_entry_assistant", "the history ends with a user's message")
    first = history[0].userInputMessage
    if first is not UNSET and context_of(first).toolResults:
        yield mismatch("first_user_tool_results", "the first message answers tools nobody used")


def _unions(
    messages: list[schema.UserInputMessage], assistants: list[schema.AssistantResponseMessage]
) -> Iterator[Violation]:
    for message in messages:
        for result in given(context_of(message).toolResults, []):
            for part in result.content:
                if (part.text is UNSET) == (part.json is UNSET):
                    yield invalid("shape", f"the result {result.toolUseId} has a part that isn't one of text and json")
        for tool in given(context_of(message).tools, []):
            if (tool.toolSpecification is UNSET) == (tool.cachePoint is UNSET):
                yield invalid("shape", "an entry of tools must have exactly one of the two members")
    for assistant in assistants:
        thought = assistant.reasoningContent
        if thought is not UNSET and (thought.reasoningText is UNSET) == (thought.redactedContent is UNSET):
            yield invalid("shape", "reasoningContent must have exactly one of the two members")


def _images(messages: list[schema.UserInputMessage], limits: Limits) -> Iterator[Violation]:
    images = [image for message in messages for image in given(message.images, [])]
    if len(images) > limits.images:
        yield Violation(
            "image_count", f"{len(images)} images are more than {limits.images}", validation("IMAGE_COUNT_EXCEEDED")
        )
    for image in images:
        if problem := check_image(image.format, image.source.bytes):
            rule, detail, reason = problem
            yield Violation(rule, detail, validation(reason))
