"""The routes under /_sim/: everything a program can do that only has the URL."""

import httpx
import pytest

from qrelay.simulator.oidc import BUILDER_ID
from qrelay.simulator.server import Simulator

from .asking import Caller, decoded, text_of

pytestmark = pytest.mark.anyio


async def test_it_says_what_there_is(caller: Caller) -> None:
    """Every order that is named is taken."""
    for path in ("/", "/_sim/"):
        said = (await caller.http.get(caller.simulator.url + path)).text
        named = [line.split()[:2] for line in said.splitlines() if "/_sim/" in line]
        assert len(named) == 8
        for method, order in named:
            answer = await caller.http.request(method, caller.simulator.url + order, content=b"{")
            assert answer.status_code not in {404, 405}, order


async def test_next_by_name(caller: Caller) -> None:
    told = await caller.http.post(caller.simulator.url + "/_sim/next", json={"name": "throttled", "times": 2})
    assert told.json() == {"queued": 2}
    assert [(await caller.chat()).status_code for _ in range(3)] == [429, 429, 200]


async def test_next_by_data(caller: Caller) -> None:
    steps = [{"do": "event", "type": "assistantResponseEvent", "payload": {"content": "Own"}}]
    await caller.http.post(caller.simulator.url + "/_sim/next", json={"scenario": {"steps": steps}})
    assert text_of(decoded((await caller.chat()).content)) == "Own"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("next", {"name": "no_such_thing"}, 404),
        ("next", {"scenario": {"steps": [{"do": "refuse", "error": "no_such_thing"}]}}, 404),
        ("next", {}, 400),
        ("next", {"name": "throttled", "scenario": {"steps": []}}, 400),
        ("next", {"scenario": {"steps": [{"do": "dance"}]}}, 400),
        ("next", {"nonsense": 1}, 400),
        ("token-errors", {"errors": ["no_such_thing"]}, 400),
        ("accounts", {"kind": "no_such_thing"}, 400),
        ("devices", {"userCode": "NOPE-NOPE"}, 404),
    ],
)
async def test_bad_orders_are_told(
    sim: Simulator, http: httpx.AsyncClient, path: str, body: object, status: int
) -> None:
    response = await http.post(f"{sim.url}/_sim/{path}", json=body)
    assert response.status_code == status
    assert response.json()["error"]


async def test_requests_show_no_secrets(caller: Caller) -> None:
    await caller.chat()
    login = caller.login
    await caller.http.post(
        caller.simulator.url + "/token",
        json={
            "clientId": login.client_id,
            "clientSecret": login.client_secret,
            "grantType": "refresh_token",
            "refreshToken": login.refresh_token,
        },
    )
    response = await caller.http.get(caller.simulator.url + "/_sim/requests")
    told = response.json()["requests"]
    assert [entry["operation"] for entry in told] == ["GenerateAssistantResponse", "CreateToken"]
    assert told[0]["body"]["conversationState"]["conversationId"] == "c-1"
    for secret in (login.access_token, login.client_secret, login.refresh_token):
        assert secret not in response.text


async def test_reset(caller: Caller) -> None:
    caller.simulator.next("throttled")
    await caller.chat()
    caller.simulator.next("throttled")
    await caller.http.post(caller.simulator.url + "/_sim/reset")
    assert caller.simulator.requests == []
    assert (await caller.chat()).status_code == 200


async def test_expire(caller: Caller) -> None:
    await caller.http.post(caller.simulator.url + "/_sim/tokens/expire")
    assert (await caller.chat()).status_code == 403


async def test_token_errors(sim: Simulator, http: httpx.AsyncClient) -> None:
    await http.post(sim.url + "/_sim/token-errors", json={"errors": ["slow_down"]})
    assert (await http.post(sim.url + "/token", json={})).json()["error"] == "slow_down"
    assert (await http.post(sim.url + "/token", json={})).json()["error"] == "invalid_client"


async def test_a_new_account_can_chat_and_refresh(sim: Simulator, http: httpx.AsyncClient) -> None:
    response = await http.post(sim.url + "/_sim/accounts", json={"name": "jo", "tier": "free"})
    told = response.json()
    assert response.status_code == 201
    refreshed = await http.post(
        sim.url + "/token",
        json={
            "clientId": told["clientId"],
            "clientSecret": told["clientSecret"],
            "grantType": "refresh_token",
            "refreshToken": told["refreshToken"],
        },
    )
    caller = Caller(sim, http)
    for token in (told["accessToken"], refreshed.json()["accessToken"]):
        assert (await caller.chat(headers={"authorization": f"Bearer {token}"})).status_code == 200
    assert sim.requests[-1].account == "jo"


async def test_devices(sim: Simulator, http: httpx.AsyncClient) -> None:
    who = (await http.post(sim.url + "/client/register", json={"clientName": "x", "clientType": "public"})).json()
    client = {"clientId": who["clientId"], "clientSecret": who["clientSecret"]}
    started = (await http.post(sim.url + "/device_authorization", json={**client, "startUrl": BUILDER_ID})).json()
    approved = await http.post(sim.url + "/_sim/devices", json={"userCode": started["userCode"]})
    assert approved.status_code == 200
    twice = await http.post(sim.url + "/_sim/devices", json={"userCode": started["userCode"]})
    assert twice.status_code == 404


async def test_what_is_ready_made(sim: Simulator, http: httpx.AsyncClient) -> None:
    told = (await http.get(sim.url + "/_sim/scenarios")).json()
    assert "bad_crc" in told["scenarios"]
    assert "monthly_402" in told["errors"]


async def test_the_front_page_says_what_it_is(sim: Simulator, http: httpx.AsyncClient) -> None:
    assert "simulated" in (await http.get(sim.url)).text
