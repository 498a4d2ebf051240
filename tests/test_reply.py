"""An answer being read, from a service on a real socket: where tokens are counted, and what a limit ends."""

import threading
from typing import Any

import pytest

from qrelay.conversation import Conversation
from qrelay.credential import Credential
from qrelay.events import Event, Finish, TextDelta
from qrelay.limits import Limiter
from qrelay.reply import Flow
from qrelay.tokens import count_text
from qrelay.upstream.endpoints import Endpoint
from qrelay.upstream.response import ReplyReader
from qrelay.upstream.tail import Estimate
from tests.upstream import loopback
from tests.upstream.frames import END, metadata, text

pytestmark = pytest.mark.anyio

SMALL, LARGE = 1_000, 1_000_000
UNCOUNTED = metadata("END_TURN")


class Counted:
    """The threads in which tokens were counted."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def input_tokens(self) -> int:
        self.threads.add(threading.get_ident())
        return 7

    def output_tokens(self, said: str) -> int:
        self.threads.add(threading.get_ident())
        return count_text(said)


async def read(answer: bytes, counted: Counted, asked_bytes: int, **wanted: Any) -> list[Event]:
    """All events of an answer that the service sends."""
    async with loopback.serving(loopback.answers(loopback.sized(answer))) as service, loopback.client() as client:
        credential = Credential(account_id="a", access_token="token")
        endpoint = Endpoint(service.url)
        reader = ReplyReader(Estimate(counted.input_tokens, counted.output_tokens, 0))
        limiter = Limiter(Conversation(model="m", turns=(), **wanted), count_text)
        flow = Flow(await client.converse(credential, endpoint, b"{}"), reader, limiter, asked_bytes)
        events: list[Event] = []
        try:
            while not flow.ended:
                events += await flow.next()
        finally:
            flow.close()
        return events


@pytest.mark.parametrize("wanted", [{}, {"stop_sequences": ("stop",)}], ids=["to its end", "to a limit"])
async def test_much_is_counted_beside_the_loop_and_little_on_it(wanted: dict[str, Any]) -> None:
    count_text("so that the vocabulary is there")
    here = threading.get_ident()
    for size, on_the_loop in ((SMALL, True), (LARGE, False)):
        counted = Counted()
        events = await read(text("one stop") + UNCOUNTED, counted, size, **wanted)
        assert isinstance(events[-1], Finish)
        assert events[-1].usage.input_tokens == 7
        assert len(counted.threads) == 1
        assert (here in counted.threads) is on_the_loop


async def test_what_the_service_counts_is_not_counted() -> None:
    counted = Counted()
    events = await read(text("one") + END, counted, LARGE)
    assert events[0] == TextDelta("one")
    assert isinstance(events[-1], Finish)
    assert (events[-1].usage.input_tokens, events[-1].usage.output_tokens) == (10, 5)
    assert counted.threads == set()


@pytest.mark.parametrize("tail", [UNCOUNTED, metadata("END_TURN", {"outputTokens": 40})])
async def test_no_more_tokens_are_told_than_were_asked_for(tail: bytes) -> None:
    """Whatever was read besides, or the service says of the whole answer that it gave."""
    answer = text("one two three") + text(" four five six") + tail
    *_, said, finish = await read(answer, Counted(), SMALL, max_tokens=2)
    assert said == TextDelta("one two")
    assert isinstance(finish, Finish)
    assert (finish.stop_reason, finish.usage.output_tokens, finish.usage.estimated) == ("max_tokens", 2, True)
