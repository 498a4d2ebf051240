"""What goes wrong upstream reaches the caller as a typed error of its own API, streamed and whole: no false end."""

import asyncio
import re
from pathlib import Path

import anthropic
import httpx
import openai
import pytest

from qrelay.simulator.scenario import Event, ExceptionFrame, Scenario
from tests.gateway.conftest import Bench, bench
from tests.gateway.sse import events

pytestmark = pytest.mark.anyio

REFUSALS = {
    # what the service refuses with: (Messages status and type, Chat status and code, may it be tried again)
    "content_length_exceeds_threshold": (400, "invalid_request_error", 400, "context_length_exceeded", False),
    "prompt_too_long": (400, "invalid_request_error", 400, "context_length_exceeded", False),
    "invalid_model_id": (404, "not_found_error", 404, "model_not_found", False),
    "improperly_formed": (400, "invalid_request_error", 400, "upstream_rejected", False),
    "tool_schema_invalid": (400, "invalid_request_error", 400, "upstream_rejected", False),
    "thinking_signature_invalid": (400, "invalid_request_error", 400, "upstream_rejected", False),
    "monthly_402": (429, "rate_limit_error", 429, "insufficient_quota", False),
    "monthly_429": (429, "rate_limit_error", 429, "insufficient_quota", False),
    "monthly_400": (429, "rate_limit_error", 429, "insufficient_quota", False),
    "daily_limit": (429, "rate_limit_error", 429, "insufficient_quota", False),
    "throttled": (429, "rate_limit_error", 429, "rate_limit_exceeded", True),
    "bearer_invalid": (401, "authentication_error", 401, "account_expired", False),
    "suspended": (403, "permission_error", 403, "account_suspended", False),
    "feature_not_supported": (403, "permission_error", 403, "feature_blocked", False),
    "subscription_required": (403, "permission_error", 403, "feature_blocked", False),
    "not_authorized": (403, "permission_error", 403, "account_forbidden", False),
    "capacity": (529, "overloaded_error", 503, "server_is_overloaded", True),
    "high_load": (529, "overloaded_error", 503, "server_is_overloaded", True),
    "unavailable": (529, "overloaded_error", 503, "server_is_overloaded", True),
    "internal": (502, "api_error", 502, "upstream_failed", True),
    "not_found": (502, "api_error", 502, "upstream_failed", True),
    "kms_disabled": (400, "invalid_request_error", 400, "upstream_rejected", False),
}

CALLS = {"bearer_invalid": 4, "throttled": 1, "suspended": 1, "daily_limit": 1} | dict.fromkeys(
    ("monthly_402", "monthly_429", "monthly_400"), 1
)
"""Upstream calls for two requests in a row: a dead token is tried again, an account that rests isn't asked."""

AFTER_THE_FIRST_EVENT = [
    "exception_error",
    "exception_throttling",
    "exception_validation",
    "error_frame",
    "invalid_state",
    "cut_text",
    "reset_text",
    "cut_tool",
    "tool_unfinished",
    "tool_started_only",
    "bad_crc",
    "bad_prelude_crc",
    "truncated_frame",
    "cut_mid_frame",
    "payload_not_json",
    "tool_input_not_object",
]

FALSE_ENDS = ("end_turn", "tool_use", "max_tokens", "stop", "tool_calls", "length")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_refusal_keeps_its_meaning(relay: Bench, refusal: str, stream: bool) -> None:
    messages_status, kind, chat_status, code, again = REFUSALS[refusal]
    relay.sim.next(refusal, times=10)
    answer = await relay.messages(stream=stream)
    assert (answer.status_code, answer.json()["error"]["type"]) == (messages_status, kind)
    assert answer.headers["x-should-retry"] == ("true" if again else "false")
    answer = await relay.chat(stream=stream)
    assert (answer.status_code, answer.json()["error"]["code"]) == (chat_status, code)
    assert len(relay.sim.chats) == CALLS.get(refusal, 2)


async def test_a_prompt_too_long_is_told_in_the_words_clients_match(relay: Bench) -> None:
    relay.sim.next("content_length_exceeds_threshold", times=2)
    told = (await relay.messages()).json()["error"]["message"]
    numbers = re.fullmatch(r"prompt is too long: (\d+) tokens > (\d+) maximum", told)
    assert numbers is not None
    size, window = map(int, numbers.groups())
    assert size > window == 200_000
    told = (await relay.chat()).json()["error"]["message"]
    assert told.startswith("This model's maximum context length is 200000 tokens. However, your messages resulted in ")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_too_long_is_told_in_those_words_after_the_first_event_too(relay: Bench, stream: bool) -> None:
    too_long = {"message": "Input is too long.", "reason": "CONTENT_LENGTH_EXCEEDS_THRESHOLD"}
    hello = Event("assistantResponseEvent", {"content": "Hello"})
    relay.sim.next(Scenario([hello, ExceptionFrame("validationException", too_long)]), times=2)
    answer = await relay.messages(stream=stream)
    error = events(answer.text)[-1][1]["error"] if stream else answer.json()["error"]
    assert re.fullmatch(r"prompt is too long: (\d+) tokens > 200000 maximum", error["message"])
    answer = await relay.chat(stream=stream)
    error = events(answer.text)[-1][1]["error"] if stream else answer.json()["error"]
    assert (error["code"], error["message"][:36]) == ("context_length_exceeded", "This model's maximum context length ")


@pytest.mark.parametrize("scenario", AFTER_THE_FIRST_EVENT)
async def test_a_broken_messages_stream_ends_in_one_error_event(relay: Bench, scenario: str) -> None:
    relay.sim.next(scenario)
    answer = await relay.messages(stream=True, tools=[{"name": "tool", "input_schema": {"type": "object"}}])
    assert answer.status_code == 200
    told = events(answer.text)
    assert [name for name, _ in told].count("error") == 1
    assert told[-1][0] == "error"
    assert told[-1][1]["error"]["type"] in {
        "api_error",
        "overloaded_error",
        "rate_limit_error",
        "invalid_request_error",
    }
    assert told[-1][1]["error"]["message"]
    opened = sum(name == "content_block_start" for name, _ in told)
    closed = sum(name == "content_block_stop" for name, _ in told)
    assert opened == closed
    assert not any(name in {"message_delta", "message_stop"} for name, _ in told)


@pytest.mark.parametrize("scenario", AFTER_THE_FIRST_EVENT)
async def test_a_broken_chat_stream_ends_in_one_error_chunk(relay: Bench, scenario: str) -> None:
    relay.sim.next(scenario)
    answer = await relay.chat(stream=True, tools=[{"type": "function", "function": {"name": "tool"}}])
    assert answer.status_code == 200
    told = [data for _, data in events(answer.text)]
    assert "error" in told[-1]
    assert told[-1]["error"]["message"]
    reasons = [choice["finish_reason"] for data in told[:-1] for choice in data["choices"]]
    assert not any(reasons)


@pytest.mark.parametrize("scenario", [*AFTER_THE_FIRST_EVENT, "empty", "cut_first", "exception_first"])
async def test_a_broken_reply_asked_for_whole_is_an_http_error(relay: Bench, scenario: str) -> None:
    relay.sim.next(scenario, times=2)
    tools = [{"name": "tool", "input_schema": {"type": "object"}}]
    answer = await relay.messages(tools=tools)
    assert answer.status_code >= 400
    body = answer.json()
    assert body["type"] == "error"
    assert body["request_id"] == answer.headers["request-id"]
    answer = await relay.chat(tools=[{"type": "function", "function": {"name": "tool"}}])
    assert answer.status_code >= 400
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert not any(f'"{word}"' in answer.text for word in FALSE_ENDS)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("scenario", ["empty", "cut_first", "exception_first"])
async def test_what_fails_before_the_first_event_keeps_its_status(relay: Bench, scenario: str, stream: bool) -> None:
    relay.sim.next(scenario)
    answer = await relay.messages(stream=stream)
    expected = {
        "empty": (502, "api_error"),
        "cut_first": (502, "api_error"),
        "exception_first": (429, "rate_limit_error"),
    }
    assert (answer.status_code, answer.json()["error"]["type"]) == expected[scenario]


async def test_official_clients_raise_on_a_stream_that_breaks(relay: Bench) -> None:
    async with (
        anthropic.AsyncAnthropic(base_url=relay.url, api_key="any", max_retries=0) as claude,
        openai.AsyncOpenAI(base_url=f"{relay.url}/v1", api_key="any", max_retries=0) as gpt,
    ):
        relay.sim.next("cut_text", times=2)
        with pytest.raises(anthropic.APIStatusError):
            async with claude.messages.stream(
                model="claude-sonnet-5", max_tokens=10, messages=[{"role": "user", "content": "hi"}]
            ) as stream:
                await stream.get_final_message()
        with pytest.raises(openai.APIError):
            async for _ in await gpt.chat.completions.create(
                model="claude-sonnet-5", messages=[{"role": "user", "content": "hi"}], stream=True
            ):
                pass


async def test_silence_ends_in_a_timeout(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", silence_timeout_seconds=0.2, first_event_timeout_seconds=0.3) as relay:
        relay.sim.next("silence_first")
        answer = await relay.messages(stream=True)
        assert (answer.status_code, answer.json()["error"]["type"]) == (504, "timeout_error")
        relay.sim.next("silence")
        told = events((await relay.messages(stream=True)).text)
        assert told[-1][1]["error"]["type"] == "timeout_error"


async def test_a_client_that_leaves_cancels_the_call_upstream(relay: Bench) -> None:
    for stream in (True, False):
        relay.sim.next("silence")
        with pytest.raises(httpx.ReadTimeout):
            async with httpx.AsyncClient(base_url=relay.url, timeout=0.5) as impatient:
                await impatient.post(
                    "/v1/messages",
                    json={
                        "model": "claude-sonnet-4-5",
                        "max_tokens": 9,
                        "stream": stream,
                        "messages": [{"role": "user", "content": "hi"}],
                    },
                )
        recorded = relay.sim.chats[-1]
        for _ in range(200):
            if recorded.disconnected:
                break
            await asyncio.sleep(0.02)
        assert recorded.disconnected
