"""Whose turn it is, by each strategy, on a real store."""

from collections import Counter

import pytest

from qrelay.accounts.account import AccountChanges, NewAccount
from qrelay.accounts.pool import Pool, Strategy
from qrelay.errors import ErrorCode, RelayError
from tests.accounts.conftest import Process

pytestmark = pytest.mark.anyio


async def ready(process: Process, count: int) -> list[str]:
    """Accounts that need no refresh, the first one active."""
    return [
        (await process.store.add(NewAccount(kind="api_key", label=f"n{n}", access_token=f"ksk_{n}"))).id
        for n in range(count)
    ]


def pool(process: Process, strategy: Strategy) -> Pool:
    return Pool(process.store, process.refresher, strategy=strategy)


async def served(lending: Pool, times: int) -> Counter[str]:
    """Who serves so many requests of one session, one after the other."""
    counted: Counter[str] = Counter()
    for _ in range(times):
        with await lending.lease("same") as lease:
            counted[lease.account_id] += 1
    return counted


async def test_sticky_keeps_a_session_where_it_is(process: Process) -> None:
    await ready(process, 4)
    assert len(await served(pool(process, "sticky"), 20)) == 1


async def test_least_busy_takes_turns(process: Process) -> None:
    ids = await ready(process, 3)
    lending = pool(process, "least_busy")
    leases = [await lending.lease("same") for _ in range(6)]
    assert Counter(lease.account_id for lease in leases) == dict.fromkeys(ids, 2)
    leases[4].release()
    assert (await lending.lease("same")).account_id == leases[4].account_id


async def test_random_takes_any(process: Process) -> None:
    ids = await ready(process, 3)
    await process.store.patch(ids[1], AccountChanges(enabled=False))
    # The chance that this many draws miss one of two is 2 ** -99.
    assert set(await served(pool(process, "random"), 100)) == {ids[0], ids[2]}


async def test_active_is_one_account(process: Process) -> None:
    ids = await ready(process, 3)
    lending = pool(process, "active")
    assert await served(lending, 9) == {ids[0]: 9}
    await process.store.patch(ids[2], AccountChanges(is_active=True))
    assert await served(lending, 9) == {ids[2]: 9}
    with pytest.raises(RelayError):
        await lending.lease("same", avoid={ids[2]})
    await process.store.delete(ids[2])
    assert await served(lending, 9) == {ids[0]: 9}
    assert process.store.get(ids[0]).is_active


async def test_without_a_mark_the_first_is_active(process: Process) -> None:
    ids = await ready(process, 2)
    await process.store.patch(ids[0], AccountChanges(is_active=False))
    assert not any(account.is_active for account in process.store.accounts())
    assert await served(pool(process, "active"), 3) == {ids[0]: 3}


async def test_an_active_account_that_is_off_is_not_replaced_in_silence(process: Process) -> None:
    ids = await ready(process, 2)
    await process.store.patch(ids[0], AccountChanges(enabled=False))
    with pytest.raises(RelayError) as raised:
        await pool(process, "active").lease("same")
    assert raised.value.code is ErrorCode.no_account
    assert "n0" in raised.value.message
    assert "qrelay login" in raised.value.remedy


@pytest.mark.parametrize("strategy", ["sticky", "least_busy", "random"])
async def test_an_account_that_failed_is_avoided_by_all_others(process: Process, strategy: Strategy) -> None:
    ids = await ready(process, 3)
    lending = pool(process, strategy)
    for _ in range(10):
        with await lending.lease("same", avoid=ids[:2]) as lease:
            assert lease.account_id == ids[2]


async def test_one_account_may_be_asked_for(process: Process) -> None:
    ids = await ready(process, 3)
    await process.store.patch(ids[1], AccountChanges(enabled=False))
    lending = pool(process, "active")
    with await lending.lease_of(ids[1]) as lease:
        assert lease.account_id == ids[1]
        assert lending.in_flight(ids[1]) == 1
    with pytest.raises(RelayError) as raised:
        await lending.lease_of("nobody")
    assert raised.value.code is ErrorCode.account_unknown
