"""Limits on what a request may hold: each in each client API, with the field and the setting in the answer."""

import json
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import msgspec
import pytest

from qrelay.apis import anthropic, openai_chat, openai_responses
from qrelay.apis.dialect import Stamp
from qrelay.apis.openai_responses import Kept, ResponsesStore
from qrelay.apis.request_limits import RequestLimits
from qrelay.errors import ErrorCode, RelayError
from qrelay.http.body import Bodies
from qrelay.simulator.scenario import Scenario, Silence, text
from tests.apis import captures
from tests.gateway.conftest import Bench, bench, relay

__all__ = ["relay"]  # a fixture

pytestmark = pytest.mark.anyio

STAMP = Stamp("0" * 32, lambda: 0.0)
FEW = RequestLimits(messages=3, parts=4, tools=2, stop_sequences=2, stop_sequence_characters=8)
USER = {"role": "user", "content": "Hi"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "a"}] * 5}
MESSAGES: dict[str, Any] = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [USER]}
CHAT: dict[str, Any] = {"model": "claude-sonnet-4-5", "messages": [USER]}
RESPONSES: dict[str, Any] = {"model": "claude-sonnet-4-5", "input": [USER]}
PATHS = {"/v1/messages": MESSAGES, "/v1/chat/completions": CHAT, "/v1/responses": RESPONSES}
NAMESPACE = {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "a"}] * 2}
TOO_MUCH: dict[str, list[tuple[dict[str, Any], str, str]]] = {
    "/v1/messages": [
        ({"messages": [USER] * 4}, "messages", "MAX_MESSAGES"),
        ({"messages": [{"role": "system", "content": "a"}] * 4}, "messages", "MAX_MESSAGES"),
        ({"messages": [PARTS]}, "messages", "MAX_PARTS"),
        ({"system": PARTS["content"]}, "system", "MAX_PARTS"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"} | PARTS]}]},
            "messages",
            "MAX_PARTS",
        ),
        ({"tools": [{"name": "a", "input_schema": {}}] * 3}, "tools", "MAX_TOOLS"),
        ({"stop_sequences": ["a"] * 3}, "stop_sequences", "MAX_STOP_SEQUENCES"),
        ({"stop_sequences": ["a" * 9]}, "stop_sequences", "MAX_STOP_SEQUENCE_CHARACTERS"),
    ],
    "/v1/chat/completions": [
        ({"messages": [USER] * 4}, "messages", "MAX_MESSAGES"),
        ({"messages": [PARTS]}, "messages", "MAX_PARTS"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "a"}] * 5}]}, "messages", "MAX_PARTS"),
        ({"tools": [{"type": "function", "function": {"name": "a"}}] * 3}, "tools", "MAX_TOOLS"),
        ({"functions": [{"name": "a"}] * 3}, "functions", "MAX_TOOLS"),
        ({"stop": ["a"] * 3}, "stop", "MAX_STOP_SEQUENCES"),
        ({"stop": "a" * 9}, "stop", "MAX_STOP_SEQUENCE_CHARACTERS"),
    ],
    "/v1/responses": [
        ({"input": [USER] * 4}, "input", "MAX_MESSAGES"),
        ({"input": [PARTS]}, "input", "MAX_PARTS"),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": PARTS["content"]}]},
            "input",
            "MAX_PARTS",
        ),
        ({"tools": [{"type": "function", "name": "a"}] * 3}, "tools", "MAX_TOOLS"),
        ({"tools": [NAMESPACE]}, "tools", "MAX_TOOLS"),
        ({"input": [{"type": "additional_tools", "tools": [NAMESPACE]}]}, "tools", "MAX_TOOLS"),
    ],
}
READERS: dict[str, Callable[..., object]] = {
    "/v1/messages": anthropic.read,
    "/v1/chat/completions": openai_chat.CHAT.read,
    "/v1/responses": openai_responses.read,
}


@pytest.mark.parametrize(
    ("path", "change", "field", "setting"), [(p, *row) for p, rows in TOO_MUCH.items() for row in rows]
)
def test_too_much_of_one_thing_is_refused(path: str, change: dict[str, Any], field: str, setting: str) -> None:
    raw = msgspec.json.encode(PATHS[path] | change)
    with pytest.raises(RelayError) as refused:
        READERS[path](raw, STAMP, limits=FEW)
    assert (refused.value.code, refused.value.param) == (ErrorCode.request_invalid, field)
    assert f"QRELAY_{setting}" in refused.value.message
    assert f"'{field}'" in refused.value.message


def test_stored_entries_count_as_entries() -> None:
    memory = ResponsesStore().scoped("")
    memory.store.put("", "resp_0", Kept(b"{}", (msgspec.json.encode([USER] * 3),), {}))
    raw = msgspec.json.encode(RESPONSES | {"previous_response_id": "resp_0"})
    with pytest.raises(RelayError) as refused:
        openai_responses.read(raw, STAMP, memory, limits=FEW)
    assert "QRELAY_MAX_MESSAGES" in refused.value.message


def test_parts_of_referenced_items_count_as_parts() -> None:
    memory = ResponsesStore().scoped("")
    item = msgspec.json.encode({"type": "message", "id": "msg_0_0"} | PARTS)
    memory.store.put("", "resp_0", Kept(b"{}", (), {"msg_0_0": item}))
    raw = msgspec.json.encode(RESPONSES | {"input": [{"type": "item_reference", "id": "msg_0_0"}]})
    with pytest.raises(RelayError) as refused:
        openai_responses.read(raw, STAMP, memory, limits=FEW)
    assert "QRELAY_MAX_PARTS" in refused.value.message


def test_what_an_answer_repeats_may_not_be_huge() -> None:
    raw = msgspec.json.encode(RESPONSES | {"metadata": {"a": "b" * 300_000}})
    with pytest.raises(RelayError) as refused:
        openai_responses.read(raw, STAMP)
    assert refused.value.param == "metadata"


# --- the gateway on real sockets


@pytest.fixture
async def small(tmp_path: Path) -> AsyncGenerator[Bench]:
    """A gateway that allows little."""
    limits: dict[str, Any] = {"max_messages": 3, "max_parts": 4, "max_tools": 2, "max_stop_sequences": 2}
    more: dict[str, Any] = {"max_json_values": 1000, "max_json_depth": 16, "max_text_bytes": 1024}
    async with bench(tmp_path / "home", **limits, **more) as running:
        yield running


def padding() -> str:
    """Makes a body large, and is no text: it has neither escapes nor characters beyond ASCII."""
    return "A" * 300_000


@pytest.mark.parametrize("path", [*PATHS, "/v1/messages/count_tokens", "/v1/responses/compact"])
async def test_large_bodies_over_a_limit_get_400(small: Bench, path: str) -> None:
    asked = PATHS.get(path) or (RESPONSES if "responses" in path else MESSAGES)
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    for extra, setting in (
        ([1] * 2000, "MAX_JSON_VALUES"),
        (deep, "MAX_JSON_DEPTH"),
        ('"' * 2000, "MAX_TEXT_BYTES"),
        ("é" * 2000, "MAX_TEXT_BYTES"),
    ):
        answer = await small.http.post(path, json=asked | {"padding": padding(), "extra": extra})
        assert answer.status_code == 400, answer.text
        assert f"QRELAY_{setting}" in answer.json()["error"]["message"]
        kind = answer.json()["error"]["type"]
        assert kind == "invalid_request_error"


@pytest.mark.parametrize("path", TOO_MUCH)
async def test_counts_are_refused_with_400_in_the_dialect(small: Bench, path: str) -> None:
    change, field, setting = TOO_MUCH[path][0]
    answer = await small.http.post(path, json=PATHS[path] | change)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert f"QRELAY_{setting}" in error["message"]
    assert path == "/v1/messages" or error["param"] == field


async def test_large_management_bodies_over_a_limit_get_400(small: Bench) -> None:
    for path in ("/v2/import", "/v2/accounts", "/v2/import/file"):
        rows: list[list[int]] = [[]] * 2000
        answer = await small.http.post(path, json={"accounts": rows, "padding": padding()})
        assert answer.status_code == 400, answer.text
        assert "QRELAY_MAX_JSON_VALUES" in answer.text


async def test_lone_surrogates_of_large_bodies_are_replaced(relay: Bench) -> None:
    asked = json.dumps(MESSAGES | {"messages": [{"role": "user", "content": "\ud83d end \ud83d\ude00"}]})
    raw = f'{asked[:-1]},"padding":"{padding()}"}}'
    answer = await relay.http.post("/v1/messages", content=raw, headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    sent = relay.sim.requests[-1].body
    assert "\ufffd end \U0001f600" in json.dumps(sent, ensure_ascii=False) if isinstance(sent, dict) else str(sent)


async def test_bodies_beyond_the_budget_get_503_with_retry_after(tmp_path: Path) -> None:
    """A stream holds its share until it ends; another body waits for no memory, it is told to come again."""
    scenario = Scenario([text("begin"), Silence()])
    async with bench(tmp_path / "home", max_body_bytes=400_000, body_budget_bytes=400_000) as relay:
        relay.sim.next(scenario)
        first = MESSAGES | {"stream": True, "padding": padding()}
        async with relay.http.stream("POST", "/v1/messages", json=first) as begun:
            assert begun.status_code == 200
            for path, asked in PATHS.items():
                refused = await relay.http.post(path, json=asked | {"padding": padding()})
                assert refused.status_code == (529 if path == "/v1/messages" else 503), refused.text
                assert int(refused.headers["retry-after"]) >= 1
                assert refused.headers["x-should-retry"] == "true"
                assert "QRELAY_BODY_BUDGET_BYTES" in refused.json()["error"]["message"]
            counted = await relay.http.post("/v1/messages/count_tokens", json=MESSAGES | {"padding": padding()})
            assert counted.status_code == 529
            imported = await relay.http.post("/v2/import", json={"accounts": [], "padding": padding()})
            assert (imported.status_code, imported.json()["error"]["code"]) == (503, "gateway_overloaded")
            assert (await relay.messages("a small one")).status_code == 200
        await until_answered(relay)


async def until_answered(relay: Bench) -> None:
    """Wait until a large body fits again."""
    with anyio.fail_after(30):
        while True:
            answer = await relay.http.post("/v1/messages", json=MESSAGES | {"padding": padding()})
            if answer.status_code == 200:
                return
            await anyio.sleep(0.05)


async def test_nothing_more_is_read_once_the_budget_is_used_up(tmp_path: Path) -> None:
    """The share grows with what arrives, and is given back when the client leaves."""
    async with bench(tmp_path / "home", max_body_bytes=400_000, body_budget_bytes=400_000) as relay:
        port = httpx.URL(relay.url).port or 0
        head = b"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\n"
        chunk = b"48000\r\n%b\r\n" % (b" " * 0x48000)
        async with await anyio.connect_tcp("127.0.0.1", port) as holding:
            await holding.send(head + chunk)
            with anyio.fail_after(30):
                while True:
                    async with await anyio.connect_tcp("127.0.0.1", port) as second:
                        await second.send(head + chunk)
                        with anyio.move_on_after(1):
                            answer = await second.receive()
                            assert answer.startswith(b"HTTP/1.1 529"), answer
                            break
        await until_answered(relay)


# --- what real clients send


@contextmanager
def suppress_unknown() -> Generator[None]:
    """Drop references of captures to responses that were stored elsewhere."""
    try:
        yield
    except RelayError as error:
        if error.code is not ErrorCode.previous_response_unknown:
            raise


def test_captured_requests_are_far_below_the_limits() -> None:
    tenth = RequestLimits(*(limit // 10 for limit in RequestLimits()))
    for path, read in READERS.items():
        for raw in map(msgspec.json.encode, captures.of(path).values()):
            with suppress_unknown():
                read(raw, STAMP, limits=tenth)


def session() -> dict[str, Any]:
    """An agent's session of about a million tokens: 5,000 messages, 20,000 parts, 500 tools, 4 MB of code, images."""
    code = 'if (a["x"], b) { return "\\u4e2d\\n\\t" + \'é\'; } // 中文 😀\n'
    used = {"file": "src/a.py", "edits": [{"old": code, "new": code}, {"old": "a", "new": "b"}]}
    entries: list[dict[str, Any]] = []
    for n in range(2500):
        ids = [f"toolu_{n}_{k}" for k in range(3)]
        uses = [{"type": "tool_use", "id": id_, "name": f"tool_{n % 500}", "input": used} for id_ in ids]
        results = [
            {"type": "tool_result", "tool_use_id": id_, "content": [{"type": "text", "text": code}]} for id_ in ids
        ]
        entries.append({"role": "assistant", "content": [{"type": "text", "text": code}, *uses]})
        entries.append({"role": "user", "content": [*results, {"type": "text", "text": code}]})
    properties = {f"p{k}": {"type": "string", "description": code, "enum": ["a", "b"]} for k in range(12)}
    tools = [
        {"name": f"tool_{n}", "description": code, "input_schema": {"type": "object", "properties": properties}}
        for n in range(500)
    ]
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0K" * 500_000}}
    entries.append({"role": "user", "content": [image] * 5})
    return {"model": "claude-sonnet-4-5", "max_tokens": 9, "tools": tools, "messages": [USER, *entries]}


@pytest.mark.parametrize("ascii_only", [True, False])
async def test_a_session_of_a_million_tokens_is_within_the_limits(ascii_only: bool) -> None:
    raw = json.dumps(session(), ensure_ascii=ascii_only).encode()
    sent = [
        {"type": "http.request", "body": raw[at : at + 65_536], "more_body": True} for at in range(0, len(raw), 65_536)
    ]
    waiting = iter([*sent, {"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Any:
        return next(waiting)

    bodies = Bodies(64 * 1024 * 1024)
    try:
        with bodies.share() as share:
            body = await bodies.read({"type": "http", "headers": []}, receive, share)
            assert body == raw
            call = await bodies.apart(body, lambda: anthropic.read(body, STAMP, limits=bodies.limits))
        assert len(call.conversation.turns) == 5002
        assert bodies.held_bytes == 0
    finally:
        bodies.close()
