"""The exact bytes, and each numbered rule of CLIENTS.md (b) "OpenAI Chat Completions" with a test of its own."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from inline_snapshot import snapshot

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
from tests.apis.loopback import streamed
from tests.apis.openai_chat.streams import added_up, ask, deltas, payloads

USAGE = Usage(input_tokens=10, output_tokens=5, cache_read_tokens=200, cache_write_tokens=30)
END = Finish("end_turn", USAGE)
WEATHER = [
    ToolUseStart("tooluse_1", "get_weather"),
    ToolInputDelta('{"city":'),
    ToolInputDelta(' "Paris"}'),
    ToolUseEnd(),
]
TOOLS_END = Finish("tool_use", USAGE)


def whole(events: Sequence[Event], **members: Any) -> Any:
    return json.loads(ask(**members).whole(fold(events)))


def test_a_text_on_the_wire() -> None:
    events = [TextDelta("Hé"), TextDelta("y\n"), END]
    assert streamed(ask(stream=True), events).decode() == snapshot("""\
data: {"id":"chatcmpl-0123abcd","object":"chat.completion.chunk","created":1700000000,"model":"claude-sonnet-4-5","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-0123abcd","object":"chat.completion.chunk","created":1700000000,"model":"claude-sonnet-4-5","choices":[{"index":0,"delta":{"content":"Hé"},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-0123abcd","object":"chat.completion.chunk","created":1700000000,"model":"claude-sonnet-4-5","choices":[{"index":0,"delta":{"content":"y\\n"},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-0123abcd","object":"chat.completion.chunk","created":1700000000,"model":"claude-sonnet-4-5","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}

data: [DONE]

""")  # noqa: E501 - the bytes as they are sent


def test_the_same_text_whole() -> None:
    assert whole([TextDelta("Hé"), TextDelta("y\n"), END]) == snapshot(
        {
            "id": "chatcmpl-0123abcd",
            "object": "chat.completion",
            "created": 1700000000,
            "model": "claude-sonnet-4-5",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "Héy\n", "refusal": None, "annotations": []},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {
                "prompt_tokens": 240,
                "completion_tokens": 5,
                "total_tokens": 245,
                "prompt_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 30},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        }
    )


def test_rule_1_the_first_chunk_has_the_role_and_empty_content() -> None:
    assert deltas(streamed(ask(), [TextDelta("a"), END]))[0] == {"role": "assistant", "content": ""}


def test_rule_1_content_is_null_when_a_tool_call_comes_first() -> None:
    assert deltas(streamed(ask(), [*WEATHER, TOOLS_END]))[0] == {"role": "assistant", "content": None}


def test_rule_1_the_role_comes_once() -> None:
    told = deltas(streamed(ask(), [TextDelta("a"), *WEATHER, TextDelta("b"), TOOLS_END]))
    assert ["role" in delta for delta in told] == [True] + [False] * (len(told) - 1)


def test_rule_2_text_is_content() -> None:
    assert deltas(streamed(ask(), [TextDelta("a"), TextDelta("a"), END]))[1:3] == [{"content": "a"}, {"content": "a"}]


def test_rule_3_only_the_first_delta_of_a_call_names_it() -> None:
    events = [*WEATHER, ToolUseStart("tooluse_2", "now"), ToolInputDelta("{}"), ToolUseEnd(), TOOLS_END]
    assert deltas(streamed(ask(), events))[1:-1] == snapshot(
        [
            {
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "tooluse_1",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": ""},
                    }
                ]
            },
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": ' "Paris"}'}}]},
            {
                "tool_calls": [
                    {"index": 1, "id": "tooluse_2", "type": "function", "function": {"name": "now", "arguments": ""}}
                ]
            },
            {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        ]
    )


def test_rule_3_the_type_of_a_call_is_function() -> None:
    (call,) = whole([*WEATHER, TOOLS_END])["choices"][0]["message"]["tool_calls"]
    assert call == {
        "id": "tooluse_1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
    }


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_calls"),
        ("max_tokens", "length"),
        ("context_window", "length"),
        ("refusal", "content_filter"),
    ],
)
def test_rule_4_every_stream_has_one_finish_reason(stop_reason: StopReason, finish_reason: str) -> None:
    events = [TextDelta("a"), Finish(stop_reason, USAGE)]
    choices = [chunk["choices"][0] for chunk in payloads(streamed(ask(), events))[:-1]]
    assert [choice["finish_reason"] for choice in choices] == [None, None, finish_reason]
    assert choices[-1]["delta"] == {}
    assert whole(events)["choices"][0]["finish_reason"] == finish_reason


def test_rule_4_a_reply_with_calls_never_ends_as_stop() -> None:
    assert added_up(streamed(ask(), [*WEATHER, END]))["finish_reason"] == "tool_calls"
    assert whole([*WEATHER, END])["choices"][0]["finish_reason"] == "tool_calls"


def test_rule_5_usage_is_null_on_every_chunk_and_then_alone() -> None:
    call = ask(stream_options={"include_usage": True})
    *chunks, last, _ = payloads(streamed(call, [TextDelta("a"), *WEATHER, TOOLS_END]))
    assert [chunk["usage"] for chunk in chunks] == [None] * len(chunks)
    assert last["choices"] == []
    assert last["usage"] == snapshot(
        {
            "prompt_tokens": 240,
            "completion_tokens": 5,
            "total_tokens": 245,
            "prompt_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 30},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }
    )
    assert last.keys() == chunks[0].keys()


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}, {"include_usage": None}])
def test_rule_5_no_usage_unless_asked(options: dict[str, Any] | None) -> None:
    chunks = payloads(streamed(ask(stream_options=options), [TextDelta("a"), END]))[:-1]
    assert all("usage" not in chunk and chunk["choices"] for chunk in chunks)


def test_rule_6_done_is_last() -> None:
    assert streamed(ask(), [TextDelta("a"), END]).endswith(b"\n\ndata: [DONE]\n\n")


def test_every_chunk_says_whose_it_is() -> None:
    call = ask(stream_options={"include_usage": True})
    for chunk in payloads(streamed(call, [ReasoningDelta("r"), TextDelta("a"), *WEATHER, TOOLS_END]))[:-1]:
        assert chunk["id"] == "chatcmpl-0123abcd"
        assert chunk["object"] == "chat.completion.chunk"
        assert chunk["created"] == 1_700_000_000
        assert chunk["model"] == "claude-sonnet-4-5"
        for choice in chunk["choices"]:
            assert choice["index"] == 0
            assert choice["logprobs"] is None


def test_estimates_say_so() -> None:
    usage = whole([TextDelta("a"), Finish("end_turn", Usage(input_tokens=3, output_tokens=1, estimated=True))])["usage"]
    assert usage["estimated"] is True
    assert usage["total_tokens"] == 4
    assert "estimated" not in whole([TextDelta("a"), END])["usage"]


def test_reasoning_is_beside_the_text() -> None:
    events = [ReasoningDelta("let "), ReasoningDelta("me"), ReasoningSignature("c2ln"), TextDelta("a"), END]
    assert deltas(streamed(ask(), events)) == snapshot(
        [
            {"role": "assistant", "content": ""},
            {"reasoning_content": "let "},
            {"reasoning_content": "me"},
            {"content": "a"},
            {},
        ]
    )
    assert whole(events)["choices"][0]["message"] == snapshot(
        {"role": "assistant", "content": "a", "refusal": None, "annotations": [], "reasoning_content": "let me"}
    )


def test_a_signature_and_redacted_reasoning_have_no_place() -> None:
    stream = streamed(ask(), [RedactedReasoning("c2VjcmV0"), ReasoningSignature("c2ln"), TextDelta("a"), END])
    assert deltas(stream) == [{"role": "assistant", "content": ""}, {"content": "a"}, {}]


def test_links_and_references_come_once_before_the_finish() -> None:
    events = [
        TextDelta("see "),
        WebLinks((WebLink("https://example.org/a", "A", "about a"),)),
        References((Reference("MIT", "repo", "https://example.org/code", 0, 4),)),
        TextDelta("it"),
        WebLinks((WebLink("https://example.org/b", "B"),)),
        END,
    ]
    assert deltas(streamed(ask(), events))[-2:] == snapshot(
        [
            {
                "annotations": [
                    {
                        "type": "url_citation",
                        "url_citation": {
                            "url": "https://example.org/a",
                            "title": "A",
                            "start_index": 0,
                            "end_index": 0,
                            "content": "about a",
                        },
                    },
                    {
                        "type": "url_citation",
                        "url_citation": {
                            "url": "https://example.org/b",
                            "title": "B",
                            "start_index": 0,
                            "end_index": 0,
                        },
                    },
                ],
                "qrelay": {
                    "references": [
                        {
                            "license_name": "MIT",
                            "repository": "repo",
                            "url": "https://example.org/code",
                            "start": 0,
                            "end": 4,
                        }
                    ]
                },
            },
            {},
        ]
    )
    message = whole(events)["choices"][0]["message"]
    assert (message["annotations"], message["qrelay"]) == snapshot(
        (
            [
                {
                    "type": "url_citation",
                    "url_citation": {
                        "url": "https://example.org/a",
                        "title": "A",
                        "start_index": 0,
                        "end_index": 0,
                        "content": "about a",
                    },
                },
                {
                    "type": "url_citation",
                    "url_citation": {"url": "https://example.org/b", "title": "B", "start_index": 0, "end_index": 0},
                },
            ],
            {
                "references": [
                    {
                        "license_name": "MIT",
                        "repository": "repo",
                        "url": "https://example.org/code",
                        "start": 0,
                        "end": 4,
                    }
                ]
            },
        )
    )


CUSTOM = [{"type": "custom", "custom": {"name": "apply_patch"}}]


def patch(*pieces: str) -> list[Event]:
    deltas = [ToolInputDelta(piece) for piece in pieces]
    return [ToolUseStart("tooluse_9", "apply_patch"), *deltas, ToolUseEnd(), TOOLS_END]


def test_a_custom_call_gets_its_text() -> None:
    events = patch('{"input": "*** Begin', ' \\"P\\"\\n\\u4f60"}')
    assert deltas(streamed(ask(tools=CUSTOM), events))[1:-1] == snapshot(
        [
            {
                "tool_calls": [
                    {"index": 0, "id": "tooluse_9", "type": "custom", "custom": {"name": "apply_patch", "input": ""}}
                ]
            },
            {"tool_calls": [{"index": 0, "custom": {"input": "*** Begin"}}]},
            {
                "tool_calls": [
                    {
                        "index": 0,
                        "custom": {
                            "input": """\
 "P"
你\
"""
                        },
                    }
                ]
            },
        ]
    )
    assert whole(events, tools=CUSTOM)["choices"][0]["message"]["tool_calls"] == snapshot(
        [
            {
                "id": "tooluse_9",
                "type": "custom",
                "custom": {
                    "name": "apply_patch",
                    "input": """\
*** Begin "P"
你\
""",
                },
            }
        ]
    )


@pytest.mark.parametrize("arguments", ['{"patch": "x"}', '{"input": 5}', "{}"])
def test_a_custom_call_of_another_shape_loses_nothing(arguments: str) -> None:
    (call,) = whole(patch(arguments), tools=CUSTOM)["choices"][0]["message"]["tool_calls"]
    assert call["custom"]["input"] == arguments


def test_a_function_of_the_same_request_stays_a_function() -> None:
    events = [*patch('{"input":"x"}')[:-1], *WEATHER, TOOLS_END]
    assert [call["type"] for call in whole(events, tools=CUSTOM)["choices"][0]["message"]["tool_calls"]] == [
        "custom",
        "function",
    ]
    _, call = added_up(streamed(ask(tools=CUSTOM), events))["message"]["tool_calls"]
    assert call["function"] == {"name": "get_weather", "arguments": '{"city": "Paris"}'}


FUNCTIONS = [{"name": "get_weather", "parameters": {"type": "object"}}]


def test_who_offers_functions_gets_a_function_call() -> None:
    events = [*WEATHER, TOOLS_END]
    assert deltas(streamed(ask(functions=FUNCTIONS), events)) == snapshot(
        [
            {"role": "assistant", "content": None},
            {"function_call": {"name": "get_weather", "arguments": ""}},
            {"function_call": {"arguments": '{"city":'}},
            {"function_call": {"arguments": ' "Paris"}'}},
            {},
        ]
    )
    choice = whole(events, functions=FUNCTIONS)["choices"][0]
    assert choice["message"]["function_call"] == {"name": "get_weather", "arguments": '{"city": "Paris"}'}
    assert "tool_calls" not in choice["message"]
    assert choice["finish_reason"] == "function_call"


def test_an_empty_reply_is_an_empty_string() -> None:
    assert whole([END])["choices"][0]["message"]["content"] == ""
    assert deltas(streamed(ask(), [END])) == [{"role": "assistant", "content": ""}, {}]


def test_a_failure_is_the_last_word() -> None:
    error = RelayError(ErrorCode.upstream_protocol, "The answer was cut.")
    stream = streamed(ask(stream_options={"include_usage": True}), [TextDelta("a")], error)
    assert payloads(stream)[-1] == snapshot(
        {
            "error": {
                "message": "The answer was cut. Try again; the service's answer was damaged or cut.",
                "type": "server_error",
                "param": None,
                "code": "upstream_protocol",
            }
        }
    )
    assert b"[DONE]" not in stream
    assert [choice["finish_reason"] for chunk in payloads(stream)[:-1] for choice in chunk["choices"]] == [None, None]


def test_close_needs_the_finish() -> None:
    writer = ask().writer()
    writer.feed([TextDelta("a")])
    with pytest.raises(ValueError, match="before Finish"):
        writer.close()
