"""Every way an upstream can fail, on every client API, streamed and whole: told as what it is, and nothing left over.

The upstream is `qrelay.simulator.faults`, whose every byte is decided. For each cell of the matrix:

- the caller gets one typed error of its own API, by a plain client and by the official SDK, and no end that isn't one
- what was opened in a stream is closed before the error
- the call upstream is over by our own FIN or RST, the account given back, and no task is left
"""

import asyncio
import gc
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import httpx
import openai
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from qrelay.accounts.pool import Pool
from qrelay.simulator.fault_scripts import DRIBBLE, FAULTS, closed_port
from qrelay.simulator.faults import End, FaultServer, Fin, Wait
from qrelay.simulator.server import Simulator
from tests.conformance import contract
from tests.gateway.conftest import serving, settings_for
from tests.gateway.sse import events

MODEL = "claude-sonnet-5"
PATHS = {"messages": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses"}
SAID = [{"role": "user", "content": "hi"}]
BODIES: dict[str, dict[str, Any]] = {
    "messages": {"model": MODEL, "max_tokens": 99, "messages": SAID},
    "chat": {"model": MODEL, "messages": SAID},
    "responses": {"model": MODEL, "input": "hi"},
}

BEFORE: dict[str, tuple[int, str]] = {
    "closed_at_once": (502, "upstream_unreachable"),
    "reset_at_once": (502, "upstream_unreachable"),
    "not_http": (502, "upstream_unreachable"),
    "closed_port": (502, "upstream_unreachable"),
    "silent": (504, "upstream_timeout"),
    "silent_after_head": (504, "upstream_timeout"),
    "empty": (502, "upstream_protocol"),
    "garbage": (502, "upstream_protocol"),
    "html": (502, "upstream_failed"),
    "redirect": (502, "upstream_failed"),
    "retry_after": (429, "rate_limit_exceeded"),
}
"""Faults before the first event: the status, and the code as OpenAI's APIs have it."""

AFTER: dict[str, tuple[int, str]] = {
    **{name: (504, "upstream_timeout") for name in FAULTS if name.startswith("stalled")},
    **{name: (502, "upstream_protocol") for name in FAULTS if not name.startswith("stalled")},
}
for _name in (*BEFORE, "no_tail"):  # an answer that HTTP ends is whole without its tail (PROTOCOL.md §3.3)
    AFTER.pop(_name, None)
"""Faults after it. Asked for whole, a reply has the status; in a stream it is too late for one."""

MATRIX = {**BEFORE, **AFTER}
TYPES = {502: "api_error", 504: "timeout_error", 429: "rate_limit_error"}


class Line(NamedTuple):
    """A gateway whose upstream is `faults`, in another thread."""

    portal: BlockingPortal
    faults: FaultServer
    http: httpx.Client
    claude: anthropic.Anthropic
    gpt: openai.OpenAI
    pools: list[Pool]


@asynccontextmanager
async def _line(home: Path, patience: float, upstream: str | None) -> AsyncGenerator[tuple[str, FaultServer]]:
    async with AsyncExitStack() as stack:
        sim = await stack.enter_async_context(Simulator.serve())
        faults = await stack.enter_async_context(FaultServer.serve([[End()]]))
        settings = settings_for(
            sim,
            home,
            api_endpoint=upstream or faults.url,
            silence_timeout_seconds=patience,
            first_event_timeout_seconds=patience,
            max_error_count=100_000,
        )
        yield await stack.enter_async_context(serving(settings)), faults


@contextmanager
def _running(home: Path, patience: float, upstream: str | None = None) -> Generator[Line]:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_line(home, patience, upstream)) as (url, faults),
        httpx.Client(base_url=url, timeout=20) as http,
        anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as claude,
        openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as gpt,
    ):
        pools = [each for each in gc.get_objects() if isinstance(each, Pool)]
        yield Line(portal, faults, http, claude, gpt, pools)


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Generator[Line]:
    """On a busy machine, too, what ends a reply here is the fault and not the time it took."""
    with _running(tmp_path_factory.mktemp("home"), 20) as line:
        yield line


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Generator[Line]:
    """Where the fault is that nothing comes."""
    with _running(tmp_path_factory.mktemp("home"), 0.3) as line:
        yield line


@pytest.fixture(scope="module")
def deserted(tmp_path_factory: pytest.TempPathFactory) -> Generator[Line]:
    """Nobody listens upstream."""
    with _running(tmp_path_factory.mktemp("home"), 20, closed_port()) as line:
        yield line


@pytest.fixture
def line(fault: str, request: pytest.FixtureRequest) -> Line:
    silent = fault.startswith(("silent", "stalled"))
    line: Line = request.getfixturevalue("deserted" if fault == "closed_port" else "hasty" if silent else "patient")
    line.faults.scripts[:] = [FAULTS.get(fault, [])]
    line.faults.exchanges.clear()
    _rested(line)
    return line


def _rested(line: Line) -> None:
    """To enable an account by hand ends what it rests from: each test begins with one that may be asked."""
    for account in line.http.get("/v2/accounts").json():
        line.http.patch(f"/v2/accounts/{account['id']}", json={"enabled": True})


# --- what the caller is told


def check_whole(api: str, fault: str, answer: httpx.Response) -> None:
    status, code = MATRIX[fault]
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["message"]
    if api == "messages":
        assert error["type"] == TYPES[status]
        assert answer.json()["request_id"] == answer.headers["request-id"]
    else:
        assert error["code"] == code
    assert answer.headers["x-should-retry"] == "true"
    assert answer.headers.get("retry-after") == ("7" if fault == "retry_after" else None)


def check_messages_stream(fault: str, body: str) -> None:
    told = events(body)
    names = [name for name, _ in told]
    assert names[0] == "message_start"
    assert names[-1] == "error"
    assert names.count("content_block_start") == names.count("content_block_stop") > 0
    assert not {"message_delta", "message_stop"} & {*names}
    assert told[-1][1]["error"]["type"] == TYPES[MATRIX[fault][0]]


def check_chat_stream(fault: str, body: str) -> None:
    *chunks, last = [data for _, data in events(body)]
    assert chunks
    assert not any(choice["finish_reason"] for chunk in chunks for choice in chunk["choices"])
    assert last["error"]["code"] == MATRIX[fault][1]


def check_responses_stream(fault: str, body: str) -> None:
    told = events(body)
    assert [data["sequence_number"] for _, data in told] == [*range(len(told))]
    assert [name for name, _ in told if name in {"response.completed", "response.incomplete"}] == []
    assert told[-1][0] == "response.failed"
    response = told[-1][1]["response"]
    assert (response["status"], response["error"]["code"]) == ("failed", "server_error")
    begun = {data["item"]["id"]: data["item"]["type"] for name, data in told if name == "response.output_item.added"}
    done = {data["item"]["id"] for name, data in told if name == "response.output_item.done"}
    assert begun
    assert {kind for item, kind in begun.items() if item not in done} <= {"function_call"}  # not to be run


STREAMS: dict[str, Callable[[str, str], None]] = {
    "messages": check_messages_stream,
    "chat": check_chat_stream,
    "responses": check_responses_stream,
}


def ask_by_sdk(line: Line, api: str, *, stream: bool) -> BaseException | str:
    """What the official client makes of it: what it raises, or the last event's name."""
    create: dict[str, Callable[..., Any]] = {
        "messages": line.claude.messages.create,
        "chat": line.gpt.chat.completions.create,
        "responses": line.gpt.responses.create,
    }
    body = BODIES[api] | {"stream": stream}
    told: list[Any] = []
    try:
        told.extend(create[api](**body))
    except (anthropic.APIError, openai.APIError) as error:
        return error
    return str(told[-1].type)


# --- what is left over


class Watch:
    """What was under way in a gateway's event loop before a request, to see that there is no more after it."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._tasks = line.portal.call(self._others)

    def settle(self, *, may_stay: int) -> None:
        """Raises AssertionError if something of a request stays, but for so many connections to be used again."""
        left: Any = None
        for _ in range(300):
            left = self._line.portal.call(self._left)
            lent, connections, tasks = left
            if not lent and connections <= may_stay and not tasks:
                return
            time.sleep(0.01)
        raise AssertionError(left)

    async def _others(self) -> set[Any]:
        return asyncio.all_tasks() - self._line.faults.tasks - {asyncio.current_task()}

    async def _left(self) -> tuple[int, int, set[Any]]:
        lent = sum(pool.in_flight(account.id) for pool in self._line.pools for account in pool.store.accounts())
        return lent, len(self._line.faults.transports), await self._others() - self._tasks


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("api", BODIES)
@pytest.mark.parametrize("fault", MATRIX)
def test_a_fault_is_told_as_what_it_is_and_leaves_nothing(line: Line, fault: str, api: str, stream: bool) -> None:
    watch = Watch(line)
    answer = line.http.post(PATHS[api], json=BODIES[api] | {"stream": stream})
    if stream and fault in AFTER:
        assert answer.status_code == 200
        STREAMS[api](fault, answer.text)
    else:
        check_whole(api, fault, answer)

    raised = ask_by_sdk(line, api, stream=stream)
    match raised:
        case anthropic.APIStatusError() | openai.APIStatusError() if not (stream and fault in AFTER):
            assert raised.status_code == MATRIX[fault][0]
        case anthropic.APIStatusError() | openai.APIError():
            assert stream
            assert fault in AFTER
        case _:
            assert (api, raised) == ("responses", "response.failed")

    watch.settle(may_stay=1 if isinstance(FAULTS.get(fault, [Fin()])[-1], End) else 0)


SLOW = {"dribbled": DRIBBLE, "delayed": [Wait(0.1), *DRIBBLE[:1], Wait(0.1), *DRIBBLE[1:]]}
CONTRACTS: dict[str, Callable[[str], None]] = {
    "messages": contract.messages,
    "chat": lambda body: contract.chat(body, usage_asked=False),
    "responses": contract.responses,
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("api", BODIES)
@pytest.mark.parametrize("how", SLOW)
def test_slowness_is_no_fault(patient: Line, how: str, api: str, stream: bool) -> None:
    _rested(patient)
    patient.faults.scripts[:] = [SLOW[how]]
    watch = Watch(patient)
    answer = patient.http.post(PATHS[api], json=BODIES[api] | {"stream": stream})
    assert answer.status_code == 200
    if stream:
        CONTRACTS[api](answer.text)
        assert all(word in answer.text for word in ("Hello", " wörld", " 👋"))
    else:
        assert "Hello wörld 👋" in answer.text
    watch.settle(may_stay=1)
