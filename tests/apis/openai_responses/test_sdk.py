"""OpenAI's own Python package over a real socket, its answers validated strictly by its own types."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

import openai
import pytest
from openai import OpenAI

from qrelay.apis.dialect import Call, Stamp
from qrelay.apis.openai_responses import RESPONSES, Memory, ResponsesStore, read
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
    WebLink,
    WebLinks,
)
from tests.apis.loopback import STAMP, serve

USAGE = Usage(input_tokens=10, output_tokens=5, cache_read_tokens=200)
SAID: list[Event] = [
    ReasoningDelta("hm "),
    ReasoningDelta("so"),
    ReasoningSignature("c2ln"),
    TextDelta("Hé"),
    TextDelta("Hé"),
]
REPLY: list[Event] = [
    *SAID,
    ToolUseStart("tooluse_1", "get_weather"),
    ToolInputDelta('{"city":'),
    ToolInputDelta('"Paris"}'),
    ToolUseEnd(),
    ToolUseStart("tooluse_2", "get_weather"),
    ToolInputDelta('{"city":"Rome"}'),
    ToolUseEnd(),
    Finish("tool_use", USAGE),
]
LINKED: list[Event] = [*SAID, WebLinks((WebLink("https://example.org/a", "A"),)), Finish("end_turn", USAGE)]
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": True,
}


@contextmanager
def client(
    events: Sequence[Event], failure: RelayError | None = None, *, memory: Memory | None = None
) -> Generator[OpenAI]:
    stamps = count(1)

    def read_with_memory(body: bytes, _: Stamp) -> Call:
        return read(body, STAMP._replace(id=f"{next(stamps):02x}"), memory)

    with (
        serve(RESPONSES._replace(read=read_with_memory), events, failure) as url,
        OpenAI(
            base_url=url,
            api_key="k",
            max_retries=0,
            http_client=openai.DefaultHttpxClient(trust_env=False),
            _strict_response_validation=True,
        ) as sdk,
    ):
        yield sdk


def test_whole() -> None:
    with client(REPLY) as sdk:
        response = sdk.responses.create(
            model="m", input="weather?", tools=[WEATHER], include=["reasoning.encrypted_content"]
        )
    assert response.status == "completed"
    assert response.output_text == "HéHé"
    reasoning, _, first, second = response.output
    assert reasoning.type == "reasoning"
    assert (reasoning.summary[0].text, reasoning.encrypted_content) == ("hm so", "signed.c2ln")
    assert first.type == "function_call"
    assert second.type == "function_call"
    assert (first.call_id, first.arguments) == ("tooluse_1", '{"city":"Paris"}')
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.total_tokens) == (210, 215)
    assert response.usage.input_tokens_details.cached_tokens == 200


def test_the_sdk_adds_the_stream_up() -> None:
    with (
        client(REPLY) as sdk,
        sdk.responses.stream(model="m", input="weather?", tools=[WEATHER]) as stream,
    ):
        kinds = [event.type for event in stream]
        response = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds.count("response.output_text.delta") == 2
    assert kinds.count("response.reasoning_summary_text.delta") == 2
    assert kinds[-1] == "response.completed"
    assert response.output_text == "HéHé"
    calls = [item for item in response.output if item.type == "function_call"]
    assert [(call.name, call.parsed_arguments) for call in calls] == [
        ("get_weather", {"city": "Paris"}),
        ("get_weather", {"city": "Rome"}),
    ]


def test_links_are_annotations() -> None:
    with client(LINKED) as sdk:
        whole = sdk.responses.create(model="m", input="x")
        with sdk.responses.stream(model="m", input="x") as stream:
            streamed = stream.get_final_response()
    for response in (whole, streamed):
        message = response.output[1]
        assert message.type == "message"
        part = message.content[0]
        assert part.type == "output_text"
        (annotation,) = part.annotations
        assert annotation.type == "url_citation"
        assert annotation.url == "https://example.org/a"


def test_custom_tools_and_namespaces() -> None:
    events: list[Event] = [
        ToolUseStart("t1", "apply_patch"),
        ToolInputDelta('{"input":"*** Begin'),
        ToolInputDelta(' Patch"}'),
        ToolUseEnd(),
        ToolUseStart("t2", "agents__spawn"),
        ToolInputDelta("{}"),
        ToolUseEnd(),
        Finish("tool_use", USAGE),
    ]
    spawn: Any = {"type": "function", "name": "spawn", "parameters": None, "strict": False}
    tools: Any = [
        {"type": "custom", "name": "apply_patch"},
        {"type": "namespace", "name": "agents", "description": "Sub-agents.", "tools": [spawn]},
    ]
    with client(events) as sdk, sdk.responses.stream(model="m", input="x", tools=tools) as stream:
        deltas = [event.delta for event in stream if event.type == "response.custom_tool_call_input.delta"]
        response = stream.get_final_response()
    assert deltas == ["*** Begin", " Patch"]
    patch, call = response.output
    assert patch.type == "custom_tool_call"
    assert patch.input == "*** Begin Patch"
    assert call.type == "function_call"
    assert (call.name, call.namespace) == ("spawn", "agents")


def test_a_conversation_goes_on() -> None:
    with client(REPLY, memory=ResponsesStore().scoped("alice")) as sdk:
        first = sdk.responses.create(model="m", input="weather?", tools=[WEATHER])
        output: Any = [{"type": "function_call_output", "call_id": "tooluse_1", "output": "15C"}]
        second = sdk.responses.create(model="m", input=output, previous_response_id=first.id)
        assert second.previous_response_id == first.id
        assert second.id != first.id
        with pytest.raises(openai.BadRequestError) as caught:
            sdk.responses.create(model="m", input="x", previous_response_id="resp_unknown")
    assert caught.value.code == "previous_response_not_found"


def test_an_answer_replayed_as_input_is_understood() -> None:
    """The SDK's own loop: output items, as they were parsed, go back as input."""
    with client(REPLY) as sdk:
        response = sdk.responses.create(model="m", input="x", include=["reasoning.encrypted_content"])
        items: Any = [item.to_dict() for item in response.output]
        answers: Any = [
            {"type": "function_call_output", "call_id": f"tooluse_{number}", "output": "15C"} for number in (1, 2)
        ]
        again = sdk.responses.create(model="m", input=[{"role": "user", "content": "x"}, *items, *answers])
    assert again.status == "completed"


def test_too_long_is_incomplete() -> None:
    with client([TextDelta("a"), Finish("max_tokens", USAGE)]) as sdk:
        response = sdk.responses.create(model="m", input="x")
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


def test_a_failure_in_the_stream_is_told() -> None:
    error = RelayError(ErrorCode.upstream_protocol, "The answer was cut.")
    with client(REPLY[:4], error) as sdk:
        *_, last = sdk.responses.create(model="m", input="x", stream=True)
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.code == "server_error"
    assert "was cut" in last.response.error.message


def test_a_refused_request_is_the_sdk_s_own_exception() -> None:
    with client(REPLY) as sdk, pytest.raises(openai.BadRequestError, match="background") as caught:
        sdk.responses.create(model="m", input="x", background=True)
    assert caught.value.param == "background"


def test_without_a_memory_the_dialect_is_pure() -> None:
    assert partial(RESPONSES.read, b'{"model":"m","input":"x"}')(STAMP).ignored == ()
