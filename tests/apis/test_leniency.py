"""What all three APIs forgive: half a surrogate pair (a text cut inside an emoji), whole numbers written as 16.0."""

import json
from typing import Any

import pytest

from qrelay.apis.anthropic import MESSAGES
from qrelay.apis.dialect import Dialect
from qrelay.apis.openai_chat import CHAT
from qrelay.apis.openai_responses import RESPONSES
from qrelay.conversation import ToolUse
from qrelay.errors import RelayError
from tests.apis.loopback import STAMP

CUT = "Good \ud83d"

REQUESTS: list[tuple[Dialect, dict[str, Any]]] = [
    (MESSAGES, {"max_tokens": 9, "messages": [{"role": "user", "content": CUT}]}),
    (CHAT, {"messages": [{"role": "user", "content": CUT}]}),
    (RESPONSES, {"input": CUT, "instructions": "\udc00", "metadata": {"a": "\ud83d"}}),
]


@pytest.mark.parametrize(("dialect", "members"), REQUESTS, ids=lambda value: getattr(value, "name", ""))
def test_it_is_read_as_the_replacement_character(dialect: Dialect, members: dict[str, Any]) -> None:
    call = dialect.read(json.dumps({"model": "claude-sonnet-4-5"} | members).encode(), STAMP)
    assert "Good \ufffd" in repr(call.conversation.turns)
    json.loads(call.writer().start().decode().partition("data: ")[2].partition("\n")[0] or "null")


def test_it_is_told_again_as_the_replacement_character() -> None:
    dialect, members = REQUESTS[2]
    call = dialect.read(json.dumps({"model": "m"} | members).encode(), STAMP)
    assert b"\\ud" not in call.writer().start()


def test_an_argument_stays_in_its_place() -> None:
    arguments = json.dumps({"text": CUT})
    message = {
        "role": "assistant",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "say", "arguments": arguments}}],
    }
    call = CHAT.read(json.dumps({"model": "m", "messages": [message]}).encode(), STAMP)
    [use] = call.conversation.turns[0].parts
    assert isinstance(use, ToolUse)
    assert json.loads(bytes(use.input)) == {"text": "Good \ufffd"}
    assert call.ignored == ()


@pytest.mark.parametrize(
    ("dialect", "members"),
    [
        (MESSAGES, {"max_tokens": 16.0, "messages": [{"role": "user", "content": "hi"}]}),
        (CHAT, {"max_tokens": 16.0, "n": 1.0, "messages": [{"role": "user", "content": "hi"}]}),
        (RESPONSES, {"max_output_tokens": 16.0, "top_logprobs": 0.0, "input": "hi"}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_whole_number_with_a_point_is_one(dialect: Dialect, members: dict[str, Any]) -> None:
    call = dialect.read(json.dumps({"model": "m"} | members).encode(), STAMP)
    assert call.conversation.max_tokens == 16
    assert b"16.0" not in call.writer().start()


def test_half_a_token_is_none() -> None:
    with pytest.raises(RelayError) as caught:
        CHAT.read(b'{"model":"m","max_tokens":1.5,"messages":[{"role":"user","content":"hi"}]}', STAMP)
    assert caught.value.param == "max_tokens"
