"""Structured answers, as the official SDKs ask for them: the model is told the schema, the caller what it is worth."""

import anthropic
import openai
import pytest
from pydantic import BaseModel

from tests.gateway.conftest import Bench

pytestmark = pytest.mark.anyio


class City(BaseModel):
    name: str
    inhabitants: int


def told(relay: Bench) -> str:
    return relay.sim.chats[-1].history[0]["userInputMessage"]["content"]


async def test_anthropic(relay: Bench) -> None:
    async with anthropic.AsyncAnthropic(base_url=relay.url, api_key="any", max_retries=0) as client:
        message = await client.messages.parse(
            model="claude-sonnet-5", max_tokens=99, messages=[{"role": "user", "content": "Paris"}], output_format=City
        )
    assert isinstance(message.parsed_output, City)
    assert '"inhabitants"' in told(relay)


async def test_chat(relay: Bench) -> None:
    async with openai.AsyncOpenAI(base_url=f"{relay.url}/v1", api_key="any", max_retries=0) as client:
        answer = await client.chat.completions.parse(
            model="claude-sonnet-5", messages=[{"role": "user", "content": "Paris"}], response_format=City
        )
        assert isinstance(answer.choices[0].message.parsed, City)
        assert '"inhabitants"' in told(relay)
        any_object = await client.chat.completions.create(
            model="claude-sonnet-5",
            messages=[{"role": "user", "content": "Paris"}],
            response_format={"type": "json_object"},
        )
        assert any_object.choices[0].message.content == "{}"


async def test_responses(relay: Bench) -> None:
    async with openai.AsyncOpenAI(base_url=f"{relay.url}/v1", api_key="any", max_retries=0) as client:
        answer = await client.responses.parse(model="claude-sonnet-5", input="Paris", text_format=City)
    assert isinstance(answer.output_parsed, City)
    assert '"inhabitants"' in told(relay)


async def test_what_nothing_makes_sure_of_is_reported(relay: Bench) -> None:
    answer = await relay.chat(response_format={"type": "json_object"})
    assert answer.headers["x-qrelay-ignored"] == "response_format"
    assert answer.headers["x-qrelay-adjusted"] == "answer_format_instructed"
    answer = await relay.chat(response_format={"type": "text"})
    assert "x-qrelay-adjusted" not in answer.headers
