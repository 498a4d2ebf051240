"""The log-in side, asked by boto3's `sso-oidc`: each error is recognised as its own exception class."""

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from boto3.session import Session  # pyright: ignore[reportMissingTypeStubs] -- has none
from botocore import UNSIGNED  # pyright: ignore[reportMissingTypeStubs] -- has none
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs] -- has none

from qrelay.simulator.oauth_errors import ERRORS
from qrelay.simulator.oidc import BUILDER_ID, DEVICE_GRANT, Login
from qrelay.simulator.server import Simulator

MakeClient = Callable[[str], Any]


@pytest.fixture(scope="module")
def session() -> Any:
    """Loading the service's description is what takes time."""
    return Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1")


@pytest.fixture
def connect(session: Any) -> Generator[MakeClient]:
    made: list[Any] = []

    def client(url: str) -> Any:
        config = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}, proxies={})
        made.append(session.client("sso-oidc", endpoint_url=url, config=config))
        return made[-1]

    yield client
    for opened in made:
        opened.close()


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def registered(client: Any) -> dict[str, str]:
    answer = client.register_client(clientName="qrelay", clientType="public", scopes=["codewhisperer:completions"])
    return {"clientId": answer["clientId"], "clientSecret": answer["clientSecret"]}


def refresh(client: Any, login: Login, token: str | None = None) -> Any:
    return client.create_token(
        clientId=login.client_id,
        clientSecret=login.client_secret,
        grantType="refresh_token",
        refreshToken=token or login.refresh_token,
    )


def chat_status(sim: Simulator, token: str) -> int:
    body = {
        "conversationState": {
            "chatTriggerType": "MANUAL",
            "currentMessage": {"userInputMessage": {"content": "Hi"}},
        }
    }
    headers = {"authorization": f"Bearer {token}"}
    url = sim.url + "/generateAssistantResponse"
    return httpx.post(url, json=body, headers=headers, trust_env=False).status_code


class TestDeviceLogin:
    def test_from_registration_to_a_token_that_works(self, connect: MakeClient) -> None:
        with Simulator.serve_in_thread(device_interval=0) as sim:
            client = connect(sim.url)
            who = registered(client)
            started = client.start_device_authorization(**who, startUrl=BUILDER_ID)
            assert re.fullmatch(r"[A-Z0-9]{4}-[A-Z0-9]{4}", started["userCode"])
            assert started["verificationUri"] == f"{sim.url}/device"
            poll = {**who, "grantType": DEVICE_GRANT, "deviceCode": started["deviceCode"]}
            with pytest.raises(client.exceptions.AuthorizationPendingException) as pending:
                client.create_token(**poll)
            assert pending.value.response["error"] == "authorization_pending"
            sim.oidc.decide(started["userCode"], "approved")
            token = client.create_token(**poll)
            assert (token["tokenType"], token["expiresIn"]) == ("Bearer", 3600)
            assert chat_status(sim, token["accessToken"]) == 200
            with pytest.raises(client.exceptions.InvalidGrantException):
                client.create_token(**poll)
            assert sim.token_calls(who["clientId"]) == 3

    def test_slow_down(self, connect: MakeClient) -> None:
        clock = Clock()
        with Simulator.serve_in_thread(device_interval=5, clock=clock) as sim:
            client = connect(sim.url)
            poll = self._started(client)
            with pytest.raises(client.exceptions.AuthorizationPendingException):
                client.create_token(**poll)
            clock.now += 2
            with pytest.raises(client.exceptions.SlowDownException):
                client.create_token(**poll)
            clock.now += 5
            with pytest.raises(client.exceptions.AuthorizationPendingException):
                client.create_token(**poll)

    def test_expired(self, connect: MakeClient) -> None:
        clock = Clock()
        with Simulator.serve_in_thread(device_lifetime=600, clock=clock) as sim:
            client = connect(sim.url)
            poll = self._started(client)
            clock.now += 600
            with pytest.raises(client.exceptions.ExpiredTokenException):
                client.create_token(**poll)

    def test_denied_on_the_page(self, connect: MakeClient) -> None:
        with Simulator.serve_in_thread() as sim:
            client = connect(sim.url)
            poll = self._started(client)
            user_code = next(iter(sim.oidc.devices.values())).user_code
            answer = httpx.post(f"{sim.url}/device", data={"user_code": user_code, "decision": "deny"}, trust_env=False)
            assert "denied" in answer.text
            with pytest.raises(client.exceptions.AccessDeniedException):
                client.create_token(**poll)

    def test_approved_on_the_page(self, connect: MakeClient) -> None:
        with Simulator.serve_in_thread() as sim:
            client = connect(sim.url)
            who = registered(client)
            started = client.start_device_authorization(**who, startUrl="https://d-1234567890.awsapps.com/start")
            page = httpx.get(started["verificationUriComplete"], trust_env=False)
            assert page.status_code == 200
            assert started["userCode"] in page.text
            assert "Approve" in page.text
            approved = httpx.post(
                started["verificationUriComplete"],
                data={"user_code": started["userCode"], "decision": "approve"},
                trust_env=False,
            )
            assert "approved" in approved.text
            client.create_token(**who, grantType=DEVICE_GRANT, deviceCode=started["deviceCode"])
            assert [account.kind for account in sim.service.accounts.values()] == ["identity_center"]

    def test_page_without_a_code(self) -> None:
        with Simulator.serve_in_thread() as sim:
            assert "Which code" in httpx.get(f"{sim.url}/device", trust_env=False).text
            assert httpx.get(f"{sim.url}/device?user_code=NOPE-NOPE", trust_env=False).status_code == 404
            assert "<script" not in httpx.get(f"{sim.url}/device?user_code=<script>", trust_env=False).text

    def test_approved_by_itself(self, connect: MakeClient) -> None:
        with Simulator.serve_in_thread(device_approval="auto") as sim:
            client = connect(sim.url)
            assert client.create_token(**self._started(client))["accessToken"]

    def _started(self, client: Any) -> dict[str, str]:
        who = registered(client)
        started = client.start_device_authorization(**who, startUrl=BUILDER_ID)
        return {**who, "grantType": DEVICE_GRANT, "deviceCode": started["deviceCode"]}


class TestRegistration:
    def test_unknown_client(self, connect: MakeClient) -> None:
        with Simulator.serve_in_thread() as sim:
            client = connect(sim.url)
            with pytest.raises(client.exceptions.InvalidClientException) as raised:
                client.start_device_authorization(clientId="x", clientSecret="y", startUrl=BUILDER_ID)
            assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 401

    def test_wrong_secret(self, connect: MakeClient) -> None:
        with Simulator.serve_in_thread() as sim:
            client, login = connect(sim.url), sim.add_account()
            login.client_secret = "wrong"
            with pytest.raises(client.exceptions.InvalidClientException):
                refresh(client, login)

    def test_expired_registration(self, connect: MakeClient) -> None:
        clock = Clock()
        with Simulator.serve_in_thread(client_lifetime=100, clock=clock) as sim:
            client, login = connect(sim.url), sim.add_account()
            clock.now += 100
            with pytest.raises(client.exceptions.InvalidClientException):
                refresh(client, login)

    def test_not_public(self, connect: MakeClient) -> None:
        with Simulator.serve_in_thread() as sim:
            client = connect(sim.url)
            with pytest.raises(client.exceptions.InvalidClientMetadataException):
                client.register_client(clientName="x", clientType="confidential")

    def test_redirect_elsewhere(self, connect: MakeClient) -> None:
        with Simulator.serve_in_thread() as sim:
            client = connect(sim.url)
            with pytest.raises(client.exceptions.InvalidRedirectUriException):
                client.register_client(clientName="x", clientType="public", redirectUris=["https://example.com/"])


@pytest.mark.parametrize("code", sorted(ERRORS))
def test_each_error_is_an_exception_of_its_own(connect: MakeClient, code: str) -> None:
    with Simulator.serve_in_thread() as sim:
        client, login = connect(sim.url), sim.add_account()
        sim.next_token_errors(code)
        with pytest.raises(client.exceptions.ClientError) as raised:
            refresh(client, login)
        assert type(raised.value).__name__ == ERRORS[code][0]
        assert raised.value.response["Error"]["Code"] == ERRORS[code][0]
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == ERRORS[code][1]
        told = httpx.post(f"{sim.url}/token", json={}, trust_env=False).json()
        assert told["error"] == "invalid_client"
        assert sim.requests[-2].refusal == code


class TestRotation:
    def test_strict_is_one_time_and_a_second_use_ends_it_all(self, connect: MakeClient) -> None:
        with Simulator.serve_in_thread(rotation="strict") as sim:
            client, login = connect(sim.url), sim.add_account()
            second = refresh(client, login)
            assert second["refreshToken"] != login.refresh_token
            assert chat_status(sim, second["accessToken"]) == 200
            with pytest.raises(client.exceptions.InvalidGrantException) as raised:
                refresh(client, login)
            assert raised.value.response["error_description"] == "Invalid refresh token provided"
            with pytest.raises(client.exceptions.InvalidGrantException):
                refresh(client, login, second["refreshToken"])
            assert chat_status(sim, second["accessToken"]) == 403

    def test_other_accounts_live_on(self, connect: MakeClient) -> None:
        with Simulator.serve_in_thread(rotation="strict") as sim:
            client, one, other = connect(sim.url), sim.add_account(), sim.add_account()
            refresh(client, one)
            with pytest.raises(client.exceptions.InvalidGrantException):
                refresh(client, one)
            assert refresh(client, other)["accessToken"]

    def test_grace_answers_the_same_successor(self, connect: MakeClient) -> None:
        with Simulator.serve_in_thread(rotation="grace") as sim:
            client, login = connect(sim.url), sim.add_account()
            second, again = refresh(client, login), refresh(client, login)
            assert again["refreshToken"] == second["refreshToken"]
            assert again["accessToken"] == second["accessToken"]
            refresh(client, login, second["refreshToken"])
            with pytest.raises(client.exceptions.InvalidGrantException):
                refresh(client, login)

    def test_none_keeps_the_token(self, connect: MakeClient) -> None:
        with Simulator.serve_in_thread(rotation="none") as sim:
            client, login = connect(sim.url), sim.add_account()
            assert "refreshToken" not in refresh(client, login)
            assert refresh(client, login)["accessToken"]

    def test_refresh_tokens_expire(self, connect: MakeClient) -> None:
        clock = Clock()
        with Simulator.serve_in_thread(refresh_lifetime=50, clock=clock) as sim:
            client, login = connect(sim.url), sim.add_account()
            clock.now += 50
            with pytest.raises(client.exceptions.InvalidGrantException):
                refresh(client, login)

    def test_belongs_to_its_client(self, connect: MakeClient) -> None:
        with Simulator.serve_in_thread() as sim:
            client, one, other = connect(sim.url), sim.add_account(), sim.add_account()
            with pytest.raises(client.exceptions.InvalidGrantException):
                refresh(client, other, one.refresh_token)

    def test_lifetime_is_told(self, connect: MakeClient) -> None:
        with Simulator.serve_in_thread(token_lifetime=77) as sim:
            assert refresh(connect(sim.url), sim.add_account())["expiresIn"] == 77


def test_refreshes_in_flight_are_counted() -> None:
    with Simulator.serve_in_thread(token_delay=0.05) as sim:
        with ThreadPoolExecutor(3) as pool:
            for call in [pool.submit(httpx.post, f"{sim.url}/token", json={}, trust_env=False) for _ in range(3)]:
                assert call.result().status_code == 401
        assert sim.oidc.most_in_flight > 1
        assert sim.oidc.in_flight == 0


class TestRegions:
    def test_a_region_may_be_the_paths_first_part(self, connect: MakeClient) -> None:
        with Simulator.serve_in_thread() as sim:
            login = sim.add_account(region="eu-central-1")
            client = connect(f"{sim.url}/eu-central-1")
            assert refresh(client, login)["accessToken"]

    def test_the_wrong_region_is_an_invalid_grant(self, connect: MakeClient) -> None:
        with Simulator.serve_in_thread() as sim:
            login = sim.add_account(region="eu-central-1")
            client = connect(f"{sim.url}/us-east-1")
            with pytest.raises(client.exceptions.InvalidGrantException):
                refresh(client, login)

    def test_a_device_log_in_is_sent_to_the_right_region(self, connect: MakeClient) -> None:
        with Simulator.serve_in_thread() as sim:
            who = registered(connect(f"{sim.url}/eu-central-1"))
            told = httpx.post(
                f"{sim.url}/us-east-1/device_authorization", json={**who, "startUrl": BUILDER_ID}, trust_env=False
            )
            assert told.headers["x-amzn-errortype"] == "InvalidRequestRegionException"
            assert (told.json()["error"], told.json()["region"]) == ("invalid_request", "eu-central-1")
            assert told.json()["endpoint"] == f"{sim.url}/eu-central-1"


class TestPkce:
    VERIFIER = "v" * 43

    def test_from_the_browser_to_a_token(self, connect: MakeClient) -> None:
        with Simulator.serve_in_thread() as sim:
            client = connect(sim.url)
            who = registered(client)
            code = self._code(sim, who["clientId"])
            exchange = {
                **who,
                "grantType": "authorization_code",
                "code": code,
                "redirectUri": "http://127.0.0.1:1/oauth/callback",
            }
            with pytest.raises(client.exceptions.InvalidGrantException):
                client.create_token(**exchange, codeVerifier="w" * 43)
            token = client.create_token(**exchange, codeVerifier=self.VERIFIER)
            assert chat_status(sim, token["accessToken"]) == 200
            with pytest.raises(client.exceptions.InvalidGrantException):
                client.create_token(**exchange, codeVerifier=self.VERIFIER)

    def test_redirects_go_to_loopback_only(self, connect: MakeClient) -> None:
        with Simulator.serve_in_thread() as sim:
            who = registered(connect(sim.url))
            query = {**self._query(who["clientId"]), "redirect_uri": "https://example.com/"}
            assert httpx.get(f"{sim.url}/authorize", params=query, trust_env=False).status_code == 400

    def _query(self, client_id: str) -> dict[str, str]:
        challenge = urlsafe_b64encode(hashlib.sha256(self.VERIFIER.encode()).digest()).rstrip(b"=").decode()
        return {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": "http://127.0.0.1:1/oauth/callback",
            "state": "abc",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }

    def _code(self, sim: Simulator, client_id: str) -> str:
        answer = httpx.get(f"{sim.url}/authorize", params=self._query(client_id), trust_env=False)
        assert answer.status_code == 302
        where = httpx.URL(answer.headers["location"])
        assert where.params["state"] == "abc"
        return where.params["code"]


class TestOtherIdentities:
    def test_social(self) -> None:
        with Simulator.serve_in_thread() as sim:
            login = sim.add_account(kind="social")
            url = f"{sim.url}/refreshToken"
            told = httpx.post(url, json={"refreshToken": login.refresh_token}, trust_env=False).json()
            assert told.keys() == {"accessToken", "refreshToken", "expiresIn", "profileArn"}
            assert told["profileArn"] == login.account.profile_arn
            assert chat_status(sim, told["accessToken"]) == 200
            again = httpx.post(url, json={"refreshToken": login.refresh_token}, trust_env=False)
            assert again.status_code == 401
            assert sim.requests[-1].refusal == "social_token_dead"

    def test_external(self) -> None:
        with Simulator.serve_in_thread() as sim:
            login = sim.add_account(kind="external_idp")
            form = {"grant_type": "refresh_token", "refresh_token": login.refresh_token, "client_id": login.client_id}
            url = f"{sim.url}/tenant/oauth2/v2.0/token"
            told = httpx.post(url, data=form, trust_env=False).json()
            assert told.keys() == {"access_token", "refresh_token", "expires_in", "token_type"}
            assert told["access_token"] in sim.service.access_tokens
            dead = httpx.post(url, data=form, trust_env=False)
            assert (dead.status_code, dead.json()["error"]) == (400, "invalid_grant")


def test_not_json_is_told() -> None:
    with Simulator.serve_in_thread() as sim:
        told = httpx.post(f"{sim.url}/token", content=b"{", headers={"content-type": "x"}, trust_env=False)
        assert told.json()["error"] == "invalid_client"
