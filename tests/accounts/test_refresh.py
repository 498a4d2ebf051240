"""Tokens are refreshed once, kept before use, and never lost by what happens around the refresh."""

import asyncio

import pytest
from aiohttp import web

from qrelay.accounts.account import AccountChanges, NewAccount
from qrelay.accounts.oidc import TokenClient
from qrelay.accounts.refresher import Refresher
from qrelay.errors import ErrorCode, RelayError
from qrelay.outward.http1 import Connections
from tests.accounts.conftest import ENGINES, ON_SQLITE, Process, Start
from tests.accounts.stored import execute, file_of, lose_leases, refusing_writes
from tests.accounts.token_server import TokenServer, refusal

pytestmark = pytest.mark.anyio

PATIENT = 5.0
"""Seconds that processes wait for one another's transactions: some, where a disk is slow."""


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_an_account_without_an_access_token_is_refreshed_first(process: Process, tokens: TokenServer) -> None:
    account = await process.account(tokens.knows("first"))
    credential = await process.refresher.credential(account.id)
    assert (credential.access_token, credential.generation) == ("access-of-first-1", 1)
    assert tokens.bodies == [
        {
            "clientId": "client-1",
            "clientSecret": "client-secret-1",
            "grantType": "refresh_token",
            "refreshToken": "first",
        }
    ]
    assert await process.refresher.credential(account.id) == credential
    assert tokens.calls == 1
    kept = process.store.get(account.id)
    assert (kept.refresh_token, kept.last_refresh_status, kept.state) == ("first+1", "success", "ready")


async def test_200_callers_of_an_expired_token_make_one_token_call(process: Process, tokens: TokenServer) -> None:
    account = await process.account(tokens.knows("first"))
    await process.refresher.credential(account.id)
    process.clock.ahead = 7200
    got = await asyncio.gather(*(process.refresher.credential(account.id) for _ in range(200)))
    assert tokens.calls == 2
    assert {credential.access_token for credential in got} == {"access-of-first-2"}


async def test_200_callers_with_a_refused_token_make_one_token_call(process: Process, tokens: TokenServer) -> None:
    account = await process.account(tokens.knows("first"))
    stale = await process.refresher.credential(account.id)
    got = await asyncio.gather(*(process.refresher.renew(stale) for _ in range(200)))
    assert tokens.calls == 2  # though the refused token was seconds old
    assert {credential.generation for credential in got} == {2}
    assert (await process.refresher.renew(stale)).generation == 2
    assert tokens.calls == 2


async def test_two_processes_make_one_token_call(start: Start, tokens: TokenServer) -> None:
    async with start(PATIENT) as one:
        account = await one.account(tokens.knows("first"))
        async with start(PATIENT) as two:
            got = await asyncio.gather(
                *(process.refresher.credential(account.id) for process in (one, two) for _ in range(20)),
            )
    assert tokens.calls == 1
    assert {credential.access_token for credential in got} == {"access-of-first-1"}


async def test_a_caller_who_leaves_loses_no_token(start: Start, tokens: TokenServer) -> None:
    tokens.hold = asyncio.Event()
    async with start() as process:
        account = await process.account(tokens.knows("first"))
        caller = asyncio.create_task(process.refresher.credential(account.id))
        await tokens.asked()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        tokens.hold.set()
    async with start() as process:
        assert process.store.get(account.id).refresh_token == "first+1"
        assert (await process.refresher.credential(account.id)).access_token == "access-of-first-1"
    assert tokens.calls == 1


async def test_a_restart_keeps_the_rotated_token(start: Start, tokens: TokenServer) -> None:
    async with start() as process:
        account = await process.account(tokens.knows("first"))
        await process.refresher.credential(account.id)
    async with start() as process:
        process.clock.ahead = 7200
        assert (await process.refresher.credential(account.id)).access_token == "access-of-first-2"
    assert tokens.bodies[1]["refreshToken"] == "first+1"


async def test_an_answer_without_a_refresh_token_keeps_the_old_one(process: Process, tokens: TokenServer) -> None:
    tokens.mode = "sticky"
    account = await process.account(tokens.knows("first"))
    await process.refresher.credential(account.id)
    await process.refresher.refresh(account.id)
    assert process.store.get(account.id).refresh_token == "first"
    assert [body["refreshToken"] for body in tokens.bodies] == ["first", "first"]


async def test_a_token_that_dies_needs_a_log_in_and_keeps_its_account(start: Start, tokens: TokenServer) -> None:
    async with start() as process:
        account = await process.account("never-known")
        with pytest.raises(RelayError) as raised:
            await process.refresher.credential(account.id)
        assert raised.value.code is ErrorCode.account_expired
        assert "never-known" not in raised.value.message
    async with start() as process:
        with pytest.raises(RelayError) as raised:
            await process.pool.lease("s")
        assert raised.value.code is ErrorCode.account_expired
        assert process.store.get(account.id).state == "needs_login"
        assert (process.store.get(account.id).last_refresh_status or "").startswith("failed: ")
    assert tokens.calls == 1  # a dead token is not asked about again


async def test_the_access_token_of_a_dead_log_in_serves_to_its_end(process: Process, tokens: TokenServer) -> None:
    account = await process.account(tokens.knows("first"))
    await process.refresher.credential(account.id)
    tokens.current.clear()
    with pytest.raises(RelayError):
        await process.refresher.refresh(account.id)
    with await process.pool.lease("s") as lease:
        assert lease.credential.access_token == "access-of-first-1"
    with pytest.raises(RelayError) as raised:  # until the service refuses it too
        await process.refresher.renew(lease.credential)
    assert raised.value.code is ErrorCode.account_expired
    with pytest.raises(RelayError) as raised:
        await process.pool.lease("s")
    assert raised.value.code is ErrorCode.account_expired


async def test_a_token_another_process_rotated_is_not_dead(start: Start, tokens: TokenServer) -> None:
    async with start(PATIENT) as slow, start(PATIENT) as fast:
        account = await fast.account(tokens.knows("first"))
        stale = await fast.refresher.credential(account.id)
        await slow.store.reload(account.id)
        await tokens.asked()
        tokens.hold = asyncio.Event()
        late = asyncio.create_task(slow.refresher.renew(stale))
        await tokens.asked()
        hold, tokens.hold = tokens.hold, None
        lose_leases(fast.url)
        newer = await fast.refresher.renew(stale)
        hold.set()
        assert await late == newer
        assert (await fast.store.reload(account.id)).state == "ready"
        assert tokens.calls == 3


async def test_an_answer_that_comes_too_late_overwrites_nothing(start: Start, tokens: TokenServer) -> None:
    tokens.mode = "grace"
    async with start(PATIENT) as slow, start(PATIENT) as fast:
        account = await fast.account(tokens.knows("first"))
        await slow.store.reload(account.id)
        tokens.hold_answer = asyncio.Event()
        late = asyncio.create_task(slow.refresher.credential(account.id))
        await tokens.asked()
        hold, tokens.hold_answer = tokens.hold_answer, None
        lose_leases(fast.url)
        newer = await fast.refresher.credential(account.id)
        hold.set()
        assert await late == newer
        assert (await fast.store.reload(account.id)).refresh_token == "first+2"


@pytest.mark.parametrize("mode", ["down", "html", "drop"])
async def test_an_endpoint_that_is_down_says_nothing_about_the_account(
    process: Process, tokens: TokenServer, mode: str
) -> None:
    account = await process.account(tokens.knows("first"))
    tokens.mode = mode  # pyright: ignore[reportAttributeAccessIssue] - parametrised by its values
    with pytest.raises(RelayError) as raised:
        await process.refresher.credential(account.id)
    assert raised.value.code is ErrorCode.upstream_unreachable
    assert process.store.get(account.id).state == "ready"
    tokens.mode = "grace"
    assert (await process.refresher.credential(account.id)).access_token == "access-of-first-2"


async def test_a_token_call_without_an_answer_times_out(start: Start, tokens: TokenServer) -> None:
    tokens.hold = asyncio.Event()
    async with start() as process:
        account = await process.account(tokens.knows("first"))
        with pytest.raises(RelayError) as raised:
            await process.refresher.credential(account.id)
        assert raised.value.code is ErrorCode.upstream_timeout
        assert process.store.get(account.id).state == "ready"


async def test_while_the_endpoint_is_down_the_old_token_serves_to_its_end(
    process: Process, tokens: TokenServer
) -> None:
    account = await process.account(tokens.knows("first"))
    await process.refresher.credential(account.id)
    tokens.mode = "down"
    process.clock.ahead = 3590
    for _ in range(5):
        assert (await process.refresher.credential(account.id)).access_token == "access-of-first-1"
    assert tokens.calls == 2  # and the endpoint is left in peace for a moment


async def test_slow_down_is_passed_on_and_the_token_stays(process: Process, tokens: TokenServer) -> None:
    account = await process.account(tokens.knows("first"))
    tokens.refusal = refusal(400, "slow_down", "SlowDownException")
    with pytest.raises(RelayError) as raised:
        await process.refresher.credential(account.id)
    assert (raised.value.code, raised.value.retry_after) == (ErrorCode.upstream_overloaded, 5)
    assert process.store.get(account.id).state == "ready"


async def test_a_refusal_of_another_kind_names_the_right_region_and_what_to_look_at(
    process: Process, tokens: TokenServer
) -> None:
    account = await process.account(tokens.knows("first"))
    tokens.refusal = web.json_response({"error": "invalid_request", "region": "eu-west-1"}, status=400)
    with pytest.raises(RelayError) as raised:
        await process.refresher.credential(account.id)
    assert raised.value.code is ErrorCode.account_forbidden
    assert raised.value.message.endswith("Its log-in is of the region eu-west-1.")
    assert "QRELAY_TOKEN_ENDPOINT" in raised.value.remedy
    assert process.store.get(account.id).state == "ready"


async def test_a_store_that_cannot_be_written_refuses_before_the_token_call(
    process: Process, tokens: TokenServer
) -> None:
    account = await process.account(tokens.knows("first"))
    with refusing_writes(process.url), pytest.raises(RelayError) as raised:
        await process.refresher.credential(account.id)
    assert raised.value.code is ErrorCode.store_failed
    assert tokens.calls == 0
    assert (await process.refresher.credential(account.id)).access_token == "access-of-first-1"


async def test_tokens_the_database_refuses_wait_in_a_sealed_file(start: Start, tokens: TokenServer) -> None:
    tokens.hold = asyncio.Event()
    async with start() as process:
        account = await process.account(tokens.knows("first"))
        caller = asyncio.create_task(process.refresher.credential(account.id))
        await tokens.asked()
        with refusing_writes(process.url):
            tokens.hold.set()
            assert (await caller).access_token == "access-of-first-1"
            (file,) = (process.home / "spill").iterdir()
            assert file.stat().st_mode & 0o777 == 0o600
            assert b"first" not in file.read_bytes()
            crashed = file.read_bytes()
        await process.store.flush()
        assert not file.exists()
        assert (await process.store.reload(account.id)).refresh_token == "first+1"
    # The same, but the process died before the database would take them.
    execute(
        process.url,
        "UPDATE accounts SET generation = 0, access_token = NULL, refresh_token = previous_refresh_token",
        "UPDATE accounts SET refresh_token = NULL, previous_refresh_token = NULL",
    )
    file.write_bytes(crashed)
    async with start() as process:
        adopted = process.store.get(account.id)
        assert (adopted.refresh_token, adopted.access_token) == ("first+1", "access-of-first-1")
        assert not file.exists()
    assert tokens.calls == 1


async def test_tokens_that_can_be_kept_nowhere_are_not_used(process: Process, tokens: TokenServer) -> None:
    tokens.hold = asyncio.Event()
    account = await process.account(tokens.knows("first"))
    caller = asyncio.create_task(process.refresher.credential(account.id))
    await tokens.asked()
    (process.home / "spill").write_text("in the way")
    with refusing_writes(process.url):
        tokens.hold.set()
        with pytest.raises(RelayError) as raised:
            await caller
        assert raised.value.code is ErrorCode.store_failed
    # The process still has them: nothing is lost, and the old refresh token isn't tried again.
    assert (await process.refresher.credential(account.id)).access_token == "access-of-first-1"
    assert tokens.calls == 1


async def test_adding_an_account_again_during_its_refresh_loses_nothing(process: Process, tokens: TokenServer) -> None:
    tokens.hold = asyncio.Event()
    account = await process.account(tokens.knows("first"))
    caller = asyncio.create_task(process.refresher.credential(account.id))
    await tokens.asked()
    await process.account("first")
    await process.store.patch(account.id, AccountChanges(access_token="pasted", label="renamed"))
    tokens.hold.set()
    assert (await caller).access_token == "access-of-first-1"
    kept = process.store.get(account.id)
    assert (kept.refresh_token, kept.label) == ("first+1", "renamed")


async def test_tokens_older_than_the_stored_ones_are_not_adopted(start: Start, tokens: TokenServer) -> None:
    tokens.hold = asyncio.Event()
    async with start() as process:
        account = await process.account(tokens.knows("first"))
        caller = asyncio.create_task(process.refresher.credential(account.id))
        await tokens.asked()
        with refusing_writes(process.url):
            tokens.hold.set()
            await caller
            (file,) = (process.home / "spill").iterdir()
            left = file.read_bytes()
        await process.refresher.refresh(account.id)
    file.write_bytes(left)
    async with start() as process:
        assert process.store.get(account.id).refresh_token == "first+2"
        assert not file.exists()


async def test_a_delete_during_a_refresh_stays_a_delete(process: Process, tokens: TokenServer) -> None:
    tokens.hold = asyncio.Event()
    account = await process.account(tokens.knows("first"))
    caller = asyncio.create_task(process.refresher.credential(account.id))
    await tokens.asked()
    await process.store.delete(account.id)
    tokens.hold.set()
    with pytest.raises(RelayError) as raised:
        await caller
    assert raised.value.code is ErrorCode.account_unknown
    assert process.store.accounts() == []


async def test_tokens_are_refreshed_ahead_of_their_end(process: Process, tokens: TokenServer) -> None:
    account = await process.account(tokens.knows("first"))
    await process.refresher.credential(account.id)
    await tokens.asked()
    process.clock.ahead = 2000  # left: 1600 s; the lead is 800 to 1200 s
    task = asyncio.create_task(process.refresher.keep_fresh(0.01, 1000))
    await asyncio.sleep(0.05)
    assert tokens.calls == 1
    process.clock.ahead = 2900
    await tokens.asked()
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tokens.calls == 2


async def test_a_refresh_that_breaks_does_not_end_the_refreshing_ahead(process: Process, tokens: TokenServer) -> None:
    await process.account(tokens.knows("first"))

    def broken(_: str) -> str | None:
        raise RuntimeError  # a fault nobody thought of

    refresher = Refresher(process.store, TokenClient(Connections(proxy_for=broken)))
    task = asyncio.create_task(refresher.keep_fresh(60, 600))
    async with asyncio.timeout(60):
        while not refresher.outcomes:  # noqa: ASYNC110 - a refresh in the background tells nobody
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert refresher.outcomes == {ErrorCode.internal: 1}
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_short_lived_token_is_not_refreshed_all_the_time(process: Process, tokens: TokenServer) -> None:
    tokens.expires_in = 60
    account = await process.account(tokens.knows("first"))
    for _ in range(3):
        await process.refresher.credential(account.id)
    assert tokens.calls == 1
    process.clock.ahead = 31
    await process.refresher.credential(account.id)
    assert tokens.calls == 2


async def test_stopping_finishes_the_refresh_under_way(start: Start, tokens: TokenServer) -> None:
    tokens.hold = asyncio.Event()
    async with start() as process:
        account = await process.account(tokens.knows("first"))
        background = asyncio.create_task(process.refresher.keep_fresh(60, 600))
        await tokens.asked()
        background.cancel()
        with pytest.raises(asyncio.CancelledError):
            await background
        asyncio.get_running_loop().call_later(0.05, tokens.hold.set)
    async with start() as process:
        assert process.store.get(account.id).refresh_token == "first+1"


async def test_a_slow_account_does_not_hold_the_others_up(process: Process, tokens: TokenServer) -> None:
    slow = await process.account(tokens.knows("slow"))
    tokens.hold = asyncio.Event()
    background = asyncio.create_task(process.refresher.keep_fresh(0.01, 600))
    await tokens.asked()
    hold, tokens.hold = tokens.hold, None
    quick = await process.account(tokens.knows("quick"))
    async with asyncio.timeout(20):
        while process.store.get(quick.id).access_token is None:  # noqa: ASYNC110 - a refresh ahead tells nobody
            await asyncio.sleep(0.01)
    assert process.store.get(slow.id).access_token is None
    hold.set()
    background.cancel()
    with pytest.raises(asyncio.CancelledError):
        await background


async def test_while_the_endpoint_is_down_requests_hardly_ask_it(process: Process, tokens: TokenServer) -> None:
    tokens.mode = "down"
    account = await process.account(tokens.knows("first"))
    errors: list[RelayError] = []
    for _ in range(50):
        with pytest.raises(RelayError) as raised:
            await process.refresher.credential(account.id)
        errors.append(raised.value)
    assert {error.code for error in errors} == {ErrorCode.upstream_unreachable}
    assert tokens.calls <= 5  # not 50: three at once, then one in five seconds
    assert any(error.retry_after for error in errors)
    assert process.store.get(account.id).state == "ready"
    tokens.mode = "strict"
    assert (await process.refresher.refresh(account.id)).state == "ready"  # by hand at once


@pytest.mark.parametrize("known", [True, False])
async def test_the_token_before_is_tried_only_where_that_is_known_to_work(
    process: Process, tokens: TokenServer, *, known: bool
) -> None:
    account = await process.account(tokens.knows("first"))
    await process.refresher.credential(account.id)
    tokens.mode = "grace"
    tokens.current["first"] = "first"  # the service has never heard of what it answered
    refresher = Refresher(process.store, TokenClient(Connections(), token_endpoint=tokens.url), previous_tokens=known)
    if known:
        renewed = await refresher.refresh(account.id)
        assert (renewed.state, renewed.refresh_token) == ("ready", f"first+{tokens.calls}")
    else:
        with pytest.raises(RelayError):
            await refresher.refresh(account.id)
        assert process.store.get(account.id).state == "needs_login"
    assert tokens.calls == (3 if known else 2)


async def test_what_a_service_says_with_a_nul_is_stored(process: Process, tokens: TokenServer) -> None:
    account = await process.account("first")
    tokens.refusal = refusal(400, "invalid_grant", "InvalidGrantException", "odd \0 words")
    with pytest.raises(RelayError):
        await process.refresher.credential(account.id)
    assert (await process.store.reload(account.id)).state == "needs_login"


async def test_a_new_log_in_of_the_same_user_revives_the_account(process: Process, tokens: TokenServer) -> None:
    new = NewAccount(client_id="a", client_secret="s", refresh_token="dead", user_id="u")
    account = await process.store.add(new)
    process.store.succeeded(account.id)
    with pytest.raises(RelayError):
        await process.refresher.credential(account.id)
    alive = NewAccount(client_id="b", client_secret="s", refresh_token=tokens.knows("alive"), user_id="u")
    again = await process.store.add(alive)
    assert (again.id, again.state, again.success_count) == (account.id, "ready", 1)
    assert (await process.refresher.credential(account.id)).access_token.startswith("access-of-alive")


@ON_SQLITE
async def test_a_full_disk_refuses_before_the_token_call(process: Process, tokens: TokenServer) -> None:
    account = await process.account(tokens.knows("first"))
    await pragma(process, "max_page_count = 1")  # no more than there are
    with pytest.raises(RelayError) as raised:
        await process.refresher.credential(account.id)
    assert raised.value.code is ErrorCode.store_failed
    assert tokens.calls == 0
    await pragma(process, "max_page_count = 1000000")
    assert (await process.refresher.credential(account.id)).access_token == "access-of-first-1"


@ON_SQLITE
async def test_tokens_received_while_the_database_is_gone_are_in_the_one_put_back(
    start: Start, tokens: TokenServer
) -> None:
    tokens.hold = asyncio.Event()
    async with start() as process:
        account = await process.account(tokens.knows("first"))
        caller = asyncio.create_task(process.refresher.credential(account.id))
        await tokens.asked()
        for path in process.home.glob("qrelay.sqlite3*"):
            path.unlink()
        tokens.hold.set()
        assert (await caller).access_token == "access-of-first-1"
        while process.store.safekeeping.waiting:  # noqa: ASYNC110 - nothing else says so
            await asyncio.sleep(0.05)
        assert file_of(process.url).stat().st_mode & 0o777 == 0o600
    async with start() as process:
        assert process.store.get(account.id).refresh_token == "first+1"
    assert execute(process.url, "PRAGMA integrity_check") == [("ok",)]
    assert {path.name for path in process.home.iterdir()} == {"master.key", "qrelay.sqlite3", "spill"}


async def pragma(process: Process, words: str) -> None:
    """On the connection that the process itself uses; there is one."""
    async with process.store._ledger.database.engine.connect() as connection:  # pyright: ignore[reportPrivateUsage] - its very own
        await connection.exec_driver_sql(f"PRAGMA {words}")
