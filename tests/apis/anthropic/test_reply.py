"""Events to Anthropic's wire, byte for byte, and each detail that a client breaks without (CLIENTS.md (b))."""

import json
from typing import get_args

import pytest
from anthropic.types import Message
from inline_snapshot import snapshot

from qrelay.apis.anthropic import MESSAGES
from qrelay.apis.anthropic.reply import Writer, whole
from qrelay.completion import fold
from qrelay.errors import ErrorCode, RelayError
from qrelay.events import (
    Event,
    Finish,
    ReasoningDelta,
    ReasoningSignature,
    RedactedReasoning,
    Reference,
    References,
    StopReason,
    TextDelta,
    ToolInputDelta,
    ToolUseEnd,
    ToolUseStart,
    Usage,
    WebLink,
    WebLinks,
)

from .wire import EVENTS, accumulated, datas, finish, frames, stream

TOOL: list[Event] = [
    ToolUseStart("tooluse_1", "Bash"),
    ToolInputDelta('{"command": "l'),
    ToolInputDelta('s"}'),
    ToolUseEnd(),
]
EVERYTHING: list[Event] = [
    ReasoningDelta("Hm"),
    ReasoningDelta("m."),
    ReasoningSignature("sig=="),
    RedactedReasoning("AA=="),
    TextDelta("Hi\n"),
    TextDelta("😀"),
    TextDelta("😀"),
    *TOOL,
    finish("tool_use"),
]


def test_a_text_reply_on_the_wire() -> None:
    usage = Usage(input_tokens=12, output_tokens=3, cache_read_tokens=4, cache_write_tokens=5)
    assert stream(TextDelta("Hi"), TextDelta(' "you"\n'), Finish("end_turn", usage)).decode() == snapshot("""\
event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" \\"you\\"\\n"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":12,"output_tokens":3,"cache_creation_input_tokens":5,"cache_read_input_tokens":4}}

event: message_stop
data: {"type":"message_stop"}

""")  # noqa: E501 - the wire has no shorter lines


def test_every_kind_of_block_on_the_wire() -> None:
    assert stream(*EVERYTHING).decode() == snapshot("""\
event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"m."}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"sig=="}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"AA=="}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"Hi\\n"}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"😀"}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"😀"}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: content_block_start
data: {"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"tooluse_1","name":"Bash","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\\"command\\": \\"l"}}

event: content_block_delta
data: {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"s\\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":3}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":12,"output_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":0}}

event: message_stop
data: {"type":"message_stop"}

""")  # noqa: E501 - the wire has no shorter lines


def test_a_whole_reply() -> None:
    assert json.loads(whole("msg_1", "claude-x", fold(EVERYTHING))) == snapshot(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-x",
            "content": [
                {"type": "thinking", "thinking": "Hmm.", "signature": "sig=="},
                {"type": "redacted_thinking", "data": "AA=="},
                {
                    "type": "text",
                    "text": """\
Hi
😀😀\
""",
                },
                {"type": "tool_use", "id": "tooluse_1", "name": "Bash", "input": {"command": "ls"}},
            ],
            "stop_reason": "tool_use",
            "stop_sequence": None,
            "usage": {
                "input_tokens": 12,
                "output_tokens": 3,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
            },
        }
    )


def test_equal_deltas_are_all_delivered() -> None:
    sse = stream(TextDelta("ha"), TextDelta("ha"), TextDelta("ha"), finish())
    assert [data["delta"]["text"] for data in datas(sse, "content_block_delta")] == ["ha", "ha", "ha"]


def test_a_reply_without_content_is_still_complete() -> None:
    assert [name for name, _ in frames(stream(finish()))] == ["message_start", "message_delta", "message_stop"]
    assert accumulated(stream(finish())).content == []


def test_text_goes_on_over_a_reference() -> None:
    reference = References((Reference("MIT", "a/b", "https://example.org", 0, 2),))
    sse = stream(TextDelta("a"), reference, TextDelta("b"), finish())
    assert [data["index"] for data in datas(sse, "content_block_start")] == [0]


def test_references_and_links_stand_beside_the_content() -> None:
    events: list[Event] = [
        TextDelta("a"),
        References((Reference("MIT", "a/b", "https://example.org/b", 0, 1),)),
        WebLinks((WebLink("https://example.org/", "Example", "It is an example."),)),
        finish(),
    ]
    beside = snapshot(
        {
            "references": [
                {"license_name": "MIT", "repository": "a/b", "url": "https://example.org/b", "start": 0, "end": 1}
            ],
            "web_links": [{"url": "https://example.org/", "title": "Example", "snippet": "It is an example."}],
        }
    )
    assert datas(stream(*events), "message_delta")[0]["qrelay"] == beside
    reply = json.loads(whole("msg_1", "claude-x", fold(events)))
    assert reply["qrelay"] == beside
    assert reply["content"] == [{"type": "text", "text": "a"}]
    Message.model_validate(reply, strict=True)


@pytest.mark.parametrize("reason", get_args(StopReason))
def test_every_stop_reason_is_one_the_sdk_knows(reason: StopReason) -> None:
    sequence = "END" if reason == "stop_sequence" else None
    told = accumulated(stream(TextDelta("a"), finish(reason, sequence)))
    assert told.stop_sequence == sequence
    assert told.stop_reason == ("model_context_window_exceeded" if reason == "context_window" else reason)


def test_estimated_figures_say_so_and_others_do_not() -> None:
    guess = Finish("end_turn", Usage(input_tokens=1, output_tokens=1, estimated=True))
    assert datas(stream(guess), "message_delta")[0]["usage"]["estimated"] is True
    assert json.loads(whole("msg_1", "m", fold([guess])))["usage"]["estimated"] is True
    assert "estimated" not in datas(stream(finish()), "message_delta")[0]["usage"]


# What happens to clients without it: CLIENTS.md (b), the table of mutations.


def test_message_start_has_usage_with_the_cache_fields() -> None:
    usage = datas(stream(finish()), "message_start")[0]["message"]["usage"]
    assert usage == {
        "input_tokens": 0,
        "output_tokens": 0,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    }


def test_message_start_has_id_model_role_and_empty_content() -> None:
    message = datas(stream(finish()), "message_start")[0]["message"]
    del message["usage"]
    assert message == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def test_message_delta_has_the_final_usage() -> None:
    usage = Usage(input_tokens=12, output_tokens=3, cache_read_tokens=4, cache_write_tokens=5)
    told = accumulated(stream(TextDelta("a"), Finish("end_turn", usage))).usage
    assert (told.input_tokens, told.output_tokens) == (12, 3)
    assert (told.cache_read_input_tokens, told.cache_creation_input_tokens) == (4, 5)


def test_message_stop_comes_once_and_last() -> None:
    names = [name for name, _ in frames(stream(*EVERYTHING))]
    assert names.count("message_stop") == 1
    assert names[-1] == "message_stop"
    assert b"[DONE]" not in stream(*EVERYTHING)


def test_every_block_is_started_and_stopped_with_its_index_before_the_next() -> None:
    edges = [
        (name, data["index"])
        for name, data in frames(stream(*EVERYTHING))
        if name in {"content_block_start", "content_block_stop"}
    ]
    assert edges == [(name, n) for n in range(4) for name in ("content_block_start", "content_block_stop")]


def test_every_event_has_a_name_line_that_equals_its_type() -> None:
    assert all(name == data["type"] for name, data in frames(stream(*EVERYTHING)))
    assert all(each.startswith(b"event: ") for each in stream(*EVERYTHING).split(b"\n\n") if each)


def test_a_text_block_starts_with_an_empty_text() -> None:
    block = datas(stream(TextDelta("a"), finish()), "content_block_start")[0]["content_block"]
    assert block == {"type": "text", "text": ""}


def test_a_tool_use_starts_with_an_empty_input() -> None:
    block = datas(stream(*TOOL, finish("tool_use")), "content_block_start")[0]["content_block"]
    assert block == {"type": "tool_use", "id": "tooluse_1", "name": "Bash", "input": {}}


def test_tool_input_is_streamed_as_it_comes() -> None:
    deltas = [data["delta"] for data in datas(stream(*TOOL, finish("tool_use")), "content_block_delta")]
    assert [delta["partial_json"] for delta in deltas] == ['{"command": "l', 's"}']


def test_thinking_has_one_signature_before_its_stop_even_without_one() -> None:
    for events, signature in (
        ([ReasoningDelta("a"), ReasoningSignature("s")], "s"),
        ([ReasoningDelta("a")], ""),
        ([ReasoningSignature("s")], "s"),
    ):
        sse = stream(*events, TextDelta("b"), finish())
        block = datas(sse, "content_block_start")[0]["content_block"]
        assert block == {"type": "thinking", "thinking": "", "signature": ""}
        first = [data for name, data in frames(sse) if name != "message_start" and data.get("index") == 0]
        assert [data["type"] for data in first][-2:] == ["content_block_delta", "content_block_stop"]
        signatures = [data["delta"] for data in first if data.get("delta", {}).get("type") == "signature_delta"]
        assert signatures == [{"type": "signature_delta", "signature": signature}]


def test_only_events_that_the_strictest_client_knows() -> None:
    known = {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    }
    assert {name for name, _ in frames(stream(*EVERYTHING))} == known
    for _, data in frames(stream(*EVERYTHING)):
        EVENTS.validate_json(json.dumps(data), strict=True)


def test_the_ping_is_one_the_clients_skip() -> None:
    assert frames(MESSAGES.ping) == [("ping", {"type": "ping"})]


# Failures


def _failed(*events: Event) -> bytes:
    writer = Writer("msg_1", "claude-x")
    sse = writer.start() + writer.feed(events)
    return sse + writer.fail(RelayError(ErrorCode.upstream_overloaded, "Too busy."))


def test_a_failure_closes_the_block_and_tells_the_error() -> None:
    assert _failed(TextDelta("a"))[len(Writer("msg_1", "claude-x").start()) :].decode() == snapshot("""\
event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: error
data: {"type":"error","error":{"type":"overloaded_error","message":"Too busy. Try again shortly or choose another model."}}

""")  # noqa: E501 - the wire has no shorter lines


def test_a_failure_before_any_block_is_one_event() -> None:
    assert [name for name, _ in frames(_failed())] == ["message_start", "error"]


@pytest.mark.parametrize("inputs", [[], ["{"], ['{"command": "rm -rf /tmp/a']])
def test_a_tool_use_that_was_cut_can_not_be_run(inputs: list[str]) -> None:
    """Some clients read an empty input as one without arguments."""
    sse = _failed(*TOOL, ToolUseStart("tooluse_2", "Bash"), *map(ToolInputDelta, inputs))
    told = "".join(data["delta"]["partial_json"] for data in datas(sse, "content_block_delta") if data["index"] == 1)
    assert told
    with pytest.raises(json.JSONDecodeError):
        json.loads(told)
    assert [name for name, _ in frames(sse)][-2:] == ["content_block_stop", "error"]
