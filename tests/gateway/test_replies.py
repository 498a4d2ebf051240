"""Replies of the whole gateway, over real sockets, read by the official clients and validated by their own types."""

import asyncio
import json
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter
from starlette.types import Message as Sent
from starlette.types import Scope

from qrelay.http.app import build_app
from qrelay.simulator.named import CHINESE, EMOJI
from qrelay.simulator.server import Simulator
from tests.apis import captures
from tests.gateway.conftest import Bench, bench, settings_for
from tests.gateway.sse import events, text_of

pytestmark = pytest.mark.anyio

MESSAGES = captures.of("/v1/messages")
CHATS = captures.of("/v1/chat/completions")
_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


@pytest.mark.parametrize("name", MESSAGES)
async def test_real_messages_requests_are_served(relay: Bench, name: str) -> None:
    answer = await relay.http.post("/v1/messages?beta=true", json=MESSAGES[name])
    assert answer.status_code == 200, answer.text
    assert [chat.refusal for chat in relay.sim.chats] == [None]
    if MESSAGES[name].get("stream"):
        told = [_EVENT.validate_python(data, strict=True) for kind, data in events(answer.text) if kind != "ping"]
        assert told[-1].type == "message_stop"
        assert told[0].message.model == MESSAGES[name]["model"]
    else:
        assert Message.model_validate(answer.json(), strict=True).model == MESSAGES[name]["model"]


@pytest.mark.parametrize("name", CHATS)
async def test_real_chat_requests_are_served(relay: Bench, name: str) -> None:
    answer = await relay.http.post("/v1/chat/completions", json=CHATS[name])
    assert answer.status_code == 200, answer.text
    assert [chat.refusal for chat in relay.sim.chats] == [None]
    if CHATS[name].get("stream"):
        told = [data for _, data in events(answer.text)]
        assert told.pop() == "[DONE]"
        chunks = [ChatCompletionChunk.model_validate(data, strict=True) for data in told]
        assert {chunk.id for chunk in chunks} == {chunks[0].id}
    else:
        ChatCompletion.model_validate(answer.json(), strict=True)


async def test_the_anthropic_client_streams_and_calls_tools(relay: Bench) -> None:
    tool: Any = {
        "name": "get_weather",
        "description": "The weather of a city",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
    asked: Any = [{"role": "user", "content": "Please use the tool get_weather."}]
    async with anthropic.AsyncAnthropic(base_url=relay.url, api_key="any", _strict_response_validation=True) as client:
        async with client.messages.stream(
            model="claude-sonnet-5", max_tokens=100, messages=asked, tools=[tool]
        ) as stream:
            message = await stream.get_final_message()
        assert message.stop_reason == "tool_use"
        use = next(block for block in message.content if block.type == "tool_use")
        assert use.name == "get_weather"
        assert isinstance(use.input, dict)
        answered: Any = [
            *asked,
            {"role": "assistant", "content": [block.model_dump() for block in message.content]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "Sunny"}]},
        ]
        whole = await client.messages.create(model="claude-sonnet-5", max_tokens=100, messages=answered, tools=[tool])
        assert whole.stop_reason == "end_turn"
        assert whole.usage.output_tokens > 0
    assert [chat.refusal for chat in relay.sim.chats] == [None, None]


async def test_the_openai_client_streams_and_calls_tools(relay: Bench) -> None:
    tool: Any = {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
    asked: Any = [{"role": "user", "content": "Please use the tool get_weather."}]
    async with openai.AsyncOpenAI(
        base_url=f"{relay.url}/v1", api_key="any", _strict_response_validation=True
    ) as client:
        async with client.chat.completions.stream(
            model="claude-sonnet-4-5", messages=asked, tools=[tool], stream_options={"include_usage": True}
        ) as stream:
            completion = await stream.get_final_completion()
        choice = completion.choices[0]
        assert choice.finish_reason == "tool_calls"
        assert completion.usage is not None
        call: Any = (choice.message.tool_calls or [])[0]
        assert json.loads(call.function.arguments)
        answered: Any = [
            *asked,
            {"role": "assistant", "content": None, "tool_calls": [call.model_dump(exclude={"parsed_arguments"})]},
            {"role": "tool", "tool_call_id": call.id, "content": "Sunny"},
        ]
        whole = await client.chat.completions.create(model="claude-sonnet-4-5", messages=answered, tools=[tool])
        assert whole.choices[0].finish_reason == "stop"
    assert [chat.refusal for chat in relay.sim.chats] == [None, None]


async def test_one_byte_at_a_time_changes_nothing(relay: Bench) -> None:
    said = "".join((*EMOJI, *CHINESE))
    relay.sim.next("one_byte_writes", times=3)
    assert text_of((await relay.messages(stream=True)).text) == said
    assert text_of((await relay.chat(stream=True)).text) == said
    assert (await relay.messages()).json()["content"][0]["text"] == said


@pytest.mark.parametrize(
    "scenario", ["tool", "tools_several", "emoji", "reasoning_both", "identical_deltas", "side_events"]
)
async def test_bytes_one_by_one_give_the_same_stream(tmp_path: Path, scenario: str) -> None:
    streams: list[list[tuple[str, Any]]] = []
    for size in (None, 1):
        async with bench(tmp_path / f"home{size}", {"bytes_per_write": size}) as relay:
            relay.sim.next(scenario)
            told = events((await relay.messages(stream=True)).text)
            told[0][1]["message"]["id"] = "msg_"
            streams.append(told)
    assert streams[0] == streams[1]


async def test_two_identical_deltas_are_both_delivered(relay: Bench) -> None:
    relay.sim.next("identical_deltas", times=2)
    assert text_of((await relay.messages(stream=True)).text) == "hahaha"
    assert text_of((await relay.chat(stream=True)).text) == "hahaha"


@pytest.mark.parametrize(
    "scenario", ["hello", "tool", "tool_one_frame", "tool_input_object", "tool_no_input", "reasoning"]
)
async def test_stream_and_whole_agree(relay: Bench, scenario: str) -> None:
    relay.sim.next(scenario, times=2)
    async with anthropic.AsyncAnthropic(base_url=relay.url, api_key="any") as client:
        asked: Any = {"model": "sonnet", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        async with client.messages.stream(**asked) as stream:
            streamed = await stream.get_final_message()
        whole: Message = await client.messages.create(**asked, stream=False)
    assert streamed.model_dump(exclude={"id"}, exclude_none=True) == whole.model_dump(exclude={"id"}, exclude_none=True)


async def test_an_sdk_given_a_base_url_with_v1_is_served(relay: Bench) -> None:
    async with anthropic.AsyncAnthropic(base_url=f"{relay.url}/v1", api_key="any") as client:
        await client.messages.create(
            model="claude-sonnet-5", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
        )


async def test_models_come_in_both_shapes(relay: Bench) -> None:
    async with anthropic.AsyncAnthropic(base_url=relay.url, api_key="any", _strict_response_validation=True) as client:
        ids = [model.id async for model in client.models.list()]
        assert "claude-sonnet-4.5" in ids
        assert (await client.models.retrieve("claude-sonnet-4-5")).id == "claude-sonnet-4-5"
        with pytest.raises(anthropic.NotFoundError):
            await client.models.retrieve("no-such-model")
    async with openai.AsyncOpenAI(
        base_url=f"{relay.url}/v1", api_key="any", _strict_response_validation=True
    ) as client2:
        assert [model.id async for model in client2.models.list()] == ids


async def test_silence_is_filled_with_pings(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", ping_seconds=0.1, silence_timeout_seconds=2.5) as relay:
        relay.sim.next("silence", times=2)
        assert "event: ping" in (await relay.messages(stream=True)).text
        assert "\n: ping" in (await relay.chat(stream=True)).text


async def test_a_ping_on_its_way_to_a_slow_client_goes_before_the_end(tmp_path: Path) -> None:
    sent: list[Sent] = []
    body = b'{"model":"claude-sonnet-4-5","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"Hello"}]}'
    asked: list[Sent] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Sent:
        if not asked:
            await asyncio.Event().wait()
        return asked.pop()

    async def send(message: Sent) -> None:
        if b"event: ping" in message.get("body", b""):
            await asyncio.sleep(1)  # longer than the service is silent: by then the reply has ended
        sent.append(message)

    async with Simulator.serve() as sim:
        app = build_app(settings_for(sim, tmp_path / "home", ping_seconds=0.1, silence_timeout_seconds=0.5))
        async with app.opened():
            sim.next("silence")
            path, headers = "/v1/messages", [(b"host", b"localhost")]
            scope: Scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
            await app(scope, receive, send)
    bodies = [message["body"] for message in sent if message["type"] == "http.response.body"]
    assert any(b"event: ping" in body for body in bodies)
    assert b"event: error" in bodies[-1]
    assert [message.get("more_body", False) for message in sent[1:]] == [True] * (len(bodies) - 1) + [False]


COUNTS = captures.of("/v1/messages/count_tokens")


async def test_tokens_are_counted_here_many_at_once(relay: Bench) -> None:
    assert COUNTS
    bodies = [COUNTS[name] for name in COUNTS] * 25
    answers = await asyncio.gather(
        *(relay.http.post("/v1/messages/count_tokens?beta=true", json=body) for body in bodies[:50])
    )
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.json()["input_tokens"] > 0 for answer in answers)
    async with anthropic.AsyncAnthropic(base_url=relay.url, api_key="any", _strict_response_validation=True) as client:
        few = await client.messages.count_tokens(model="m", messages=[{"role": "user", "content": "hi"}])
        more = await client.messages.count_tokens(model="m", messages=[{"role": "user", "content": "hi " * 100}])
        assert few.input_tokens < more.input_tokens
    assert all(request.operation == "CreateToken" for request in relay.sim.requests)


async def test_a_conversation_keeps_its_account(relay: Bench) -> None:
    for _ in range(3):
        login = relay.sim.add_account()
        account = {
            "clientId": login.client_id,
            "clientSecret": login.client_secret,
            "refreshToken": login.refresh_token,
            "accessToken": login.access_token,
        }
        assert (await relay.http.post("/v2/accounts", json=account)).status_code == 200

    async def accounts(**asked: str) -> set[str | None]:
        relay.sim.service.requests.clear()
        for turn in range(3):
            text = asked.get("first", "Hello")
            turns = [{"role": "user", "content": text}, {"role": "assistant", "content": "Yes?"}] * (turn + 1)
            body = {
                "model": "claude-sonnet-4-5",
                "max_tokens": 50,
                "messages": [*turns, {"role": "user", "content": "x"}],
            }
            headers = {"x-claude-code-session-id": asked["session"].format(turn)} if "session" in asked else {}
            assert (await relay.http.post("/v1/messages", json=body, headers=headers)).status_code == 200
        return {chat.account for chat in relay.sim.chats}

    assert len(await accounts(first="By how it began")) == 1
    assert len(await accounts(session="by its name")) == 1
    assert len({account for n in range(12) for account in await accounts(first=f"Another beginning {n}")}) > 1
    assert len({account for n in range(12) for account in await accounts(session=f"name {n}")}) > 1


async def test_what_is_too_large_for_the_service_is_told_before_it_is_asked(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", max_request_bytes=20_000) as relay:
        answer = await relay.messages("word " * 5000)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
        assert answer.json()["error"]["message"].startswith("prompt is too long: ")
        assert not relay.sim.chats


@pytest.mark.parametrize(
    ("model", "told"), [("claude-opus-5", {"output_config": {"effort": "low"}}), ("claude-sonnet-4.5", None)]
)
async def test_an_effort_goes_to_a_model_that_takes_it(tmp_path: Path, model: str, told: object) -> None:
    async with bench(tmp_path) as relay:
        answer = await relay.messages(model=model, output_config={"effort": "low"})
        assert answer.status_code == 200, answer.text
        assert relay.sim.chats[-1].body.get("additionalModelRequestFields") == told
        assert answer.headers.get("x-qrelay-ignored") == (None if told else "effort")


async def test_tools_are_marked_for_the_cache_where_the_settings_say_so(tmp_path: Path) -> None:
    """By default they aren't: the simulated service is one of those that refuse the mark."""
    tools = [{"name": "Read", "description": "Reads a file. " * 300, "input_schema": {"type": "object"}}]
    for chosen, marks, status in (("none", [], 200), ("tools", [{"cachePoint": {"type": "default"}}], 400)):
        async with bench(tmp_path / chosen, cache_points=chosen) as relay:
            assert (await relay.messages(tools=tools)).status_code == status
            message = relay.sim.chats[-1].body["conversationState"]["currentMessage"]["userInputMessage"]
            assert message["userInputMessageContext"]["tools"][1:] == marks
