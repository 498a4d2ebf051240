"""All three APIs ask for an answer in JSON in their own words; the conversation has the schema."""

import json
from typing import Any

import pytest

from qrelay.apis.anthropic import MESSAGES
from qrelay.apis.dialect import Dialect
from qrelay.apis.openai_chat import CHAT
from qrelay.apis.openai_responses import RESPONSES
from tests.apis.loopback import STAMP

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
SAID = [{"role": "user", "content": "hi"}]


def asked(dialect: Dialect, **members: Any) -> Any:
    body = {"model": "m", "max_tokens": 9, "messages": SAID, "input": "hi"} | members
    schema = dialect.read(json.dumps(body).encode(), STAMP).conversation.answer_schema
    return None if schema is None else json.loads(bytes(schema))


@pytest.mark.parametrize(
    ("dialect", "members"),
    [
        (MESSAGES, {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}),
        (CHAT, {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}}),
        (RESPONSES, {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}}),
    ],
)
def test_a_schema(dialect: Dialect, members: dict[str, Any]) -> None:
    assert asked(dialect, **members) == SCHEMA


@pytest.mark.parametrize(
    ("dialect", "members"),
    [
        (CHAT, {"response_format": {"type": "json_object"}}),
        (CHAT, {"response_format": {"type": "json_schema"}}),
        (CHAT, {"response_format": {"type": "json_schema", "json_schema": [1]}}),
        (RESPONSES, {"text": {"format": {"type": "json_object"}}}),
        (RESPONSES, {"text": {"format": {"type": "json_schema", "name": "n", "schema": "none"}}}),
        (MESSAGES, {"output_config": {"format": {"type": "json_schema"}}}),
    ],
)
def test_any_object(dialect: Dialect, members: dict[str, Any]) -> None:
    assert asked(dialect, **members) == {"type": "object"}


@pytest.mark.parametrize(
    ("dialect", "members"),
    [
        (MESSAGES, {}),
        (MESSAGES, {"output_config": {"format": None, "effort": "low"}}),
        (CHAT, {"response_format": {"type": "text"}}),
        (CHAT, {"response_format": {"type": "grammar"}}),
        (RESPONSES, {"text": {"format": {"type": "text"}, "verbosity": "low"}}),
    ],
)
def test_no_json(dialect: Dialect, members: dict[str, Any]) -> None:
    assert asked(dialect, **members) is None
