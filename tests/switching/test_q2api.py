"""Every row of SWITCHING.md's table of q2api, asked as its README asks, and how it behaved."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.gateway.conftest import Bench, bench
from tests.switching.conftest import empty, q2api_account

pytestmark = pytest.mark.anyio

FIELDS = {
    "id",
    "label",
    "clientId",
    "clientSecret",
    "refreshToken",
    "accessToken",
    "other",
    "last_refresh_time",
    "last_refresh_status",
    "created_at",
    "updated_at",
    "enabled",
    "error_count",
    "success_count",
}
CHAT: dict[str, Any] = {
    "model": "claude-sonnet-4",
    "stream": False,
    "messages": [
        {"role": "system", "content": "You are a helpful assistant"},
        {"role": "user", "content": "Tell me a short story"},
    ],
}


async def test_an_account_from_its_birth_to_its_end(fresh: Bench) -> None:
    login = fresh.sim.add_account()
    answer = await fresh.http.post("/v2/accounts", json=q2api_account(login, other={"note": "kept"}))
    assert answer.status_code == 200
    account = answer.json()
    assert account.keys() >= FIELDS
    assert (account["label"], account["enabled"], account["other"]) == ("mine", True, {"note": "kept"})
    assert (account["error_count"], account["success_count"], account["state"]) == (0, 0, "ready")
    assert (await fresh.http.get("/v2/accounts")).json() == [account]
    path = f"/v2/accounts/{account['id']}"
    assert (await fresh.http.get(path)).json() == account
    changed = (await fresh.http.patch(path, json={"enabled": False})).json()
    assert (changed["enabled"], changed["state"]) == (False, "disabled")
    refreshed = await fresh.http.post(f"{path}/refresh")
    assert (refreshed.status_code, refreshed.json()["last_refresh_status"]) == (200, "success")
    assert (await fresh.http.delete(path)).json() == {"deleted": account["id"]}
    for method in ("GET", "DELETE"):
        assert (await fresh.http.request(method, path)).status_code == 404
    assert (await fresh.http.patch(path, json={"enabled": True})).status_code == 404
    assert (await fresh.http.post(f"{path}/refresh")).status_code == 404


@pytest.mark.parametrize("missing", ["clientId", "clientSecret", "refreshToken"])
async def test_incomplete_credentials_are_refused(fresh: Bench, missing: str) -> None:
    body = q2api_account(fresh.sim.add_account())
    for wrong in ({name: value for name, value in body.items() if name != missing}, body | {missing: ["x"]}):
        answer = await fresh.http.post("/v2/accounts", json=wrong)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, missing)
    assert (await fresh.http.get("/v2/accounts")).json() == []


@pytest.mark.parametrize("wrapped", [True, False])
async def test_many_at_once_keeps_the_good_rows(fresh: Bench, wrapped: bool) -> None:
    good, second = (q2api_account(fresh.sim.add_account(name)) for name in ("one", "two"))
    rows = [good, {"label": "bad"}, second]
    answer = await fresh.http.post("/v2/accounts/batch", json={"accounts": rows} if wrapped else rows)
    assert answer.status_code == 200
    assert [row["created"] for row in answer.json()["results"]] == [True, False, True]
    assert answer.json()["results"][1]["error"]["param"]
    assert len((await fresh.http.get("/v2/accounts")).json()) == 2


async def test_a_refused_refresh_is_told(fresh: Bench) -> None:
    account = (await fresh.http.post("/v2/accounts", json=q2api_account(fresh.sim.add_account()))).json()
    fresh.sim.next_token_errors("invalid_grant")
    answer = await fresh.http.post(f"/v2/accounts/{account['id']}/refresh")
    assert 400 <= answer.status_code < 500
    assert answer.json()["success"] is False
    assert answer.json()["last_refresh_status"].startswith("failed: ")
    assert answer.json()["data"]["last_refresh_status"] == answer.json()["last_refresh_status"]


async def test_no_account_is_a_401_in_the_callers_shape(fresh: Bench) -> None:
    login = fresh.sim.add_account()
    for enabled in (None, False):
        if enabled is not None:
            await fresh.http.post("/v2/accounts", json=q2api_account(login, enabled=enabled))
        chat = await fresh.http.post("/v1/chat/completions", json=CHAT)
        assert chat.status_code == 401
        assert chat.headers["x-should-retry"] == "false"
        assert "qrelay login" in chat.json()["error"]["message"]
        messages = await fresh.messages()
        assert (messages.status_code, messages.json()["error"]["type"]) == (401, "authentication_error")
        assert messages.headers["x-should-retry"] == "false"
        assert "qrelay login" in messages.json()["error"]["message"]


async def test_an_account_without_an_access_token_is_refreshed_first(fresh: Bench) -> None:
    login = fresh.sim.add_account()
    account = (await fresh.http.post("/v2/accounts", json=q2api_account(login))).json()
    assert account["accessToken"] is None
    assert (await fresh.http.post("/v1/chat/completions", json=CHAT)).status_code == 200
    assert fresh.sim.token_calls(login.client_id) == 1
    account = (await fresh.http.get(f"/v2/accounts/{account['id']}")).json()
    assert account["last_refresh_status"] == "success"


async def test_a_refused_token_is_refreshed_once_and_tried_once(fresh: Bench) -> None:
    login = fresh.sim.add_account()
    await fresh.http.post("/v2/accounts", json=q2api_account(login))
    assert (await fresh.chat()).status_code == 200
    fresh.sim.expire_access_tokens()
    assert (await fresh.chat()).status_code == 200
    assert (fresh.sim.token_calls(login.client_id), len(fresh.sim.chats)) == (2, 3)
    fresh.sim.next("bearer_invalid", times=9)
    answer = await fresh.chat()
    assert (answer.status_code, answer.headers["x-should-retry"]) == (401, "false")
    assert (fresh.sim.token_calls(login.client_id), len(fresh.sim.chats)) == (3, 5)


async def test_errors_in_a_row_disable_an_account(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", max_error_count=3) as relay:
        relay.sim.next("internal", times=9)
        for _ in range(3):
            assert (await relay.chat()).status_code >= 500
        (account,) = (await relay.http.get("/v2/accounts")).json()
        assert (account["enabled"], account["error_count"], account["state"]) == (False, 3, "disabled")
        assert (await relay.chat()).status_code == 401
        on = (await relay.http.patch(f"/v2/accounts/{account['id']}", json={"enabled": True})).json()
        assert (on["enabled"], on["error_count"]) == (True, 0)


async def test_random_choice_among_the_enabled(tmp_path: Path) -> None:
    async with empty(tmp_path / "home", strategy="random") as relay:
        for name in ("one", "two", "off"):
            body = q2api_account(relay.sim.add_account(name), label=name, enabled=name != "off")
            await relay.http.post("/v2/accounts", json=body)
        for _ in range(40):
            assert (await relay.chat()).status_code == 200
        # The chance that all of them go to one account is 2 ** -39.
        assert {request.account for request in relay.sim.chats} == {"one", "two"}


async def test_keys_for_clients(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", api_keys=(SecretStr("key1"), SecretStr("key2"))) as relay:
        bearer = {"authorization": "Bearer key2"}
        assert (await relay.http.post("/v1/chat/completions", json=CHAT, headers=bearer)).status_code == 200
        assert (await relay.http.post("/v1/chat/completions", json=CHAT)).status_code == 401
        assert (await relay.http.post("/v1/messages", json={}, headers={"x-api-key": "key1"})).status_code == 400


async def test_without_a_console_nothing_is_managed(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", console=False) as relay:
        for path in (
            "/v2/accounts",
            "/api/accounts",
            "/credentials",
            "/test/token",
            "/admin",
            "/docs",
            "/openapi.json",
        ):
            assert (await relay.http.get(path)).status_code == 404, path
        assert (await relay.http.post("/v2/accounts", json={})).status_code == 404
        assert (await relay.http.get("/")).json()["name"] == "qrelay"
        assert (await relay.http.get("/healthz")).status_code == 200
        assert (await relay.chat()).status_code == 200
