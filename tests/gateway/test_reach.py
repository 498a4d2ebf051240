"""Where an account is served is found out, remembered and kept to: PROTOCOL.md §8.1, row by row, on a simulator of
all the hosts. `q` and `kiro` are one socket; the path says which host is meant.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from qrelay.settings import Settings
from qrelay.simulator.server import Simulator
from qrelay.simulator.service import AccountKind
from tests.gateway.conftest import serving

pytestmark = pytest.mark.anyio


class Hosts(NamedTuple):
    """A gateway in front of a simulator with the hosts of the table."""

    sim: Simulator
    http: httpx.AsyncClient

    async def log_in(self, kind: AccountKind, *, arn: str | None = None, own: str | None = None) -> str:
        """An account of this kind, known to both; `arn` is what the gateway is told, `own` what is the account's."""
        login = self.sim.add_account(f"{kind}-{len(self.sim.service.accounts)}", kind, profile_arn=own)
        body: dict[str, Any] = {"kind": kind, "profileArn": arn, "label": login.account.name}
        if kind == "api_key":
            body["apiKey"] = login.access_token
        else:
            body |= {
                "clientId": login.client_id,
                "clientSecret": login.client_secret,
                "refreshToken": login.refresh_token,
                "accessToken": login.access_token,
            }
        answer = await self.http.post("/v2/accounts", json={key: value for key, value in body.items() if value})
        assert answer.status_code < 300, answer.text
        return answer.json()["id"]

    async def chat(self) -> httpx.Response:
        body = {"model": "claude-sonnet-4.5", "messages": [{"role": "user", "content": "Hello"}]}
        return await self.http.post("/v1/chat/completions", json=body)

    async def account(self, account_id: str) -> dict[str, Any]:
        return (await self.http.get(f"/v2/accounts/{account_id}")).json()

    def tried(self) -> list[str]:
        """The endpoints of the chat calls since the last time this was asked."""
        hosts = {"q": "q", "runtime": "kiro"}
        calls = [
            hosts[call.host] + ("+arn" if "profileArn" in call.members else "")
            for call in self.sim.requests
            if call.operation == "GenerateAssistantResponse"
        ]
        self.sim.requests.clear()
        return calls

    def listings(self) -> int:
        return [call.operation for call in self.sim.requests].count("ListAvailableProfiles")


@asynccontextmanager
async def gateway(sim: Simulator, home: Path, **settings: Any) -> AsyncGenerator[Hosts]:
    urls = f"q={sim.url},kiro={sim.url}/runtime,kiro-management={sim.url}/management"
    given: dict[str, Any] = {"home": home, "endpoint_urls": urls, "token_endpoint": f"{sim.url}/token"}
    given["quota_check_seconds"] = 0
    async with serving(Settings(**(given | settings))) as url, httpx.AsyncClient(base_url=url, timeout=20) as http:
        yield Hosts(sim, http)


@pytest.fixture
async def sim() -> AsyncGenerator[Simulator]:
    async with Simulator.serve(profile_arn="by_host") as simulator:
        yield simulator


@pytest.fixture
async def hosts(sim: Simulator, tmp_path: Path) -> AsyncGenerator[Hosts]:
    async with gateway(sim, tmp_path / "home") as running:
        yield running


@pytest.mark.parametrize(
    ("kind", "first"),
    [("builder_id", "q"), ("identity_center", "q+arn"), ("social", "q+arn"), ("api_key", "q")],
)
async def test_where_each_kind_is_served_today(hosts: Hosts, kind: AccountKind, first: str) -> None:
    arn = hosts.sim.service.profile_arn_for("mine") if first == "q+arn" else None
    account_id = await hosts.log_in(kind, arn=arn, own=arn)
    assert (await hosts.account(account_id))["endpoint"] is None
    assert (await hosts.chat()).status_code == 200
    assert hosts.tried() == [first]
    assert (await hosts.account(account_id))["endpoint"] == first


async def test_a_host_that_is_closed_is_left_for_good(sim: Simulator, tmp_path: Path) -> None:
    """As the move to kiro.dev ends: q answers no more. One call too many, once; a restart doesn't forget it."""
    async with gateway(sim, tmp_path / "home") as hosts:
        arn = sim.service.profile_arn_for("mine")
        account_id = await hosts.log_in("social", arn=arn, own=arn)
        sim.service.closed["q"] = "not_found"
        assert (await hosts.chat()).status_code == 200
        assert hosts.tried() == ["q+arn", "kiro+arn"]
        assert (await hosts.chat()).status_code == 200
        assert hosts.tried() == ["kiro+arn"]
    async with gateway(sim, tmp_path / "home") as hosts:
        assert (await hosts.account(account_id))["endpoint"] == "kiro+arn"
        assert (await hosts.chat()).status_code == 200
        assert hosts.tried() == ["kiro+arn"]
        assert (await hosts.http.get(f"/v2/accounts/{account_id}/quota")).status_code == 200
        assert [call.host for call in sim.requests if call.operation == "GetUsageLimits"] == ["management"]


async def test_an_address_where_nobody_listens(sim: Simulator, tmp_path: Path) -> None:
    urls = f"q=http://127.0.0.1:9,kiro={sim.url}/runtime,kiro-management={sim.url}/management"
    async with gateway(sim, tmp_path / "home", endpoint_urls=urls) as hosts:
        arn = sim.service.profile_arn_for("mine")
        await hosts.log_in("identity_center", arn=arn, own=arn)
        assert (await hosts.chat()).status_code == 200
        assert hosts.tried() == ["kiro+arn"]


async def test_a_builder_id_with_an_arn_is_served_without_it(hosts: Hosts) -> None:
    """With one: 403, a renewed token, 403 again; without: 200. From then on without, in one call."""
    account_id = await hosts.log_in("builder_id", arn=hosts.sim.service.profile_arn_for("other"))
    assert (await hosts.chat()).status_code == 200
    assert hosts.tried() == ["q+arn", "q+arn", "q"]
    assert (await hosts.chat()).status_code == 200
    assert hosts.tried() == ["q"]
    assert (await hosts.account(account_id))["profileArn"]


async def test_a_missing_arn_is_asked_for_once_and_stored(hosts: Hosts) -> None:
    own = hosts.sim.service.profile_arn_for("mine")
    account_id = await hosts.log_in("identity_center", own=own)
    assert (await hosts.chat()).status_code == 200
    assert hosts.listings() == 1
    assert hosts.tried() == ["q", "q+arn"]
    assert (await hosts.account(account_id))["profileArn"] == own
    assert (await hosts.chat()).status_code == 200
    assert hosts.listings() == 0
    assert hosts.tried() == ["q+arn"]


async def test_an_arn_is_never_made_up(hosts: Hosts) -> None:
    """A Builder ID that q refuses: Kiro's host wants an ARN, the service names none, and that is the end of it."""
    account_id = await hosts.log_in("builder_id")
    hosts.sim.service.closed["q"] = "feature_not_supported"
    answer = await hosts.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "feature_blocked")
    assert hosts.tried() == ["q", "kiro"]
    account = await hosts.account(account_id)
    assert (account["profileArn"], account["endpoint"]) == (None, None)
    assert all("profileArn" not in call.members for call in hosts.sim.requests)


async def test_an_arn_of_another_identity(hosts: Hosts) -> None:
    """Every try is a 403: three calls and no more, one renewal in the round; the next request ends the round."""
    account_id = await hosts.log_in("identity_center", arn=hosts.sim.service.profile_arn_for("not mine"))
    assert (await hosts.chat()).status_code == 401
    assert hosts.tried() == ["q+arn", "q+arn", "kiro+arn"]
    assert (await hosts.account(account_id))["endpoint"] is None


async def test_a_storm_of_403_does_not_loop(hosts: Hosts) -> None:
    await hosts.log_in("builder_id", arn=hosts.sim.service.profile_arn_for("mine"))
    hosts.sim.service.closed |= {"q": "not_authorized", "runtime": "not_authorized"}
    for _ in range(3):
        answer = await hosts.chat()
        assert answer.status_code in {403, 429}
        calls = hosts.tried()
        assert len(calls) <= 3
        assert len(set(calls)) == len(calls)


async def test_a_call_is_left_for_another_account_and_the_search_goes_on_later(hosts: Hosts) -> None:
    own = hosts.sim.service.profile_arn_for("mine")
    await hosts.log_in("social", arn=hosts.sim.service.profile_arn_for("not mine"), own=own)
    await hosts.log_in("builder_id")
    hosts.sim.service.closed["runtime"] = "not_authorized"
    seen: list[list[str]] = []
    for number in range(12):
        body = {"model": "claude-sonnet-4.5", "messages": [{"role": "user", "content": f"Hello {number}"}]}
        assert (await hosts.http.post("/v1/chat/completions", json=body)).status_code == 200
        seen.append(hosts.tried())
    assert all(len(calls) <= 3 for calls in seen)
    assert seen[-1] in (["q"], ["q+arn"])


@pytest.mark.parametrize("row", ["suspended", "throttled", "monthly_402", "improperly_formed", "internal"])
async def test_other_refusals_are_no_matter_of_endpoints(hosts: Hosts, row: str) -> None:
    await hosts.log_in("builder_id")
    hosts.sim.next(row)
    assert (await hosts.chat()).status_code >= 400
    assert hosts.tried() == ["q"]


async def test_one_address_for_everything(sim: Simulator, tmp_path: Path) -> None:
    sim.service.closed["q"] = "not_authorized"
    async with gateway(sim, tmp_path / "home", api_endpoint=sim.url) as hosts:
        await hosts.log_in("builder_id")
        assert (await hosts.chat()).status_code == 403
        assert hosts.tried() == ["q"]


async def test_an_order_of_one_s_own(sim: Simulator, tmp_path: Path) -> None:
    async with gateway(sim, tmp_path / "home", endpoints="kiro,q") as hosts:
        account_id = await hosts.log_in("builder_id")
        assert (await hosts.chat()).status_code == 200
        assert hosts.tried() == ["kiro", "q"]
        assert (await hosts.account(account_id))["endpoint"] == "q"
