"""Every row of SWITCHING.md's table of amq2api, asked as its README and its page ask."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.gateway.conftest import Bench, bench
from tests.switching.conftest import amq2api_account, empty

pytestmark = pytest.mark.anyio

MESSAGE: dict[str, Any] = {
    "model": "claude-sonnet-4.5",
    "messages": [{"role": "user", "content": "Hello, how are you?"}],
    "max_tokens": 1024,
    "stream": True,
}


async def test_accounts_are_listed_with_their_secrets_hidden(fresh: Bench) -> None:
    assert (await fresh.http.get("/api/accounts")).json() == {"success": True, "data": []}
    login = fresh.sim.add_account("first")
    answer = await fresh.http.post("/api/accounts", json=amq2api_account(login))
    assert answer.status_code == 200
    assert answer.json().keys() == {"success", "message", "data"}
    assert answer.json()["success"] is True
    (row,) = (await fresh.http.get("/api/accounts")).json()["data"]
    assert row == answer.json()["data"]
    assert {"id", "name", "is_active", "created_at", "last_refresh_time", "last_refresh_status"} <= row.keys()
    assert (row["name"], row["is_active"], row["client_id"]) == ("mine", True, login.client_id)
    assert (row["client_secret"], row["profile_arn"]) == ("***", None)
    token = login.refresh_token
    assert row["refresh_token"] == f"{token[:10]}…{token[-4:]}"


@pytest.mark.parametrize("missing", ["refresh_token", "client_id", "client_secret"])
async def test_what_is_missing_is_named_and_nothing_stored(fresh: Bench, missing: str) -> None:
    body = amq2api_account(fresh.sim.add_account())
    for wrong in ({name: value for name, value in body.items() if name != missing}, body | {missing: 7}):
        answer = await fresh.http.post("/api/accounts", json=wrong)
        assert answer.status_code == 400
        assert answer.json()["success"] is False
        assert missing in answer.json()["message"]
    assert (await fresh.http.post("/api/accounts", content=b"{")).json()["success"] is False
    assert (await fresh.http.get("/api/accounts")).json()["data"] == []


async def test_an_unknown_account_is_a_404(fresh: Bench) -> None:
    for method, path in (("POST", "/api/accounts/nobody/activate"), ("DELETE", "/api/accounts/nobody")):
        answer = await fresh.http.request(method, path)
        assert (answer.status_code, answer.json()["success"]) == (404, False)
        assert answer.json()["message"]


async def test_active_account_rules(tmp_path: Path) -> None:
    async with empty(tmp_path / "home", strategy="active") as relay:
        ids: list[str] = []
        for name in ("one", "two", "three"):
            login = relay.sim.add_account(name)
            answer = await relay.http.post("/api/accounts", json=amq2api_account(login, name=name))
            ids.append(answer.json()["data"]["id"])

        async def active() -> list[str]:
            rows = (await relay.http.get("/api/accounts")).json()["data"]
            return [row["name"] for row in rows if row["is_active"]]

        async def serving() -> str | None:
            assert (await relay.http.post("/v1/messages", json=MESSAGE)).status_code == 200
            return relay.sim.chats[-1].account

        assert (await active(), await serving()) == (["one"], "one")
        answer = await relay.http.post(f"/api/accounts/{ids[2]}/activate")
        assert (answer.status_code, answer.json()["success"]) == (200, True)
        assert (await active(), await serving()) == (["three"], "three")
        answer = await relay.http.delete(f"/api/accounts/{ids[2]}")
        assert (answer.status_code, answer.json()["success"]) == (200, True)
        assert (await active(), await serving()) == (["one"], "one")
        assert (await relay.http.patch(f"/v2/accounts/{ids[0]}", json={"is_active": False})).status_code == 200
        assert (await active(), await serving()) == ([], "one")


async def test_the_active_account_is_kept_under_every_strategy(fresh: Bench) -> None:
    for name in ("one", "two"):
        login = fresh.sim.add_account(name)
        second = (await fresh.http.post("/api/accounts", json=amq2api_account(login, name=name))).json()["data"]["id"]
    await fresh.http.post(f"/api/accounts/{second}/activate")
    rows = (await fresh.http.get("/v2/accounts")).json()
    assert [(row["label"], row["is_active"]) for row in rows] == [("one", False), ("two", True)]


async def test_an_account_that_was_switched_off_is_on_once_it_is_active(fresh: Bench) -> None:
    login = fresh.sim.add_account()
    account = (await fresh.http.post("/api/accounts", json=amq2api_account(login))).json()["data"]["id"]
    await fresh.http.patch(f"/v2/accounts/{account}", json={"enabled": False})
    assert (await fresh.http.post(f"/api/accounts/{account}/activate")).json()["data"]["enabled"] is True


async def test_refresh_answers_both_bodies(fresh: Bench) -> None:
    account = (await fresh.http.post("/api/accounts", json=amq2api_account(fresh.sim.add_account()))).json()["data"]
    answer = await fresh.http.post(f"/v2/accounts/{account['id']}/refresh")
    assert answer.status_code == 200
    assert answer.json()["success"] is True
    assert answer.json()["message"]
    assert answer.json()["data"].keys() == {"id", "name", "last_refresh_time", "last_refresh_status"}
    assert answer.json()["data"]["last_refresh_status"] == "success"
    assert (answer.json()["label"], answer.json()["last_refresh_status"]) == ("mine", "success")


async def test_health(fresh: Bench) -> None:
    health = {"status": "healthy", "has_token": False, "token_expired": False}
    assert (await fresh.http.get("/health")).json() == health
    account = (await fresh.http.post("/api/accounts", json=amq2api_account(fresh.sim.add_account()))).json()["data"]
    await fresh.http.post(f"/v2/accounts/{account['id']}/refresh")
    assert (await fresh.http.get("/health")).json() == health | {"has_token": True}


@pytest.mark.parametrize("path", ["/", "/admin"])
async def test_the_page_for_people(fresh: Bench, path: str) -> None:
    answer = await fresh.http.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "qrelay login" in answer.text
    assert not re.search(r"<script>|\son\w+=|\sstyle=", answer.text)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert (await fresh.http.head(path)).status_code == 200


async def test_model_rows(relay: Bench) -> None:
    rows = (await relay.http.get("/v1/models")).json()["data"]
    fields = {"id", "object", "created", "owned_by", "display_name", "description"}
    assert all(fields <= row.keys() for row in rows)
    assert len({row["id"] for row in rows}) == len(rows)
    named = {row["id"]: row for row in rows}
    assert named["claude-3.5-sonnet"]["description"] == "Another name of claude-sonnet-4."
    for name in ("claude-3.5-sonnet", "claude-sonnet-4", "claude-sonnet-4.5"):
        assert (await relay.http.get(f"/v1/models/{name}")).json()["id"] == name
        answer = await relay.http.post("/v1/messages", json=MESSAGE | {"model": name})
        assert answer.status_code == 200
        assert "error" not in answer.text
    assert (await relay.messages(model="claude-3.5-sonnet")).headers["x-qrelay-model"] == "claude-sonnet-4"
    assert (await relay.messages(model="claude-3-5-sonnet-20241022")).headers["x-qrelay-model"] == "claude-sonnet-4"


async def test_names_of_ones_own(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", model_aliases=("fast = claude-haiku-4.5", "gpt-4o=sonnet")) as relay:
        rows = {row["id"]: row for row in (await relay.http.get("/v1/models")).json()["data"]}
        assert rows["fast"]["description"] == "Another name of claude-haiku-4.5."
        assert (await relay.chat(model="fast")).headers["x-qrelay-model"] == "claude-haiku-4.5"
        assert (await relay.chat(model="gpt-4o")).headers["x-qrelay-model"] == "claude-sonnet-5"


async def test_the_account_of_the_variables_is_one_row_for_good(tmp_path: Path) -> None:
    async with bench(tmp_path / "home") as relay:
        (before,) = (await relay.http.get("/api/accounts")).json()["data"]
        assert before["is_active"] is True
        await relay.http.post(f"/v2/accounts/{before['id']}/refresh")
        (rotated,) = (await relay.http.get("/api/accounts")).json()["data"]
        assert rotated["refresh_token"] != before["refresh_token"]
        settings: dict[str, Any] = {
            "amazonq_refresh_token": SecretStr(next(iter(relay.sim.requests)).members["refreshToken"]),
            "amazonq_client_id": before["client_id"],
            "amazonq_client_secret": SecretStr("as it was"),
        }
    async with bench(tmp_path / "home", **settings) as relay:
        (after,) = (await relay.http.get("/api/accounts")).json()["data"]
        assert (after["id"], after["refresh_token"]) == (before["id"], rotated["refresh_token"])
