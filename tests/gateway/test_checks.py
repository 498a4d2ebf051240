"""The management routes beside the accounts' own: does one work, what has it left, what is set."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.gateway.conftest import Bench, bench

pytestmark = pytest.mark.anyio


async def only(relay: Bench) -> str:
    (account,) = (await relay.http.get("/v2/accounts")).json()
    return f"/v2/accounts/{account['id']}"


async def test_an_account_is_tried_with_one_tiny_request(relay: Bench) -> None:
    answer = await relay.http.post(f"{await only(relay)}/test")
    assert answer.status_code == 200
    told = answer.json()
    assert (told["success"], told["model"]) == (True, "qwen3-coder-next")
    assert told["text"]
    assert told["latency_ms"] >= told["first_event_ms"] >= 0
    assert told["output_tokens"] > 0
    assert len(relay.sim.chats) == 1


async def test_an_account_is_tried_even_when_it_is_off(relay: Bench) -> None:
    path = await only(relay)
    await relay.http.patch(path, json={"enabled": False})
    assert (await relay.http.post(f"{path}/test")).json()["success"] is True
    assert (await relay.http.get(path)).json()["enabled"] is False


@pytest.mark.parametrize(("scenario", "status"), [("monthly_402", 400), ("internal", 502), ("cut_text", 502)])
async def test_a_try_that_fails_says_why(relay: Bench, scenario: str, status: int) -> None:
    relay.sim.next(scenario, times=3)
    answer = await relay.http.post(f"{await only(relay)}/test")
    assert (answer.status_code, answer.json()["success"]) == (status, False)
    assert answer.json()["error"]["message"]
    assert answer.json()["error"]["remedy"]


async def test_what_an_account_has_left(relay: Bench) -> None:
    await relay.messages()
    path = f"{await only(relay)}/quota"
    first = (await relay.http.get(path)).json()
    assert (first["plan"], first["limit"], first["unit"]) == ("KIRO PRO", 1000.0, "INVOCATIONS")
    assert 0 < first["used"] < 1000
    assert first["resets_at"].endswith("Z")
    assert (first["stale"], first["error"], len(first["allowances"])) == (False, None, 1)
    asked = [request for request in relay.sim.requests if request.operation == "GetUsageLimits"]
    assert len(asked) == 1
    assert asked[0].members["isEmailRequired"] is True
    assert (await relay.http.get(path)).json()["used"] == first["used"]
    assert [request.operation for request in relay.sim.requests].count("GetUsageLimits") == 1


@pytest.mark.parametrize("binding", ["awsjson", "restjson"])
async def test_a_dead_token_is_refreshed_for_it(tmp_path: Path, binding: str) -> None:
    async with bench(tmp_path / "home", binding=binding) as relay:
        await relay.messages()
        relay.sim.expire_access_tokens()
        answer = await relay.http.get(f"{await only(relay)}/quota")
        assert (answer.status_code, answer.json()["stale"]) == (200, False)


async def test_a_quota_that_can_not_be_had(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", api_endpoint="http://127.0.0.1:9") as relay:
        answer = await relay.http.get(f"{await only(relay)}/quota")
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unreachable")


async def test_unknown_accounts(relay: Bench) -> None:
    for method, what in (("POST", "test"), ("GET", "quota")):
        answer = await relay.http.request(method, f"/v2/accounts/nobody/{what}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "account_unknown")


async def test_settings_are_told_without_secrets(tmp_path: Path) -> None:
    more: dict[str, Any] = {"api_keys": (SecretStr("canary-1234567890"),), "proxy": None, "max_error_count": 7}
    async with bench(tmp_path / "home", **more) as relay:
        answer = await relay.http.get("/v2/settings")
        rows = {row["name"]: row for row in answer.json()["settings"]}
        assert rows["QRELAY_MAX_ERROR_COUNT"]["value"] == "7"
        assert rows["QRELAY_MAX_ERROR_COUNT"]["older_names"] == ["MAX_ERROR_COUNT"]
        assert rows["QRELAY_PORT"] == rows["QRELAY_PORT"] | {"value": "8000", "source": "default"}
        assert rows["QRELAY_API_KEYS"]["value"] == "********"
        assert "canary" not in answer.text
