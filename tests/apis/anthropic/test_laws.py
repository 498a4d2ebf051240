"""What holds for every reply and every request, not only for those we thought of."""

import json
from typing import Any

from anthropic.types import Message, MessageCreateParams
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from qrelay.apis.anthropic import MESSAGES, read_count
from qrelay.apis.anthropic.reply import Writer, whole
from qrelay.completion import fold
from qrelay.conversation import ToolResult, ToolUse
from qrelay.errors import ErrorCode, RelayError
from qrelay.events import Event
from tests.apis.loopback import STAMP
from tests.strategies import replies

from .strategies import bodies, noise
from .wire import accumulated, as_dict, datas, frames, stream

SDK_REQUEST: TypeAdapter[Any] = TypeAdapter(MessageCreateParams)


@settings(deadline=None)  # how fast a machine is, is no law
@given(replies())
def test_the_sdk_makes_of_the_stream_what_the_whole_reply_says(events: list[Event]) -> None:
    streamed = as_dict(accumulated(stream(*events)))
    told = json.loads(whole("msg_1", "claude-x", fold(events)))
    Message.model_validate(told, strict=True)
    told["usage"].pop("estimated", None)  # beside what the SDK accumulates; test_reply.py
    told.pop("qrelay", None)
    assert streamed == told


@settings(deadline=None)
@given(replies(), st.lists(st.integers(0, 6), max_size=6))
def test_how_events_are_split_over_writes_does_not_matter(events: list[Event], sizes: list[int]) -> None:
    writer = Writer("msg_1", "claude-x")
    written = writer.start()
    rest = events
    for size in sizes:
        written += writer.feed(rest[:size])
        rest = rest[size:]
    assert written + writer.feed(rest) + writer.close() == stream(*events)


@settings(deadline=None)
@given(replies(), st.data())
def test_whatever_was_opened_is_closed_when_a_reply_fails(events: list[Event], data: st.DataObject) -> None:
    writer = Writer("msg_1", "claude-x")
    sse = writer.start() + writer.feed(events[: data.draw(st.integers(0, len(events)))])
    sse += writer.fail(RelayError(ErrorCode.upstream_protocol, "The service's answer was cut."))
    names = [name for name, _ in frames(sse)]
    assert [block["index"] for block in datas(sse, "content_block_stop")] == [
        *range(names.count("content_block_start"))
    ]
    assert names[-1] == "error"
    assert names.count("error") == 1
    assert "message_stop" not in names


@settings(deadline=None)
@given(bodies())
def test_what_the_sdk_lets_a_program_send_is_read(body: dict[str, Any]) -> None:
    SDK_REQUEST.validate_python(body)
    call = MESSAGES.read(json.dumps(body).encode(), STAMP)
    asked = call.conversation
    assert sum(turn.role != "system" for turn in asked.turns) == sum(m["role"] != "system" for m in body["messages"])
    written = [block for m in body["messages"] if isinstance(m["content"], list) for block in m["content"]]
    parts = [part for turn in asked.turns for part in turn.parts]
    for kind, type_ in (("tool_use", ToolUse), ("tool_result", ToolResult)):
        assert sum(isinstance(part, type_) for part in parts) == sum(block["type"] == kind for block in written)
    read_count(json.dumps(body, ensure_ascii=False).encode())


@settings(deadline=None)
@given(noise() | st.binary())
def test_nonsense_is_read_or_refused(body: dict[str, Any] | bytes) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        MESSAGES.read(raw, STAMP)
    except RelayError as error:
        assert error.code is ErrorCode.request_invalid  # noqa: PT017 - or nothing is raised at all
