"""A conversation made short: what the model is asked, the one item that comes back, and what a later request reads."""

import json
from typing import Any

import pytest
from openai.types.responses import CompactedResponse, Response, ResponseStreamEvent
from pydantic import TypeAdapter

from qrelay.apis.dialect import Call
from qrelay.apis.openai_responses import ResponsesStore, read_compact
from qrelay.apis.openai_responses.compaction import SUMMARISE
from qrelay.completion import fold
from qrelay.conversation import Text, ToolChoice, Turn
from qrelay.errors import ErrorCode, RelayError
from qrelay.events import Event, Finish, ReasoningDelta, ReasoningSignature, StopReason, TextDelta, Usage
from tests.apis.loopback import STAMP, streamed
from tests.apis.openai_responses.streams import ask, payloads

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TRIGGER = {"type": "compaction_trigger"}
TALK: list[dict[str, Any]] = [
    {"role": "user", "content": "Remember: slate."},
    {"type": "function_call", "call_id": "c", "name": "t", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "done"},
]
SUMMARY: list[Event] = [
    ReasoningDelta("Hm."),
    ReasoningSignature("sig"),
    TextDelta("The word is "),
    TextDelta("slate. 😀"),
    Finish("end_turn", Usage(input_tokens=10, output_tokens=5)),
]


def compact(**members: Any) -> Call:
    return read_compact(json.dumps({"model": "m", "input": TALK} | members).encode(), STAMP)


def turns_after(item: dict[str, Any]) -> tuple[Turn, ...]:
    return ask(input=[item, {"role": "user", "content": "The word?"}]).conversation.turns


@pytest.mark.parametrize("triggered", [True, False])
def test_the_model_is_asked_for_a_summary_and_may_call_no_tool(triggered: bool) -> None:
    members: dict[str, Any] = {"tools": [{"type": "function", "name": "t"}], "tool_choice": "required"}
    call = ask(input=[*TALK, TRIGGER], max_output_tokens=9, **members) if triggered else compact(**members)
    conversation = call.conversation
    assert conversation.turns[-1] == Turn("user", (Text(SUMMARISE),))
    assert len(conversation.turns) == 4
    assert (conversation.tools, conversation.tool_choice) == ((), ToolChoice("none"))
    assert conversation.max_tokens is None


def test_a_trigger_is_answered_with_exactly_one_compaction_streamed() -> None:
    told = payloads(streamed(ask(input=[*TALK, TRIGGER], stream=True), SUMMARY))
    for event in told:
        EVENT.validate_python(event, strict=True)
    assert [event["type"].removeprefix("response.") for event in told] == [
        "created",
        "in_progress",
        "output_item.added",
        "output_item.done",
        "completed",
    ]
    assert told[2]["item"]["id"] == told[3]["item"]["id"]
    [item] = told[-1]["response"]["output"]
    assert item == told[3]["item"]
    assert item["type"] == "compaction"
    assert "slate" not in json.dumps(told)
    [summary, question] = turns_after(item)
    assert "The word is slate. 😀" in repr(summary)
    assert summary.role == "user"
    assert question == Turn("user", (Text("The word?"),))


def test_whole_is_as_streamed() -> None:
    call = ask(input=[*TALK, TRIGGER])
    whole = json.loads(call.whole(fold(SUMMARY)))
    Response.model_validate(whole, strict=True)
    assert whole == payloads(streamed(call, SUMMARY))[-1]["response"]


def test_the_route_s_answer_is_of_the_sdk_s_own_type() -> None:
    whole = json.loads(compact().whole(fold(SUMMARY)))
    CompactedResponse.model_validate(whole, strict=True)
    assert [item["type"] for item in whole["output"]] == ["compaction"]
    assert "slate. 😀" in repr(turns_after(whole["output"][0])[0])
    assert whole["usage"]["total_tokens"] == 15


def test_the_route_streams_nothing() -> None:
    assert not compact(stream=True).stream


def test_a_request_without_input_is_refused_by_its_field() -> None:
    with pytest.raises(RelayError) as caught:
        compact(input=[])
    assert caught.value.param == "input"


@pytest.mark.parametrize("reason", ["max_tokens", "context_window", "refusal"])
def test_a_summary_that_was_cut_replaces_nothing(reason: StopReason) -> None:
    events = [*SUMMARY[:-1], Finish(reason, Usage())]
    told = payloads(streamed(ask(input=[*TALK, TRIGGER]), events))
    assert told[-1]["type"] == "response.failed"
    assert "response.output_item.done" not in {event["type"] for event in told}
    for call in (ask(input=[*TALK, TRIGGER]), compact()):
        with pytest.raises(RelayError) as caught:
            call.whole(fold(events))
        assert caught.value.code is ErrorCode.upstream_protocol


def test_no_summary_is_an_error() -> None:
    told = payloads(streamed(ask(input=[*TALK, TRIGGER]), [Finish("end_turn", Usage())]))
    assert told[-1]["type"] == "response.failed"


def test_a_kept_compaction_is_all_that_is_carried_on_with() -> None:
    memory = ResponsesStore().scoped("me")
    streamed(ask(memory, input=[*TALK, TRIGGER]), SUMMARY)
    call = ask(memory, previous_response_id=f"resp_{STAMP.id}", input="The word?")
    assert len(call.conversation.turns) == 2
    assert "slate. 😀" in repr(call.conversation.turns[0])
    assert "Remember" not in repr(call.conversation.turns)


@pytest.mark.parametrize("kind", ["compaction", "compaction_summary", "context_compaction"])
@pytest.mark.parametrize("sealed", ["gAAAAB", "summary.?", "summary./w==", None])
def test_another_service_s_compaction_is_left_out_and_reported(kind: str, sealed: str | None) -> None:
    item = {"type": kind, "encrypted_content": sealed}
    call = ask(input=[item, {"role": "user", "content": "hi"}])
    assert call.conversation.turns == (Turn("user", (Text("hi"),)),)
    assert call.ignored == (f"input.{kind}",)
