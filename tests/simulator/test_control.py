"""Models, profiles and usage on both bindings."""

from typing import Any

import httpx
import pytest

from qrelay.simulator.server import Simulator
from qrelay.simulator.service import AccountKind

from .asking import Caller

pytestmark = pytest.mark.anyio

FREE = [
    "auto", "claude-sonnet-4.5", "claude-sonnet-4", "claude-haiku-4.5", "deepseek-3.2", "minimax-m2.5", "minimax-m2.1",
    "glm-5", "qwen3-coder-next",
]  # fmt: skip


async def ask(caller: Caller, operation: str, body: dict[str, Any]) -> httpx.Response:
    headers = caller.headers(**{"x-amz-target": f"AmazonCodeWhispererService.{operation}"})
    return await caller.http.post(caller.simulator.url, json=body, headers=headers)


async def test_models_of_a_free_account(sim: Simulator, http: httpx.AsyncClient) -> None:
    caller = Caller(sim, http, sim.add_account(tier="free"))
    told = (await ask(caller, "ListAvailableModels", {"origin": "CLI"})).json()
    assert [model["modelId"] for model in told["models"]] == FREE
    assert told["defaultModel"] == {"modelId": "auto"}
    assert "nextToken" not in told
    sonnet = told["models"][1]
    assert sonnet["tokenLimits"] == {"maxInputTokens": 200_000, "maxOutputTokens": 64_000}
    assert sonnet["supportedInputTypes"] == ["TEXT", "IMAGE"]
    assert (sonnet["modelName"], sonnet["rateMultiplier"], sonnet["rateUnit"]) == ("Claude Sonnet 4.5", 1.3, "Credit")


async def test_models_in_pages_on_both_bindings(caller: Caller) -> None:
    whole = (await ask(caller, "ListAvailableModels", {"origin": "CLI"})).json()["models"]
    found: list[Any] = []
    query: dict[str, Any] = {"origin": "CLI", "maxResults": 4}
    while True:
        url = caller.simulator.url + "/ListAvailableModels"
        told = (await caller.http.get(url, params=query, headers=caller.headers())).json()
        assert len(told["models"]) <= 4
        found += told["models"]
        if "nextToken" not in told:
            break
        query["nextToken"] = told["nextToken"]
    assert found == whole
    assert {"claude-opus-5", "gpt-5.6-sol"} <= {model["modelId"] for model in found}


async def test_rows_that_take_more_fields_say_so(caller: Caller) -> None:
    told = (await ask(caller, "ListAvailableModels", {"origin": "CLI"})).json()
    saying = {model["modelId"] for model in told["models"] if "additionalModelRequestFieldsSchema" in model}
    assert saying == {"claude-opus-5", "gpt-5.6-sol", "gpt-5.6-terra", "gpt-5.6-luna"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"origin": "CLI", "maxResults": 0},
        {"origin": "CLI", "maxResults": 101},
        {"origin": "CLI", "nextToken": "x"},
    ],
)
async def test_models_badly_asked_for(caller: Caller, body: dict[str, Any]) -> None:
    assert (await ask(caller, "ListAvailableModels", body)).status_code == 400


async def test_every_listed_model_can_be_used(caller: Caller) -> None:
    told = (await ask(caller, "ListAvailableModels", {"origin": "CLI"})).json()
    for model in told["models"]:
        body = {
            "conversationState": {
                "chatTriggerType": "MANUAL",
                "currentMessage": {"userInputMessage": {"content": "Hi", "modelId": model["modelId"]}},
            }
        }
        assert (await caller.chat(body)).status_code == 200


@pytest.mark.parametrize(
    ("kind", "status", "profiles"),
    [("identity_center", 200, 1), ("builder_id", 403, None), ("social", 200, 0), ("api_key", 403, None)],
)
async def test_profiles(
    sim: Simulator, http: httpx.AsyncClient, kind: AccountKind, status: int, profiles: int | None
) -> None:
    caller = Caller(sim, http, sim.add_account(kind=kind))
    headers = {"tokentype": "API_KEY"} if kind == "api_key" else {}
    response = await http.post(sim.url + "/ListAvailableProfiles", json={}, headers=caller.headers(**headers))
    assert response.status_code == status
    if profiles is not None:
        assert len(response.json()["profiles"]) == profiles
    if kind == "builder_id":
        assert response.json()["message"] == "AWS Builder ID is not supported for this operation."


async def test_a_listed_profile_can_be_used(sim: Simulator, http: httpx.AsyncClient) -> None:
    caller = Caller(sim, http, sim.add_account(kind="identity_center"))
    told = (await ask(caller, "ListAvailableProfiles", {"maxResults": 10})).json()
    arn = told["profiles"][0]["arn"]
    assert (await ask(caller, "ListAvailableModels", {"origin": "CLI", "profileArn": arn})).status_code == 200
    assert (await ask(caller, "ListAvailableModels", {"origin": "CLI"})).status_code == 400


async def test_usage_grows_with_what_is_metered(caller: Caller) -> None:
    url = caller.simulator.url + "/getUsageLimits"
    query = {"origin": "CLI", "resourceType": "CREDIT", "isEmailRequired": "true"}
    before = (await caller.http.get(url, params=query, headers=caller.headers())).json()
    events = await caller.events()
    after = (await ask(caller, "GetUsageLimits", {"origin": "CLI"})).json()
    used = [told["usageBreakdownList"][0]["currentUsageWithPrecision"] for told in (before, after)]
    assert used[1] - used[0] == pytest.approx(dict(events)["meteringEvent"]["usage"])
    assert before["userInfo"]["email"]
    assert "email" not in after["userInfo"]
    assert isinstance(after["nextDateReset"], float)
    assert after["subscriptionInfo"]["type"] == "Q_DEVELOPER_STANDALONE_PRO"


async def test_management_hosts_say_invalid_tokens_their_way(http: httpx.AsyncClient) -> None:
    async with Simulator.serve(management_errors=True) as sim:
        response = await http.get(sim.url + "/getUsageLimits", headers={"authorization": "Bearer x"})
        assert (response.status_code, response.json()["message"]) == (400, "Invalid token")
        assert response.headers["x-amzn-errortype"].startswith("AccessDeniedException")
