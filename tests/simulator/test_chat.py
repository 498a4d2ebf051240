"""A chat request on both bindings: who may, what comes back, what is recorded."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from qrelay.simulator.server import Simulator
from qrelay.simulator.service import AccountKind

from .asking import Caller, assistant, decoded, frames, request, stop_reason, text_of, tool_round, user

pytestmark = pytest.mark.anyio
BEARER_INVALID = "The bearer token included in the request is invalid."


async def test_aws_json_starts_with_initial_response(caller: Caller) -> None:
    response = await caller.chat()
    events = decoded(response.content)
    assert response.headers["content-type"] == "application/vnd.amazon.eventstream"
    assert response.headers["x-amzn-requestid"]
    assert "x-amzn-codewhisperer-conversation-id" not in response.headers
    assert events[0] == ("initial-response", {"conversationId": "c-1"})


async def test_rest_json_tells_the_conversation_in_a_header(caller: Caller) -> None:
    response = await caller.chat(rest=True)
    assert response.headers["x-amzn-codewhisperer-conversation-id"] == "c-1"
    assert response.headers["x-amzn-requestid"]
    assert "initial-response" not in dict(decoded(response.content))


async def test_reply_quotes_the_user_word_by_word_and_has_a_whole_tail(caller: Caller) -> None:
    events = await caller.events(request(user("Good morning, 世界 👋")))
    assert text_of(events) == 'This is the simulated service. You said: "Good morning, 世界 👋"'
    assert len([kind for kind, _ in events if kind == "assistantResponseEvent"]) == 11
    assert [kind for kind, _ in events[-3:]] == ["metadataEvent", "contextUsageEvent", "meteringEvent"]
    usage = events[-3][1]["tokenUsage"]
    assert usage["totalTokens"] == usage["uncachedInputTokens"] + usage["outputTokens"]
    assert events[-2][1]["contextUsagePercentage"] == pytest.approx(100 * usage["totalTokens"] / 200_000, abs=1e-3)
    assert events[-1][1].keys() == {"usage", "unit", "unitPlural"}


async def test_frames_carry_the_three_headers(caller: Caller) -> None:
    for frame in frames((await caller.chat()).content):
        assert frame.headers[":message-type"] == "event"
        assert frame.headers[":content-type"] == "application/json"
        assert frame.headers[":event-type"]


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("AmazonCodeWhispererStreamingService.GenerateAssistantResponse", "/"),
        ("KiroRuntimeService.GenerateAssistantResponse", "/"),
        ("AmazonCodeWhispererStreamingService.SendMessage", "/"),
        ("AmazonQDeveloperStreamingService.SendMessage", "/"),
        (None, "/generateAssistantResponse"),
        (None, "/SendMessageStreaming"),
    ],
)
async def test_every_way_to_chat(caller: Caller, target: str | None, path: str) -> None:
    headers = caller.headers(**({"x-amz-target": target} if target else {}))
    response = await caller.http.post(caller.simulator.url + path, json=request(user()), headers=headers)
    assert response.status_code == 200
    assert stop_reason(decoded(response.content)) == "END_TURN"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (None, "/"),
        ("AmazonCodeWhispererStreamingService.Nonsense", "/"),
        ("AmazonQDeveloperStreamingService.GenerateAssistantResponse", "/"),
        ("GenerateAssistantResponse", "/"),
        (None, "/generateassistantresponse"),
        (None, "/v1/anything"),
    ],
)
async def test_unknown_operations(caller: Caller, target: str | None, path: str) -> None:
    headers = caller.headers(**({"x-amz-target": target} if target else {}))
    response = await caller.http.post(caller.simulator.url + path, json=request(user()), headers=headers)
    assert response.status_code == 404
    told = response.headers.get("x-amzn-errortype", "") + response.json().get("__type", "")
    assert "UnknownOperationException" in told
    assert caller.simulator.requests[-1].refusal == "unknown_operation"


async def test_dry_run(caller: Caller) -> None:
    response = await caller.http.post(
        caller.simulator.url + "/SendMessageStreaming", json=request(user(), dryRun=True), headers=caller.headers()
    )
    assert decoded(response.content) == [("dryRunSucceedEvent", {})]


@pytest.mark.parametrize("authorization", [None, "Bearer", "Bearer nonsense", "Basic eDp5"])
async def test_wrong_bearers(caller: Caller, authorization: str | None) -> None:
    headers = {"authorization": authorization} if authorization else {}
    response = await caller.chat(headers=headers)
    assert response.status_code == 403
    assert response.json() == {
        "__type": "com.amazon.aws.codewhisperer#AccessDeniedException",
        "message": BEARER_INVALID,
        "reason": None,
    }
    assert caller.simulator.requests[-1].refusal == "bearer_invalid"


async def test_expired_bearer(caller: Caller) -> None:
    assert (await caller.chat()).status_code == 200
    caller.simulator.expire_access_tokens()
    assert (await caller.chat()).status_code == 403


async def test_tokens_expire_by_the_clock(http: httpx.AsyncClient) -> None:
    now = [1000.0]
    async with Simulator.serve(clock=lambda: now[0], token_lifetime=60) as sim:
        caller = Caller(sim, http)
        now[0] += 59
        assert (await caller.chat()).status_code == 200
        now[0] += 1
        assert (await caller.chat()).status_code == 403


@pytest.mark.parametrize(
    ("kind", "token_type", "status"),
    [
        ("builder_id", None, 200),
        ("builder_id", "API_KEY", 403),
        ("api_key", "API_KEY", 200),
        ("api_key", None, 403),
        ("external_idp", "EXTERNAL_IDP", 200),
        ("external_idp", "API_KEY", 403),
        ("external_idp", None, 403),
    ],
)
async def test_token_type(
    sim: Simulator, http: httpx.AsyncClient, kind: AccountKind, token_type: str | None, status: int
) -> None:
    caller = Caller(sim, http, sim.add_account(kind=kind))
    headers = caller.headers(**({"tokentype": token_type} if token_type else {}))
    assert (await caller.chat(headers=headers)).status_code == status


async def test_an_api_key_looks_like_one(sim: Simulator) -> None:
    assert sim.add_account(kind="api_key").access_token.startswith("ksk_")


async def test_authentication_comes_before_the_body_and_the_body_before_the_model(caller: Caller) -> None:
    broken = request(user(""))
    broken["conversationState"]["currentMessage"]["userInputMessage"]["modelId"] = "no-such-model"
    assert (await caller.chat(broken, headers={"authorization": "Bearer x"})).status_code == 403
    assert (await caller.chat(broken)).status_code == 400
    assert caller.simulator.requests[-1].refusal == "empty_content"
    broken["conversationState"]["currentMessage"]["userInputMessage"]["content"] = "Hi"
    response = await caller.chat(broken)
    assert response.status_code == 400
    assert response.json()["reason"] == "INVALID_MODEL_ID"


async def test_not_json(caller: Caller) -> None:
    response = await caller.chat(b"{not json")
    assert response.status_code == 400
    assert response.json()["reason"] == "REQUEST_BODY_INVALID_JSON"


async def test_accept_any_token(http: httpx.AsyncClient) -> None:
    async with Simulator.serve(accept_any_token=True) as sim:
        assert (await Caller(sim, http).chat(headers={"authorization": "Bearer x"})).status_code == 200
        assert (await Caller(sim, http).chat(headers={})).status_code == 403


async def test_preset_token(http: httpx.AsyncClient) -> None:
    async with Simulator.serve(access_tokens=("preset",)) as sim:
        assert (await Caller(sim, http).chat(headers={"authorization": "Bearer preset"})).status_code == 200


class TestProfileArn:
    async def test_must_be_the_accounts_own(self, sim: Simulator, http: httpx.AsyncClient) -> None:
        caller = Caller(sim, http, sim.add_account(kind="identity_center"))
        own = caller.login.account.profile_arn
        assert (await caller.chat(request(user(), profileArn=own))).status_code == 200
        other = sim.service.profile_arn_for("other")
        response = await caller.chat(request(user(), profileArn=other))
        assert (response.status_code, response.json()["message"]) == (403, BEARER_INVALID)

    async def test_identity_center_needs_one(self, sim: Simulator, http: httpx.AsyncClient) -> None:
        response = await Caller(sim, http, sim.add_account(kind="identity_center")).chat()
        assert response.status_code == 400
        assert response.json()["message"] == "profileArn is required for this request."

    async def test_builder_id_must_not_send_one(self, caller: Caller) -> None:
        arn = caller.simulator.service.profile_arn_for("any")
        assert (await caller.chat(request(user(), profileArn=arn))).status_code == 403

    async def test_required_of_all(self, http: httpx.AsyncClient) -> None:
        async with Simulator.serve(profile_arn="required") as sim:
            assert (await Caller(sim, http).chat()).status_code == 400

    async def test_ignored(self, http: httpx.AsyncClient) -> None:
        async with Simulator.serve(profile_arn="ignored") as sim:
            assert (await Caller(sim, http, sim.add_account(kind="identity_center")).chat()).status_code == 200


async def test_suspended_account(caller: Caller) -> None:
    caller.login.account.refusal = "suspended"
    response = await caller.chat()
    assert (response.status_code, response.json()["reason"]) == (403, "TEMPORARILY_SUSPENDED")


async def test_models_by_tier(sim: Simulator, http: httpx.AsyncClient) -> None:
    free, paid = Caller(sim, http, sim.add_account(tier="free")), Caller(sim, http)
    body = request(user())
    body["conversationState"]["currentMessage"]["userInputMessage"]["modelId"] = "claude-opus-4.8"
    assert (await free.chat(body)).json()["reason"] == "INVALID_MODEL_ID"
    assert (await paid.chat(body)).status_code == 200


@pytest.mark.parametrize(
    ("model", "fields", "status"),
    [
        ("claude-opus-5", {"output_config": {"effort": "low"}}, 200),
        ("claude-opus-5", {"output_config": {"effort": "extreme"}}, 400),
        ("claude-opus-5", {"reasoning": {"effort": "low"}}, 400),
        ("gpt-5.6-sol", {"reasoning": {"effort": "high"}}, 200),
        ("claude-sonnet-4.5", {"output_config": {"effort": "low"}}, 400),
    ],
)
async def test_additional_fields(caller: Caller, model: str, fields: dict[str, Any], status: int) -> None:
    turn = user()
    turn["userInputMessage"]["modelId"] = model
    assert (await caller.chat(request(turn, additionalModelRequestFields=fields))).status_code == status


async def test_window_of_the_model(caller: Caller) -> None:
    long = request(user("x" * 400_000), assistant(), user("y" * 400_000))
    assert (await caller.chat(long)).json()["message"] == "Input is too long."
    long["conversationState"]["currentMessage"]["userInputMessage"]["modelId"] = "claude-sonnet-5"
    assert (await caller.chat(long)).status_code == 200


async def test_what_is_recorded(caller: Caller) -> None:
    body = tool_round()
    response = await caller.chat(body, headers=caller.headers(**{"x-amzn-codewhisperer-optout": "true"}))
    assert response.status_code == 200
    recorded = caller.simulator.requests[-1]
    await recorded.over.wait()
    assert recorded.body == body
    assert json.loads(recorded.raw) == body
    assert recorded.operation == "GenerateAssistantResponse"
    assert (recorded.method, recorded.path, recorded.status) == ("POST", "/", 200)
    assert recorded.target == "AmazonCodeWhispererStreamingService.GenerateAssistantResponse"
    assert recorded.headers["x-amzn-codewhisperer-optout"] == "true"
    assert (recorded.refusal, recorded.violation) == (None, None)
    assert (recorded.finished, recorded.disconnected) == (True, False)
    assert recorded.account == caller.login.account.name
    assert len(recorded.history) == 2
    assert recorded.current["content"] == ""


async def test_a_client_that_leaves_is_recorded(caller: Caller) -> None:
    caller.simulator.next("silence")
    async with caller.http.stream(
        "POST", caller.simulator.url + "/generateAssistantResponse", json=request(user()), headers=caller.headers()
    ) as response:
        async for _ in response.aiter_raw():
            break
    recorded = caller.simulator.chats[-1]
    async with asyncio.timeout(5):
        await recorded.over.wait()
    assert (recorded.disconnected, recorded.finished) == (True, False)


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_bytes_per_write_changes_nothing_but_the_cuts(http: httpx.AsyncClient, size: int) -> None:
    async with Simulator.serve() as whole, Simulator.serve(bytes_per_write=size) as cut:
        expected = (await Caller(whole, http).chat()).content
        caller = Caller(cut, http)
        async with http.stream(
            "POST", cut.url, json=request(user()), headers=caller.headers(**{"x-amz-target": _TARGET})
        ) as response:
            pieces = [piece async for piece in response.aiter_raw()]
        assert b"".join(pieces) == expected
        assert max(map(len, pieces)) <= max(size, 1000)


_TARGET = "AmazonCodeWhispererStreamingService.GenerateAssistantResponse"


async def test_the_same_seed_gives_the_same_ids(http: httpx.AsyncClient) -> None:
    async with Simulator.serve(seed=5) as one, Simulator.serve(seed=5) as two, Simulator.serve(seed=6) as three:
        tokens = [sim.add_account().refresh_token for sim in (one, two, three)]
        assert tokens[0] == tokens[1] != tokens[2]


async def test_many_at_once(caller: Caller) -> None:
    bodies = [request(user(f"number {number}")) for number in range(20)]
    replies = await asyncio.gather(*map(caller.events, bodies))
    assert [f'"number {number}"' in text_of(events) for number, events in enumerate(replies)] == [True] * 20


async def test_word_delay_spreads_the_words(http: httpx.AsyncClient) -> None:
    async with Simulator.serve(word_delay=0.002) as sim:
        assert text_of(await Caller(sim, http).events()).endswith('"Hi"')


def test_in_a_thread() -> None:
    with Simulator.serve_in_thread() as sim, httpx.Client(trust_env=False) as client:
        headers = {"authorization": f"Bearer {sim.add_account().access_token}"}
        response = client.post(sim.url + "/generateAssistantResponse", json=request(user()), headers=headers)
        assert 'You said: "Hi"' in text_of(decoded(response.content))


def test_in_a_thread_a_wrong_option_is_told() -> None:
    with pytest.raises(TypeError), Simulator.serve_in_thread(nonsense=1):
        pass


async def test_a_taken_port_is_told(sim: Simulator) -> None:
    with pytest.raises(OSError, match="address already in use"):
        async with Simulator.serve(port=int(sim.url.rpartition(":")[2])):
            pass
