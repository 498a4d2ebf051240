"""The exact bytes, and each row of CLIENTS.md (b) "OpenAI Responses" with a test that fails if the detail is lost."""

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
from tests.apis.loopback import STAMP, streamed
from tests.apis.openai_responses.streams import ask, payloads

USAGE = Usage(input_tokens=10, output_tokens=5, cache_read_tokens=200, cache_write_tokens=30)
END = Finish("end_turn", USAGE)
WEATHER = [
    ToolUseStart("tooluse_1", "get_weather"),
    ToolInputDelta('{"city":'),
    ToolInputDelta(' "Paris"}'),
    ToolUseEnd(),
]
TOOLS_END = Finish("tool_use", USAGE)
SEALED = {"include": ["reasoning.encrypted_content"]}


def whole(events: Sequence[Event], **members: Any) -> Any:
    return json.loads(ask(**members).whole(fold(events)))


def told(events: Sequence[Event], **members: Any) -> list[Any]:
    """The stream's events without what every one has, and without the response objects around them."""
    stream = payloads(streamed(ask(**members), events))
    return [{key: value for key, value in event.items() if key != "sequence_number"} for event in stream[2:-1]]


def kinds(events: Sequence[Event], **members: Any) -> list[str]:
    stream = payloads(streamed(ask(**members), events))
    return [event["type"].removeprefix("response.") for event in stream]


def test_two_events_on_the_wire() -> None:
    stream = streamed(ask(), [TextDelta("Hé"), END]).decode().split("\n\n")
    assert stream[2] == snapshot("""\
event: response.output_item.added
data: {"type":"response.output_item.added","output_index":0,"item":{"id":"msg_0123abcd_0","type":"message","status":"in_progress","role":"assistant","content":[]},"sequence_number":2}\
""")  # noqa: E501 - the bytes as they are sent
    assert stream[4] == snapshot("""\
event: response.output_text.delta
data: {"type":"response.output_text.delta","item_id":"msg_0123abcd_0","output_index":0,"content_index":0,"delta":"Hé","logprobs":[],"sequence_number":4}\
""")  # noqa: E501 - the bytes as they are sent


def test_a_text() -> None:
    assert told([TextDelta("Hé"), TextDelta("y\n"), END]) == snapshot(
        [
            {
                "type": "response.output_item.added",
                "output_index": 0,
                "item": {
                    "id": "msg_0123abcd_0",
                    "type": "message",
                    "status": "in_progress",
                    "role": "assistant",
                    "content": [],
                },
            },
            {
                "type": "response.content_part.added",
                "item_id": "msg_0123abcd_0",
                "output_index": 0,
                "content_index": 0,
                "part": {"type": "output_text", "text": "", "annotations": [], "logprobs": []},
            },
            {
                "type": "response.output_text.delta",
                "item_id": "msg_0123abcd_0",
                "output_index": 0,
                "content_index": 0,
                "delta": "Hé",
                "logprobs": [],
            },
            {
                "type": "response.output_text.delta",
                "item_id": "msg_0123abcd_0",
                "output_index": 0,
                "content_index": 0,
                "delta": "y\n",
                "logprobs": [],
            },
            {
                "type": "response.output_text.done",
                "item_id": "msg_0123abcd_0",
                "output_index": 0,
                "content_index": 0,
                "text": "Héy\n",
                "logprobs": [],
            },
            {
                "type": "response.content_part.done",
                "item_id": "msg_0123abcd_0",
                "output_index": 0,
                "content_index": 0,
                "part": {"type": "output_text", "text": "Héy\n", "annotations": [], "logprobs": []},
            },
            {
                "type": "response.output_item.done",
                "output_index": 0,
                "item": {
                    "id": "msg_0123abcd_0",
                    "type": "message",
                    "status": "completed",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "Héy\n", "annotations": [], "logprobs": []}],
                },
            },
        ]
    )


def test_a_whole_response() -> None:
    assert whole([TextDelta("Hé"), TextDelta("y\n"), END]) == snapshot(
        {
            "id": "resp_0123abcd",
            "object": "response",
            "created_at": 1700000000,
            "completed_at": 1700000000,
            "status": "completed",
            "error": None,
            "incomplete_details": None,
            "model": "claude-sonnet-4-5",
            "output": [
                {
                    "id": "msg_0123abcd_0",
                    "type": "message",
                    "status": "completed",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "Héy\n", "annotations": [], "logprobs": []}],
                }
            ],
            "usage": {
                "input_tokens": 240,
                "input_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 30},
                "output_tokens": 5,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": 245,
            },
            "background": False,
            "instructions": None,
            "max_output_tokens": None,
            "max_tool_calls": None,
            "metadata": {},
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "prompt_cache_key": None,
            "reasoning": {"effort": None, "summary": None},
            "safety_identifier": None,
            "service_tier": "default",
            "store": False,
            "temperature": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_logprobs": 0,
            "top_p": 1.0,
            "truncation": "disabled",
            "user": None,
        }
    )


def test_the_stream_begins_and_ends_with_the_response() -> None:
    first, second, *_, last = payloads(streamed(ask(), [TextDelta("a"), END]))
    assert (first["type"], second["type"], last["type"]) == (
        "response.created",
        "response.in_progress",
        "response.completed",
    )
    assert first["response"] == second["response"]
    assert first["response"]["status"] == "in_progress"
    assert first["response"]["output"] == []
    assert first["response"]["usage"] is None
    assert first["response"].keys() == last["response"].keys()
    assert last["response"] == whole([TextDelta("a"), END])


def test_completed_at_is_when_it_was_completed() -> None:
    times = iter([100.0, 107.9])
    call = ask(stamp=STAMP._replace(now=lambda: next(times)))
    begun, _, *_, ended = payloads(streamed(call, [TextDelta("a"), END]))
    assert (begun["response"]["created_at"], begun["response"]["completed_at"]) == (100, None)
    assert (ended["response"]["created_at"], ended["response"]["completed_at"]) == (100, 107)
    times = iter([100.0, 107.9])
    told = json.loads(ask(stamp=STAMP._replace(now=lambda: next(times))).whole(fold([TextDelta("a"), END])))
    assert (told["created_at"], told["completed_at"]) == (100, 107)


def test_what_was_not_completed_has_no_such_time() -> None:
    cut = Finish("max_tokens", Usage())
    assert whole([TextDelta("a"), cut])["completed_at"] is None
    assert payloads(streamed(ask(), [TextDelta("a"), cut]))[-1]["response"]["completed_at"] is None
    broken = RelayError(ErrorCode.upstream_protocol, "It broke.")
    assert payloads(streamed(ask(), [TextDelta("a")], broken))[-1]["response"]["completed_at"] is None


def test_all_members_are_always_there() -> None:
    text = """
        id object created_at completed_at status background error incomplete_details instructions max_output_tokens
        max_tool_calls model output parallel_tool_calls previous_response_id reasoning store temperature text
        tool_choice tools top_p truncation usage user metadata service_tier top_logprobs presence_penalty
        frequency_penalty safety_identifier prompt_cache_key
    """
    members = set(text.split())
    assert members <= whole([END]).keys()


def test_a_call() -> None:
    assert told([*WEATHER, TOOLS_END]) == snapshot(
        [
            {
                "type": "response.output_item.added",
                "output_index": 0,
                "item": {
                    "id": "fc_0123abcd_0",
                    "type": "function_call",
                    "status": "in_progress",
                    "call_id": "tooluse_1",
                    "name": "get_weather",
                    "arguments": "",
                },
            },
            {
                "type": "response.function_call_arguments.delta",
                "item_id": "fc_0123abcd_0",
                "output_index": 0,
                "delta": '{"city":',
            },
            {
                "type": "response.function_call_arguments.delta",
                "item_id": "fc_0123abcd_0",
                "output_index": 0,
                "delta": ' "Paris"}',
            },
            {
                "type": "response.function_call_arguments.done",
                "item_id": "fc_0123abcd_0",
                "output_index": 0,
                "name": "get_weather",
                "arguments": '{"city": "Paris"}',
            },
            {
                "type": "response.output_item.done",
                "output_index": 0,
                "item": {
                    "id": "fc_0123abcd_0",
                    "type": "function_call",
                    "status": "completed",
                    "call_id": "tooluse_1",
                    "name": "get_weather",
                    "arguments": '{"city": "Paris"}',
                },
            },
        ]
    )


def test_reasoning() -> None:
    events = [ReasoningDelta("let "), ReasoningDelta("me"), ReasoningSignature("c2ln"), TextDelta("a"), END]
    assert told(events, **SEALED)[:7] == snapshot(
        [
            {
                "type": "response.output_item.added",
                "output_index": 0,
                "item": {
                    "id": "rs_0123abcd_0",
                    "type": "reasoning",
                    "status": "in_progress",
                    "summary": [],
                    "encrypted_content": None,
                },
            },
            {
                "type": "response.reasoning_summary_part.added",
                "item_id": "rs_0123abcd_0",
                "output_index": 0,
                "summary_index": 0,
                "part": {"type": "summary_text", "text": ""},
            },
            {
                "type": "response.reasoning_summary_text.delta",
                "item_id": "rs_0123abcd_0",
                "output_index": 0,
                "summary_index": 0,
                "delta": "let ",
            },
            {
                "type": "response.reasoning_summary_text.delta",
                "item_id": "rs_0123abcd_0",
                "output_index": 0,
                "summary_index": 0,
                "delta": "me",
            },
            {
                "type": "response.reasoning_summary_text.done",
                "item_id": "rs_0123abcd_0",
                "output_index": 0,
                "summary_index": 0,
                "text": "let me",
            },
            {
                "type": "response.reasoning_summary_part.done",
                "item_id": "rs_0123abcd_0",
                "output_index": 0,
                "summary_index": 0,
                "part": {"type": "summary_text", "text": "let me"},
            },
            {
                "type": "response.output_item.done",
                "output_index": 0,
                "item": {
                    "id": "rs_0123abcd_0",
                    "type": "reasoning",
                    "status": "completed",
                    "summary": [{"type": "summary_text", "text": "let me"}],
                    "encrypted_content": "signed.c2ln",
                },
            },
        ]
    )
    assert "encrypted_content" not in str(told(events))
    assert "c2ln" not in str(told(events))


def test_redacted_reasoning_is_an_item_without_text() -> None:
    assert told([RedactedReasoning("c2VjcmV0"), END], **SEALED) == snapshot(
        [
            {
                "type": "response.output_item.added",
                "output_index": 0,
                "item": {
                    "id": "rs_0123abcd_0",
                    "type": "reasoning",
                    "status": "in_progress",
                    "summary": [],
                    "encrypted_content": None,
                },
            },
            {
                "type": "response.output_item.done",
                "output_index": 0,
                "item": {
                    "id": "rs_0123abcd_0",
                    "type": "reasoning",
                    "status": "completed",
                    "summary": [],
                    "encrypted_content": "redacted.c2VjcmV0",
                },
            },
        ]
    )


def test_a_signature_alone_is_an_item() -> None:
    (item,) = whole([ReasoningSignature("c2ln"), END], **SEALED)["output"]
    assert (item["summary"], item["encrypted_content"]) == ([], "signed.c2ln")
    assert kinds([ReasoningSignature("c2ln"), END])[2:-1] == ["output_item.added", "output_item.done"]


def test_parts_in_a_row() -> None:
    events = [ReasoningDelta("r"), TextDelta("a"), *WEATHER, TextDelta("b"), RedactedReasoning("AA=="), TOOLS_END]
    output = whole(events)["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", "function_call", "message", "reasoning"]
    assert [item["id"] for item in output] == [
        "rs_0123abcd_0",
        "msg_0123abcd_1",
        "fc_0123abcd_2",
        "msg_0123abcd_3",
        "rs_0123abcd_4",
    ]
    assert payloads(streamed(ask(), events))[-1]["response"]["output"] == output


@pytest.mark.parametrize(
    ("stop_reason", "status", "reason"),
    [
        ("end_turn", "completed", None),
        ("stop_sequence", "completed", None),
        ("tool_use", "completed", None),
        ("max_tokens", "incomplete", "max_output_tokens"),
        ("context_window", "incomplete", "max_output_tokens"),
        ("refusal", "incomplete", "content_filter"),
    ],
)
def test_how_it_stopped(stop_reason: StopReason, status: str, reason: str | None) -> None:
    events = [*WEATHER, TextDelta("a"), Finish(stop_reason, USAGE)]
    response = whole(events)
    assert response["status"] == status
    assert response["incomplete_details"] == (None if reason is None else {"reason": reason})
    assert [item["status"] for item in response["output"]] == ["completed", status]
    last = payloads(streamed(ask(), events))[-1]
    assert last["type"] == f"response.{status}"
    assert last["response"] == response


def test_usage() -> None:
    assert whole([END])["usage"] == snapshot(
        {
            "input_tokens": 240,
            "input_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 30},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 245,
        }
    )
    assert whole([Finish("end_turn", Usage(input_tokens=1, estimated=True))])["usage"]["estimated"] is True


CUSTOM = [{"type": "custom", "name": "apply_patch", "description": "D"}]


def test_a_custom_call() -> None:
    events = [
        ToolUseStart("tooluse_1", "apply_patch"),
        ToolInputDelta('{"input": "*** Begin'),
        ToolInputDelta(' \\"P\\"\\n"}'),
        ToolUseEnd(),
        TOOLS_END,
    ]
    assert told(events, tools=CUSTOM) == snapshot(
        [
            {
                "type": "response.output_item.added",
                "output_index": 0,
                "item": {
                    "id": "ctc_0123abcd_0",
                    "type": "custom_tool_call",
                    "status": "in_progress",
                    "call_id": "tooluse_1",
                    "name": "apply_patch",
                    "input": "",
                },
            },
            {
                "type": "response.custom_tool_call_input.delta",
                "item_id": "ctc_0123abcd_0",
                "output_index": 0,
                "delta": "*** Begin",
            },
            {
                "type": "response.custom_tool_call_input.delta",
                "item_id": "ctc_0123abcd_0",
                "output_index": 0,
                "delta": ' "P"\n',
            },
            {
                "type": "response.custom_tool_call_input.done",
                "item_id": "ctc_0123abcd_0",
                "output_index": 0,
                "name": "apply_patch",
                "input": '*** Begin "P"\n',
            },
            {
                "type": "response.output_item.done",
                "output_index": 0,
                "item": {
                    "id": "ctc_0123abcd_0",
                    "type": "custom_tool_call",
                    "status": "completed",
                    "call_id": "tooluse_1",
                    "name": "apply_patch",
                    "input": '*** Begin "P"\n',
                },
            },
        ]
    )


@pytest.mark.parametrize("arguments", ['{"patch": "x"}', '{"input": 5}', "{}"])
def test_a_custom_call_of_another_shape_loses_nothing(arguments: str) -> None:
    events = [ToolUseStart("t", "apply_patch"), ToolInputDelta(arguments), ToolUseEnd(), TOOLS_END]
    _, delta, done, item = told(events, tools=CUSTOM)
    assert delta["delta"] == done["input"] == item["item"]["input"] == arguments


NAMESPACE = [
    {
        "type": "namespace",
        "name": "agents",
        "description": "Sub-agents.",
        "tools": [{"type": "function", "name": "spawn"}, {"type": "custom", "name": "tell"}],
    }
]


def test_a_call_goes_back_with_its_namespace() -> None:
    events = [ToolUseStart("t1", "agents__spawn"), ToolInputDelta("{}"), ToolUseEnd()]
    events += [ToolUseStart("t2", "agents__tell"), ToolInputDelta('{"input":"x"}'), ToolUseEnd(), TOOLS_END]
    for item in whole(events, tools=NAMESPACE)["output"]:
        assert item["namespace"] == "agents"
        assert item["name"] in {"spawn", "tell"}
    items = [event["item"] for event in told(events, tools=NAMESPACE) if "item" in event]
    assert [(item["name"], item["namespace"]) for item in items] == [("spawn", "agents")] * 2 + [("tell", "agents")] * 2


def test_links_are_on_the_text_that_ends_the_reply() -> None:
    links = WebLinks((WebLink("https://example.org/a", "A", "about a"), WebLink("https://example.org/b", "B")))
    events = [TextDelta("see "), links, TextDelta("it"), END]
    assert kinds(events)[4:] == [
        "output_text.delta",
        "output_text.delta",
        "output_text.annotation.added",
        "output_text.annotation.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    response = whole(events)
    assert response["output"][0]["content"][0]["annotations"] == snapshot(
        [
            {"type": "url_citation", "url": "https://example.org/a", "title": "A", "start_index": 0, "end_index": 0},
            {"type": "url_citation", "url": "https://example.org/b", "title": "B", "start_index": 0, "end_index": 0},
        ]
    )
    assert "qrelay" not in response


def test_what_has_no_place_is_beside() -> None:
    events = [
        TextDelta("a"),
        References((Reference("MIT", "repo", "https://example.org/code", 0, 4),)),
        WebLinks((WebLink("https://example.org/a", "A"),)),
        *WEATHER,
        TOOLS_END,
    ]
    response = whole(events)
    assert response["qrelay"] == snapshot(
        {
            "references": [
                {"license_name": "MIT", "repository": "repo", "url": "https://example.org/code", "start": 0, "end": 4}
            ],
            "web_links": [{"url": "https://example.org/a", "title": "A", "snippet": ""}],
        }
    )
    assert payloads(streamed(ask(), events))[-1]["response"] == response


def test_the_request_is_told_again() -> None:
    members: dict[str, Any] = {
        "instructions": "be brief",
        "max_output_tokens": 100,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "prompt_cache_key": "k",
        "reasoning": {"effort": "low"},
        "safety_identifier": "s",
        "temperature": 0.5,
        "text": {"format": {"type": "json_schema", "name": "P", "schema": {"type": "object"}}, "verbosity": "low"},
        "tool_choice": {"type": "function", "name": "t"},
        "top_p": 0.25,
        "truncation": "auto",
        "user": "u",
    }
    tools = [
        {"type": "function", "name": "t"},
        {"type": "function", "name": "u", "description": "U", "parameters": {"x": 1.0}, "strict": True},
        {"type": "web_search"},
        *CUSTOM,
        *NAMESPACE,
    ]
    response = whole([END], tools=tools, **members)
    assert {key: response[key] for key in members} == members | {"reasoning": {"effort": "low", "summary": None}}
    assert response["tools"] == [
        {"type": "function", "name": "t", "description": None, "parameters": None, "strict": False},
        tools[1],
        *CUSTOM,
        *NAMESPACE,
    ]


@pytest.mark.parametrize(
    ("asked", "honoured"),
    [(None, "auto"), ("none", "none"), ("required", "auto"), ({"type": "web_search_preview"}, "auto")],
)
def test_the_choice_is_told_as_it_is_honoured(asked: Any, honoured: str) -> None:
    assert whole([END], tool_choice=asked)["tool_choice"] == honoured


CUT = RelayError(ErrorCode.upstream_protocol, "The answer was cut.")


def test_a_failure_ends_the_text_as_incomplete() -> None:
    stream = payloads(streamed(ask(), [ReasoningDelta("r"), ReasoningSignature("AA=="), TextDelta("a")], CUT))
    assert [event["type"].removeprefix("response.") for event in stream[-4:]] == [
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "failed",
    ]
    response = stream[-1]["response"]
    assert response["status"] == "failed"
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]
    assert response["error"] == snapshot(
        {"code": "server_error", "message": "The answer was cut. Try again; the service's answer was damaged or cut."}
    )


def test_a_failure_never_ends_a_call() -> None:
    """Codex runs what it is told is done."""
    stream = payloads(streamed(ask(), [TextDelta("a"), *WEATHER[:2]], CUT))
    done = [event["item"]["type"] for event in stream if event["type"] == "response.output_item.done"]
    assert done == ["message"]
    assert [item["type"] for item in stream[-1]["response"]["output"]] == ["message"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (ErrorCode.context_too_long, "context_length_exceeded"),
        (ErrorCode.quota_exhausted, "insufficient_quota"),
        (ErrorCode.account_throttled, "rate_limit_exceeded"),
        (ErrorCode.upstream_overloaded, "server_is_overloaded"),
        (ErrorCode.upstream_failed, "server_error"),
        (ErrorCode.internal, "server_error"),
        (ErrorCode.upstream_rejected, "invalid_prompt"),
    ],
)
def test_the_codes_that_codex_acts_on(code: ErrorCode, told: str) -> None:
    failed = payloads(streamed(ask(), [], RelayError(code, "No.")))[-1]
    assert failed["response"]["error"]["code"] == told


def test_a_rate_limit_says_how_long() -> None:
    error = RelayError(ErrorCode.account_throttled, "Too fast.", retry_after=2.6)
    assert "try again in 3s" in payloads(streamed(ask(), [], error))[-1]["response"]["error"]["message"]


def test_close_needs_the_finish() -> None:
    with pytest.raises(ValueError, match="before Finish"):
        ask().writer().close()
