"""What real clients sent (`tests/captures/`), each request read in full."""

import json
from pathlib import Path
from typing import Any

import pytest

from qrelay.apis.anthropic import MESSAGES, read_count
from qrelay.apis.dialect import Call
from qrelay.conversation import Image, Reasoning, Text, ToolChoice, ToolResult, ToolUse
from tests.apis.loopback import STAMP

CAPTURES = Path(__file__).parents[2] / "captures"


def _load(name: str) -> dict[str, Any]:
    return json.loads((CAPTURES / name).read_text())


def _names(path: str) -> list[str]:
    names = [str(file.relative_to(CAPTURES)) for file in sorted(CAPTURES.glob("*/*.json"))]
    return [name for name in names if _load(name)["path"].partition("?")[0] == path]


def _read(name: str) -> Call:
    return MESSAGES.read(json.dumps(_load(name)["body"]).encode(), STAMP)


MESSAGE_CAPTURES = _names("/v1/messages")
COUNT_CAPTURES = _names("/v1/messages/count_tokens")


def test_no_capture_was_lost() -> None:
    assert (len(MESSAGE_CAPTURES), len(COUNT_CAPTURES)) == (30, 4)


@pytest.mark.parametrize("name", MESSAGE_CAPTURES)
def test_a_captured_request_loses_nothing(name: str) -> None:
    body = _load(name)["body"]
    call = _read(name)
    asked = call.conversation
    assert asked.model == body["model"]
    assert asked.max_tokens == body["max_tokens"]
    assert call.stream is body.get("stream", False)
    assert not [field for field in call.ignored if field.startswith(("messages", "system", "tools"))]

    roles = [message["role"] for message in body["messages"]]
    assert [turn.role for turn in asked.turns] == roles
    for turn, message in zip(asked.turns, body["messages"], strict=True):
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        assert len(turn.parts) == len(blocks)
        for part, block in zip(turn.parts, blocks, strict=True):
            _same(part, block)

    tools = body.get("tools", [])
    assert [(tool.name, tool.description) for tool in asked.tools] == [(t["name"], t["description"]) for t in tools]
    assert [json.loads(bytes(tool.schema)) for tool in asked.tools] == [tool["input_schema"] for tool in tools]


def _same(part: object, block: dict[str, Any]) -> None:
    match part:
        case Text():
            assert part.text == block["text"]
        case Image():
            assert (part.data, part.media_type) == (block["source"]["data"], block["source"]["media_type"])
        case Reasoning():
            assert (part.text, part.signature) == (block["thinking"], block["signature"])
        case ToolUse():
            assert (part.id, part.name, json.loads(bytes(part.input))) == (block["id"], block["name"], block["input"])
        case ToolResult():
            content = block["content"]
            texts = [content] if isinstance(content, str) else [each["text"] for each in content]
            assert part.tool_use_id == block["tool_use_id"]
            assert part.content == tuple(map(Text, texts))
            assert part.is_error is block.get("is_error", False)
        case _:
            pytest.fail(f"{part!r} from {block!r}")


@pytest.mark.parametrize("name", COUNT_CAPTURES)
def test_a_captured_count_is_read(name: str) -> None:
    body = _load(name)["body"]
    asked = read_count(json.dumps(body).encode())
    assert len(asked.turns) == len(body["messages"])
    assert len(asked.tools) == len(body.get("tools", []))
    assert asked.max_tokens is None


def test_claude_code() -> None:
    call = _read("claude-code/cc-agent-06.json")
    asked = call.conversation
    assert [turn.role for turn in asked.turns] == ["user", "system", "assistant", "user", "system"]
    assert [type(part) for part in asked.turns[2].parts] == [Reasoning, Text, ToolUse]
    assert len(asked.system) == 3
    assert asked.effort == "medium"
    assert asked.session == "48d4a414-3a2e-40bc-ab80-573ca6132521"
    assert call.ignored == ("thinking.display", "context_management")


def test_the_clients_that_ask_for_something_special() -> None:
    asked = _read("anthropic-python/sdk-anthropic-py-05.json").conversation
    assert asked.tool_choice == ToolChoice("auto")
    assert asked.parallel_tool_uses is False
    assert _read("anthropic-python/sdk-anthropic-py-03.json").conversation.stop_sequences == ("X",)
    assert _read("anthropic-python/sdk-anthropic-py-09.json").ignored == ("output_config.format",)
    assert _read("anthropic-python/sdk-anthropic-py-10.json").ignored == ("thread",)
    assert _read("aider/aider-anthropic-01.json").ignored == ("temperature",)
