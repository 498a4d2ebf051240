"""Who rests for how long: what a failure brings, what ends it, and that no restart and no full disk forgets it."""

import asyncio
import sqlite3
from datetime import UTC, datetime

import pytest

from qrelay.accounts.account import AccountChanges, NewAccount
from qrelay.accounts.consequences import pause, reset_at
from qrelay.accounts.cooldowns import CoolDowns
from qrelay.errors import ErrorCode, RelayError
from tests.accounts.conftest import Process, Start

pytestmark = pytest.mark.anyio

MODEL = "claude-sonnet-4.5"


def fault(code: ErrorCode, retry_after: float | None = None) -> RelayError:
    return RelayError(code, "The service says: no", retry_after=retry_after)


def blocked(cooldowns: CoolDowns, process: Process, account: str, model: str = MODEL) -> bool:
    return cooldowns.blocking(account, lambda _: model, process.clock()) is not None


async def added(process: Process, name: str = "a") -> str:
    return (await process.store.add(NewAccount(kind="api_key", label=name, access_token=f"ksk_{name}"))).id


async def test_retry_after_is_kept_to_the_second_and_for_that_model_only(process: Process) -> None:
    cooldowns = process.store.cooldowns
    account = await added(process)
    await cooldowns.failed(account, MODEL, fault(ErrorCode.account_throttled, 7))
    process.clock.ahead += 6.5
    assert blocked(cooldowns, process, account)
    assert not blocked(cooldowns, process, account, "claude-opus-4.5")
    assert cooldowns.whole(account) is None
    process.clock.ahead += 0.6
    assert not blocked(cooldowns, process, account)


async def test_the_ladder_grows_with_each_strike_and_a_success_ends_it(process: Process) -> None:
    cooldowns = process.store.cooldowns
    account = await added(process)
    for strikes in range(1, 9):
        await cooldowns.failed(account, MODEL, fault(ErrorCode.account_throttled))
        (entry,) = cooldowns.of(account)
        assert entry.strikes == strikes
        assert 1 <= entry.until - entry.since <= min(60, 2**strikes)
        process.clock.ahead += 61
    cooldowns.answered(account, MODEL, process.clock())
    await cooldowns.failed(account, MODEL, fault(ErrorCode.account_throttled))
    assert cooldowns.of(account)[0].strikes == 1


async def test_failures_that_come_together_are_one_strike(process: Process) -> None:
    cooldowns = process.store.cooldowns
    account = await added(process)
    await asyncio.gather(
        *(cooldowns.failed(account, MODEL, fault(ErrorCode.account_throttled, n)) for n in range(1, 20))
    )
    (entry,) = cooldowns.of(account)
    assert entry.strikes == 1
    assert entry.until - process.clock() > 18  # the longest that was said


def test_full_jitter_lies_between_a_second_and_the_ladder() -> None:
    assert [pause(None, n, lambda: 1.0) for n in range(1, 9)] == [2, 4, 8, 16, 32, 60, 60, 60]
    assert {pause(None, n, lambda: 0.0) for n in range(1, 9)} == {1}
    assert pause(0.5, 3, lambda: 1.0) == 0.5


@pytest.mark.parametrize(
    ("resets", "now", "until"),
    [
        ("monthly", "2026-11-21T10:00:00", "2026-12-01T00:00:00"),
        ("monthly", "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
        ("daily", "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
        ("daily", "2027-02-28T00:00:00", "2027-03-01T00:00:00"),
    ],
)
def test_a_quota_begins_anew_by_utc(resets: str, now: str, until: str) -> None:
    seconds = {text: datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() for text in (now, until)}
    assert reset_at("daily" if resets == "daily" else "monthly", seconds[now]) == seconds[until]


async def test_a_known_reset_date_goes_before_the_calendar(process: Process) -> None:
    cooldowns = process.store.cooldowns
    account = await added(process)
    known = process.clock() + 5000
    cooldowns.known_reset = lambda _: known
    await cooldowns.failed(account, MODEL, RelayError(ErrorCode.quota_exhausted, "no", resets="monthly"))
    entry = cooldowns.whole(account)
    assert entry is not None
    assert entry.until == known
    await cooldowns.exhausted(account, known - 1000, "all used")
    entry = cooldowns.whole(account)
    assert entry is not None
    assert entry.until == known - 1000
    await cooldowns.not_exhausted(account)
    assert not blocked(cooldowns, process, account)


async def test_a_conversations_own_limit_rests_nobody(process: Process) -> None:
    account = await added(process)
    await process.store.cooldowns.failed(account, MODEL, RelayError(ErrorCode.quota_exhausted, "no"))
    assert process.store.cooldowns.of(account) == []


async def test_a_circuit_opens_after_five_is_probed_by_one_and_opens_for_longer(process: Process) -> None:
    cooldowns = process.store.cooldowns
    account = await added(process)
    broken = fault(ErrorCode.upstream_failed)
    for _ in range(4):
        await cooldowns.failed(account, MODEL, broken)
    cooldowns.answered(account, MODEL, process.clock())
    for _ in range(4):
        await cooldowns.failed(account, MODEL, broken)
    assert not blocked(cooldowns, process, account)
    for times in (1, 2, 3):
        await cooldowns.failed(account, MODEL, broken)
        (entry,) = cooldowns.of(account)
        assert entry.until - entry.since == 30 * times
        process.clock.ahead += 30 * times + 1
        assert not blocked(cooldowns, process, account)
        probe = cooldowns.probe(account, MODEL)
        assert blocked(cooldowns, process, account)  # one probe at a time
        cooldowns.probed(probe)
    cooldowns.answered(account, MODEL, process.clock())
    assert cooldowns.probe(account, MODEL) == ()


async def test_what_was_asked_before_a_circuit_broke_does_not_close_it(process: Process) -> None:
    cooldowns = process.store.cooldowns
    account = await added(process)
    asked_at = process.clock()
    process.clock.ahead += 1
    for _ in range(5):
        await cooldowns.failed(account, MODEL, fault(ErrorCode.upstream_unreachable))
    cooldowns.answered(account, MODEL, asked_at)
    assert blocked(cooldowns, process, account)


async def test_a_restart_forgets_nothing(start: Start) -> None:
    async with start() as process:
        limited, broken, free = [await added(process, name) for name in "abc"]
        await process.store.cooldowns.failed(limited, MODEL, fault(ErrorCode.account_throttled, 600))
        for _ in range(5):
            await process.store.cooldowns.failed(broken, MODEL, fault(ErrorCode.upstream_failed))
        # What the table has now is what a process that was killed here would have left.
        with sqlite3.connect(process.home / "qrelay.sqlite3") as connection:
            rows = connection.execute("SELECT account_id, model, code, strikes FROM cooldowns").fetchall()
        assert set(rows) == {(limited, MODEL, "account_throttled", 1), (broken, "", "upstream_failed", 1)}
    async with start() as process:
        cooldowns = process.store.cooldowns
        assert [blocked(cooldowns, process, account) for account in (limited, broken, free)] == [True, True, False]


async def test_a_database_that_refuses_costs_nothing_but_durability(process: Process) -> None:
    cooldowns = process.store.cooldowns
    account = await added(process)
    with sqlite3.connect(process.home / "qrelay.sqlite3") as other:
        other.execute("BEGIN IMMEDIATE")
        await cooldowns.failed(account, MODEL, fault(ErrorCode.account_throttled, 60))
        assert blocked(cooldowns, process, account)
        assert other.execute("SELECT count(*) FROM cooldowns").fetchone() == (0,)
        other.rollback()
    await cooldowns.failed(account, "another", fault(ErrorCode.account_throttled, 60))
    with sqlite3.connect(process.home / "qrelay.sqlite3") as other:
        assert other.execute("SELECT count(*) FROM cooldowns").fetchone() == (2,)


async def test_a_suspended_account_is_out_until_it_is_enabled_by_hand(start: Start) -> None:
    words = "The service says: Your User ID temporarily is suspended."
    async with start() as process:
        account = await added(process)
        await process.store.suspend(account, words)
        assert (process.store.get(account).state, process.store.get(account).state_reason) == ("suspended", words)
    async with start() as process:
        assert (process.store.get(account).state, process.store.get(account).state_reason) == ("suspended", words)
        await process.store.patch(account, AccountChanges(label="renamed"))
        assert process.store.get(account).state == "suspended"
        await process.store.patch(account, AccountChanges(enabled=True))
        assert (process.store.get(account).state, process.store.get(account).state_reason) == ("ready", None)


async def test_a_change_by_hand_ends_cool_downs(process: Process) -> None:
    cooldowns = process.store.cooldowns
    account = await added(process)
    await cooldowns.failed(account, MODEL, fault(ErrorCode.account_throttled, 60))
    await process.store.patch(account, AccountChanges(label="renamed"))
    assert blocked(cooldowns, process, account)
    await process.store.patch(account, AccountChanges(enabled=True))
    assert not blocked(cooldowns, process, account)
