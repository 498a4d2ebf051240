"""Frames to events: every event of PROTOCOL.md §3.2, the quirks of §3.4, and every way a reply can break."""

import json
from typing import Any

import pytest

from qrelay.completion import fold
from qrelay.conversation import Reasoning
from qrelay.errors import ErrorCode, RelayError
from qrelay.events import (
    Finish,
    ReasoningDelta,
    ReasoningSignature,
    RedactedReasoning,
    Reference,
    References,
    TextDelta,
    ToolInputDelta,
    ToolUseEnd,
    ToolUseStart,
    Usage,
    WebLink,
    WebLinks,
)
from qrelay.upstream.eventstream import encode
from qrelay.upstream.response import ReplyReader, TailPolicy

from .frames import END, ESTIMATE, event, exception, metadata, read, read_until_failure, text, tool, tool_steps

USAGE = Usage(input_tokens=10, output_tokens=5)
DONE = Finish("end_turn", USAGE)
DONE_TOOL = Finish("tool_use", USAGE)


def reasoning(**members: Any) -> bytes:
    return event("reasoningContentEvent", members)


def reference(**members: Any) -> bytes:
    return event("codeReferenceEvent", {"references": [members]})


# --- text -------------------------------------------------------------------------------------------------------------


def test_text_comes_as_it_is_sent() -> None:
    said = [TextDelta("Hel"), TextDelta("lo 你好"), TextDelta(" 😀")]
    assert read(text("Hel"), text("lo 你好"), text(" 😀"), END) == [*said, DONE]


def test_empty_and_null_deltas_say_nothing() -> None:
    assert read(text(""), event("assistantResponseEvent", {"content": None}), text("a"), END) == [TextDelta("a"), DONE]


def test_other_members_are_skipped() -> None:
    frame = event("assistantResponseEvent", {"content": "a", "modelId": "m", "newcomer": {"x": [1]}})
    assert read(frame, END) == [TextDelta("a"), DONE]


def test_code_is_text() -> None:
    assert read(event("codeEvent", {"content": "x = 1"}), END) == [TextDelta("x = 1"), DONE]


@pytest.mark.parametrize(
    "kind",
    [
        "initial-response",
        "messageMetadataEvent",
        "followupPromptEvent",
        "citationEvent",
        "documentCitationEvent",
        "toolResultEvent",
        "intentsEvent",
        "interactionComponentsEvent",
        "dryRunSucceedEvent",
        "messageStopEvent",
        "anythingNew",
    ],
)
@pytest.mark.parametrize("payload", [b"{}", b'{"conversationId":null}', b"", b"not json", b"[]"])
def test_events_without_use_here_are_skipped(kind: str, payload: bytes) -> None:
    assert read(text("a"), event(kind, raw=payload), text("b"), END) == [TextDelta("a"), TextDelta("b"), DONE]


def test_a_frame_without_any_header_is_skipped() -> None:
    assert read(encode({}, b"{}"), encode({":event-type": True}), text("a"), END) == [TextDelta("a"), DONE]


# --- the duplicate before a code reference ----------------------------------------------------------------------------


def test_the_duplicate_before_a_reference_is_dropped() -> None:
    found = reference(licenseName="MIT", repository="r", url="u", recommendationContentSpan={"start": 1, "end": 4})
    references = References((Reference("MIT", "r", "u", 1, 4),))
    assert read(text("x ="), text(" 1"), text("x = 1"), found, END) == [
        TextDelta("x ="),
        TextDelta(" 1"),
        references,
        DONE,
    ]


def test_text_before_a_reference_that_repeats_nothing_stays() -> None:
    assert read(text("x = 1"), text("y = 2"), reference(url="u"), END) == [
        TextDelta("x = 1"),
        TextDelta("y = 2"),
        References((Reference("", "", "u"),)),
        DONE,
    ]


def test_two_equal_deltas_are_two_deltas() -> None:
    assert read(text("ha"), text("ha"), text("ha"), END) == [TextDelta("ha"), TextDelta("ha"), TextDelta("ha"), DONE]


def test_only_a_repetition_waits_and_only_for_the_next_event() -> None:
    reader = ReplyReader(ESTIMATE)
    assert reader.feed(text("ha")) == [TextDelta("ha")]
    assert reader.feed(text("hi")) == [TextDelta("hi")]
    assert reader.feed(text("hi")) == []
    assert reader.feed(text("ho")) == [TextDelta("hi"), TextDelta("ho")]


@pytest.mark.parametrize(
    "following",
    [
        event("anythingNew"),
        event("assistantResponseEvent", {"content": None}),
        tool(),
        reasoning(text="hm"),
        metadata(),
        event("meteringEvent", {"usage": 1}),
        exception("throttlingException", {"message": "slow down"}),
        encode({":message-type": "error", ":error-code": "x"}),
        b"\x00" * 12,
    ],
)
def test_whatever_comes_next_releases_what_waited(following: bytes) -> None:
    reader = ReplyReader(ESTIMATE)
    assert reader.feed(text("a") + text("a")) == [TextDelta("a")]
    assert reader.feed(following)[0] == TextDelta("a")


def test_the_end_releases_what_waited() -> None:
    assert read(END, text("a"), text("a")) == [TextDelta("a"), TextDelta("a"), DONE]


@pytest.mark.parametrize(
    ("said", "repeated", "waits"),
    [
        (["ab"], "b", True),
        (["a", "b"], "ab", True),
        (["a", "b"], "cab", False),
        (["xa", "b"], "ab", True),
        (["xa", "b"], "cb", False),
        (["b"], "ab", False),
        (["ab"], "a", False),
    ],
)
def test_what_counts_as_a_repetition(said: list[str], repeated: str, waits: bool) -> None:
    reader = ReplyReader(ESTIMATE)
    reader.feed(b"".join(map(text, said)))
    assert (reader.feed(text(repeated)) == []) is waits


def test_a_reference_that_cannot_be_read_says_nothing() -> None:
    for payload in (b"", b"[]", b'{"references": null}', b'{"references": [{"url": 5}]}', b'{"references": []}'):
        assert read(text("a"), event("codeReferenceEvent", raw=payload), END) == [TextDelta("a"), DONE]


# --- web links --------------------------------------------------------------------------------------------------------


def test_web_links() -> None:
    links = [
        {"url": "https://a.example", "title": "A", "snippet": "…"},
        {"url": "https://b.example"},
        {"title": "none"},
    ]
    assert read(text("a"), event("supplementaryWebLinksEvent", {"supplementaryWebLinks": links}), END) == [
        TextDelta("a"),
        WebLinks((WebLink("https://a.example", "A", "…"), WebLink("https://b.example", "https://b.example"))),
        DONE,
    ]


def test_a_citation_is_a_link() -> None:
    cited = event(
        "citationEvent", {"target": {"location": 1}, "citationText": "a", "citationLink": "https://a.example"}
    )
    link = WebLink("https://a.example", "https://a.example", "a")
    assert read(text("a"), cited, text("b"), END) == [TextDelta("a"), WebLinks((link,)), TextDelta("b"), DONE]


@pytest.mark.parametrize(
    "payload", [b"", b'{"supplementaryWebLinks": null}', b'{"supplementaryWebLinks": [{"url":1}]}']
)
def test_links_that_cannot_be_read_say_nothing(payload: bytes) -> None:
    assert read(text("a"), event("supplementaryWebLinksEvent", raw=payload), END) == [TextDelta("a"), DONE]


# --- reasoning --------------------------------------------------------------------------------------------------------


def test_reasoning_with_its_signature() -> None:
    seen: list[tuple[str, str]] = []
    frames = [reasoning(text="Let me"), reasoning(text=" think"), reasoning(signature="sig"), text("So"), END]
    assert read(*frames, signed=lambda text, proof: seen.append((text, proof))) == [
        ReasoningDelta("Let me"),
        ReasoningDelta(" think"),
        ReasoningSignature("sig"),
        TextDelta("So"),
        DONE,
    ]
    assert seen == [("Let me think", "sig")]


def test_redacted_reasoning() -> None:
    seen: list[tuple[str, str]] = []
    assert read(reasoning(redactedContent="AAEC"), END, signed=lambda text, proof: seen.append((text, proof))) == [
        RedactedReasoning("AAEC"),
        DONE,
    ]
    assert seen == [("", "AAEC")]


def test_each_signature_vouches_for_its_own_part() -> None:
    seen: list[tuple[str, str]] = []
    frames = [reasoning(text="one", signature="s1"), reasoning(text="lost"), text("a"), reasoning(text="two")]
    read(*frames, reasoning(signature="s2"), END, signed=lambda text, proof: seen.append((text, proof)))
    assert seen == [("one", "s1"), ("two", "s2")]


def test_a_reference_does_not_end_reasoning() -> None:
    seen: list[tuple[str, str]] = []
    frames = [reasoning(text="one"), reference(url="u"), reasoning(text=" two"), reasoning(signature="s"), END]
    events = read(*frames, signed=lambda text, proof: seen.append((text, proof)))
    assert fold(events).parts == (Reasoning("one two", "s"),)
    assert seen == [("one two", "s")]


def test_reasoning_without_content_says_nothing() -> None:
    empty = reasoning(text=None, signature=None, redactedContent=None)
    assert read(reasoning(text=""), empty, text("a"), END) == [TextDelta("a"), DONE]


# --- tools ------------------------------------------------------------------------------------------------------------


def test_a_tool_in_four_steps() -> None:
    assert read(text("Look."), tool_steps("t1", "ls", '{"pa', 'th": "/"}'), END) == [
        TextDelta("Look."),
        ToolUseStart("t1", "ls"),
        ToolInputDelta('{"pa'),
        ToolInputDelta('th": "/"}'),
        ToolUseEnd(),
        DONE_TOOL,
    ]


@pytest.mark.parametrize(
    "frames",
    [
        [tool(input='{"a": 1}', stop=True)],
        [tool(), tool(input='{"a": 1}', stop=True)],
        [tool(input=None), tool(input='{"a": 1}'), tool(input="", stop=True), tool(input=None, stop=True)],
        [tool(), tool(None, None, input='{"a": 1}'), tool(None, None, stop=True)],
        [event("toolUseEvent", raw=b'{"toolUseId":"t1","name":"ls","input":{"a": 1},"stop":true}')],
        [event("toolUseEvent", raw=b'{"toolUseId":"t1","name":"ls","input":{"a": 1}}'), tool(stop=True)],
    ],
)
def test_the_forms_of_a_tool(frames: list[bytes]) -> None:
    assert read(*frames, END) == [ToolUseStart("t1", "ls"), ToolInputDelta('{"a": 1}'), ToolUseEnd(), DONE_TOOL]


@pytest.mark.parametrize("frames", [[tool(), tool(stop=True)], [tool(stop=True)], [tool(input="", stop=True)]])
def test_a_tool_without_input_has_an_empty_object(frames: list[bytes]) -> None:
    assert read(*frames, END) == [ToolUseStart("t1", "ls"), ToolInputDelta("{}"), ToolUseEnd(), DONE_TOOL]


def test_several_tools() -> None:
    assert read(tool_steps("t1", "ls", "{}"), tool_steps("t2", "cat", '{"f":1}'), END) == [
        ToolUseStart("t1", "ls"),
        ToolInputDelta("{}"),
        ToolUseEnd(),
        ToolUseStart("t2", "cat"),
        ToolInputDelta('{"f":1}'),
        ToolUseEnd(),
        DONE_TOOL,
    ]


def test_an_alias_is_undone() -> None:
    events = read(tool_steps("t1", "my_tool_1234", "{}"), END, original={"my_tool_1234": "my.tool"})
    assert events[0] == ToolUseStart("t1", "my.tool")


def test_input_arrives_as_it_is_told() -> None:
    reader = ReplyReader(ESTIMATE)
    assert reader.feed(tool()) == [ToolUseStart("t1", "ls")]
    assert reader.feed(tool(input='{"a"')) == [ToolInputDelta('{"a"')]
    assert reader.feed(tool(input=":1}")) == [ToolInputDelta(":1}")]
    assert reader.feed(tool(stop=True)) == [ToolUseEnd()]


def test_a_complete_tool_without_its_end_gives_way_to_text() -> None:
    assert read(tool(), tool(input='{"a":1}'), text("Done."), END) == [
        ToolUseStart("t1", "ls"),
        ToolInputDelta('{"a":1}'),
        ToolUseEnd(),
        TextDelta("Done."),
        DONE_TOOL,
    ]


def test_its_late_end_begins_no_new_tool() -> None:
    frames = [
        tool(),
        tool(input='{"a":1}'),
        *[tool("t2", "cat", input="{}")],
        tool(stop=True),
        tool("t2", "cat", stop=True),
    ]
    starts = [event for event in read(*frames, END) if isinstance(event, ToolUseStart)]
    assert starts == [ToolUseStart("t1", "ls"), ToolUseStart("t2", "cat")]


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (text("meanwhile"), [TextDelta("meanwhile")]),
        (reasoning(text="hm"), [ReasoningDelta("hm")]),
        (reference(url="u"), [References((Reference("", "", "u"),))]),
        (
            event("supplementaryWebLinksEvent", {"supplementaryWebLinks": [{"url": "u"}]}),
            [WebLinks((WebLink("u", "u"),))],
        ),
    ],
)
def test_what_comes_in_the_middle_of_a_tool_waits_for_its_end(frame: bytes, told: list[Any]) -> None:
    assert read(tool(), frame, tool(input='{"a"'), frame, tool(input=":1}"), tool(stop=True), END) == [
        ToolUseStart("t1", "ls"),
        ToolInputDelta('{"a"'),
        ToolInputDelta(":1}"),
        ToolUseEnd(),
        *told,
        *told,
        DONE_TOOL,
    ]


def test_interleaved_tools_come_one_after_the_other() -> None:
    a, b, c = ("a", "ls"), ("b", "cat"), ("c", "rm")
    frames = [
        tool(*a), tool(*b), tool(*c), tool(*a, input='{"x"'), tool(*b, input='{"y":2}'), tool(*c, stop=True),
        tool(*a, input=":1}"), tool(*b, stop=True), tool(*a, stop=True),
    ]  # fmt: skip
    assert read(*frames, END) == [
        ToolUseStart("a", "ls"),
        ToolInputDelta('{"x"'),
        ToolInputDelta(":1}"),
        ToolUseEnd(),
        ToolUseStart("b", "cat"),
        ToolInputDelta('{"y":2}'),
        ToolUseEnd(),
        ToolUseStart("c", "rm"),
        ToolInputDelta("{}"),
        ToolUseEnd(),
        DONE_TOOL,
    ]


@pytest.mark.parametrize(
    ("frames", "what"),
    [
        ([tool(None, None, input="{}")], "without its id"),
        ([tool("", "ls")], "without its id"),
        ([tool("t1", None)], "without the tool's name"),
        ([tool("t1", "")], "without the tool's name"),
        ([tool_steps("t1", "ls", "{}"), tool(input="{}")], "after its end"),
        ([tool_steps("t1", "ls", '{"a":')], "not a JSON object"),
        ([tool_steps("t1", "ls", "[1]")], "not a JSON object"),
        ([tool_steps("t1", "ls", "{}", "{}")], "not a JSON object"),
        ([tool(input=[1]), tool(stop=True)], "not a JSON object"),
        ([tool(input=5), tool(stop=True)], "not a JSON object"),
        ([tool_steps("t1", "ls", '{"a":' * 5000 + "1" + "}" * 5000)], "not a JSON object"),
    ],
)
def test_a_tool_that_is_none(frames: list[bytes], what: str) -> None:
    _, reader = read_until_failure(*frames)
    assert reader.failure is not None
    assert reader.failure.code is ErrorCode.upstream_protocol
    assert what in reader.failure.message


@pytest.mark.parametrize(
    "frames",
    [
        [tool()],
        [tool(), tool(input='{"a":')],
        [tool(), tool(input='{"a": 1}')],
        [tool(), tool(input='{"a":'), text("and so on")],
        [tool(), tool("t2", "cat"), tool("t2", "cat", stop=True)],
        [text("I'll write it."), tool(), tool(input='{"content": "half'), metadata("MAX_TOKENS")],
    ],
)
@pytest.mark.parametrize("framed", [True, False])
def test_a_tool_without_its_end_is_a_failure(frames: list[bytes], framed: bool) -> None:
    with pytest.raises(RelayError, match="in the middle of a tool's input") as caught:
        read(*frames, framed=framed, tail="never")
    assert caught.value.code is ErrorCode.upstream_protocol
    assert "smaller pieces" in caught.value.remedy


# --- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("END_TURN", "end_turn"),
        ("TOOL_USE", "end_turn"),
        ("MAX_TOKENS", "max_tokens"),
        ("STOP_SEQUENCE", "stop_sequence"),
        ("CONTENT_FILTERED", "refusal"),
        ("GUARDRAIL_INTERVENED", "refusal"),
        ("MODEL_CONTEXT_WINDOW_EXCEEDED", "context_window"),
        ("SOMETHING_NEW", "end_turn"),
        (None, "end_turn"),
    ],
)
def test_stop_reasons_of_text(told: str | None, reason: str) -> None:
    finish = read(text("a"), metadata(told))[-1]
    assert isinstance(finish, Finish)
    assert finish.stop_reason == reason


@pytest.mark.parametrize(
    ("told", "reason"),
    [("END_TURN", "tool_use"), ("TOOL_USE", "tool_use"), ("MAX_TOKENS", "max_tokens"), (None, "tool_use")],
)
def test_stop_reasons_after_a_tool(told: str | None, reason: str) -> None:
    finish = read(tool_steps("t1", "ls", "{}"), metadata(told))[-1]
    assert isinstance(finish, Finish)
    assert finish.stop_reason == reason


@pytest.mark.parametrize("told", ["MALFORMED_TOOL_USE", "MALFORMED_MODEL_OUTPUT"])
def test_malformed_output_is_a_failure(told: str) -> None:
    with pytest.raises(RelayError, match=told) as caught:
        read(text("a"), metadata(told))
    assert caught.value.code is ErrorCode.upstream_protocol


@pytest.mark.parametrize(
    ("tail", "framed", "arrived", "finished"),
    [
        ("auto", True, False, True),
        ("auto", False, False, False),
        ("auto", False, True, True),
        ("always", True, False, False),
        ("always", True, True, True),
        ("never", False, False, True),
    ],
)
def test_when_a_missing_tail_matters(tail: TailPolicy, framed: bool, arrived: bool, finished: bool) -> None:
    frames = [text("a"), event("meteringEvent", {"usage": 1})] if arrived else [text("a")]
    if finished:
        assert isinstance(read(*frames, framed=framed, tail=tail)[-1], Finish)
    else:
        with pytest.raises(RelayError, match="closing events are missing") as caught:
            read(*frames, framed=framed, tail=tail)
        assert caught.value.code is ErrorCode.upstream_protocol


@pytest.mark.parametrize(
    "frames", [[], [event("initial-response")], [text("")], [event("meteringEvent", {"usage": 1})]]
)
def test_an_answer_that_says_nothing_is_a_failure(frames: list[bytes]) -> None:
    with pytest.raises(RelayError, match="said nothing") as caught:
        read(*frames)
    assert caught.value.code is ErrorCode.upstream_protocol


def test_an_empty_answer_with_its_metadata_is_one() -> None:
    assert read(END) == [DONE]


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "code", "said"),
    [
        (exception("error", {"message": "m", "reason": None}), ErrorCode.upstream_failed, "m"),
        (exception("internalServerException", {"message": "m"}), ErrorCode.upstream_failed, "m"),
        (exception("throttlingException", {"message": "m"}), ErrorCode.account_throttled, "m"),
        (exception("validationException", {"message": "m"}), ErrorCode.upstream_rejected, "m"),
        (
            exception("validationException", {"message": "Input is too long."}),
            ErrorCode.context_too_long,
            "Input is too long.",
        ),
        (exception("serviceUnavailableException", {}), ErrorCode.upstream_overloaded, "ServiceUnavailableException"),
        (exception("somethingNew", None), ErrorCode.upstream_failed, "SomethingNew"),
        (encode({":message-type": "exception"}, b"plain words"), ErrorCode.upstream_failed, "plain words"),
        (
            encode({":message-type": "error", ":error-code": "InternalFailure", ":error-message": "oh"}),
            ErrorCode.upstream_failed,
            "oh",
        ),
        (
            encode({":message-type": "error", ":error-code": "ThrottlingException", ":error-message": ""}),
            ErrorCode.account_throttled,
            "ThrottlingException",
        ),
        (event("invalidStateEvent", {"reason": "R", "message": "m"}), ErrorCode.upstream_failed, "m"),
        (event("invalidStateEvent", {"reason": "R", "message": None}), ErrorCode.upstream_failed, "R"),
        (event("assistantResponseEvent", raw=b"{"), ErrorCode.upstream_protocol, "assistantResponseEvent"),
        (event("assistantResponseEvent", raw=b""), ErrorCode.upstream_protocol, "assistantResponseEvent"),
        (event("assistantResponseEvent", raw=b'{"content":5}'), ErrorCode.upstream_protocol, "assistantResponseEvent"),
        (event("assistantResponseEvent", raw=b'{"content":"\xff"}'), ErrorCode.upstream_protocol, "can't be read"),
        (event("toolUseEvent", raw=b"null"), ErrorCode.upstream_protocol, "toolUseEvent"),
        (event("toolUseEvent", raw=b'{"toolUseId":"t","name":"n","input":"\\ud83d"}'), ErrorCode.upstream_protocol, ""),
        (event("reasoningContentEvent", raw=b"[]"), ErrorCode.upstream_protocol, "reasoningContentEvent"),
        (event("metadataEvent", raw=b'{"stopReason":5}'), ErrorCode.upstream_protocol, "metadataEvent"),
        (event("metadataEvent", raw=b"[" * 9000), ErrorCode.upstream_protocol, "metadataEvent"),
        (b"\xff" * 12, ErrorCode.upstream_protocol, "damaged"),
    ],
)
def test_a_failure_after_some_text(frame: bytes, code: ErrorCode, said: str) -> None:
    events, reader = read_until_failure(text("Well"), frame, text("never"))
    assert events == [TextDelta("Well")]
    assert reader.failure is not None
    assert reader.failure.code is code
    assert said in reader.failure.message
    assert reader.feed(text("never")) == []
    failure = reader.failure
    assert reader.close(framed=True) == []
    assert reader.failure is failure


def test_what_may_be_a_repetition_is_not_told_before_a_cut() -> None:
    events, reader = read_until_failure(text("ha") + text("ha"))
    assert events == [TextDelta("ha")]
    assert reader.close(framed=False) == []
    assert reader.failure is not None
    assert "closing events" in reader.failure.message


def test_of_two_failures_the_first_is_told() -> None:
    _, reader = read_until_failure(exception("throttlingException", {"message": "first"}), b"\xff" * 12)
    assert reader.failure is not None
    assert reader.failure.code is ErrorCode.account_throttled


def test_a_frame_that_is_cut_is_a_failure() -> None:
    with pytest.raises(RelayError, match="middle of a frame"):
        read(text("a"), END[:-1])


# --- usage ------------------------------------------------------------------------------------------------------------


def usage_of(*frames: bytes, window: int = 200_000) -> Usage:
    finish = read(text("12345"), *frames, estimate=ESTIMATE._replace(window=window), tail="never")[-1]
    assert isinstance(finish, Finish)
    return finish.usage


def test_the_service_s_own_numbers() -> None:
    counted = {
        "uncachedInputTokens": 10,
        "outputTokens": 5,
        "totalTokens": 22,
        "cacheReadInputTokens": 4,
        "cacheWriteInputTokens": 3,
        "contextUsagePercentage": 1.5,
        "normalizedTokenUsage": {"x": 1},
    }
    assert usage_of(metadata(None, counted)) == Usage(
        input_tokens=10, output_tokens=5, cache_read_tokens=4, cache_write_tokens=3, context_percentage=1.5
    )


def test_numbers_that_look_like_fractions() -> None:
    assert usage_of(metadata(None, {"uncachedInputTokens": 10.0, "outputTokens": 5.0})) == USAGE


@pytest.mark.parametrize(
    ("counted", "input_tokens", "output_tokens"),
    [
        ({"uncachedInputTokens": 10, "totalTokens": 17, "cacheReadInputTokens": 2}, 10, 5),
        ({"outputTokens": 5, "totalTokens": 17, "cacheReadInputTokens": 2}, 10, 5),
        ({"outputTokens": 50, "totalTokens": 17}, 0, 50),
    ],
)
def test_a_number_that_follows_from_the_others(counted: dict[str, int], input_tokens: int, output_tokens: int) -> None:
    usage = usage_of(metadata(None, counted))
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (input_tokens, output_tokens, False)


@pytest.mark.parametrize(
    ("counted", "input_tokens", "output_tokens"),
    [({"uncachedInputTokens": 10}, 10, 5), ({"outputTokens": 7}, 1000, 7), ({"cacheReadInputTokens": 400}, 600, 5)],
)
def test_a_number_that_is_missing_is_estimated(counted: dict[str, int], input_tokens: int, output_tokens: int) -> None:
    usage = usage_of(metadata(None, counted))
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (input_tokens, output_tokens, True)


def test_a_percentage_of_the_window() -> None:
    assert usage_of(event("contextUsageEvent", {"contextUsagePercentage": 2.5})) == Usage(
        input_tokens=4995, output_tokens=5, estimated=True, context_percentage=2.5
    )


@pytest.mark.parametrize("percentage", [0, 0.001, -3, 101, 1e300])
def test_a_percentage_that_says_nothing(percentage: float) -> None:
    usage = usage_of(event("contextUsageEvent", {"contextUsagePercentage": percentage}))
    assert (usage.input_tokens, usage.estimated) == (1000, True)
    assert usage.context_percentage in (None, percentage)
    assert usage.context_percentage is None or 0 <= usage.context_percentage <= 100


def test_a_percentage_of_an_unknown_window() -> None:
    usage = usage_of(event("contextUsageEvent", {"contextUsagePercentage": 50}), window=0)
    assert (usage.input_tokens, usage.context_percentage) == (1000, 50)


def test_the_event_s_percentage_wins() -> None:
    frames = [event("contextUsageEvent", {"contextUsagePercentage": 3}), metadata(None, {"contextUsagePercentage": 4})]
    assert usage_of(*frames).context_percentage == 3
    assert usage_of(*reversed(frames)).context_percentage == 3


def test_a_count_of_our_own() -> None:
    assert usage_of() == Usage(input_tokens=1000, output_tokens=5, estimated=True)


def test_all_that_was_said_is_counted() -> None:
    finish = read(reasoning(text="1"), text("22"), tool_steps("t1", "ls", "{}"))[-1]
    assert isinstance(finish, Finish)
    assert finish.usage.output_tokens == 5


def test_credits_add_up() -> None:
    frames = [event("meteringEvent", {"usage": usage, "unit": "credit"}) for usage in (0.25, None, 0.5)]
    assert usage_of(*frames).credits == 0.75


def test_two_metadata_events_are_read_together() -> None:
    events = read(text("a"), metadata("MAX_TOKENS"), metadata(None, {"uncachedInputTokens": 10, "outputTokens": 5}))
    assert events[-1] == Finish("max_tokens", USAGE)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b'{"tokenUsage":null,"contextUsagePercentage":null,"usage":null}',
        b'{"tokenUsage":{"outputTokens":"many"},"contextUsagePercentage":"many","usage":"many"}',
        b'{"tokenUsage":{"uncachedInputTokens":-1,"outputTokens":-1},"contextUsagePercentage":-1}',
        b'{"tokenUsage":{"uncachedInputTokens":1e300,"outputTokens":1e300}}',
        json.dumps({"tokenUsage": {"uncachedInputTokens": 10**400}, "contextUsagePercentage": 10**400}).encode(),
        b'{"tokenUsage":{"outputTokens":' + b"9" * 5000 + b"}}",
        b'{"contextUsagePercentage":NaN,"usage":NaN}',
        b'{"tokenUsage":' + b"[" * 900 + b"]" * 900 + b"}",
    ],
)
@pytest.mark.parametrize("kind", ["contextUsageEvent", "meteringEvent"])
def test_numbers_that_make_no_sense_do_not_break_a_reply(kind: str, payload: bytes) -> None:
    usage = usage_of(event(kind, raw=payload))
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (1000, 5, True)


@pytest.mark.parametrize(
    "counted",
    [
        None,
        {},
        "many",
        [],
        {"outputTokens": "many"},
        {"outputTokens": -1},
        {"outputTokens": 1e300},
        {"outputTokens": 10**400},
    ],
)
def test_counts_that_make_no_sense_do_not_break_a_reply(counted: Any) -> None:
    frame = event("metadataEvent", {"stopReason": "MAX_TOKENS", "tokenUsage": counted})
    events = read(text("12345"), frame)
    assert events[-1] == Finish("max_tokens", Usage(input_tokens=1000, output_tokens=5, estimated=True))


def test_usage_can_be_asked_for_in_the_middle() -> None:
    reader = ReplyReader(ESTIMATE)
    reader.feed(text("123") + tool(input='{"a'))
    assert reader.usage() == Usage(input_tokens=1000, output_tokens=6, estimated=True)
