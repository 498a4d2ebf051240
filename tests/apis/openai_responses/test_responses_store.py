"""What is kept, for whom, and how long; and conversations that go on from it."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qrelay.apis.openai_responses import Memory, ResponsesStore
from qrelay.apis.openai_responses.response import deleted
from qrelay.apis.openai_responses.responses_store import Kept
from qrelay.completion import fold
from qrelay.conversation import Reasoning, Text, ToolResult, ToolUse
from qrelay.errors import ErrorCode, RelayError
from qrelay.events import (
    Event,
    Finish,
    ReasoningDelta,
    ReasoningSignature,
    TextDelta,
    ToolInputDelta,
    ToolUseEnd,
    ToolUseStart,
    Usage,
)
from tests.apis.loopback import STAMP, streamed
from tests.apis.openai_responses.streams import USER, ask

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How fast a machine is, is no law."""

REPLY: list[Event] = [
    ReasoningDelta("hm"),
    ReasoningSignature("c2ln"),
    ToolUseStart("c1", "now"),
    ToolInputDelta("{}"),
    ToolUseEnd(),
    Finish("tool_use", Usage()),
]
ANSWER = {"type": "function_call_output", "call_id": "c1", "output": "noon"}


def memory() -> Memory:
    return ResponsesStore().scoped("alice")


@pytest.mark.parametrize("stream", [True, False])
def test_a_conversation_goes_on(stream: bool) -> None:
    mine = memory()
    call = ask(mine, input="what time?", instructions="not carried over")
    body = json.loads(call.whole(fold(REPLY))) if not stream else None
    if stream:
        streamed(call, REPLY)
    kept = mine.get("resp_0123abcd")
    assert kept is not None
    assert body is None or json.loads(kept.body) == body
    assert json.loads(kept.body)["store"] is True

    second = ask(mine, STAMP._replace(id="02"), previous_response_id="resp_0123abcd", input=[ANSWER])
    question, said, answer = second.conversation.turns
    assert second.conversation.system == ()
    assert question.parts == (Text("what time?"),)
    assert said.parts[0] == Reasoning("hm", "c2ln"), "the seal is kept even when it was not asked for"
    assert isinstance(said.parts[1], ToolUse)
    assert answer.parts == (ToolResult("c1", (Text("noon"),)),)
    second.whole(fold([TextDelta("It is noon."), Finish("end_turn", Usage())]))

    third = ask(mine, STAMP._replace(id="03"), previous_response_id="resp_02", input="thanks")
    assert [turn.role for turn in third.conversation.turns] == ["user", "assistant", "user", "assistant", "user"]
    assert third.conversation.turns[3].parts == (Text("It is noon."),)
    assert json.loads(third.whole(fold([Finish("end_turn", Usage())])))["previous_response_id"] == "resp_02"


def test_a_previous_response_is_input_enough() -> None:
    mine = memory()
    ask(mine).whole(fold([TextDelta("a"), Finish("max_tokens", Usage())]))
    call = ask(mine, previous_response_id="resp_0123abcd", input=None)
    assert [turn.role for turn in call.conversation.turns] == ["user", "assistant"]


def test_an_item_can_be_referred_to() -> None:
    mine = memory()
    ask(mine).whole(fold(REPLY))
    call = ask(mine, input=[USER, {"type": "item_reference", "id": "fc_0123abcd_1"}, ANSWER])
    (use,) = call.conversation.turns[1].parts
    assert isinstance(use, ToolUse)
    assert use.id == "c1"


def test_unknown_kinds_are_kept_and_read_again() -> None:
    mine = memory()
    odd: dict[str, Any] = {"type": "novel", "role": 5, "content": {}}
    ask(mine, input=[{"role": "user", "content": "x"}, odd]).whole(fold([Finish("end_turn", Usage())]))
    call = ask(mine, previous_response_id="resp_0123abcd")
    assert [turn.role for turn in call.conversation.turns] == ["user", "user"]


@pytest.mark.parametrize("members", [{"store": False}, {}])
def test_what_is_not_kept(members: dict[str, Any]) -> None:
    mine = memory() if members else None
    body = json.loads(ask(mine, **members).whole(fold(REPLY)))
    assert body["store"] is False
    assert mine is None or mine.get("resp_0123abcd") is None


def test_a_failed_reply_is_not_kept() -> None:
    mine = memory()
    streamed(ask(mine), REPLY[:3], RelayError(ErrorCode.upstream_failed, "No."))
    assert mine.get("resp_0123abcd") is None


def test_nobody_sees_another_s() -> None:
    store = ResponsesStore()
    ask(store.scoped("alice")).whole(fold(REPLY))
    bob = store.scoped("bob")
    assert bob.get("resp_0123abcd") is None
    assert bob.find_item("fc_0123abcd_1") is None
    assert bob.delete("resp_0123abcd") is False
    with pytest.raises(RelayError) as caught:
        ask(bob, previous_response_id="resp_0123abcd")
    assert caught.value.code is ErrorCode.previous_response_unknown


def test_what_is_deleted_is_gone() -> None:
    mine = memory()
    ask(mine).whole(fold(REPLY))
    assert mine.delete("resp_0123abcd") is True
    assert mine.delete("resp_0123abcd") is False
    assert mine.get("resp_0123abcd") is None
    assert mine.find_item("fc_0123abcd_1") is None
    assert json.loads(deleted("resp_1")) == {"id": "resp_1", "object": "response", "deleted": True}


def test_the_least_recently_used_goes_first() -> None:
    store = ResponsesStore(max_count=2)
    for name in ("a", "b"):
        store.put("s", name, Kept(b"x", (), {f"item_{name}": b"{}"}))
    assert store.get("s", "a") is not None
    store.put("s", "c", Kept(b"x", (), {}))
    assert store.get("s", "b") is None
    assert store.find_item("s", "item_b") is None
    assert store.find_item("s", "item_a") == b"{}"


def test_what_is_too_large_is_not_kept() -> None:
    store = ResponsesStore(max_bytes=10)
    store.put("s", "small", Kept(b"12345", (), {}))
    store.put("s", "large", Kept(b"12345", (b"1234567",), {}))
    assert store.get("s", "large") is None
    assert store.get("s", "small") is not None


@UNHURRIED
@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.sampled_from(["put", "get", "delete"]), st.binary(max_size=12)),
        max_size=40,
    )
)
def test_it_never_holds_more_than_it_may(steps: list[tuple[str, str, bytes]]) -> None:
    store = ResponsesStore(max_count=3, max_bytes=30)
    names = "abcdef"
    for name, step, body in steps:
        match step:
            case "put":
                store.put("s", name, Kept(body, (body,), {f"i{name}": body}))
            case "get":
                store.get("s", name)
            case _:
                store.delete("s", name)
        held = {each: kept for each in names if (kept := store.get("s", each)) is not None}
        assert len(held) == len(store) <= 3
        assert sum(len(kept.output) for kept in held.values()) == store.held_items
        assert sum(kept.size for kept in held.values()) == store.held_bytes <= 30
        for each in names:
            found = store.find_item("s", f"i{each}")
            assert found == (held[each].body if each in held else None)
