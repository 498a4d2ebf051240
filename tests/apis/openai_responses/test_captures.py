"""Every Responses request of a real client reads, and nothing in it is lost."""

import json
from typing import Any

import pytest

from qrelay.apis.dialect import Call
from qrelay.apis.openai_responses import RESPONSES
from qrelay.conversation import Image, Text, ToolChoice, ToolResult, ToolUse, Turn
from qrelay.errors import ErrorCode, RelayError
from tests.apis import captures
from tests.apis.loopback import STAMP

CAPTURED = captures.of("/v1/responses")
GOES_ON = "openai-python/sdk-openai-py-14"
"""The one that goes on from a response which another server kept."""


def read(name: str) -> Call:
    return RESPONSES.read(json.dumps(CAPTURED[name]).encode(), STAMP)


def test_they_are_there() -> None:
    assert len(CAPTURED) == 26


def texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    parts: list[Any] = content or []
    return [part["text"] for part in parts if "text" in part]


@pytest.mark.parametrize("name", [name for name in CAPTURED if name != GOES_ON])
def test_everything_in_it_arrives(name: str) -> None:
    body: dict[str, Any] = CAPTURED[name]
    call = read(name)
    conversation = call.conversation
    assert conversation.model == body["model"]
    assert call.stream is bool(body.get("stream"))
    heard = list(conversation.system)
    for turn in conversation.turns:
        for part in turn.parts:
            match part:
                case Text(text=text):
                    heard.append(text)
                case ToolResult(content=content):
                    heard += [inner.text for inner in content if isinstance(inner, Text)]
                case _:
                    pass
    items: list[Any] = [{"content": body["input"]}] if isinstance(body["input"], str) else body["input"]
    said = texts(body.get("instructions"))
    for item in items:
        said += texts(item.get("content")) + texts(item.get("output"))
    assert heard == said
    offered: list[str] = []
    for tool in body.get("tools", []):
        if tool["type"] == "namespace":
            offered += [f"{tool['name']}__{each['name']}" for each in tool["tools"]]
        elif tool["type"] == "function":
            offered.append(tool["name"])
    assert [spec.name for spec in conversation.tools] == offered


def test_what_another_server_kept_is_unknown() -> None:
    with pytest.raises(RelayError) as caught:
        read(GOES_ON)
    assert caught.value.code is ErrorCode.previous_response_unknown


def test_codex() -> None:
    call = read("codex/codex-resp-02")
    conversation = call.conversation
    assert call.ignored == ("tools.web_search",)
    assert len(conversation.system) == 3
    assert [turn.role for turn in conversation.turns] == ["user", "user", "assistant", "user"]
    (use,) = conversation.turns[2].parts
    assert isinstance(use, ToolUse)
    assert (use.id, use.name) == ("call_fa1aee99dd154a189b51", "exec_command")
    assert "cmd" in json.loads(bytes(use.input))
    assert conversation.session == "01a1fa69-56b8-7ee2-a306-f946809a7f19"
    spawn = next(spec for spec in conversation.tools if spec.name == "multi_agent_v1__spawn_agent")
    assert spawn.namespace == "multi_agent_v1"
    assert read("codex/codex-schema-01").ignored == ("tools.web_search", "text.format")


def test_the_sdk_of_openai() -> None:
    first = read("openai-python/sdk-openai-py-10").conversation
    assert first.system == ("be brief",)
    assert first.max_tokens == 100
    third = read("openai-python/sdk-openai-py-12").conversation
    assert third.tool_choice == ToolChoice("any")
    assert third.effort == "low"
    fourth = read("openai-python/sdk-openai-py-13").conversation
    assert fourth.turns[2] == Turn("user", (ToolResult("call_f9f7d32efee4414286f1", (Text("15C"),)),))
    assert read("openai-python/sdk-openai-py-15").ignored == ("text.format",)


def test_open_responses() -> None:
    image = read("openresponses-suite/openresponses-07").conversation.turns[0].parts[1]
    assert isinstance(image, Image)
    assert image.media_type == "image/png"
    phases = read("openresponses-suite/openresponses-02").conversation
    assert [turn.role for turn in phases.turns] == ["assistant", "user"]
    assert len(phases.turns[0].parts) == 2
