"""Who is lent out, what counts against an account, and what is said when there is nobody."""

import asyncio

import pytest

from qrelay.accounts.account import AccountChanges, NewAccount
from qrelay.errors import ErrorCode, RelayError
from tests.accounts.conftest import Process, Start
from tests.accounts.token_server import TokenServer

pytestmark = pytest.mark.anyio

THROTTLED = RelayError(ErrorCode.account_throttled, "slow")


async def ready(process: Process, count: int) -> list[str]:
    """Accounts that need no refresh."""
    return [
        (await process.store.add(NewAccount(kind="api_key", label=f"n{n}", access_token=f"ksk_{n}"))).id
        for n in range(count)
    ]


async def test_a_lease_has_all_a_call_needs(process: Process, tokens: TokenServer) -> None:
    account = await process.account(tokens.knows("first"))
    with await process.pool.lease("session") as lease:
        assert (lease.account_id, lease.label) == (account.id, "mine")
        assert lease.credential.access_token == "access-of-first-1"
        assert process.pool.in_flight(account.id) == 1
        assert (await lease.renew()).generation == 2
        assert lease.credential.generation == 2
    lease.release()
    assert process.pool.in_flight(account.id) == 0


async def test_a_session_stays_and_sessions_spread(process: Process) -> None:
    ids = await ready(process, 4)
    chosen = {f"s{n}": (await process.pool.lease(f"s{n}")).account_id for n in range(80)}
    assert set(chosen.values()) == set(ids)
    gone = ids[0]
    await process.store.patch(gone, AccountChanges(enabled=False))
    for session, before in chosen.items():
        now = (await process.pool.lease(session)).account_id
        assert now != gone
        assert before in {gone, now}  # only the sessions of the account that went move


async def test_another_account_is_taken_where_there_is_one(process: Process) -> None:
    ids = await ready(process, 2)
    first = (await process.pool.lease("s")).account_id
    second = (await process.pool.lease("s", avoid={first})).account_id
    assert {first, second} == set(ids)
    with pytest.raises(RelayError):
        await process.pool.lease("s", avoid=ids)


async def test_an_account_that_cannot_refresh_does_not_fail_the_request(process: Process) -> None:
    await process.account("dead")
    (good,) = await ready(process, 1)
    for n in range(10):
        assert (await process.pool.lease(f"s{n}")).account_id == good


async def test_errors_in_a_row_switch_an_account_off(start: Start) -> None:
    async with start() as process:
        (account_id,) = await ready(process, 1)
        lease = await process.pool.lease("s")
        for _ in range(2):
            await lease.failed(THROTTLED)
        lease.succeeded()
        for _ in range(2):
            await lease.failed(THROTTLED)
        assert process.store.get(account_id).state == "ready"
        await lease.failed(THROTTLED)
        assert process.store.get(account_id).state == "disabled"
    async with start() as process:
        account = process.store.get(account_id)
        assert (account.enabled, account.error_count) == (False, 3)
        assert "slow" in (account.state_reason or "")
        with pytest.raises(RelayError) as raised:
            await process.pool.lease("s")
        assert raised.value.code is ErrorCode.no_account
        await process.store.patch(account_id, AccountChanges(enabled=True))
        assert (await process.pool.lease("s")).account_id == account_id
        assert process.store.get(account_id).error_count == 0


@pytest.mark.parametrize(
    "code",
    [
        ErrorCode.request_invalid,
        ErrorCode.context_too_long,
        ErrorCode.upstream_rejected,
        ErrorCode.model_unknown,
        ErrorCode.upstream_unreachable,
        ErrorCode.upstream_timeout,
        ErrorCode.store_failed,
        ErrorCode.internal,
    ],
)
async def test_what_the_account_did_not_do_is_not_counted(process: Process, code: ErrorCode) -> None:
    (account_id,) = await ready(process, 1)
    with await process.pool.lease("s") as lease:
        for _ in range(5):
            await lease.failed(RelayError(code, "x"))
    assert process.store.get(account_id).error_count == 0


async def test_nobody_at_all(process: Process) -> None:
    with pytest.raises(RelayError) as raised:
        await process.pool.lease("s")
    assert raised.value.code is ErrorCode.no_account
    assert "qrelay login" in raised.value.remedy


async def test_a_request_that_is_cancelled_gives_its_account_back(process: Process) -> None:
    (account_id,) = await ready(process, 1)
    leased = asyncio.Event()

    async def request() -> None:
        with await process.pool.lease("s"):
            leased.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(request())
    await leased.wait()
    assert process.pool.in_flight(account_id) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert process.pool.in_flight(account_id) == 0
