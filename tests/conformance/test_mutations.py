"""Each detail whose loss breaks a real client (CLIENTS.md (b), the mutation tables): our streams have it, and a stream
without it is noticed by the contract that every generated stream is held to (`contract.py`, `test_generated.py`).
"""

import json
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from qrelay.simulator.model import reasoning, tool_use
from qrelay.simulator.scenario import Event as Sent
from qrelay.simulator.scenario import Scenario, Tail, text
from tests.conformance import contract
from tests.conformance.contract import Event
from tests.gateway.conftest import Bench, bench
from tests.house.repository import ROOT

Mutation: TypeAlias = Callable[[list[Event]], list[Event]]

EVERYTHING = Scenario(
    [
        *reasoning("I think."),
        text("Two"),
        text(" tools."),
        *tool_use("tooluse_1", "first", '{"path": "/a"}'),
        *tool_use("tooluse_2", "second", ""),
        Sent("reasoningContentEvent", {"redactedContent": "AAAA"}),
        Tail("TOOL_USE"),
    ]
)
"""A reply with every kind of part."""


def without(*names: str) -> Mutation:
    """The stream without these events."""
    return lambda events: [event for event in events if event.name not in names]


def changed(name: str, change: Callable[[Any], object]) -> Mutation:
    """The stream with `change` made to the data of the events of that name ("" for all)."""

    def mutation(events: list[Event]) -> list[Event]:
        for event in events:
            if event.data != "[DONE]" and name in ("", event.name):
                change(event.data)
        return events

    return mutation


def lost(name: str, *path: str) -> Mutation:
    """The stream without a member, wherever the path leads to it in events of that name."""
    return changed(name, lambda data: _at(data, path[:-1]).pop(path[-1], None))


def _at(data: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        data = data.get(step, {})
    return data


def unnamed(events: list[Event]) -> list[Event]:
    return [Event("", data) for _, data in events]


def renamed(old: str, new: str) -> Mutation:
    return lambda events: [
        Event(new, data | {"type": new}) if name == old else Event(name, data) for name, data in events
    ]


def first(name: str, change: Callable[[Any], object], where: Callable[[Any], bool] = lambda _: True) -> Mutation:
    """`change` made to the first such event that `where` is true of."""

    def mutation(events: list[Event]) -> list[Event]:
        change(
            next(event.data for event in events if event.name == name and event.data != "[DONE]" and where(event.data))
        )
        return events

    return mutation


def _block(kind: str) -> Callable[[Any], bool]:
    return lambda data: data["content_block"]["type"] == kind


MESSAGES: dict[str, Mutation] = {
    "no message_start.usage": first("message_start", lambda data: data["message"].pop("usage")),
    "no message_delta.usage": lost("message_delta", "usage"),
    "no message_stop": without("message_stop"),
    "no content_block_stop": without("content_block_stop"),
    "no event lines": unnamed,
    "no input in the start of a tool use": first(
        "content_block_start", lambda data: data["content_block"].pop("input"), _block("tool_use")
    ),
    "no cache fields": lost("message_delta", "usage", "cache_read_input_tokens"),
    "no signature": lambda events: [
        event for event in events if event.data.get("delta", {}).get("type") != "signature_delta"
    ],
    "no id in message_start": lost("message_start", "message", "id"),
    "no model in message_start": lost("message_start", "message", "model"),
    "a text start without text": first(
        "content_block_start", lambda data: data["content_block"].pop("text"), _block("text")
    ),
    "an unknown event in place of message_delta": renamed("message_delta", "message_end"),
    "end_turn with a tool use": changed("message_delta", lambda data: data["delta"].update(stop_reason="end_turn")),
    "the body ends after content_block_start": lambda events: events[
        : 1 + next(at for at, event in enumerate(events) if event.name == "content_block_start")
    ],
    "a delta of another index": first("content_block_delta", lambda data: data.update(index=5)),
}


def _calls(change: Callable[[dict[str, Any], int], object]) -> Mutation:
    """`change` made to every delta of a call, given which one of its call it is."""

    def mutation(events: list[Event]) -> list[Event]:
        seen: dict[int, int] = {}
        for event in events:
            for choice in () if event.data == "[DONE]" else event.data["choices"]:
                for call in choice["delta"].get("tool_calls", ()):
                    at = call["index"]
                    change(call, seen.get(at, 0))
                    seen[at] = seen.get(at, 0) + 1
        return events

    return mutation


def _finish(reason: str | None) -> Mutation:
    def change(data: Any) -> None:
        for choice in data["choices"]:
            if choice["finish_reason"]:
                choice["finish_reason"] = reason

    return changed("", change)


CHAT: dict[str, Mutation] = {
    "the id again on later deltas": _calls(lambda call, at: call.update(id="call_1") if at else None),
    "the name again on later deltas": _calls(lambda call, at: call["function"].update(name="first") if at else None),
    "a null id": _calls(lambda call, at: None if at else call.update(id=None)),
    "a null type": _calls(lambda call, at: None if at else call.update(type=None)),
    "a null name": _calls(lambda call, at: None if at else call["function"].update(name=None)),
    "no index": _calls(lambda call, _: call.pop("index")),
    "no finish reason": _finish(None),
    "stop with a tool call": _finish("stop"),
    **{f"no {member}": lost("", member) for member in ("id", "object", "created", "model")},
    "another id on a chunk": first("", lambda data: data.update(id="chatcmpl-other")),
    "no role": first("", lambda data: data["choices"][0]["delta"].pop("role")),
    "no [DONE]": lambda events: events[:-1],
    "event lines": lambda events: [Event("message", data) for _, data in events],
    "no usage though it was asked for": lambda events: [
        event for event in events if event.data == "[DONE]" or event.data["choices"]
    ],
}


def _reduced(data: Any) -> None:
    whole = data["response"]
    data["response"] = {name: whole[name] for name in ("id", "status", "usage", "output")}


RESPONSES: dict[str, Mutation] = {
    "no sequence_number": lost("", "sequence_number"),
    "no event lines": unnamed,
    "no output_text.done": without("response.output_text.done"),
    "no output_item.added": without("response.output_item.added"),
    "completed.output is empty": lost("response.completed", "response", "output"),
    "completed without usage": lost("response.completed", "response", "usage"),
    "no content_part.added": without("response.content_part.added"),
    "no content_part.done": without("response.content_part.done"),
    "no function_call_arguments.delta": without("response.function_call_arguments.delta"),
    "no function_call_arguments.done": without("response.function_call_arguments.done"),
    "no response.created": without("response.created"),
    "no response.in_progress": without("response.in_progress"),
    "no item_id": lost("", "item_id"),
    "no id of an item": changed("", lambda data: data.get("item", {}).pop("id", None)),
    "the response object reduced": changed("response.completed", _reduced),
    "no output_item.done": without("response.output_item.done"),
    "no response.completed": without("response.completed"),
    "response.done in its place": renamed("response.completed", "response.done"),
    "usage without total_tokens": changed(
        "response.completed", lambda data: data["response"]["usage"].pop("total_tokens")
    ),
}

ASKED: dict[str, tuple[str, dict[str, Any], Callable[[str], None], dict[str, Mutation]]] = {
    "messages": (
        "/v1/messages",
        {"max_tokens": 999, "messages": [{"role": "user", "content": "hi"}]},
        contract.messages,
        MESSAGES,
    ),
    "chat": (
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": "hi"}], "stream_options": {"include_usage": True}},
        lambda body: contract.chat(body, usage_asked=True),
        CHAT,
    ),
    "responses": ("/v1/responses", {"input": "hi"}, contract.responses, RESPONSES),
}


def written(events: list[Event]) -> str:
    return "".join(
        (f"event: {name}\n" if name else "") + f"data: {data if data == '[DONE]' else json.dumps(data)}\n\n"
        for name, data in events
    )


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncGenerator[Bench]:
    async with bench(tmp_path) as running:
        yield running


@pytest.mark.parametrize("api", ASKED)
@pytest.mark.anyio
async def test_our_stream_has_it_and_a_stream_without_it_is_noticed(relay: Bench, api: str) -> None:
    path, body, check, mutations = ASKED[api]
    relay.sim.next(EVERYTHING)
    answer = await relay.http.post(path, json={"model": "claude-sonnet-4-5", "stream": True, **body})
    check(answer.text)
    check(written(contract.parse(answer.text)))
    unnoticed: list[str] = []
    for row, mutation in mutations.items():
        mutated = written(mutation(contract.parse(answer.text)))
        assert mutated != written(contract.parse(answer.text)), row
        try:
            check(mutated)
        except (AssertionError, KeyError):
            continue
        unnoticed.append(row)
    assert unnoticed == []


@pytest.mark.parametrize("api", ASKED)
def test_the_documentation_names_every_row(api: str) -> None:
    page = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    assert all(row in page for row in ASKED[api][3])
