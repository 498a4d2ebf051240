"""Every row of SWITCHING.md's table of aq2api, and what its variables did."""

from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.gateway.conftest import Bench, bench
from tests.switching.conftest import amq2api_account, q2api_account

pytestmark = pytest.mark.anyio

FIELDS = {"has_credentials", "has_access_token", "token_expiry", "has_profile_arn"}


async def test_credentials_are_told_of_and_taken(fresh: Bench) -> None:
    answer = await fresh.http.get("/credentials")
    assert answer.json() == {
        "has_credentials": False,
        "has_access_token": False,
        "token_expiry": None,
        "has_profile_arn": False,
    }
    login = fresh.sim.add_account()
    body = {
        "client_id": login.client_id,
        "client_secret": login.client_secret,
        "refresh_token": login.refresh_token,
        "profile_arn": "arn:aws:codewhisperer:us-east-1:123456789012:profile/ABCDEFGHIJKL",
    }
    answer = await fresh.http.post("/credentials", json=body)
    assert answer.status_code == 200
    assert answer.json().keys() == FIELDS
    assert answer.json() | {"has_credentials": True, "has_profile_arn": True} == answer.json()
    assert (await fresh.http.get("/credentials")).json() == answer.json()
    assert (await fresh.http.get("/test/token")).status_code == 200
    told = (await fresh.http.get("/credentials")).json()
    assert told["has_access_token"] is True
    assert told["token_expiry"].endswith("Z")


async def test_new_credentials_are_the_ones_that_count(fresh: Bench) -> None:
    for name in ("before", "after"):
        login = fresh.sim.add_account(name)
        body = amq2api_account(login)
        assert (await fresh.http.post("/credentials", json=body)).status_code == 200
    rows = (await fresh.http.get("/v2/accounts")).json()
    assert [row["is_active"] for row in rows] == [False, True]


@pytest.mark.parametrize("missing", ["client_id", "client_secret", "refresh_token"])
async def test_credentials_without_all_they_need_are_refused(fresh: Bench, missing: str) -> None:
    body = amq2api_account(fresh.sim.add_account())
    del body[missing]
    answer = await fresh.http.post("/credentials", json=body)
    assert answer.status_code == 400
    assert missing in answer.json()["error"]
    assert (await fresh.http.get("/credentials")).json()["has_credentials"] is False


async def test_token_refresh_on_demand(fresh: Bench) -> None:
    refused = await fresh.http.get("/test/token")
    assert refused.status_code == 401
    assert refused.json()["success"] is False
    assert "qrelay login" in refused.json()["error"]
    login = fresh.sim.add_account()
    await fresh.http.post("/credentials", json=amq2api_account(login))
    calls = fresh.sim.token_calls(login.client_id)
    answer = (await fresh.http.get("/test/token")).json()
    assert answer["success"] is True
    assert len(answer["token_preview"]) == 11
    assert answer["token_preview"].endswith("…")
    assert fresh.sim.token_calls(login.client_id) == calls + 1
    fresh.sim.next_token_errors("invalid_grant")
    refused = await fresh.http.get("/test/token")
    assert refused.status_code == 401
    assert refused.json()["success"] is False
    assert "invalid_grant" in refused.json()["error"]
    assert ". Log the account in again" in refused.json()["error"], "two sentences"


async def test_another_sites_page_cannot_have_a_token_refreshed(fresh: Bench) -> None:
    login = fresh.sim.add_account()
    await fresh.http.post("/credentials", json=amq2api_account(login))
    calls = fresh.sim.token_calls(login.client_id)
    for site in ("cross-site", "same-site"):
        headers = {"sec-fetch-site": site, "sec-fetch-mode": "no-cors"}
        assert (await fresh.http.get("/test/token", headers=headers)).status_code == 403
    assert fresh.sim.token_calls(login.client_id) == calls


async def test_models_and_health(relay: Bench) -> None:
    ids = {row["id"] for row in (await relay.http.get("/v1/models")).json()["data"]}
    assert {"claude-sonnet-4", "claude-sonnet-4.5"} <= ids
    assert (await relay.http.get("/health")).json()["status"] == "healthy"


async def test_messages_stream_by_default_if_that_is_wanted(tmp_path: Path) -> None:
    async with bench(tmp_path / "as-anthropic") as relay:
        assert (await relay.messages()).headers["content-type"] == "application/json"
    async with bench(tmp_path / "as-aq2api", anthropic_stream_default=True) as relay:
        assert (await relay.messages()).headers["content-type"].startswith("text/event-stream")
        assert (await relay.messages(stream=False)).headers["content-type"] == "application/json"
        assert (await relay.chat()).headers["content-type"] == "application/json"


async def test_the_version_header(tmp_path: Path) -> None:
    async with bench(tmp_path / "without") as relay:
        assert "anthropic-version" not in (await relay.messages()).headers
    async with bench(tmp_path / "with", anthropic_version="2023-06-01") as relay:
        more: dict[str, Any]
        for more in ({}, {"stream": True}, {"messages": 3}):
            assert (await relay.messages(**more)).headers["anthropic-version"] == "2023-06-01"
        assert "anthropic-version" not in (await relay.chat()).headers


async def test_the_sdk_line_of_its_readme(relay: Bench) -> None:
    async with anthropic.AsyncAnthropic(base_url=f"{relay.url}/v1", api_key="dummy-key") as client:
        answer = await client.messages.create(
            model="claude-sonnet-4", max_tokens=2048, messages=[{"role": "user", "content": "Hello"}], stream=False
        )
    assert answer.content[0].type == "text"
    assert answer.content[0].text


async def test_both_surfaces_show_the_same_account(fresh: Bench) -> None:
    await fresh.http.post("/v2/accounts", json=q2api_account(fresh.sim.add_account()))
    assert (await fresh.http.get("/credentials")).json()["has_credentials"] is True
    assert len((await fresh.http.get("/api/accounts")).json()["data"]) == 1
