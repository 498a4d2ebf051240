"""A process is killed in the middle of a refresh: what was committed is there, and what wasn't harms nobody else.

The whole table, of all points, modes and hundreds of kills, is made by `bench/chaos.py` (docs/reliability.md).
"""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from qrelay import failpoints
from qrelay.errors import ErrorCode, RelayError
from tests.accounts.conftest import ENGINES, Launch, Process, Start
from tests.accounts.stored import execute, read_only, refusing_writes
from tests.accounts.token_server import Mode, TokenServer

pytestmark = pytest.mark.anyio


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize(
    ("point", "mode", "survives"),
    [
        ("refresh.before_commit", "grace", True),
        ("refresh.after_commit", "strict", True),
        (
            "request sent",
            "strict",
            False,
        ),  # the service has changed the token, and nobody was told: docs/reliability.md
    ],
)
async def test_what_a_kill_leaves(
    start: Start, tokens: TokenServer, launch: Launch, url: str, *, point: str, mode: Mode, survives: bool
) -> None:
    tokens.mode = mode
    async with start() as process:
        account = await process.account(tokens.knows("first"))
    at_a_point = "." in point
    failpoint = f"{point}:kill9" if at_a_point else ""
    replica = await launch(failpoint=failpoint, lease_seconds=2, timeout_seconds=1)
    if not at_a_point:
        tokens.on_request = lambda: replica.signal(signal.SIGKILL)
    await replica.say("refresh")
    assert await replica.ended() == -signal.SIGKILL
    tokens.on_request = None
    async with start() as process:
        if survives:
            assert (await process.refresher.refresh(account.id)).state == "ready"
        else:
            with pytest.raises(RelayError) as raised:
                await process.refresher.refresh(account.id)
            assert raised.value.code is ErrorCode.account_expired
            assert process.store.get(account.id).state == "needs_login"
    if url.startswith("sqlite"):
        assert execute(url, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize(
    ("engine", "refusing"),
    [("sqlite", refusing_writes), ("postgresql", refusing_writes), ("postgresql", read_only)],
    indirect=["engine"],
)
async def test_a_kill_after_the_tokens_are_in_a_file_loses_nothing(
    start: Start, tokens: TokenServer, launch: Launch, url: str, refusing: Callable[[str], AbstractContextManager[None]]
) -> None:
    async with start() as process:
        account = await process.account(tokens.knows("first"))
    tokens.hold = asyncio.Event()
    replica = await launch(failpoint="refresh.spill_written:kill9")
    await replica.say("refresh")
    await tokens.asked()
    with refusing(url):
        tokens.hold.set()
        assert await replica.ended() == -signal.SIGKILL
    async with start() as process:
        assert process.store.get(account.id).refresh_token == "first+1"
        assert (await process.refresher.refresh(account.id)).refresh_token == "first+2"


async def test_a_fault_nobody_thought_of_costs_no_log_in(process: Process, tokens: TokenServer) -> None:
    account = await process.account(tokens.knows("first"))
    failpoints.arm("refresh.response_read:raise")
    try:
        tokens.mode = "grace"
        with pytest.raises(failpoints.Reached):
            await process.refresher.credential(account.id)
    finally:
        failpoints.arm("")
    assert execute(process.url, "SELECT lease_owner, lease_until FROM accounts") == [(None, None)]
    failpoints.arm("refresh.before_commit:raise")
    try:
        kept = await process.refresher.credential(account.id)  # in a file, for the time being
    finally:
        failpoints.arm("")
    await process.store.flush()
    assert (await process.store.reload(account.id)).access_token == kept.access_token
    assert not list((process.home / "spill").iterdir())


@pytest.mark.parametrize("spec", ["refresh:kill9", "refresh.lease_taken", "refresh.lease_taken:explode"])
def test_a_point_that_there_is_not_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="followed by"):
        failpoints.arm(spec)
