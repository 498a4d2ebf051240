"""A log-in's steps against a service that can be told what to answer: what is odd is told, and shows nothing odd."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from qrelay.accounts import device
from qrelay.accounts.account import Renewal
from qrelay.accounts.answers import Refusal, Registration
from qrelay.accounts.device import Place, place
from qrelay.accounts.oidc import TokenClient
from qrelay.errors import ErrorCode, RelayError
from qrelay.outward.http1 import Connections
from qrelay.simulator.server import Simulator
from tests.accounts.token_server import refusal

pytestmark = pytest.mark.anyio

SEAT = Place("identity_center", "https://d-1234567890.awsapps.com/start", "us-east-1")
CODE = {
    "deviceCode": "device-code-secret",
    "userCode": "ABCD-EFGH",
    "verificationUri": "https://device.sso.us-east-1.amazonaws.com/",
    "verificationUriComplete": "https://device.sso.us-east-1.amazonaws.com/?user_code=ABCD-EFGH",
    "expiresIn": 600,
    "interval": 0,
}
CLIENT = {"clientId": "client", "clientSecret": "client-secret", "clientSecretExpiresAt": 4_000_000_000}
TOKENS = {"accessToken": "access", "refreshToken": "refresh", "expiresIn": 60, "tokenType": "Bearer"}

Answers = dict[str, list[Callable[[], web.Response]]]


def told(body: Any) -> Callable[[], web.Response]:
    return lambda: web.json_response(body)


def refused(status: int, error: str, header: str | None = None) -> Callable[[], web.Response]:
    return lambda: refusal(status, error, header)


class Told:
    """A log-in side that gives each path's answers in turn, the last one for ever."""

    def __init__(self, **answers: list[Callable[[], web.Response]]) -> None:
        self._answers: Answers = {"register": [told(CLIENT)], "device_authorization": [told(CODE)], **answers}
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        name = request.path.rpartition("/")[2]
        self.asked.append(name)
        left = self._answers[name]
        return (left.pop(0) if len(left) > 1 else left[0])()

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[TokenClient]:
        app = web.Application()
        app.router.add_post("/{path:.*}", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        try:
            yield TokenClient(Connections(), token_endpoint=f"http://{host}:{port}/token", timeout_seconds=2)
        finally:
            await runner.cleanup()


@pytest.mark.parametrize(
    ("wish", "meant"),
    [
        ((None, None, None), Place("builder_id", "https://view.awsapps.com/start", "us-east-1")),
        ((None, "https://view.awsapps.com/start/", "us-east-1"), place(None, None, None)),
        ((None, "https://d-1.awsapps.com/start", None), Place(SEAT.kind, "https://d-1.awsapps.com/start", "us-east-1")),
        (
            (None, "https://d-1.awsapps.com/start#/?tab=accounts", "eu-west-1"),
            Place(SEAT.kind, "https://d-1.awsapps.com/start", "eu-west-1"),
        ),
        *(
            ((None, url, "us-gov-west-1"), Place("identity_center", url, "us-gov-west-1"))
            for url in (
                "https://identitycenter.amazonaws.com/ssoins-1234567890abcdef",
                "https://ssoins-1234567890abcdef.portal.eu-west-1.app.aws",
                "https://start.us-gov-home.awsapps.com/directory/d-1",
                "http://127.0.0.1:9100/start",
                "http://localhost/start",
            )
        ),
    ],
)
def test_a_place_is_understood(wish: tuple[Any, str | None, str | None], meant: Place) -> None:
    assert place(*wish) == meant


@pytest.mark.parametrize(
    "start_url",
    [
        "https://awsapps.com/start",
        "https://evil.example/awsapps.com/start",
        "https://d-1.awsapps.com:8443/start",
        "https://d-1.awsapps.com@evil.example/start",
        "https://d-1.awsapps.com/start?next=https://evil.example",
        "https://my-bucket.s3.amazonaws.com/start",
        "http://169.254.169.254/start",
        "http://10.0.0.1/start",
        "https://d-1.awsapps.com/\x1b[2Jstart",
        "https://[::1",
        "javascript:alert(1)",
        "",
    ],
)
def test_a_start_url_is_one_of_aws(start_url: str) -> None:
    with pytest.raises(RelayError) as raised:
        place(None, start_url, None)
    assert (raised.value.code, raised.value.param) == (ErrorCode.request_invalid, "startUrl")
    assert "\x1b" not in raised.value.message


async def test_a_region_that_is_none_is_no_host_name() -> None:
    tokens = TokenClient(Connections())
    client = Registration(client_id="c", client_secret="s")
    for region in ("us-east-1.evil.example", "us-east-1/", "..", ""):
        for answer in (
            await tokens.register(region),
            await tokens.authorize_device(region, client, SEAT.start_url),
            await tokens.device_token(region, client, "code"),
        ):
            assert isinstance(answer, Refusal)
            assert "is not a region" in answer.message


async def test_without_an_override_the_region_is_the_host() -> None:
    nowhere = Connections(proxy_for=lambda _: "http://127.0.0.1:1")
    answer = await TokenClient(nowhere).register("ap-southeast-2")
    assert isinstance(answer, Refusal)
    assert answer.message.startswith("oidc.ap-southeast-2.amazonaws.com can't be reached")


async def test_tokens_come_after_a_while() -> None:
    waiting = [refused(400, "authorization_pending"), refused(400, "", "AuthorizationPendingException"), told(TOKENS)]
    server = Told(token=waiting)
    async with server.serving() as tokens:
        log_in = await device.begin(tokens, SEAT, None, timeout_seconds=60)
        assert log_in.code.interval == 1  # never asked without a pause
        assert 0 < log_in.remaining <= 60
        answer = await log_in.wait(asyncio.Event())
    assert answer == Renewal(access_token="access", refresh_token="refresh", expires_in=60)
    assert log_in.client == Registration(client_id="client", client_secret="client-secret", expires_at=4e9)
    assert server.asked == ["register", "device_authorization", "token", "token", "token"]
    for value in (log_in.code, log_in.client, answer):
        assert "secret" not in repr(value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (refused(400, "access_denied", "AccessDeniedException"), "denied"),
        (refused(400, "", "AccessDeniedException:http://internal.amazon.com/coral/"), "denied"),
        (refused(400, "expired_token"), "expired"),
        (refused(400, "", "ExpiredTokenException"), "expired"),
        (refused(400, "invalid_grant"), "invalid_grant"),
        (refused(401, "invalid_client"), "invalid_client"),
        (refused(403, "something_new"), "something_new"),
    ],
)
async def test_a_no_ends_it(answer: Callable[[], web.Response], words: str) -> None:
    server = Told(token=[answer])
    async with server.serving() as tokens:
        log_in = await device.begin(tokens, SEAT, None, timeout_seconds=60)
        with pytest.raises(RelayError) as raised:
            await log_in.wait(asyncio.Event())
    assert raised.value.code is ErrorCode.login_failed
    assert words in raised.value.message
    assert server.asked.count("token") == 1


@pytest.mark.parametrize("answer", [refused(429, ""), refused(400, "slow_down"), refused(400, "", "SlowDownException")])
async def test_slower_when_told_so(answer: Callable[[], web.Response]) -> None:
    server = Told(token=[answer])
    async with server.serving() as tokens:
        log_in = await device.begin(tokens, SEAT, None, timeout_seconds=4)
        with pytest.raises(RelayError) as raised:
            await log_in.wait(asyncio.Event())
    assert raised.value.code is ErrorCode.login_timeout
    assert server.asked.count("token") == 1  # the second is due after 1 + 6 seconds


async def test_what_was_wrong_with_the_service_is_told_in_the_end() -> None:
    server = Told(token=[refused(500, "server_error")])
    async with server.serving() as tokens:
        log_in = await device.begin(tokens, SEAT, None, timeout_seconds=1.5)
        with pytest.raises(RelayError) as raised:
            await log_in.wait(asyncio.Event())
    assert raised.value.code is ErrorCode.login_timeout
    assert "answered 500" in raised.value.message


async def test_it_can_be_stopped() -> None:
    server = Told(token=[refused(400, "authorization_pending")])
    async with server.serving() as tokens:
        log_in = await device.begin(tokens, SEAT, None, timeout_seconds=300)
        stop = asyncio.Event()
        waiting = asyncio.create_task(log_in.wait(stop))
        await asyncio.sleep(0)
        stop.set()
        with pytest.raises(RelayError):
            await waiting
    assert "token" not in server.asked


async def test_a_code_is_not_asked_about_after_its_time() -> None:
    server = Told(
        device_authorization=[told(CODE | {"expiresIn": 1, "interval": 1})],
        token=[refused(400, "authorization_pending")],
    )
    async with server.serving() as tokens:
        log_in = await device.begin(tokens, SEAT, None, timeout_seconds=300)
        with pytest.raises(RelayError) as raised:
            await log_in.wait(asyncio.Event())
    assert (raised.value.code, "expired" in raised.value.message) == (ErrorCode.login_failed, True)


async def test_a_known_client_is_used_and_a_forgotten_one_replaced() -> None:
    known = Registration(client_id="known", client_secret="s")
    server = Told()
    async with server.serving() as tokens:
        log_in = await device.begin(tokens, SEAT, known, timeout_seconds=60)
    assert (log_in.client, server.asked) == (known, ["device_authorization"])

    server = Told(device_authorization=[refused(401, "invalid_client", "InvalidClientException"), told(CODE)])
    async with server.serving() as tokens:
        log_in = await device.begin(tokens, SEAT, known, timeout_seconds=60)
    assert log_in.client.client_id == "client"
    assert server.asked == ["device_authorization", "register", "device_authorization"]

    server = Told(device_authorization=[refused(401, "invalid_client")])
    async with server.serving() as tokens:
        with pytest.raises(RelayError) as raised:
            await device.begin(tokens, SEAT, None, timeout_seconds=60)
    assert raised.value.code is ErrorCode.login_failed
    assert server.asked == ["register", "device_authorization"]


async def test_the_region_the_service_names_is_taken() -> None:
    elsewhere = {"error": "invalid_request", "endpoint": "https://elsewhere.example", "region": "eu-west-1"}
    server = Told(device_authorization=[lambda: web.json_response(elsewhere, status=400), told(CODE)])
    async with server.serving() as tokens:
        log_in = await device.begin(tokens, SEAT, None, timeout_seconds=60)
    assert log_in.place == Place(SEAT.kind, SEAT.start_url, "eu-west-1")
    assert server.asked == ["register", "device_authorization"] * 2

    evil = elsewhere | {"region": "evil.example/"}
    server = Told(device_authorization=[lambda: web.json_response(evil, status=400)])
    async with server.serving() as tokens:
        with pytest.raises(RelayError) as raised:
            await device.begin(tokens, SEAT, None, timeout_seconds=60)
    assert raised.value.message.endswith("answered 400: invalid_request.")
    assert server.asked == ["register", "device_authorization"]
    assert server.asked == ["register", "device_authorization"]


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ({"register": [refused(400, "invalid_client_metadata")]}, ErrorCode.login_failed),
        ({"register": [refused(429, "")]}, ErrorCode.upstream_overloaded),
        ({"register": [refused(503, "")]}, ErrorCode.upstream_unreachable),
        ({"register": [told({"clientId": "c"})]}, ErrorCode.upstream_unreachable),
        ({"register": [told([])]}, ErrorCode.upstream_unreachable),
        ({"device_authorization": [refused(400, "invalid_request")]}, ErrorCode.login_failed),
        ({"device_authorization": [told(CODE | {"deviceCode": None})]}, ErrorCode.upstream_unreachable),
        ({"device_authorization": [told(CODE | {"userCode": "\x1b[2J"})]}, ErrorCode.upstream_unreachable),
        ({"device_authorization": [told(CODE | {"verificationUri": "file:///x"})]}, ErrorCode.upstream_unreachable),
        (
            {"device_authorization": [told(CODE | {"verificationUriComplete": "https://x/\n\x07"})]},
            ErrorCode.upstream_unreachable,
        ),
    ],
)
async def test_it_does_not_begin_on_a_refusal_or_on_nonsense(answers: Answers, code: ErrorCode) -> None:
    async with Told(**answers).serving() as tokens:
        with pytest.raises(RelayError) as raised:
            await device.begin(tokens, SEAT, None, timeout_seconds=60)
    assert raised.value.code is code
    assert raised.value.message.startswith("The log-in can't begin: 127.0.0.1:")


@pytest.mark.parametrize("interval", [None, "soon", float("1e400"), -1, 0, 2])
async def test_odd_times_are_made_usable(interval: Any) -> None:
    body = CODE | {"interval": interval if interval != float("1e400") else "1e400", "expiresIn": "long"}
    async with Told(device_authorization=[told(body)]).serving() as tokens:
        log_in = await device.begin(tokens, SEAT, None, timeout_seconds=300)
    assert log_in.code.interval == {-1: 1, 0: 1, 2: 2}.get(interval, 5)
    assert log_in.code.expires_in == 600


async def test_the_simulator_agrees() -> None:
    async with Simulator.serve(device_approval="auto") as sim:
        tokens = TokenClient(Connections(), token_endpoint=f"{sim.url}/eu-west-1/token")
        log_in = await device.begin(tokens, Place(SEAT.kind, SEAT.start_url, "eu-west-1"), None, timeout_seconds=60)
        assert isinstance(await log_in.wait(asyncio.Event()), Renewal)
    assert [request.refusal for request in sim.requests] == [None, None, None]
