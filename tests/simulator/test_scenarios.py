"""Ready-made scenarios and the data they are made of, read by AWS's own decoder."""

import asyncio
from typing import Any

import httpx
import msgspec
import pytest
from botocore.eventstream import ChecksumMismatch  # pyright: ignore[reportMissingTypeStubs] -- has none

from qrelay.simulator.model import is_signed
from qrelay.simulator.named import CHINESE, EMOJI, HELLO, SCENARIOS, STOP_REASONS
from qrelay.simulator.player import event_frame
from qrelay.simulator.scenario import Cut, Event, Pause, Respond, Scenario, Silence, Tail, from_json, text, to_json

from .asking import Caller, decoded, frames, request, stop_reason, text_of, tool_uses, user

pytestmark = pytest.mark.anyio

DAMAGED = {"bad_crc", "bad_prelude_crc", "truncated_frame", "lying_length", "payload_not_json"}
BAD_ENDS = {"cut_text", "cut_first", "cut_tool", "cut_mid_frame", "reset_text"}
STREAMS = {
    name
    for name, scenario in SCENARIOS.items()
    if any(isinstance(step, Event) for step in scenario.steps)
    and not any(isinstance(step, (Cut, Silence)) for step in scenario.steps)
} - DAMAGED


async def play(caller: Caller, name: str) -> list[tuple[str, dict[str, Any]]]:
    caller.simulator.next(name)
    return [event for event in await caller.events() if event[0] != "initial-response"]


@pytest.mark.parametrize("name", sorted(STREAMS))
async def test_whole_streams_are_what_their_data_says(caller: Caller, name: str) -> None:
    events = await play(caller, name)
    promised = [(step.type, step.payload) for step in SCENARIOS[name].steps if isinstance(step, Event)]
    assert events[: len(promised)] == promised
    recorded = caller.simulator.chats[-1]
    assert (recorded.scenario, recorded.status) == (name, 200)


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_scenarios_are_data(name: str) -> None:
    assert from_json(to_json(SCENARIOS[name])) == SCENARIOS[name]


@pytest.mark.parametrize("name", sorted(BAD_ENDS))
async def test_ends_that_are_none(caller: Caller, name: str) -> None:
    caller.simulator.next(name)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await caller.chat()
    recorded = caller.simulator.chats[-1]
    await recorded.over.wait()
    assert (recorded.finished, recorded.disconnected) == (False, False)


async def test_what_was_written_before_a_cut_arrives(caller: Caller) -> None:
    caller.simulator.next("cut_text")
    arrived = bytearray()
    async with caller.http.stream(
        "POST", caller.simulator.url + "/generateAssistantResponse", json=request(user()), headers=caller.headers()
    ) as response:
        with pytest.raises(httpx.RemoteProtocolError):
            await _drain(response, arrived)
    assert text_of(decoded(bytes(arrived))) == "Hello, world"


async def _drain(response: httpx.Response, into: bytearray) -> None:
    async for piece in response.aiter_raw():
        into += piece


@pytest.mark.parametrize("name", ["silence", "silence_first"])
async def test_silence_lasts(caller: Caller, name: str) -> None:
    caller.simulator.next(name)
    with pytest.raises(httpx.ReadTimeout):
        await caller.http.post(
            caller.simulator.url + "/generateAssistantResponse",
            json=request(user()),
            headers=caller.headers(),
            timeout=0.2,
        )


@pytest.mark.parametrize(("name", "error"), [("bad_crc", ChecksumMismatch), ("bad_prelude_crc", ChecksumMismatch)])
async def test_checksums(caller: Caller, name: str, error: type[Exception]) -> None:
    caller.simulator.next(name)
    response = await caller.chat()
    with pytest.raises(error):
        frames(response.content)


@pytest.mark.parametrize("name", ["truncated_frame", "lying_length"])
async def test_frames_that_do_not_end(caller: Caller, name: str) -> None:
    caller.simulator.next(name)
    data = (await caller.chat(rest=True)).content
    whole = b"".join(event_frame(step.type, step.payload) for step in HELLO if isinstance(step, Event))
    assert text_of(decoded(data)) == "Hello, world"
    assert data.startswith(whole)
    assert len(data) > len(whole)


@pytest.mark.parametrize(
    ("name", "kind", "headers"),
    [
        ("exception_error", "exception", {":exception-type": "error"}),
        ("exception_throttling", "exception", {":exception-type": "throttlingException"}),
        ("exception_validation", "exception", {":exception-type": "validationException"}),
        ("exception_first", "exception", {":exception-type": "throttlingException"}),
        ("error_frame", "error", {":error-code": "InternalError"}),
    ],
)
async def test_failures_after_the_200(caller: Caller, name: str, kind: str, headers: dict[str, str]) -> None:
    caller.simulator.next(name)
    response = await caller.chat()
    last = frames(response.content)[-1]
    assert response.status_code == 200
    assert last.headers[":message-type"] == kind
    assert last.headers.items() >= headers.items()


async def test_empty(caller: Caller) -> None:
    caller.simulator.next("empty", times=2)
    for rest in (True, False):
        response = await caller.chat(rest=rest)
        assert (response.status_code, response.content) == (200, b"")


async def test_texts_that_are_easily_broken(caller: Caller) -> None:
    assert text_of(await play(caller, "emoji")) == "".join(EMOJI)
    assert text_of(await play(caller, "chinese")) == "".join(CHINESE)
    assert text_of(await play(caller, "identical_deltas")) == "hahaha"
    assert text_of(await play(caller, "one_character_deltas")) == "One character at a time."
    assert text_of(await play(caller, "one_byte_writes")) == "".join(EMOJI + CHINESE)


async def test_tools_in_all_forms(caller: Caller) -> None:
    assert tool_uses(await play(caller, "tool")) == [
        {"toolUseId": "tooluse_1", "name": "tool", "input": {"path": "/a", "deep": True}}
    ]
    assert [use["name"] for use in tool_uses(await play(caller, "tools_several"))] == ["first", "second"]
    assert tool_uses(await play(caller, "tool_no_input"))[0]["input"] == {}
    assert (await play(caller, "tool_input_object"))[0][1]["input"] == {"path": "/a"}
    one = (await play(caller, "tool_one_frame"))[0][1]
    assert (one["input"], one["stop"]) == ('{"path": "/a"}', True)


async def test_the_four_step_form(caller: Caller) -> None:
    steps = [payload for kind, payload in await play(caller, "tool") if kind == "toolUseEvent"]
    assert steps[0].keys() == {"toolUseId", "name"}
    assert all(step.keys() == {"toolUseId", "name", "input"} for step in steps[1:-1])
    assert steps[-1].keys() == {"toolUseId", "name", "stop"}


async def test_reasoning_is_signed(caller: Caller) -> None:
    events = [payload for kind, payload in await play(caller, "reasoning") if kind == "reasoningContentEvent"]
    thought = "".join(event.get("text", "") for event in events)
    assert is_signed(thought, events[-1]["signature"])


@pytest.mark.parametrize("reason", STOP_REASONS)
async def test_stop_reasons(caller: Caller, reason: str) -> None:
    assert stop_reason(await play(caller, f"stop_{reason.lower()}")) == reason


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("hello", ["metadataEvent", "contextUsageEvent", "meteringEvent"]),
        ("no_tail", []),
        ("tail_without_metadata", ["contextUsageEvent", "meteringEvent"]),
        ("tail_without_context_usage", ["metadataEvent", "meteringEvent"]),
        ("tail_without_metering", ["metadataEvent", "contextUsageEvent"]),
        ("tail_context_usage_only", ["contextUsageEvent"]),
    ],
)
async def test_tails(caller: Caller, name: str, kinds: list[str]) -> None:
    assert [kind for kind, _ in (await play(caller, name))[3:]] == kinds


async def test_halves_of_the_metadata(caller: Caller) -> None:
    assert (await play(caller, "tail_without_usage"))[3][1] == {"stopReason": "END_TURN"}
    assert (await play(caller, "tail_without_stop_reason"))[3][1].keys() == {"tokenUsage"}


async def test_a_scenario_of_ones_own_from_json(caller: Caller) -> None:
    caller.simulator.next(
        from_json(
            """{"bytes_per_write": 3, "delay": 0.001, "headers": {"x-own": "1"}, "steps": [
                {"do": "event", "type": "assistantResponseEvent", "payload": {"content": "Own"}},
                {"do": "pause", "seconds": 0.001},
                {"do": "model"}]}"""
        )
    )
    response = await caller.chat()
    assert response.headers["x-own"] == "1"
    assert text_of(decoded(response.content)).startswith("OwnThis is the simulated service.")


async def test_any_http_answer(caller: Caller) -> None:
    caller.simulator.next(Scenario([Respond(502, {"content-type": "text/html"}, "<html>Bad Gateway</html>")]))
    response = await caller.chat()
    assert (response.status_code, response.text) == (502, "<html>Bad Gateway</html>")
    assert response.headers["content-type"] == "text/html"


@pytest.mark.parametrize("bad", ["{", '{"steps": [{"do": "dance"}]}', '{"steps": [{"do": "pause", "seconds": "x"}]}'])
def test_what_is_no_scenario(bad: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        from_json(bad)


def test_an_unknown_error_in_a_scenario() -> None:
    with pytest.raises(KeyError):
        from_json('{"steps": [{"do": "refuse", "error": "no_such_row"}]}')


async def test_a_queued_answer_waits_for_a_request_that_is_admitted(caller: Caller) -> None:
    caller.simulator.next("throttled")
    assert (await caller.chat(request(user("")))).status_code == 400
    assert (await caller.chat(headers={})).status_code == 403
    assert (await caller.chat()).status_code == 429


async def test_a_pause_ends_when_the_client_leaves(caller: Caller) -> None:
    caller.simulator.next(Scenario([text("Hello"), Pause(3600), Tail()]))
    with pytest.raises(httpx.ReadTimeout):
        await caller.http.post(
            caller.simulator.url + "/generateAssistantResponse",
            json=request(user()),
            headers=caller.headers(),
            timeout=0.2,
        )
    async with asyncio.timeout(5):
        await caller.simulator.chats[-1].over.wait()
    assert caller.simulator.chats[-1].disconnected
