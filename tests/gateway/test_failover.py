"""One bad account of several costs nobody an answer; limits are kept, and what nobody can help isn't tried again."""

import asyncio
import statistics
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from qrelay.errors import ErrorCode, RelayError
from qrelay.simulator.errors import CATALOGUE, VALIDATION_REASONS
from qrelay.upstream.client import Timeouts
from tests.gateway.fates import FATES, GOOD, MODEL, Rig, refusal, rig, row

pytestmark = pytest.mark.anyio

IN_TIME = {name: script for name, script in FATES.items() if name != "silent"}
CAUSED_BY_THE_REQUEST = [
    *(reason.lower() for reason in VALIDATION_REASONS),
    "improperly_formed",
    "improperly_formed_without_reason",
    "tool_format_invalid",
    "conversation_limit",
]


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


async def until(true: Callable[[], bool]) -> None:
    """Wait for what another task or process does."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.02)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def limited(tmp_path: Path, clock: Clock) -> AsyncGenerator[Rig]:
    """Three accounts at their limits, for 20, 9.2 and 40 s."""
    waits = {"a": "20", "b": "9.2", "c": "40"}
    fates = {name: refusal(CATALOGUE["throttled"], retry_after=wait) for name, wait in waits.items()}
    async with rig(tmp_path, fates, clock=clock) as rigged:
        yield rigged


@pytest.mark.parametrize("fate", IN_TIME)
async def test_one_bad_account_of_three_costs_no_request(tmp_path: Path, clock: Clock, fate: str) -> None:
    async with rig(tmp_path, {"bad": FATES[fate], "good": GOOD, "better": GOOD}, clock=clock) as rigged:
        run = await rigged.run(60)
        assert (run.succeeded, run.errors) == (60, {})
        assert statistics.median(run.attempts) == 1
        assert max(run.attempts) <= 3
        if FATES[fate]:
            # A circuit opens after five, and eight may be on their way; a kept connection that breaks is opened anew.
            assert 1 <= rigged.calls["bad"] <= (5 + 8) * (2 if fate.startswith("connection") else 1)
        survey = rigged.pool.roll.survey(MODEL, lambda _: MODEL, anew=True)
        assert set(survey.usable) == {rigged.ids["good"], rigged.ids["better"]}
        assert sum(rigged.gateway.failovers.values()) >= 1


async def test_a_silent_account_holds_only_its_own_requests_up(tmp_path: Path, clock: Clock) -> None:
    fates = {"bad": FATES["silent"], "good": GOOD, "better": GOOD}
    async with rig(tmp_path, fates, clock=clock, timeouts=Timeouts(first_event=1)) as rigged:
        run = await rigged.run(100)
        assert run.errors.keys() == {ErrorCode.upstream_timeout}
        assert run.errors.total() <= 5 + 8  # its circuit opens after five, and eight may be on their way
        assert (await rigged.run(50)).succeeded == 50


@pytest.mark.parametrize("name", CAUSED_BY_THE_REQUEST)
async def test_what_the_request_caused_is_neither_tried_again_nor_held_against_anybody(
    tmp_path: Path, name: str
) -> None:
    async with rig(tmp_path, dict.fromkeys("ab", row(name))) as rigged:
        for number in range(6):
            with pytest.raises(RelayError):
                await rigged.ask(f"session {number}")
        assert rigged.calls.total() == 6
        assert rigged.gateway.failovers.total() == 0
        for account in rigged.store.accounts():
            assert rigged.store.cooldowns.of(account.id) == []
            assert (account.state, account.error_count) == ("ready", 0)


async def test_when_all_are_limited_nobody_is_called_and_the_earliest_return_is_told(
    limited: Rig, clock: Clock
) -> None:
    with pytest.raises(RelayError) as raised:
        await limited.ask("s")
    assert (raised.value.code, raised.value.retry_after) == (ErrorCode.account_throttled, 10)
    assert limited.calls == {"a": 1, "b": 1, "c": 1}
    clock.now += 4.5
    for number in range(20):
        with pytest.raises(RelayError) as raised:
            await limited.ask(f"session {number}")
        assert (raised.value.code, raised.value.retry_after) == (ErrorCode.account_throttled, 5)
    assert limited.calls.total() == 3
    clock.now += 4.8  # the second's 9.2 s are over
    with pytest.raises(RelayError):
        await limited.ask("s")
    assert limited.calls == {"a": 1, "b": 2, "c": 1}


async def test_a_limit_is_for_its_model_only(limited: Rig) -> None:
    for model in (MODEL, "claude-opus-4.5", MODEL, "claude-opus-4.5"):
        with pytest.raises(RelayError):
            await limited.ask("s", model)
    assert limited.calls.total() == 6


async def test_when_all_quotas_are_used_up_the_date_is_told(tmp_path: Path, clock: Clock) -> None:
    async with rig(tmp_path, dict.fromkeys("abc", row("monthly_429")), clock=clock) as rigged:
        for _ in range(2):
            with pytest.raises(RelayError):
                await rigged.ask("s")
        with pytest.raises(RelayError) as raised:
            await rigged.ask("s")
        assert raised.value.code is ErrorCode.quota_exhausted
        assert "2026-12-01 00:00 UTC" in raised.value.message
        assert rigged.calls == {"a": 1, "b": 1, "c": 1}


async def test_a_suspended_account_is_taken_out_with_the_services_words(tmp_path: Path) -> None:
    async with rig(tmp_path, {"bad": row("suspended")}) as rigged:
        for _ in range(3):
            with pytest.raises(RelayError) as raised:
                await rigged.ask("s")
            assert raised.value.code is ErrorCode.account_suspended
            assert "temporarily is suspended" in raised.value.message
        assert rigged.calls == {"bad": 1}
        assert rigged.store.get(rigged.ids["bad"]).state == "suspended"


async def test_a_service_that_fails_every_call_is_asked_hardly_more_often(tmp_path: Path, clock: Clock) -> None:
    async with rig(tmp_path, dict.fromkeys("abc", row("unavailable")), clock=clock) as rigged:
        for _ in range(4):
            run = await rigged.run(100, at_once=100)
            assert run.errors.total() == 100
            clock.now += 0.5
        assert rigged.calls.total() <= 1.25 * 400


async def test_a_lone_account_is_asked_once_a_second_while_its_circuit_is_open(tmp_path: Path, clock: Clock) -> None:
    fates = {"only": row("internal")}
    async with rig(tmp_path, fates, clock=clock) as rigged:
        for _ in range(20):
            with pytest.raises(RelayError):
                await rigged.ask("s")
        with pytest.raises(RelayError) as raised:
            await rigged.ask("s")
        assert (raised.value.code, raised.value.retry_after) == (ErrorCode.upstream_overloaded, 1)
        assert rigged.calls == {"only": 5 + 1}
        clock.now += 1
        fates["only"] = GOOD
        for _ in range(5):
            await rigged.ask("s")  # the first was the probe, and closed the circuit


async def test_a_half_open_circuit_is_probed_by_one_request(tmp_path: Path, clock: Clock) -> None:
    fates = {"bad": row("internal"), "good": GOOD}
    async with rig(tmp_path, fates, clock=clock) as rigged:
        await rigged.run(40, at_once=1)
        assert rigged.calls["bad"] == 5
        clock.now += 31
        run = await rigged.run(40, at_once=20)
        assert run.succeeded == 40
        assert rigged.calls["bad"] == 6
        clock.now += 31
        assert (await rigged.run(40)).succeeded == 40
        assert rigged.calls["bad"] == 6  # the second time it is open for a minute
        clock.now += 31
        fates["bad"] = GOOD
        await rigged.run(40)
        assert rigged.calls["bad"] > 10


async def test_nobody_is_called_after_a_restart_either(tmp_path: Path, clock: Clock) -> None:
    fates = {name: refusal(CATALOGUE["throttled"], retry_after="600") for name in "ab"}
    async with rig(tmp_path, fates, clock=clock) as rigged:
        with pytest.raises(RelayError):
            await rigged.ask("s")
        assert rigged.calls.total() == 2
    async with rig(tmp_path, fates, clock=clock) as rigged:
        with pytest.raises(RelayError) as raised:
            await rigged.ask("s")
        assert (raised.value.code, raised.value.retry_after) == (ErrorCode.account_throttled, 600)
        assert rigged.calls.total() == 0


async def test_another_replica_sees_it_within_a_second_or_two(tmp_path: Path, postgres_url: str) -> None:
    fates = {name: refusal(CATALOGUE["throttled"], retry_after="600") for name in "ab"}
    async with rig(tmp_path, fates, url=postgres_url) as one, rig(tmp_path, fates, url=postgres_url) as other:
        with pytest.raises(RelayError):
            await one.ask("s")
        await until(lambda: all(other.store.cooldowns.of(account) for account in other.ids.values()))
        with pytest.raises(RelayError) as raised:
            await other.ask("s")
        assert raised.value.code is ErrorCode.account_throttled
        assert other.calls.total() == 0
        await one.store.cooldowns.forget(one.ids["a"])
        await until(lambda: not other.store.cooldowns.of(other.ids["a"]))


async def test_requests_wait_for_room_in_their_order(tmp_path: Path) -> None:
    async with rig(tmp_path, dict.fromkeys("ab", GOOD), concurrency=1, queue_seconds=30) as rigged:
        run = await rigged.run(60, at_once=30)
        assert run.succeeded == 60
        assert rigged.pool.queued == 0
        held = [await rigged.pool.lease(f"s{number}") for number in range(2)]
        order: list[int] = []

        async def wait(number: int) -> None:
            with await rigged.pool.lease("s"):
                order.append(number)

        waiting = [asyncio.create_task(wait(number)) for number in range(6)]
        await until(lambda: rigged.pool.queued == 6)
        waiting[2].cancel()
        for lease in held:
            lease.release()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert order == [0, 1, 3, 4, 5]
        assert rigged.pool.queued == 0
        assert not any(rigged.pool.in_flight(account) for account in rigged.ids.values())


async def test_who_waits_too_long_is_told_to_come_again(tmp_path: Path) -> None:
    async with rig(tmp_path, {"only": GOOD}, concurrency=1, queue_seconds=0.05) as rigged:
        with await rigged.pool.lease("s"):
            with pytest.raises(RelayError) as raised:
                await rigged.ask("s")
            assert raised.value.code is ErrorCode.account_throttled
            assert raised.value.retry_after
        await rigged.ask("s")
