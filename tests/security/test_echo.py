"""Whatever the service repeats of our secrets or of the prompt: no answer, log, figure or file has it.

Each way the service can speak says each secret, over real sockets, to a gateway with a real database.
"""

import html
import io
import itertools
import json
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

import httpx
import pytest
from pydantic import SecretStr

from qrelay.settings import Settings
from qrelay.simulator.fault_scripts import frames, status, tail
from qrelay.simulator.faults import End, Exchange, FaultServer, Fin, Head, Script, Send
from qrelay.simulator.player import event_frame
from qrelay.upstream.eventstream import encode
from tests.captured_log import captured_log
from tests.gateway.conftest import serving

pytestmark = pytest.mark.anyio

PROMPT: Final = (
    'My "secret" plan for canary island:\n\tfirst we take the <ferry> & the 100% best train,\n'
    "然后在金丝雀群岛的海滩上度过整个漫长的夏天直到秋天来临为止\nand then we never ever come back."
)
SECRETS: Final[Mapping[str, str]] = {
    "access token": "canary.access-token/with+signs-0001=",
    "refresh token": "canary.refresh-token/with+signs-0002=",
    "client secret": "canary-client-secret-000000000003",
    "another account's access token": "canary-access-of-another-account-0004",
    "another account's refresh token": "canary-refresh-of-another-account-0005",
    "client key of the settings": "canary-key-of-the-settings-0006",
    "client key made here": "qr_canaryCanary0007canaryCanary0007",
    "admin secret": "canary+admin/secret\"with'signs-0008",
    "prompt": PROMPT,
}
TOKENS: Final = {name: secret for name, secret in SECRETS.items() if name != "prompt"}
"""Secrets that a call without a prompt can be told."""
KEY, ADMIN = SECRETS["client key of the settings"], SECRETS["admin secret"]
SAYS: Final = "\x1b[31mfor\u202e {} it is\r\nnothing"
"""Control characters around a secret, which must be removed too."""


def said(secret: str) -> str:
    return SAYS.format(secret)


def error_json(code: int, prefix: str = "", **more: str) -> Callable[[str], Script]:
    return lambda secret: status(code, json.dumps({"message": prefix + said(secret), **more}).encode())


def frame(headers: Mapping[str, str], payload: bytes = b"{}") -> bytes:
    return encode({":content-type": "application/json", **headers}, payload)


def exception(secret: str) -> bytes:
    payload = json.dumps({"message": said(secret)}).encode()
    return frame({":message-type": "exception", ":exception-type": "InternalServerException"}, payload)


def stream(data: bytes) -> Script:
    return [Head(), Send(data), End()]


def one_line(secret: str) -> str:
    """A header's value."""
    return secret.encode("ascii", "replace").decode().replace("\n", " ").replace("\t", " ")


def headed(code: int, name: str) -> Callable[[str], Script]:
    return lambda secret: status(code, b"", {name: one_line(secret)})


def page(secret: str) -> Script:
    body = f"<html><title>502</title><p>{html.escape(secret)}</p></html>".encode()
    return [Head(502, {"content-type": "text/html"}, len(body)), Send(body), End()]


def plain_page(secret: str) -> Script:
    body = f"502 {secret} and 502 ".encode() * 20
    return [Head(502, {"content-type": "text/html"}, len(body)), Send(body), End()]


CHATS: Final[Mapping[str, Callable[[str], Script]]] = {
    "400": error_json(400),
    "401": error_json(401),
    "402": error_json(402, reason="MONTHLY_REQUEST_COUNT"),
    "403": error_json(403),
    "403, suspended": error_json(403, "Your account is suspended "),
    "403, profile": error_json(403, "profileArn is required "),
    "429": error_json(429),
    "500": error_json(500),
    "500, as the reason": lambda secret: status(500, json.dumps({"reason": secret}).encode()),
    "500, as the type": lambda secret: status(500, json.dumps({"__type": secret}).encode()),
    "500, in a member": lambda secret: status(500, json.dumps({"error": {"message": secret}}).encode()),
    "500, as JSON in JSON": error_json(500, json.dumps({"received": json.dumps(SECRETS)})),
    "500, damaged JSON": lambda secret: status(500, json.dumps({"message": said(secret)}).encode()[:-1]),
    "500, escaped": lambda secret: status(500, json.dumps({"message": json.dumps(secret)}).encode()),
    "500, percent": lambda secret: status(500, json.dumps({"message": quote(secret, safe="")}).encode()),
    "500, frames": lambda secret: status(500, exception(secret)),
    "502, a page": page,
    "502, a plain page": plain_page,
    "500, a header": headed(500, "x-amzn-errortype"),
    "200, a request id": lambda secret: [
        Head(headers={"content-type": "application/vnd.amazon.eventstream", "x-amzn-requestid": one_line(secret)}),
        Send(frames("Hello") + tail()),
        End(),
    ],
    "exception": lambda secret: stream(exception(secret)),
    "exception, later": lambda secret: stream(frames("Hello") + exception(secret)),
    "exception, later, cut": lambda secret: [Head(), Send(frames("Hello") + exception(secret)), Fin()],
    "exception type": lambda secret: stream(frame({":message-type": "exception", ":exception-type": secret})),
    "error frame": lambda secret: stream(
        frames("Hello") + frame({":message-type": "error", ":error-code": secret, ":error-message": said(secret)})
    ),
    "error code": lambda secret: stream(frame({":message-type": "error", ":error-code": secret})),
    "invalid state": lambda secret: stream(event_frame("invalidStateEvent", {"message": said(secret)})),
    "event that can't be read": lambda secret: stream(frame({":event-type": "toolUseEvent"}, secret.encode())),
    "malformed": lambda secret: stream(frames("Hello") + tail(f"MALFORMED {secret}")),
    "two answers": lambda secret: [
        Head(headers={"content-type": "application/json"}, framing=2),
        Send(b"{}HTTP/1.1 400 Bad\r\ncontent-length: 1000\r\n\r\n" + exception(secret)),
        End(),
    ],
}  # fmt: skip


class Service:
    """The service's behaviour: `chat`, `token`, `models`, `profiles` and `quota` are scripts that a test may set."""

    def __init__(self, faults: FaultServer) -> None:
        self.faults = faults
        self.chat: Script = stream(frames("Hello") + tail())
        self.models: Script = status(200, b'{"models": []}')
        self.quota: Script = status(200, b'{"usageBreakdownList": []}')
        self.profiles: Script = status(200, b'{"profiles": []}')
        self.token: Script = status(
            200, json.dumps({"accessToken": SECRETS["access token"], "expiresIn": 36_000}).encode()
        )
        self.device: dict[str, Script] = {}
        faults.choose = self._choose

    def _choose(self, exchange: Exchange) -> Script:
        target = exchange.headers.get("x-amz-target", "") + exchange.path
        for name, script in {
            "GenerateAssistantResponse": self.chat,
            "ListAvailableModels": self.models,
            "ListAvailableProfiles": self.profiles,
            "GetUsageLimits": self.quota,
            "/token": self.token,
            **self.device,
        }.items():
            if name in target:
                return script
        return status(404)


PAGES: Final = ("accounts", "settings", "keys", "audit", "requests", "usage", "overview", "health")


class Desk:
    """The gateway as its clients and its administrator see it. All that it answers is kept."""

    def __init__(self, service: Service, http: httpx.AsyncClient) -> None:
        self.service = service
        self.account = ""
        self.answers: list[tuple[str, bytes]] = []
        self._http = http

    async def manage(self, method: str, path: str, body: Any = None) -> Any:
        return await self._ask(method, path, {"authorization": f"Bearer {ADMIN}"}, body)

    async def client(self, path: str, body: Any = None, method: str = "POST") -> httpx.Response:
        return await self._ask(method, path, {"x-api-key": KEY}, body)

    async def _ask(self, method: str, path: str, headers: dict[str, str], body: Any) -> httpx.Response:
        answer = await self._http.request(method, path, headers=headers, json=body)
        self.answers.append((f"{method} {path}", repr(answer.headers.raw).encode() + answer.content))
        return answer

    async def fresh(self) -> None:
        """Make the account ready again, whatever was said about it."""
        tokens = {"accessToken": SECRETS["access token"], "refreshToken": SECRETS["refresh token"]}
        await self.manage("PATCH", f"/v2/accounts/{self.account}", {"enabled": True, **tokens})

    async def look(self, *pages: str) -> None:
        """See what the console and the metrics say: these pages, or all."""
        for page in pages or (*PAGES, f"accounts/{self.account}"):
            answer = await self.manage("GET", f"/v2/{page}")
            assert answer.is_success, answer.text
        if not pages:
            await self.manage("GET", "/readyz?verbose")
            assert (await self.manage("GET", "/metrics")).is_success


@pytest.fixture
def written(request: pytest.FixtureRequest) -> Generator[io.StringIO]:
    """All that is logged, from the lowest level on; as text in every second test, else as JSON."""
    form: Literal["json", "text"] = "text" if len(request.node.name) % 2 else "json"
    with captured_log(form, [ADMIN, KEY]) as stream:
        yield stream


@asynccontextmanager
async def desk(home: Path, **settings: Any) -> AsyncGenerator[Desk]:
    async with FaultServer.serve([[]]) as faults:
        service = Service(faults)
        given: dict[str, Any] = {
            "home": home,
            "api_endpoint": faults.url,
            "token_endpoint": f"{faults.url}/token",
            "quota_check_seconds": 0,
            "admin_secret": SecretStr(ADMIN),
            "api_keys": (SecretStr(KEY),),
        }
        async with (
            serving(Settings(**(given | settings))) as url,
            httpx.AsyncClient(base_url=url, timeout=30, verify=False) as http,
        ):
            desk = Desk(service, http)
            account = {"clientId": "id", "clientSecret": SECRETS["client secret"]}
            first = {"accessToken": SECRETS["access token"], "refreshToken": SECRETS["refresh token"]}
            other = {
                "accessToken": SECRETS["another account's access token"],
                "refreshToken": SECRETS["another account's refresh token"],
                "enabled": False,
            }
            desk.account = (await desk.manage("POST", "/v2/accounts", account | first)).json()["id"]
            await desk.manage("POST", "/v2/accounts", account | other)
            yield desk


def forms(secret: str) -> set[bytes]:
    """The secret as it is and as it could be written; of the prompt, stretches that it could be known by."""
    pieces = [line for line in PROMPT.split("\n") if len(line) > 30] if secret == PROMPT else [secret]
    if secret == PROMPT:
        pieces = [piece[at : at + 25] for piece in pieces for at in (0, len(piece) - 25)] + ["金丝雀群岛"]
    spelt = {form for piece in pieces for form in (piece, quote(piece, safe=""), html.escape(piece))}
    spelt |= {json.dumps(form, ensure_ascii=plain)[1:-1] for form in set(spelt) for plain in (True, False)}
    spelt |= {json.dumps(form)[1:-1] for form in set(spelt)}
    return {form.encode() for form in spelt}


def check(held: list[tuple[str, bytes]], secrets: Mapping[str, str] = SECRETS) -> None:
    for name, secret in secrets.items():
        for form in forms(secret):
            for where, what in held:
                assert form not in what, f"{name} is in {where}: {what[max(0, what.find(form) - 60) :][:200]!r}"
    for where, what in held:
        if not where.startswith("/"):  # files are binary
            assert not {"\x1b", "\u202e"} & set(what.decode("utf-8", "replace")), f"a control is in {where}"


def files(home: Path) -> list[tuple[str, bytes]]:
    return [(str(path), path.read_bytes()) for path in home.rglob("*") if path.is_file()]


BODIES: Final[Mapping[str, dict[str, Any]]] = {
    "/v1/messages": {"max_tokens": 100, "messages": [{"role": "user", "content": PROMPT}]},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": PROMPT}]},
    "/v1/responses": {"input": PROMPT, "store": False},
}
REQUESTS: Final = [
    (path, body | {"model": "claude-sonnet-4.5", "stream": stream})
    for (path, body), stream in itertools.product(BODIES.items(), (True, False))
]


@pytest.mark.parametrize("way", CHATS)
async def test_no_chat_repeats_what_the_service_says(tmp_path: Path, written: io.StringIO, way: str) -> None:
    """Each secret is said to one kind of request; over all ways, each kind of request is told each secret."""
    home = tmp_path / "home"
    first = list(CHATS).index(way)
    async with desk(home) as it:
        for number, (name, secret) in enumerate(SECRETS.items()):
            it.service.chat = CHATS[way](secret)
            path, body = REQUESTS[(first + number) % len(REQUESTS)]
            answer = await it.client(path, body)
            assert answer.status_code not in {401, 404} or way == "401", answer.text
            if name == "access token":
                await it.look("accounts", "requests?limit=3")
                await it.fresh()
                await it.manage("POST", f"/v2/accounts/{it.account}/test")
            if name != "prompt":
                await it.fresh()
        await it.client(*REQUESTS[0])
        await it.look()
        held = files(home)
    calls = [each for each in it.service.faults.exchanges if "Generate" in each.headers.get("x-amz-target", "")]
    assert len(calls) > len(SECRETS)
    assert len([name for name, _ in held if "qrelay.sqlite3" in name]) >= 2
    check([*it.answers, *held, *files(home), ("log", written.getvalue().encode())])


OAUTH: Final[Mapping[str, Callable[[str], Script]]] = {
    "invalid_grant": lambda secret: status(
        400, json.dumps({"error": "invalid_grant", "error_description": said(secret)}).encode()
    ),
    "invalid_client": lambda secret: status(
        401, json.dumps({"error": "invalid_client", "error_description": said(secret)}).encode()
    ),
    "refused": lambda secret: status(403, json.dumps({"error": said(secret), "region": secret}).encode()),
    "slow_down": lambda secret: status(429, json.dumps({"message": said(secret)}).encode()),
    "500": lambda secret: status(500, json.dumps({"Message": said(secret)}).encode()),
    "502, a page": page,
    "a header": headed(400, "x-amzn-errortype"),
    "a member": lambda secret: status(400, json.dumps({"error": {"message": secret}}).encode()),
    "200, a profile": lambda secret: status(
        200, json.dumps({"accessToken": SECRETS["access token"], "expiresIn": 9999, "profileArn": secret}).encode()
    ),
}


@pytest.mark.parametrize("way", OAUTH)
async def test_no_refresh_repeats_what_the_token_service_says(tmp_path: Path, written: io.StringIO, way: str) -> None:
    home = tmp_path / "home"
    requests = itertools.cycle(REQUESTS)
    async with desk(home) as it:
        it.service.chat = status(401, b'{"message": "no"}')
        for secret in TOKENS.values():
            it.service.token = OAUTH[way](secret)
            await it.manage("POST", f"/v2/accounts/{it.account}/refresh")
            await it.fresh()
            await it.client(*next(requests))
        await it.look()
        held = files(home)
    assert len([each for each in it.service.faults.exchanges if each.path == "/token"]) >= len(TOKENS)
    check([*it.answers, *held, *files(home), ("log", written.getvalue().encode())], TOKENS)


def of_models() -> bytes:
    rows = [
        row
        for number, secret in enumerate(TOKENS.values())
        for row in (
            {"modelId": f"claude-{number}", "modelName": said(secret), "description": said(secret)},
            {"modelId": secret[:150], "supportedInputTypes": [secret]},
        )
    ]
    return json.dumps({"models": rows}).encode()


def of_quota() -> bytes:
    rows: list[Any] = []
    for secret in TOKENS.values():
        text = said(secret)
        grant = {"displayName": text, "currentUsage": 1, "usageLimit": 2, "status": "ACTIVE"}
        row = {"displayName": text, "displayNamePlural": text, "unit": text, "currency": text, "bonuses": [grant]}
        rows.append({**row, "resourceType": secret, "currentUsage": 1, "usageLimit": 2})
    plan = {"subscriptionTitle": said(SECRETS["access token"]), "type": SECRETS["refresh token"]}
    user = {"userId": SECRETS["access token"], "email": SECRETS["refresh token"]}
    return json.dumps({"usageBreakdownList": rows, "subscriptionInfo": plan, "userInfo": user}).encode()


@pytest.mark.parametrize("code", [200, 400, 403, 500])
async def test_no_list_repeats_what_the_service_says(tmp_path: Path, written: io.StringIO, code: int) -> None:
    home = tmp_path / "home"
    async with desk(home) as it:
        refused = error_json(code)(" | ".join(TOKENS.values()))
        it.service.models = refused if code != 200 else status(200, of_models())
        it.service.quota = refused if code != 200 else status(200, of_quota())
        for path in ("/v1/models", "/v1/models/claude-1"):
            await it.client(path, method="GET")
        await it.client("/v1/chat/completions", REQUESTS[3][1] | {"model": "claude-1"})
        shown = await it.manage("GET", f"/v2/accounts/{it.account}/quota")
        assert shown.is_success == (code == 200), shown.text
        await it.look()
        held = files(home)
    targets = "".join(each.headers.get("x-amz-target", "") for each in it.service.faults.exchanges)
    assert "ListAvailableModels" in targets
    assert "GetUsageLimits" in targets
    check([*it.answers, *held, *files(home), ("log", written.getvalue().encode())], TOKENS)


DEVICE: Final = {"deviceCode": "canary-device-code-0009-0009", "userCode": "ABCD-EFGH", "interval": 1, "expiresIn": 600}
STEPS: Final = ("register", "device_authorization", "/token", "ListAvailableProfiles")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("way", ["refused", "a header", "shown"])
async def test_no_log_in_repeats_what_the_service_says(
    tmp_path: Path, written: io.StringIO, step: str, way: str
) -> None:
    code = str(DEVICE["deviceCode"])
    refresh = "canary-refresh-of-a-log-in-0010"
    secrets = {"device code": code, "refresh token": refresh, "access token": SECRETS["access token"]}
    secrets["client secret"] = SECRETS["client secret"]
    known = {  # at that step
        "register": [secrets["client secret"]],
        "device_authorization": [secrets["client secret"]],
        "/token": [secrets["client secret"], code],
        "ListAvailableProfiles": list(secrets.values())[1:],
    }[step]
    page = {"verificationUri": "https://device.example/", "verificationUriComplete": "https://device.example/?c=ABCD"}
    tokens = {"accessToken": secrets["access token"], "refreshToken": refresh, "expiresIn": 3600}
    if way != "shown":
        broken = OAUTH[way](" | ".join(known))
    elif step == "device_authorization":
        broken = status(
            200, json.dumps({**DEVICE, **page, "verificationUriComplete": f"https://device.example/?c={code}"}).encode()
        )
    else:
        rows = [{"arn": "arn:aws:codewhisperer:us-east-1:1:profile/A", "profileName": said(" | ".join(known))}]
        rows += [{"arn": secret} for secret in known]
        broken = status(200, json.dumps({**tokens, "profileArn": known[0], "profiles": rows}).encode())
    home = tmp_path / "home"
    async with desk(home) as it:
        client = {"clientId": "id", "clientSecret": secrets["client secret"]}
        it.service.device = {
            "register": status(200, json.dumps(client).encode()),
            "device_authorization": status(200, json.dumps(DEVICE | page).encode()),
            "/token": status(200, json.dumps(tokens).encode()),
            step: broken,
        }
        wish = {"kind": "identity_center", "startUrl": "https://d-1234567890.awsapps.com/start"}
        started = await it.manage("POST", "/v2/auth/start", wish)
        if started.is_success:
            await it.manage("POST", f"/v2/auth/claim/{started.json()['authId']}")
        await it.look()
        held = files(home)
    assert [each for each in it.service.faults.exchanges if step in each.path + each.headers.get("x-amz-target", "")]
    check([*it.answers, *held, *files(home), ("log", written.getvalue().encode())], secrets)


async def test_a_models_own_words_are_not_touched(tmp_path: Path) -> None:
    words = f"\x1b[31m {PROMPT} Bearer abcdefgh12345678 " + "x" * 2000
    async with desk(tmp_path / "home") as it:
        it.service.chat = stream(frames(words) + tail())
        answer = await it.client("/v1/chat/completions", REQUESTS[3][1])
        assert answer.json()["choices"][0]["message"]["content"] == words
