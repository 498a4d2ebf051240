"""OpenAI's Responses API through the whole gateway."""

from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import CompactedResponse, Response, ResponseStreamEvent
from pydantic import SecretStr, TypeAdapter

from tests.apis import captures
from tests.gateway.conftest import Bench, bench
from tests.gateway.sse import events
from tests.gateway.test_faults import AFTER_THE_FIRST_EVENT, REFUSALS

pytestmark = pytest.mark.anyio

CAPTURED = captures.of("/v1/responses")
COMPACTED = captures.of("/v1/responses/compact")
_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


@pytest.mark.parametrize("name", CAPTURED)
async def test_real_requests_are_served(relay: Bench, name: str) -> None:
    body = CAPTURED[name]
    if "previous_response_id" in body:
        first = await relay.http.post("/v1/responses", json={"model": body["model"], "input": "before"})
        body = body | {"previous_response_id": first.json()["id"]}
    answer = await relay.http.post("/v1/responses", json=body)
    assert answer.status_code == 200, answer.text
    assert {chat.refusal for chat in relay.sim.chats} == {None}
    if body.get("stream"):
        told = [_EVENT.validate_python(data, strict=True) for _, data in events(answer.text)]
        assert [event.sequence_number for event in told] == list(range(len(told)))
        assert told[-1].type == "response.completed"
    else:
        assert Response.model_validate(answer.json(), strict=True).status == "completed"


@pytest.mark.parametrize("name", COMPACTED)
async def test_real_requests_to_compact_are_served(relay: Bench, name: str) -> None:
    answer = await relay.http.post("/v1/responses/compact", json=COMPACTED[name])
    if "model" in COMPACTED[name]:
        assert CompactedResponse.model_validate(answer.json(), strict=True).output[0].type == "compaction"
    else:
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")


async def test_the_official_client_continues_a_response(relay: Bench) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{relay.url}/v1", api_key="any", _strict_response_validation=True
    ) as client:
        async with client.responses.stream(model="claude-sonnet-4-5", input="Call me Ishmael.") as stream:
            async for _ in stream:
                pass
            first = await stream.get_final_response()
        assert first.output_text
        second = await client.responses.create(
            model="claude-sonnet-4-5", input="Who am I?", previous_response_id=first.id
        )
        assert second.output_text
        history = str(relay.sim.chats[-1].history)
        assert "Call me Ishmael." in history
        assert first.output_text in history
        assert (await client.responses.retrieve(first.id)).output_text == first.output_text
        await client.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(first.id)


async def test_what_one_key_was_answered_another_can_not_reach(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", api_keys=(SecretStr("first-key"), SecretStr("second-key"))) as relay:
        first, second = ({"authorization": f"Bearer {name}-key"} for name in ("first", "second"))
        asked = {"model": "claude-sonnet-4-5", "input": "A secret"}
        kept = (await relay.http.post("/v1/responses", json=asked, headers=first)).json()["id"]
        for method in ("GET", "DELETE"):
            assert (await relay.http.request(method, f"/v1/responses/{kept}", headers=second)).status_code == 404
        answer = await relay.http.post("/v1/responses", json=asked | {"previous_response_id": kept}, headers=second)
        assert answer.status_code in {400, 404}
        assert (await relay.http.get(f"/v1/responses/{kept}", headers=first)).status_code == 200


@pytest.mark.parametrize("scenario", AFTER_THE_FIRST_EVENT)
async def test_a_broken_stream_ends_in_response_failed(relay: Bench, scenario: str) -> None:
    relay.sim.next(scenario)
    body = {"model": "m", "stream": True, "input": "hi", "tools": [{"type": "function", "name": "tool"}]}
    answer = await relay.http.post("/v1/responses", json=body | {"model": "claude-sonnet-4-5"})
    assert answer.status_code == 200
    told = events(answer.text)
    assert told[-1][0] == "response.failed"
    assert told[-1][1]["response"]["error"]["code"]
    assert [name for name, _ in told].count("response.failed") == 1
    assert not any(name in {"response.completed", "response.incomplete"} for name, _ in told)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_refusal_keeps_its_meaning(relay: Bench, refusal: str, stream: bool) -> None:
    relay.sim.next(refusal, times=3)
    body = {"model": "claude-sonnet-4-5", "stream": stream, "input": "hi"}
    answer = await relay.http.post("/v1/responses", json=body)
    _, _, status, code, again = REFUSALS[refusal]
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers["x-should-retry"] == ("true" if again else "false")


async def test_the_official_client_compacts_a_conversation_and_goes_on_with_it(relay: Bench) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{relay.url}/v1", api_key="any", _strict_response_validation=True
    ) as client:
        said: Any = [{"role": "user", "content": "The word is slate."}, {"role": "assistant", "content": "OK."}]
        short = await client.responses.compact(model="claude-sonnet-4-5", input=said)
        [item] = short.output
        assert item.type == "compaction"
        summarised = relay.sim.chats[-1].current["content"]
        after: Any = [item.model_dump(), {"role": "user", "content": "The word?"}]
        answer = await client.responses.create(model="claude-sonnet-4-5", input=after)
        assert answer.output_text
        assert "You said" in str(relay.sim.chats[-1].body)  # the simulated model's summary quotes what it was asked
        assert summarised.startswith("Stop here")
        triggered = await client.responses.create(
            model="claude-sonnet-4-5", input=[*said, {"type": "compaction_trigger"}], stream=True
        )
        kinds = [event.type async for event in triggered]
        assert kinds[2:] == ["response.output_item.added", "response.output_item.done", "response.completed"]
    assert {chat.refusal for chat in relay.sim.chats} == {None}
