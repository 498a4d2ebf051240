"""A token service's answers become values; what is not clearly about the token says nothing about it."""

from collections.abc import Callable

import pytest
from aiohttp import web

from qrelay.accounts.account import Account, Renewal
from qrelay.accounts.answers import (
    Refusal,
    RefusalKind,
    Response,
    read_device_code,
    read_registration,
    read_renewal,
)
from qrelay.accounts.oidc import TokenClient, external_token_endpoint
from qrelay.outward.http1 import Connections
from tests.accounts.token_server import TokenServer, refusal

pytestmark = pytest.mark.anyio

ACCOUNT = Account(id="1", client_id="c", client_secret="s", refresh_token="first")
SOCIAL = Account(id="1", kind="social", refresh_token="first")


@pytest.fixture
async def client(tokens: TokenServer) -> TokenClient:
    return TokenClient(Connections(), token_endpoint=tokens.url, timeout_seconds=2)


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (refusal(400, "invalid_grant", "InvalidGrantException"), "invalid_grant"),
        (refusal(400, "invalid_grant"), "invalid_grant"),
        (refusal(400, "", "InvalidGrantException"), "invalid_grant"),
        (refusal(400, "expired_token", "ExpiredTokenException"), "invalid_grant"),
        (refusal(401, "invalid_client", "InvalidClientException"), "invalid_client"),
        (refusal(400, "slow_down", "SlowDownException"), "slow_down"),
        (refusal(429, ""), "slow_down"),
        (refusal(500, "server_error", "InternalServerException"), "unreachable"),
        (refusal(400, "", "InternalServerException"), "unreachable"),
        (refusal(503, ""), "unreachable"),
        (refusal(400, "invalid_request", "InvalidRequestException"), "refused"),
        (refusal(401, ""), "refused"),
        (refusal(403, ""), "refused"),
        (web.Response(status=407, text="<html>"), "refused"),
        (web.Response(status=302, headers={"location": "http://127.0.0.1:1/"}), "refused"),
        (web.Response(text="{}"), "unreachable"),
        (web.Response(text="[1"), "unreachable"),
        (web.json_response({"accessToken": "a\r\nx-other: b"}), "unreachable"),
        (web.Response(body=b"\xff" * 3_000_000), "unreachable"),
    ],
)
async def test_refusals(client: TokenClient, tokens: TokenServer, response: web.Response, kind: RefusalKind) -> None:
    tokens.refusal = response
    answer = await client.refresh(ACCOUNT)
    assert isinstance(answer, Refusal)
    assert answer.kind == kind
    assert answer.message.startswith("127.0.0.1:")
    assert tokens.calls == 1


async def test_a_social_401_is_a_dead_token(client: TokenClient, tokens: TokenServer) -> None:
    tokens.refusal = web.Response(status=401)
    answer = await client.refresh(SOCIAL)
    assert isinstance(answer, Refusal)
    assert answer.kind == "invalid_grant"


@pytest.mark.parametrize(
    ("body", "renewal"),
    [
        (
            {"access_token": "a", "refresh_token": "r", "expires_in": 60},
            Renewal(access_token="a", refresh_token="r", expires_in=60),
        ),
        ({"accessToken": "a", "expiresIn": "60"}, Renewal(access_token="a", expires_in=60)),
        ({"accessToken": "a", "refreshToken": "", "expiresIn": None}, Renewal(access_token="a", expires_in=3600)),
        ({"accessToken": "a", "expiresIn": 1e12}, Renewal(access_token="a", expires_in=366 * 86_400)),
        (
            {"accessToken": "a", "expiresIn": 1, "profileArn": "arn", "tokenType": "Bearer", "idToken": None},
            Renewal(access_token="a", expires_in=1, profile_arn="arn"),
        ),
    ],
)
async def test_answers(client: TokenClient, tokens: TokenServer, body: dict[str, object], renewal: Renewal) -> None:
    tokens.refusal = web.json_response(body)
    assert await client.refresh(ACCOUNT) == renewal


@pytest.mark.parametrize("read", [read_renewal, read_registration, read_device_code])
@pytest.mark.parametrize("body", [b'{"accessToken": "\xff"}', b'{"accessToken":' * 100_000, b"[]", b""])
@pytest.mark.parametrize("status", [200, 400])
def test_bodies_that_can_not_be_decoded_say_nothing(
    read: Callable[[Response], object], body: bytes, status: int
) -> None:
    found = read(Response("host.example", status, "", body))
    assert isinstance(found, Refusal)
    assert found.kind == ("unreachable" if status == 200 else "refused")


def test_a_lifetime_without_bounds_is_the_usual_one() -> None:
    body = b'{"accessToken": "a", "expiresIn": 1%b}' % (b"0" * 400)
    assert read_renewal(Response("host.example", 200, "", body)) == Renewal(access_token="a", expires_in=3600)


async def test_nobody_listens(tokens: TokenServer) -> None:
    answer = await TokenClient(Connections(), token_endpoint="http://127.0.0.1:1/token").refresh(ACCOUNT)
    assert isinstance(answer, Refusal)
    assert answer.kind == "unreachable"


async def test_a_region_that_is_none_is_not_made_a_host_name() -> None:
    for region in ("evil.example/", "us-east-1.evil", "", "us-east-1\n"):
        answer = await TokenClient(Connections()).refresh(Account(id="1", region=region, refresh_token="r"))
        assert isinstance(answer, Refusal)
        assert answer.kind == "refused"


@pytest.mark.parametrize(
    ("other", "endpoint"),
    [
        ('{"token_endpoint": "https://idp.example/token"}', "https://idp.example/token"),
        ('{"tokenEndpoint": "http://127.0.0.1:9/token"}', "http://127.0.0.1:9/token"),
        ('{"token_endpoint": "http://idp.example/token"}', None),
        ('{"token_endpoint": "http://[::1"}', None),
        ('{"token_endpoint": "file:///etc/passwd"}', None),
        ('{"token_endpoint": 7}', None),
        ("[]", None),
        ("no json", None),
        (None, None),
    ],
)
def test_an_external_providers_address(other: str | None, endpoint: str | None) -> None:
    assert external_token_endpoint(other) == endpoint
