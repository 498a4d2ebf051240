"""Every Chat Completions request of a real client reads, and nothing in it is lost."""

import json
from typing import Any

import pytest
from msgspec import Raw

from qrelay.apis.dialect import Call
from qrelay.apis.openai_chat import CHAT
from qrelay.conversation import Image, Text, ToolChoice, ToolResult, ToolUse, Turn
from tests.apis import captures
from tests.apis.loopback import STAMP

CAPTURED = captures.of("/v1/chat/completions")


def read(name: str) -> Call:
    return CHAT.read(json.dumps(CAPTURED[name]).encode(), STAMP)


def test_they_are_there() -> None:
    assert len(CAPTURED) == 23


@pytest.mark.parametrize("name", CAPTURED)
def test_everything_in_it_arrives(name: str) -> None:
    body: dict[str, Any] = CAPTURED[name]
    call = read(name)
    conversation = call.conversation
    assert conversation.model == body["model"]
    assert call.stream is bool(body.get("stream"))
    assert [spec.name for spec in conversation.tools] == [tool["function"]["name"] for tool in body.get("tools", [])]
    for spec, tool in zip(conversation.tools, body.get("tools", []), strict=True):
        assert json.loads(bytes(spec.schema)) == tool["function"]["parameters"]
        assert spec.description == tool["function"]["description"]
    texts = [*conversation.system]
    for turn in conversation.turns:
        for part in turn.parts:
            match part:
                case Text(text=text):
                    texts.append(text)
                case ToolResult(content=content):
                    texts += [inner.text for inner in content if isinstance(inner, Text)]
                case _:
                    pass
    sent = [message.get("content") for message in body["messages"]]
    assert "".join(texts) == "".join(
        content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
        for content in sent
        if content
    )


def test_a_tool_round_trip() -> None:
    conversation = read("opencode/opencode-oaicompat-03").conversation
    assert [turn.role for turn in conversation.turns] == ["user", "assistant", "user"]
    (use,) = conversation.turns[1].parts
    assert isinstance(use, ToolUse)
    assert (use.id, use.name) == ("call_16515394d524446390fb", "bash")
    assert json.loads(bytes(use.input))["command"].startswith("echo MOCK_TOOL_OK")
    assert conversation.turns[2] == Turn("user", (ToolResult(use.id, (Text("MOCK_TOOL_OK\n"),)),))
    assert conversation.max_tokens == 32000


def test_the_sdk_of_openai() -> None:
    first = read("openai-python/sdk-openai-py-03")
    assert first.conversation.system == ("s",)
    assert first.conversation.stop_sequences == ("X",)
    assert first.conversation.max_tokens == 50
    assert first.conversation.session == "u"
    assert first.ignored == ("temperature", "seed")
    assert read("openai-python/sdk-openai-py-04").conversation.max_tokens == 100
    assert read("openai-python/sdk-openai-py-05").conversation.tool_choice == ToolChoice("named", "get_weather")
    assert read("openai-python/sdk-openai-py-06").conversation.parallel_tool_uses is False
    assert read("openai-python/sdk-openai-py-07").ignored == ("response_format",)
    picture = read("openai-python/sdk-openai-py-09").conversation
    assert picture.turns == (
        Turn("user", (Text("what"), Image("iVBORw0KGgo=", "image/png", "messages[0].content[1].image_url.url"))),
    )
    assert picture.effort == "low"


def test_aider_alternates_without_tools() -> None:
    call = read("aider/aider-openai-01")
    assert call.ignored == ("temperature",)
    assert len(call.conversation.turns) == 9
    assert call.conversation.tools == ()


def test_schemas_stay_as_written() -> None:
    body = json.dumps(CAPTURED["vercel-ai/vercel-ai-14"]).encode()
    (spec,) = CHAT.read(body, STAMP).conversation.tools
    assert isinstance(spec.schema, Raw)
    assert bytes(spec.schema) in body
