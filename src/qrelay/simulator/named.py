"""Ready-made scenarios, by name: the faults and forms of PROTOCOL.md §3 that a client must live with. Data."""

from typing import Any

from qrelay.simulator.errors import CATALOGUE
from qrelay.simulator.model import reasoning, tool_use
from qrelay.simulator.scenario import (
    Cut,
    Damaged,
    ErrorFrame,
    Event,
    ExceptionFrame,
    Raw,
    Refuse,
    Scenario,
    Silence,
    Step,
    Tail,
    text,
)
from qrelay.upstream.eventstream import encode

EMOJI = ["Grüße ", "👩‍👩‍👧‍👦", " and ", "🏳️‍🌈", "!"]
CHINESE = ["你好", "，", "世界", "。"]  # noqa: RUF001 - a full-width comma is what is meant
STOP_REASONS = (
    "END_TURN", "TOOL_USE", "MAX_TOKENS", "STOP_SEQUENCE", "CONTENT_FILTERED", "GUARDRAIL_INTERVENED",
    "MODEL_CONTEXT_WINDOW_EXCEEDED", "MALFORMED_TOOL_USE", "MALFORMED_MODEL_OUTPUT",
)  # fmt: skip
HELLO: list[Step] = [text("Hello"), text(", "), text("world")]
_NOT_JSON = {":event-type": "assistantResponseEvent", ":content-type": "application/json", ":message-type": "event"}
TOOL = {"toolUseId": "tooluse_scenario", "name": "tool"}


def _tool(**members: Any) -> Event:
    return Event("toolUseEvent", {**TOOL, **members})


def _frames(*steps: Step, stop_reason: str = "END_TURN") -> list[Step]:
    return [*steps, Tail(stop_reason)]


_STEPS: dict[str, list[Step]] = {
    "hello": _frames(*HELLO),
    # failures after the 200 (§3.1, §3.4)
    "exception_error": [*HELLO, ExceptionFrame("error", {"message": "Something went wrong.", "reason": None})],
    "exception_throttling": [*HELLO, ExceptionFrame("throttlingException", {"message": "Too many requests"})],
    "exception_validation": [
        *HELLO,
        ExceptionFrame("validationException", {"message": "Improperly formed request.", "reason": None}),
    ],
    "exception_first": [ExceptionFrame("throttlingException", {"message": "Too many requests"})],
    "error_frame": [*HELLO, ErrorFrame("InternalError", "An internal server error occurred")],
    "invalid_state": [
        *HELLO,
        Event("invalidStateEvent", {"reason": "INVALID_TASK_ASSIST_PLAN", "message": "The plan is not valid"}),
    ],
    # ends that are none
    "cut_text": [*HELLO, Cut()],
    "reset_text": [*HELLO, Cut("reset")],
    "cut_first": [Cut()],
    "cut_tool": [text("Let me look."), _tool(), _tool(input='{"path": "/t'), Cut()],
    "tool_unfinished": [text("Let me look."), _tool(), _tool(input='{"path": "/t')],
    "tool_started_only": [text("Let me look."), _tool()],
    "silence": [*HELLO, Silence()],
    "silence_first": [Silence()],
    "no_tail": [*HELLO],
    # damage
    "bad_crc": [*HELLO, Damaged("message_crc")],
    "bad_prelude_crc": [*HELLO, Damaged("prelude_crc")],
    "truncated_frame": [*HELLO, Damaged("truncated")],
    "lying_length": [*HELLO, Damaged("length")],
    "cut_mid_frame": [*HELLO, Damaged("truncated"), Cut()],
    "payload_not_json": [*HELLO, Raw(encode(_NOT_JSON, b'{"content": '))],
    # tools in all their forms (§3.3)
    "tool": _frames(
        text("Let me look."), *tool_use("tooluse_1", "tool", '{"path": "/a", "deep": true}'), stop_reason="TOOL_USE"
    ),
    "tool_one_frame": _frames(_tool(input='{"path": "/a"}', stop=True), stop_reason="TOOL_USE"),
    "tool_input_object": _frames(_tool(input={"path": "/a"}, stop=True), stop_reason="TOOL_USE"),
    "tool_no_input": _frames(_tool(), _tool(stop=True), stop_reason="TOOL_USE"),
    "tool_input_not_object": _frames(_tool(), _tool(input="[1]"), _tool(stop=True), stop_reason="TOOL_USE"),
    "tools_several": _frames(
        text("Two things."),
        *tool_use("tooluse_1", "first", '{"path": "/a"}'),
        *tool_use("tooluse_2", "second", '{"path": "/b"}'),
        stop_reason="TOOL_USE",
    ),
    # text
    "identical_deltas": _frames(text("ha"), text("ha"), text("ha")),
    "emoji": _frames(*map(text, EMOJI)),
    "chinese": _frames(*map(text, CHINESE)),
    "one_character_deltas": _frames(*map(text, "One character at a time.")),
    "empty_delta": _frames(text(""), *HELLO),
    "code_reference": _frames(
        text("Some code: "),
        text("print(1)"),
        text("print(1)"),
        Event(
            "codeReferenceEvent",
            {
                "references": [
                    {
                        "licenseName": "MIT",
                        "repository": "example/example",
                        "url": "https://example.com/example",
                        "recommendationContentSpan": {"start": 11, "end": 19},
                    }
                ]
            },
        ),
        text("."),
    ),
    # reasoning
    "reasoning": _frames(*reasoning("I think about it."), text("Done.")),
    "reasoning_redacted": _frames(Event("reasoningContentEvent", {"redactedContent": "cmVkYWN0ZWQ="}), text("Done.")),
    "reasoning_both": _frames(
        *reasoning("First."), Event("reasoningContentEvent", {"redactedContent": "cmVkYWN0ZWQ="}), text("Done.")
    ),
    # the rest of §3.2
    "unknown_event": _frames(text("Hello"), Event("brandNewEvent", {"any": {"thing": [1]}}), text(" again")),
    "null_members": _frames(
        Event("messageMetadataEvent", {"conversationId": None, "utteranceId": None}),
        Event("assistantResponseEvent", {"content": "Hello", "modelId": None}),
        Event("reasoningContentEvent", {"text": None, "signature": None, "redactedContent": None}),
        Event("toolUseEvent", {"toolUseId": "tooluse_1", "name": "tool", "input": None, "stop": None}),
        Event("toolUseEvent", {"toolUseId": "tooluse_1", "name": "tool", "input": None, "stop": True}),
        Event("meteringEvent", {"usage": None, "unit": None, "unitPlural": None}),
        stop_reason="TOOL_USE",
    ),
    "side_events": _frames(
        Event("messageMetadataEvent", {"conversationId": "c-1", "utteranceId": "u-1"}),
        text("Hello"),
        Event(
            "supplementaryWebLinksEvent",
            {"supplementaryWebLinks": [{"url": "https://example.com/", "title": "Example", "snippet": "An example."}]},
        ),
        Event("followupPromptEvent", {"followupPrompt": {"content": "And then?", "userIntent": "SHOW_EXAMPLES"}}),
        Event(
            "citationEvent",
            {"target": {"location": 5}, "citationText": "Hello", "citationLink": "https://example.com/hello"},
        ),
        Event("codeEvent", {"content": "print(1)"}),
        Event("intentsEvent", {"intents": {}}),
        Event("toolResultEvent", {"toolResult": {"toolUseId": "t", "content": [{"text": "x"}], "status": "success"}}),
    ),
    # tails (§3.3)
    "tail_without_stop_reason": [*HELLO, Tail(None)],
    "tail_without_usage": [*HELLO, Tail(token_usage=False)],
    "tail_without_metadata": [*HELLO, Tail(metadata=False)],
    "tail_without_context_usage": [*HELLO, Tail(context_usage=False)],
    "tail_without_metering": [*HELLO, Tail(metering=False)],
    "tail_context_usage_only": [*HELLO, Tail(metadata=False, metering=False)],
    **{f"stop_{reason.lower()}": _frames(*HELLO, stop_reason=reason) for reason in STOP_REASONS},
}

SCENARIOS: dict[str, Scenario] = {
    **{name: Scenario([Refuse(name)], name=name) for name in CATALOGUE},
    **{name: Scenario(steps, name=name) for name, steps in _STEPS.items()},
    "empty": Scenario([], name="empty", initial_response=False),
    "one_byte_writes": Scenario(
        _frames(*map(text, EMOJI), *map(text, CHINESE)), name="one_byte_writes", bytes_per_write=1
    ),
}
