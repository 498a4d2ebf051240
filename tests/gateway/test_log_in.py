"""Logging accounts in over /v2/auth, against the simulated log-in side: every way it can end."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from qrelay.outward import USER_AGENT
from qrelay.simulator.server import Simulator
from qrelay.simulator.service import AccountKind
from tests.gateway.conftest import Bench, bench, serving, settings_for

pytestmark = pytest.mark.anyio

IDENTITY_CENTER = "https://d-1234567890.awsapps.com/start"
NO_ACCOUNT: dict[str, Any] = dict.fromkeys(
    ("amazonq_refresh_token", "amazonq_client_id", "amazonq_client_secret"), None
)


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncGenerator[Bench]:
    """A gateway without an account."""
    async with bench(tmp_path / "home", **NO_ACCOUNT) as running:
        yield running


async def start(at: Bench, **body: Any) -> dict[str, Any]:
    answer = await at.http.post("/v2/auth/start", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def claim(at: Bench, started: dict[str, Any]) -> httpx.Response:
    return await at.http.post(f"/v2/auth/claim/{started['authId']}")


async def status(at: Bench, started: dict[str, Any]) -> dict[str, Any]:
    answer = await at.http.get(f"/v2/auth/status/{started['authId']}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def accounts(at: Bench) -> list[dict[str, Any]]:
    return (await at.http.get("/v2/accounts")).json()


def approve(at: Bench, started: dict[str, Any], kind: AccountKind = "builder_id", **profiles: Any) -> None:
    account = at.sim.service.account(kind=kind)
    account.more_profiles = profiles.get("more", ())
    assert at.sim.oidc.decide(started["userCode"], "approved", account)


def asked(at: Bench, operation: str) -> list[dict[str, Any]]:
    return [request.body for request in at.sim.requests if request.operation == operation]


async def test_a_builder_id_logs_in_and_serves(empty: Bench) -> None:
    started = await start(empty, label="mine", enabled=True)
    assert started["verificationUriComplete"] == f"{started['verificationUri']}?user_code={started['userCode']}"
    assert (started["expiresIn"], started["interval"]) == (600, 1)
    waiting = await status(empty, started)
    assert {name: waiting[name] for name in ("status", "error", "accountId")} == {
        "status": "pending",
        "error": None,
        "accountId": None,
    }
    assert 0 < waiting["remaining"] <= 300
    page = await empty.http.post(started["verificationUri"], data={"user_code": started["userCode"]})
    assert "approved" in page.text

    answer = await claim(empty, started)
    assert answer.status_code == 200, answer.text
    account = answer.json()["account"]
    assert answer.json()["status"] == "completed"
    assert {name: account[name] for name in ("label", "kind", "region", "startUrl", "state", "enabled")} == {
        "label": "mine",
        "kind": "builder_id",
        "region": "us-east-1",
        "startUrl": "https://view.awsapps.com/start",
        "state": "ready",
        "enabled": True,
    }
    ended = await status(empty, started)
    assert (ended["status"], ended["accountId"], ended["remaining"]) == ("completed", account["id"], 0)
    (listed,) = await accounts(empty)
    assert account.items() <= listed.items()
    assert asked(empty, "RegisterClient") == [
        {
            "clientName": "qrelay",
            "clientType": "public",
            "scopes": ["codewhisperer:completions", "codewhisperer:analysis", "codewhisperer:conversations"],
        }
    ]
    assert asked(empty, "StartDeviceAuthorization")[0]["startUrl"] == "https://view.awsapps.com/start"
    assert (await empty.messages()).status_code == 200
    assert (await empty.http.post(f"/v2/accounts/{account['id']}/refresh")).json()["last_refresh_status"] == "success"
    to_the_service = [request for request in empty.sim.requests if request.path != "/device"]
    assert {request.headers["user-agent"] for request in to_the_service} == {USER_AGENT}


async def test_an_empty_body_is_a_builder_id(empty: Bench) -> None:
    assert (await empty.http.post("/v2/auth/start")).status_code == 200
    assert asked(empty, "StartDeviceAuthorization")[0]["startUrl"] == "https://view.awsapps.com/start"


async def test_an_identity_center_in_another_region(tmp_path: Path) -> None:
    """The simulator's regions are paths; a client registered in one is known only there."""
    async with Simulator.serve() as sim:
        settings = settings_for(sim, tmp_path / "home", **NO_ACCOUNT, token_endpoint=f"{sim.url}/ap-southeast-2/token")
        async with serving(settings) as url, httpx.AsyncClient(base_url=url, timeout=20) as http:
            at = Bench(sim, url, http)
            started = await start(at, startUrl=f"{IDENTITY_CENTER}/#/", region="ap-southeast-2")
            approve(at, started, "identity_center")
            answer = (await claim(at, started)).json()
            account = answer["account"]
            assert (account["kind"], account["region"], account["startUrl"]) == (
                "identity_center",
                "ap-southeast-2",
                IDENTITY_CENTER,
            )
            # Its one profile was taken, and the service insists on it.
            assert [profile["arn"] for profile in answer["profiles"]] == [account["profileArn"]]
            assert answer["note"] is None
            assert (await at.messages()).status_code == 200
            assert (await http.post(f"/v2/accounts/{account['id']}/refresh")).status_code == 200


SECOND = "arn:aws:codewhisperer:eu-central-1:123456789012:profile/SECOND000000"


@pytest.mark.parametrize(("named", "chosen"), [(None, 0), (SECOND, 1), ("arn:aws:codewhisperer:of:nobody", 0)])
async def test_of_several_profiles_the_named_one_is_taken(empty: Bench, named: str | None, chosen: int) -> None:
    started = await start(empty, startUrl=IDENTITY_CENTER, profileArn=named)
    approve(empty, started, "identity_center", more=(SECOND,))
    answer = (await claim(empty, started)).json()
    arns = [profile["arn"] for profile in answer["profiles"]]
    assert (len(arns), arns[1]) == (2, SECOND)
    assert answer["account"]["profileArn"] == arns[chosen]
    assert arns[chosen] in answer["note"]
    assert ("is none of its profiles" in answer["note"]) is (named not in {None, *arns})
    assert (await status(empty, started))["profiles"] == answer["profiles"]
    changed = await empty.http.patch(f"/v2/accounts/{answer['accountId']}", json={"profileArn": arns[1 - chosen]})
    assert changed.json()["profileArn"] == arns[1 - chosen]
    assert (await empty.messages()).status_code == 200


async def test_profiles_that_cannot_be_listed_spoil_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", **NO_ACCOUNT, api_endpoint="http://127.0.0.1:1") as at:
        started = await start(at, startUrl=IDENTITY_CENTER, profileArn=SECOND)
        approve(at, started, "identity_center")
        answer = (await claim(at, started)).json()
        assert (answer["status"], answer["profiles"]) == ("completed", [])
        assert "127.0.0.1:1 can't be reached" in answer["note"]
        assert answer["account"]["profileArn"] == SECOND


async def test_two_at_once_are_two_accounts_with_a_client_each(empty: Bench) -> None:
    first, second = await start(empty, label="first"), await start(empty, label="second")
    approve(empty, second)
    claims = asyncio.gather(claim(empty, first), claim(empty, second))
    assert (await claim(empty, second)).json()["account"]["label"] == "second"
    assert (await status(empty, first))["status"] == "pending"
    approve(empty, first)
    told = [answer.json()["account"] for answer in await claims]
    assert [account["label"] for account in told] == ["first", "second"]
    assert len({account["clientId"] for account in told}) == 2
    assert {account["id"] for account in await accounts(empty)} == {account["id"] for account in told}


async def test_a_second_claim_is_the_same_answer(empty: Bench) -> None:
    started = await start(empty)
    approve(empty, started)
    one, other = await asyncio.gather(claim(empty, started), claim(empty, started))
    assert one.json() == other.json() == (await claim(empty, started)).json()
    assert len(await accounts(empty)) == 1
    polls = [body for body in asked(empty, "CreateToken") if "deviceCode" in body]
    assert len(polls) == 1


async def test_it_goes_on_without_whoever_claimed_it(empty: Bench) -> None:
    started = await start(empty)
    with pytest.raises(httpx.ReadTimeout):
        await empty.http.post(f"/v2/auth/claim/{started['authId']}", timeout=0.1)
    approve(empty, started)
    assert (await claim(empty, started)).json()["status"] == "completed"
    assert len(await accounts(empty)) == 1


async def test_a_no_is_told(empty: Bench) -> None:
    started = await start(empty)
    assert empty.sim.oidc.decide(started["userCode"], "denied")
    answer = await claim(empty, started)
    assert (answer.status_code, answer.json()["status"]) == (400, "error")
    assert "denied" in answer.json()["error"]
    assert answer.json()["remedy"]
    told = await status(empty, started)
    assert (told["status"], told["error"], told["accountId"]) == ("error", answer.json()["error"], None)
    assert await accounts(empty) == []


async def test_a_code_that_expires_is_told(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", {"device_lifetime": 1}, **NO_ACCOUNT) as at:
        started = await start(at)
        answer = await claim(at, started)
        assert (answer.status_code, answer.json()["status"]) == (400, "error")
        assert "expired" in answer.json()["error"]
        assert await accounts(at) == []


async def test_time_runs_out(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", **NO_ACCOUNT, login_timeout_seconds=1) as at:
        started = await start(at)
        assert (await status(at, started))["remaining"] == 1
        answer = await claim(at, started)
        assert (answer.status_code, answer.json()["status"]) == (408, "timeout")
        assert (await status(at, started))["status"] == "timeout"
        assert (await claim(at, started)).status_code == 408
        assert await accounts(at) == []


async def test_slow_down_is_obeyed(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", **NO_ACCOUNT, login_timeout_seconds=5) as at:
        at.sim.next_token_errors("slow_down")
        answer = await claim(at, await start(at))
        # Asked after one second, it would have been asked again after six: that is more time than there was.
        assert answer.status_code == 408
        assert len(asked(at, "CreateToken")) == 1


async def test_a_service_in_trouble_is_asked_again(empty: Bench) -> None:
    empty.sim.next_token_errors("server_error")
    started = await start(empty)
    approve(empty, started)
    assert (await claim(empty, started)).json()["status"] == "completed"
    assert [request.refusal for request in empty.sim.requests if request.operation == "CreateToken"] == [
        "server_error",
        None,
    ]


async def test_an_account_is_logged_in_again(empty: Bench) -> None:
    started = await start(empty, label="mine")
    approve(empty, started)
    account = (await claim(empty, started)).json()["account"]
    assert (await empty.messages()).status_code == 200
    empty.sim.next_token_errors("invalid_grant")
    await empty.http.post(f"/v2/accounts/{account['id']}/refresh")
    dead = (await empty.http.get(f"/v2/accounts/{account['id']}")).json()
    assert dead["state"] == "needs_login"

    started = await start(empty, accountId=account["id"])
    approve(empty, started)
    again = (await claim(empty, started)).json()["account"]
    assert {name: again[name] for name in ("id", "label", "state", "clientId", "created_at", "success_count")} == {
        "id": account["id"],
        "label": "mine",
        "state": "ready",
        "clientId": account["clientId"],
        "created_at": account["created_at"],
        "success_count": 1,
    }
    assert (again["state_reason"], again["last_refresh_status"], again["error_count"]) == (None, None, 0)
    assert len(asked(empty, "RegisterClient")) == 1
    assert len(await accounts(empty)) == 1
    assert (await empty.messages()).status_code == 200


async def test_a_client_the_service_forgot_is_registered_again(empty: Bench) -> None:
    started = await start(empty)
    approve(empty, started)
    account = (await claim(empty, started)).json()["account"]
    del empty.sim.oidc.clients[account["clientId"]]
    started = await start(empty, accountId=account["id"])
    approve(empty, started)
    again = (await claim(empty, started)).json()["account"]
    assert again["id"] == account["id"]
    assert again["clientId"] != account["clientId"]
    assert (await empty.http.post(f"/v2/accounts/{account['id']}/refresh")).status_code == 200


async def test_a_client_about_to_expire_is_not_used_again(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", {"client_lifetime": 300}, **NO_ACCOUNT) as at:
        started = await start(at)
        approve(at, started)
        account = (await claim(at, started)).json()["account"]
        await start(at, accountId=account["id"])
        assert len(asked(at, "RegisterClient")) == 2


async def test_another_programs_client_is_not_used(relay: Bench) -> None:
    """An account that was added by hand keeps its id when it is logged in, and gets a client of ours."""
    account = (await accounts(relay))[0]
    assert (await relay.messages()).status_code == 200
    started = await start(relay, accountId=account["id"])
    approve(relay, started)
    again = (await claim(relay, started)).json()["account"]
    assert again["id"] == account["id"]
    assert again["clientId"] != account["clientId"]
    assert asked(relay, "RegisterClient")[0]["clientName"] == "qrelay"
    assert (await relay.messages()).status_code == 200


async def test_a_client_that_was_put_in_by_hand_is_not_used(empty: Bench) -> None:
    started = await start(empty)
    approve(empty, started)
    account = (await claim(empty, started)).json()["account"]
    other = empty.sim.add_account()
    path = f"/v2/accounts/{account['id']}"
    # Sent back as it was read it is still the client that was registered here.
    await empty.http.patch(path, json=account | {"label": "same"})
    await start(empty, accountId=account["id"])
    assert len(asked(empty, "RegisterClient")) == 1
    await empty.http.patch(path, json={"clientId": other.client_id, "clientSecret": other.client_secret})
    await start(empty, accountId=account["id"])
    assert len(asked(empty, "RegisterClient")) == 2


async def test_a_restart_ends_what_waits_and_keeps_what_is_done(tmp_path: Path) -> None:
    async with httpx.AsyncClient(timeout=20) as patient:
        async with bench(tmp_path / "home", **NO_ACCOUNT) as at:
            done, waiting = await start(at), await start(at)
            left_open = asyncio.create_task(patient.post(f"{at.url}/v2/auth/claim/{waiting['authId']}"))
            approve(at, done)
            account = (await claim(at, done)).json()["account"]
        with pytest.raises(httpx.HTTPError):  # a server that ends waits for nobody's approval
            await left_open
    async with bench(tmp_path / "home", **NO_ACCOUNT) as at:
        assert [row["id"] for row in await accounts(at)] == [account["id"]]
        told = await status(at, done)
        assert (told["status"], told["accountId"]) == ("completed", account["id"])
        assert (await claim(at, done)).json()["account"]["id"] == account["id"]
        told = await status(at, waiting)
        assert (told["status"], told["accountId"], told["remaining"]) == ("error", None, 0)
        assert told["error"] == "The server has ended before the log-in was approved."
        assert (await claim(at, waiting)).status_code == 400


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"startUrl": "https://evil.example/start"}, "startUrl"),
        ({"startUrl": "https://d-1.awsapps.com.evil.example/start"}, "startUrl"),
        ({"startUrl": "https://me@d-1.awsapps.com/start"}, "startUrl"),
        ({"startUrl": "http://d-1.awsapps.com/start"}, "startUrl"),
        ({"startUrl": IDENTITY_CENTER, "region": "us-east-1.evil.example/"}, "region"),
        ({"region": "eu-central-1"}, "region"),
        ({"kind": "identity_center"}, "startUrl"),
        ({"kind": "builder_id", "startUrl": IDENTITY_CENTER}, "startUrl"),
        ({"kind": "social"}, "kind"),
        ({"kind": "of my own"}, "kind"),
        ({"label": 7}, "label"),
        ({"accountId": ["x"]}, "accountId"),
    ],
)
async def test_bad_wishes_name_the_field(empty: Bench, body: dict[str, Any], field: str) -> None:
    answer = await empty.http.post("/v2/auth/start", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "request_invalid", field)
    assert empty.sim.requests == []


async def test_what_is_not_there_is_a_404(empty: Bench) -> None:
    for answer, code in (
        (await empty.http.get("/v2/auth/status/nothing"), "login_unknown"),
        (await empty.http.post("/v2/auth/claim/nothing"), "login_unknown"),
        (await empty.http.post("/v2/auth/start", json={"accountId": "nobody"}), "account_unknown"),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, code)


async def test_a_service_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", **NO_ACCOUNT, token_endpoint="http://127.0.0.1:1/token") as at:
        answer = await at.http.post("/v2/auth/start", json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unreachable")
        assert "QRELAY_TOKEN_ENDPOINT" in answer.json()["error"]["remedy"]


async def test_strangers_start_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", **NO_ACCOUNT, admin_secret="adm1n", api_keys="key") as at:
        for path in ("start", "claim/x"):
            answer = await at.http.post(f"/v2/auth/{path}", json={}, headers={"authorization": "Bearer key"})
            assert answer.status_code == 403
        assert at.sim.requests == []
