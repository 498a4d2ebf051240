"""Several processes want the same accounts at once: one token call each, and nobody is left without an answer."""

import asyncio
import signal

import pytest

from tests.accounts.conftest import Launch, Start
from tests.accounts.stored import execute
from tests.accounts.token_server import TokenServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def engine() -> str:
    return "postgresql"


async def accounts(start: Start, tokens: TokenServer, count: int) -> None:
    async with start() as process:
        for n in range(count):
            await process.account(tokens.knows(f"t{n}"))


async def test_replicas_under_a_storm_make_one_call_for_each_account(
    start: Start, tokens: TokenServer, launch: Launch
) -> None:
    await accounts(start, tokens, 5)
    replicas = [await launch(), await launch(ahead=25 * 3600)]  # the second one's clock is a day off
    answers = await asyncio.gather(*(replica.ask("storm", callers=100) for replica in replicas))
    assert [answer["answered"] for answer in answers] == [100, 100]
    assert answers[0]["tokens"] == answers[1]["tokens"]
    assert tokens.calls == 5
    assert set(tokens.used.values()) == {1}


async def test_a_replica_that_stood_still_past_its_lease_spoils_nothing(
    start: Start, tokens: TokenServer, launch: Launch, url: str
) -> None:
    await accounts(start, tokens, 1)
    stopped = await launch(failpoint="refresh.lease_taken:stop", lease_seconds=2, timeout_seconds=1)
    await stopped.say("storm", callers=5)
    async with asyncio.timeout(60):
        while execute(url, "SELECT lease_owner FROM accounts") == [(None,)]:  # noqa: ASYNC110 - another process's
            await asyncio.sleep(0.05)
    other = await launch(lease_seconds=2, timeout_seconds=1)
    got = await other.ask("storm", callers=5)  # waits for the lease to end
    assert got["answered"] == 5
    stopped.signal(signal.SIGCONT)
    assert await stopped.answer() == got
    assert tokens.calls == 1  # it has seen that its time was over, and asked nobody with the old token
    assert execute(url, "SELECT generation, lease_owner FROM accounts") == [(1, None)]
