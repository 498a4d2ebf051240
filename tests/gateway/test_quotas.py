"""What accounts have left: kept with them, read in the background, and what the pool is told of it."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from qrelay.simulator.server import Simulator
from tests.gateway.conftest import Bench, bench, serving, settings_for

pytestmark = pytest.mark.anyio


async def only(relay: Bench) -> dict[str, Any]:
    (account,) = (await relay.http.get("/v2/accounts")).json()
    return account


async def until(asking: Callable[[], bool]) -> None:
    """Wait for something that happens in the background."""
    async with asyncio.timeout(20):
        while not asking():  # noqa: ASYNC110 - the service and the database have no event to wait for
            await asyncio.sleep(0.02)


def asked(relay: Bench) -> int:
    return [request.operation for request in relay.sim.requests].count("GetUsageLimits")


def cooldowns(home: Path) -> list[tuple[str, str, float]]:
    with closing(sqlite3.connect(home / "qrelay.sqlite3")) as database:
        return database.execute("SELECT model, code, until FROM cooldowns").fetchall()


def login(relay: Bench) -> dict[str, str]:
    """A new log-in at the service, as it is added."""
    made = relay.sim.add_account()
    return {"clientId": made.client_id, "clientSecret": made.client_secret, "refreshToken": made.refresh_token}


def account_in(relay: Bench) -> Any:
    return next(iter(relay.sim.service.accounts.values()))


async def test_a_quota_outlives_a_restart(tmp_path: Path) -> None:
    async with Simulator.serve() as sim:
        settings = settings_for(sim, tmp_path / "home")
        async with serving(settings) as url, httpx.AsyncClient(base_url=url) as http:
            relay = Bench(sim, url, http)
            before = await only(relay)
            assert (before["quota"], before["email"]) == (None, None)
            read = (await http.get(f"/v2/accounts/{before['id']}/quota")).json()
            assert (read["trial"], read["exhausted"]) == (None, False)
        with closing(sqlite3.connect(tmp_path / "home" / "qrelay.sqlite3")) as database:  # else it is stale in a while
            assert database.execute("SELECT quota_asked_at <= quota_read_at FROM accounts").fetchall() == [(1,)]
        sim.requests.clear()
        async with serving(settings) as url, httpx.AsyncClient(base_url=url) as http:
            relay = Bench(sim, url, http)
            account = await only(relay)
            assert account["email"] == "account-1@example.com"
            quota = account["quota"]
            assert (quota["plan"], quota["limit"], quota["stale"], quota["exhausted"]) == (
                "KIRO PRO",
                1000,
                False,
                False,
            )
            assert quota["read_at"]
            assert (await http.get(f"/v2/accounts/{account['id']}/quota")).json()["used"] == quota["used"]
            assert asked(relay) == 0
            assert (
                f'qrelay_account_quota_used_ratio{{account="{account["id"][:8]}"}} 0.0'
                in (await http.get("/metrics")).text
            )


async def test_it_is_read_in_the_background(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", quota_check_seconds=1) as relay:
        await until(lambda: asked(relay) >= 2)
        assert (await only(relay))["quota"]["plan"] == "KIRO PRO"


async def test_what_is_new_is_asked_for_at_once_and_once(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", quota_check_seconds=86_400) as relay:
        http = relay.http

        async def known(so_many: int) -> list[dict[str, Any]]:
            """The accounts, when their credits are known; nobody asked for them."""
            rows: list[dict[str, Any]] = []
            async with asyncio.timeout(20):
                while not (rows and all(row["quota"] for row in rows)):
                    await asyncio.sleep(0.02)
                    rows = (await http.get("/v2/accounts")).json()
            assert (len(rows), asked(relay)) == (so_many, so_many)
            return rows

        await known(1)
        rows = [login(relay) for _ in range(6)]
        assert (await http.post("/v2/accounts/batch", json=rows)).status_code == 200
        mine, *_ = await known(7)
        assert (await http.patch(f"/v2/accounts/{mine['id']}", json=login(relay))).status_code == 200
        await until(lambda: asked(relay) == 8)


async def test_with_nothing_set_nobody_asks(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", quota_check_seconds=0) as relay:
        await relay.messages()
        assert asked(relay) == 0


async def test_an_account_that_is_used_up_rests_until_its_reset(tmp_path: Path) -> None:
    async with bench(tmp_path / "home") as relay:
        account = account_in(relay)
        account.credits_used, account.trial_credits = 1000.0, 500.0
        path = f"/v2/accounts/{(await only(relay))['id']}/quota"
        quota = (await relay.http.get(path)).json()
        assert (quota["exhausted"], quota["trial"]["limit"], quota["trial"]["active"]) == (False, 500, True)
        assert cooldowns(tmp_path / "home") == []
    account.trial_credits = None
    async with bench(tmp_path / "other") as relay:
        account_in(relay).credits_used = 1000.0
        quota = (await relay.http.get(f"/v2/accounts/{(await only(relay))['id']}/quota")).json()
        assert quota["exhausted"] is True
        ((model, code, _),) = cooldowns(tmp_path / "other")
        assert (model, code) == ("", "quota_exhausted")


async def test_a_refusal_is_followed_by_a_look_at_the_reset(tmp_path: Path) -> None:
    async with bench(tmp_path / "home") as relay:
        relay.sim.next("monthly_402", times=3)
        assert (await relay.messages()).status_code == 429
        await until(lambda: asked(relay) == 1)
        resets_at = (relay.sim.service.now() // (30 * 86_400) + 1) * 30 * 86_400
        await until(lambda: [row[2] for row in cooldowns(tmp_path / "home")] == [resets_at])


async def test_overages_that_are_paid_for_are_no_end(tmp_path: Path) -> None:
    async with bench(tmp_path / "home") as relay:
        account = account_in(relay)
        account.credits_used, account.overages = 1000.0, True
        quota = (await relay.http.get(f"/v2/accounts/{(await only(relay))['id']}/quota")).json()
        assert (quota["exhausted"], quota["overage_allowed"]) == (False, True)
        assert cooldowns(tmp_path / "home") == []


async def test_the_same_user_logging_in_again_is_one_account(tmp_path: Path) -> None:
    async with bench(tmp_path / "home") as relay:
        first = await only(relay)
        assert (await relay.http.get(f"/v2/accounts/{first['id']}/quota")).status_code == 200
        started = (await relay.http.post("/v2/auth/start", json={})).json()
        assert relay.sim.oidc.decide(started["userCode"], "approved", account_in(relay))
        claimed = (await relay.http.post(f"/v2/auth/claim/{started['authId']}")).json()
        account = await only(relay)
        assert claimed["account"]["id"] == account["id"] == first["id"]
        assert account["clientId"] != first["clientId"]
        assert (await relay.messages()).status_code == 200


async def test_another_user_is_another_account(tmp_path: Path) -> None:
    async with bench(tmp_path / "home") as relay:
        first = await only(relay)
        await relay.http.get(f"/v2/accounts/{first['id']}/quota")
        started = (await relay.http.post("/v2/auth/start", json={})).json()
        assert relay.sim.oidc.decide(started["userCode"], "approved", relay.sim.service.account())
        await relay.http.post(f"/v2/auth/claim/{started['authId']}")
        assert len((await relay.http.get("/v2/accounts")).json()) == 2
