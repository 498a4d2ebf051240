"""OpenAI's own Python package over a real socket, its answers validated strictly by its own types."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import openai
import pytest
from openai import OpenAI

from qrelay.apis.openai_chat import CHAT
from qrelay.errors import ErrorCode, RelayError
from qrelay.events import (
    Event,
    Finish,
    ReasoningDelta,
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
from tests.apis.loopback import serve

USAGE = Usage(input_tokens=10, output_tokens=5, cache_read_tokens=200)
REPLY: list[Event] = [
    ReasoningDelta("hm "),
    ReasoningDelta("so"),
    TextDelta("Hé"),
    TextDelta("Hé"),
    WebLinks((WebLink("https://example.org/a", "A"), WebLink("https://example.org/b", "B"))),
    References((Reference("MIT", "repo", "https://example.org/code"),)),
    ToolUseStart("tooluse_1", "get_weather"),
    ToolInputDelta('{"city":'),
    ToolInputDelta('"Paris"}'),
    ToolUseEnd(),
    ToolUseStart("tooluse_2", "get_weather"),
    ToolInputDelta('{"city":"Rome"}'),
    ToolUseEnd(),
    Finish("tool_use", USAGE),
]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "strict": True,
    },
}
USER: Any = {"role": "user", "content": "weather?"}


@contextmanager
def client(events: Sequence[Event], failure: RelayError | None = None, *, strict: bool = True) -> Generator[OpenAI]:
    with (
        serve(CHAT, events, failure) as url,
        OpenAI(
            base_url=url,
            api_key="k",
            max_retries=0,
            http_client=openai.DefaultHttpxClient(trust_env=False),
            _strict_response_validation=strict,
        ) as sdk,
    ):
        yield sdk


def test_whole() -> None:
    with client(REPLY) as sdk:
        completion = sdk.chat.completions.create(model="m", messages=[USER], tools=[WEATHER])
    (choice,) = completion.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "HéHé"
    assert choice.message.model_extra is not None
    assert choice.message.model_extra["reasoning_content"] == "hm so"
    assert choice.message.annotations is not None
    assert [each.url_citation.title for each in choice.message.annotations] == ["A", "B"]
    calls = choice.message.tool_calls or []
    assert [call.function.arguments for call in calls if call.type == "function"] == [
        '{"city":"Paris"}',
        '{"city":"Rome"}',
    ]
    assert completion.usage is not None
    assert completion.usage.total_tokens == 215
    assert completion.usage.prompt_tokens_details is not None
    assert completion.usage.prompt_tokens_details.cached_tokens == 200


def test_streamed_chunks() -> None:
    with client(REPLY) as sdk:
        stream = sdk.chat.completions.create(model="m", messages=[USER], stream=True)
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "HéHé"
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert all(chunk.usage is None for chunk in chunks)


def test_the_sdk_adds_the_stream_up() -> None:
    with (
        client(REPLY) as sdk,
        sdk.chat.completions.stream(
            model="m", messages=[USER], tools=[WEATHER], stream_options={"include_usage": True}
        ) as stream,
    ):
        kinds = [event.type for event in stream]
        completion = stream.get_final_completion()
    assert kinds.count("content.delta") == 3
    assert kinds.count("tool_calls.function.arguments.done") == 2
    message = completion.choices[0].message
    assert message.content == "HéHé"
    assert message.model_extra is not None
    assert message.model_extra["reasoning_content"] == "hm so"
    assert [(call.id, call.function.name, call.function.parsed_arguments) for call in message.tool_calls or []] == [
        ("tooluse_1", "get_weather", {"city": "Paris"}),
        ("tooluse_2", "get_weather", {"city": "Rome"}),
    ]
    assert [each.url_citation.url for each in message.annotations or []] == [
        "https://example.org/a",
        "https://example.org/b",
    ]
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == 210


CUSTOM: Any = {"type": "custom", "custom": {"name": "apply_patch"}}
PATCH: list[Event] = [
    TextDelta("ok"),
    ToolUseStart("tooluse_1", "apply_patch"),
    ToolInputDelta('{"input":"*** Begin'),
    ToolInputDelta(' Patch"}'),
    ToolUseEnd(),
    Finish("tool_use", USAGE),
]


def test_a_custom_call_whole() -> None:
    with client(PATCH) as sdk:
        completion = sdk.chat.completions.create(model="m", messages=[USER], tools=[CUSTOM])
    (call,) = completion.choices[0].message.tool_calls or []
    assert call.type == "custom"
    assert (call.custom.name, call.custom.input) == ("apply_patch", "*** Begin Patch")


def test_a_custom_call_streamed() -> None:
    """Not strict: the SDK's chunk type does not know what OpenAI's service sends here; its accumulator copes."""
    with (
        client(PATCH, strict=False) as sdk,
        sdk.chat.completions.stream(model="m", messages=[USER], tools=[CUSTOM]) as stream,
    ):
        stream.until_done()
        told: Any = stream.current_completion_snapshot.to_dict()
    assert told["choices"][0]["message"]["tool_calls"][0]["custom"] == {
        "name": "apply_patch",
        "input": "*** Begin Patch",
    }
    assert told["choices"][0]["finish_reason"] == "tool_calls"


def test_a_failure_in_the_stream_is_raised() -> None:
    error = RelayError(ErrorCode.upstream_protocol, "The answer was cut.")
    with client(REPLY[:4], error) as sdk:
        stream = sdk.chat.completions.create(model="m", messages=[USER], stream=True)
        with pytest.raises(openai.APIError, match="was cut") as caught:
            list(stream)
    assert caught.value.code == "upstream_protocol"
    assert caught.value.type == "server_error"


def test_a_refused_request_is_the_sdk_s_own_exception() -> None:
    with client(REPLY) as sdk, pytest.raises(openai.BadRequestError, match="one reply at a time") as caught:
        sdk.chat.completions.create(model="m", messages=[USER], n=2)
    assert caught.value.param == "n"
    assert caught.value.type == "invalid_request_error"


def test_a_prompt_too_long_has_the_words_clients_match() -> None:
    error = RelayError(ErrorCode.context_too_long, "Too long.", tokens=(250_000, 200_000))
    with client([], error) as sdk, pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model="m", messages=[USER])
    assert caught.value.code == "context_length_exceeded"
    assert "maximum context length is 200000 tokens" in caught.value.message
