"""Whatever a conversation holds, the service takes what is made of it, and nothing that was said is missing."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

import msgspec
from hypothesis import given

from qrelay.conversation import Conversation, Text, ToolResult, ToolUse
from qrelay.errors import ErrorCode, RelayError
from qrelay.simulator.validation import Limits, check
from qrelay.upstream.request import Addressing, Payload, to_payload

from .conversations import conversations, signed

ADDRESSING = Addressing("5a0c5a0c-0000-4000-8000-000000000000", "claude-sonnet-4.5", "CLI", None)


def payload_of(conversation: Conversation) -> Payload | None:
    """What is sent; None if the conversation is refused for a reason that the caller can be told."""
    try:
        return to_payload(conversation, ADDRESSING, signed)
    except RelayError as error:
        if error.code not in (ErrorCode.request_invalid, ErrorCode.context_too_long):
            raise
        return None


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in cast("dict[str, Any]", value).values():
            yield from strings(member)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from strings(item)


def said(conversation: Conversation) -> Iterator[str]:
    """All text that anybody wrote and that UTF-8 can say."""
    yield from conversation.system
    for turn in conversation.turns:
        for part in turn.parts:
            for piece in part.content if isinstance(part, ToolResult) else (part,):
                if isinstance(piece, Text):
                    yield piece.text


@given(conversations())
def test_every_rule_is_obeyed(conversation: Conversation) -> None:
    payload = payload_of(conversation)
    if payload is not None:
        body = msgspec.json.decode(payload.body)
        assert check(body, len(payload.body), limits=Limits(), signed=signed) is None


@given(conversations())
def test_another_parser_reads_the_same_body(conversation: Conversation) -> None:
    payload = payload_of(conversation)
    if payload is not None:
        assert json.loads(payload.body) == msgspec.json.decode(payload.body)


@given(conversations())
def test_nothing_said_is_lost(conversation: Conversation) -> None:
    payload = payload_of(conversation)
    if payload is not None:
        sent = "\n".join(strings(msgspec.json.decode(payload.body)))
        for text in filter(str.strip, said(conversation)):
            try:
                text.encode()
            except UnicodeEncodeError:
                assert "surrogate_replaced" in payload.adjustments
            else:
                assert text in sent


@given(conversations())
def test_every_tool_use_goes_under_a_name_that_leads_back(conversation: Conversation) -> None:
    payload = payload_of(conversation)
    if payload is None or conversation.tool_choice.mode == "none":
        return
    state = msgspec.json.decode(payload.body)["conversationState"]
    sent = Counter(
        payload.original.get(use["name"], use["name"])
        for entry in state["history"]
        for use in entry.get("assistantResponseMessage", {}).get("toolUses", ())
    )
    used = Counter(
        part.name
        for turn in conversation.turns
        if turn.role == "assistant"
        for part in turn.parts
        if isinstance(part, ToolUse)
    )
    assert sent == used


@given(conversations())
def test_a_body_depends_on_nothing_else(conversation: Conversation) -> None:
    assert payload_of(conversation) == payload_of(conversation)
