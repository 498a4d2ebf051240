"""A PDF that a client attaches, on the three APIs: the service gets its text, and the client is told so."""

import json
from typing import Any

import pytest

from tests.attachments.pdfs import in_base64, locked, pdf
from tests.gateway.conftest import Bench

pytestmark = pytest.mark.anyio

REPORT = in_base64(pdf("It rains in Lisbon", "It is dry in Rome"))
DATA_URL = f"data:application/pdf;base64,{REPORT}"


def document(data: str = REPORT) -> dict[str, Any]:
    return {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data}}


def asked(relay: Bench) -> str:
    """The text of the user's turn the service got last."""
    return relay.sim.chats[-1].body["conversationState"]["currentMessage"]["userInputMessage"]["content"]


ASKING: dict[str, dict[str, Any]] = {
    "/v1/messages": {"max_tokens": 99, "messages": [{"role": "user", "content": [document()]}]},
    "/v1/chat/completions": {
        "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": DATA_URL}}]}]
    },
    "/v1/responses": {"input": [{"role": "user", "content": [{"type": "input_file", "file_data": DATA_URL}]}]},
}


@pytest.mark.parametrize("path", ASKING)
async def test_its_text_is_asked_with(relay: Bench, path: str) -> None:
    answer = await relay.http.post(path, json={"model": "claude-sonnet-4-5", **ASKING[path]})
    assert answer.status_code == 200
    assert answer.headers["x-qrelay-adjusted"] == "document_as_text"
    assert "[page 1]\nIt rains in Lisbon\n\n[page 2]\nIt is dry in Rome" in asked(relay)


async def test_as_a_tools_result(relay: Bench) -> None:
    """As an agent's tool that reads files gives it."""
    use = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"file_path": "a.pdf"}}
    turns = [
        {"role": "user", "content": "Read a.pdf"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [document()]}]},
    ]
    tools = [{"name": "Read", "input_schema": {"type": "object"}}]
    assert (await relay.messages(messages=turns, tools=tools)).status_code == 200
    assert "It is dry in Rome" in json.dumps(relay.sim.chats[-1].body)


async def test_one_that_can_not_be_read_breaks_nothing(relay: Bench) -> None:
    answer = await relay.messages(messages=[{"role": "user", "content": [document(in_base64(locked(pdf("x"), "y")))]}])
    assert answer.status_code == 200
    assert answer.headers["x-qrelay-adjusted"] == "document_dropped"
    assert "it is protected by a password" in asked(relay)


async def test_its_text_is_counted(relay: Bench) -> None:
    long = in_base64(pdf(*["It rains in Lisbon and it is dry in Rome"] * 40))
    counts: list[int] = []
    for data in (REPORT, long):
        body = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": [document(data)]}]}
        counts.append((await relay.http.post("/v1/messages/count_tokens", json=body)).json()["input_tokens"])
    assert counts[1] > counts[0] + 400
