"""Any request that an official SDK's types allow is served, or refused with the field that is at fault.

Nothing gets a 5xx, and nothing that the gateway sends is refused by the service: of both styles of validation the
simulator knows, whatever roles, blocks, orders, ids and tools the request holds. A reply that is served is of the SDK's
own types, and a stream keeps the contract that real clients rely on. `HYPOTHESIS_PROFILE=deep` for 10,000 requests an
API instead of a few dozen.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, NamedTuple

import httpx
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from qrelay.apis.openai_responses.compaction import TRIGGER
from qrelay.simulator.server import Simulator
from qrelay.simulator.violation import Style
from tests.conformance import bodies, contract
from tests.conformance.shapes import JSON, Body
from tests.gateway.conftest import bench
from tests.strategies import spoiled

EXAMPLES = 5_000 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 30
"""For each API and style."""

_ANTHROPIC_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
_RESPONSES_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


class Api(NamedTuple):
    """How requests are made and read back. `field` finds in an error what is at fault."""

    path: str
    bodies: Callable[[], st.SearchStrategy[Body]]
    whole: Callable[[Any], object]
    streamed: Callable[[str, Body], None]
    field: Callable[[Any], object]


def _messages_stream(text: str, _: Body) -> None:
    contract.messages(text)
    for name, data in contract.parse(text):
        if name != "ping":
            _ANTHROPIC_EVENT.validate_python(data, strict=True)


def _chat_stream(text: str, body: Body) -> None:
    options: Body = body.get("stream_options") or {}
    contract.chat(text, usage_asked=options.get("include_usage") is True)
    for _, chunk in contract.parse(text)[:-1]:
        ChatCompletionChunk.model_validate(chunk, strict=True)


def _responses_stream(text: str, _body: Body) -> None:
    contract.responses(text)
    for _, data in contract.parse(text):
        _RESPONSES_EVENT.validate_python(data, strict=True)


def _quoted(error: Any) -> object:
    """Anthropic's errors have no `param`: the message says the field."""
    return re.search(r"'\w+[\w.]*'|^[a-z]+\.\d+\.\S+ |^prompt is too long", error["message"])


def _param(error: Any) -> object:
    return error["param"] or error["code"] == "context_length_exceeded"


APIS = {
    "messages": Api(
        "/v1/messages",
        bodies.messages,
        partial(Message.model_validate, strict=True),
        _messages_stream,
        _quoted,
    ),
    "chat": Api(
        "/v1/chat/completions",
        bodies.chat,
        partial(ChatCompletion.model_validate, strict=True),
        _chat_stream,
        _param,
    ),
    "responses": Api(
        "/v1/responses",
        bodies.responses,
        partial(Response.model_validate, strict=True),
        _responses_stream,
        _param,
    ),
}


class Line(NamedTuple):
    """A gateway and its simulator in another thread, for tests that know no event loop."""

    sim: Simulator
    http: httpx.Client


@pytest.fixture(scope="module", params=["new", "old"])
def line(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Line]:
    style: Style = request.param
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            bench(tmp_path_factory.mktemp("home"), {"validation": style}, max_error_count=10**6)
        ) as running,
        httpx.Client(base_url=running.url, timeout=30) as http,
    ):
        yield Line(running.sim, http)


THOROUGH = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
REPLIES = [
    "tool", "tools_several", "tool_input_object", "tool_no_input", "identical_deltas", "emoji", "one_character_deltas",
    "code_reference", "reasoning", "reasoning_redacted", "reasoning_both", "null_members", "side_events",
    "tail_without_metadata", "tail_context_usage_only", "stop_max_tokens", "stop_stop_sequence",
    "stop_content_filtered", "stop_model_context_window_exceeded",
]  # fmt: skip
"""Ready-made answers of the simulator's; the rest of the time its own model answers."""


@pytest.mark.parametrize("name", APIS)
def test_what_the_sdk_s_types_allow_is_served_or_refused_with_the_field(line: Line, name: str) -> None:
    api = APIS[name]
    outcomes: Counter[str] = Counter()

    @THOROUGH
    @given(api.bodies(), st.none() | st.sampled_from(REPLIES))
    def law(body: Body, reply: str | None) -> None:
        line.sim.service.reset()
        if reply is not None and TRIGGER not in json.dumps(body):  # a cut summary is an error, and should be
            line.sim.next(reply)
        answer = line.http.post(api.path, content=json.dumps(body), headers={"content-type": "application/json"})
        chats = line.sim.chats
        assert [chat.refusal for chat in chats] in ([], [None]), (chats[-1].violation, answer.text)
        outcomes[str(answer.status_code)] += 1
        if answer.status_code == 200:
            assert len(chats) == 1
            if body.get("stream"):
                api.streamed(answer.text, body)
            else:
                api.whole(answer.json())
        else:
            assert answer.status_code == 400, answer.text
            assert chats == []
            assert api.field(answer.json()["error"]), answer.text

    law()
    print(name, dict(outcomes))  # noqa: T201 - for whoever runs it deep, with -s
    assert outcomes["200"] * 10 > outcomes.total()  # few examples are alike: of many, most are served


@pytest.mark.parametrize("name", APIS)
def test_any_json_in_any_place_is_served_or_refused_with_the_field(line: Line, name: str) -> None:
    api = APIS[name]

    @THOROUGH
    @given(spoiled(api.bodies(), JSON))
    def law(body: Body) -> None:
        line.sim.service.reset()
        answer = line.http.post(api.path, content=json.dumps(body), headers={"content-type": "application/json"})
        refusals = [chat.refusal for chat in line.sim.chats]
        if answer.status_code == 404:
            assert refusals in ([], ["invalid_model_id"])
            return
        assert refusals in ([], [None]), (line.sim.chats[-1].violation, answer.text)
        if answer.status_code != 200:
            assert answer.status_code == 400, answer.text
            assert api.field(answer.json()["error"]), answer.text

    law()
