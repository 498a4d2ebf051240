"""A gateway with an account in every state, each for the reason it has in real life."""

from typing import Any

import httpx

from qrelay.simulator.service import Login
from tests.gateway.conftest import Bench

HOSTILE = "<img src=x onerror=alert(1)> \u202eright-to-left [x](javascript:alert(2))"


def body(login: Login, label: str) -> dict[str, Any]:
    """An account as q2api's clients post it."""
    return {
        "label": label,
        "clientId": login.client_id,
        "clientSecret": login.client_secret,
        "refreshToken": login.refresh_token,
        "accessToken": login.access_token,
    }


async def add(relay: Bench, label: str, **more: Any) -> str:
    """One that is ready, and its id."""
    login = relay.sim.add_account(label)
    answer = await relay.http.post("/v2/accounts", json=body(login, label) | more)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


async def every_state(relay: Bench) -> dict[str, str]:
    """The id of an account of each state. The gateway's own, from its variables, is one more that is ready."""
    ids = {label: await add(relay, label) for label in ("ready", "cooling", "needs_login", "suspended", "disabled")}
    for label, refusal in (("cooling", "monthly_402"), ("suspended", "suspended")):
        relay.sim.service.accounts[label].refusal = refusal
        await relay.http.post(f"/v2/accounts/{ids[label]}/test")
    relay.sim.next_token_errors("invalid_grant")
    await relay.http.post(f"/v2/accounts/{ids['needs_login']}/refresh")
    await relay.http.patch(f"/v2/accounts/{ids['disabled']}", json={"enabled": False})
    return ids


async def states(http: httpx.AsyncClient) -> dict[str, str]:
    """The state of each account, by its label."""
    return {account["label"]: account["state"] for account in (await http.get("/v2/accounts")).json()}
