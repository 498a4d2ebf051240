"""Small parsers: headers, answers of services, sealed exports. Any bytes give a value or a refusal."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from qrelay.accounts import answers, parcel
from qrelay.accounts.answers import Refusal, Response
from qrelay.accounts.oidc import external_token_endpoint
from qrelay.errors import RelayError
from qrelay.http import asked, fields
from qrelay.http.visitors import Visitors
from qrelay.keys.attempts import _place  # pyright: ignore[reportPrivateUsage]
from qrelay.upstream import errors, models, profiles, quota
from tests.fuzz.mutation import after_number, json_mutator
from tests.fuzz.target import Target, numbered, split

_HEADERS = b"host: localhost:8000\norigin: http://[::1]:8000\ncookie: qrelay_session=a; b=c\nauthorization: Bearer t"
_PROXIES = b'x-forwarded-for: 198.51.100.7, 10.0.0.1:80\nforwarded: for="[2001:db8::9]:4711";proto=https, for=10.0.0.2'
VISITORS = Visitors(("127.0.0.1", "10.0.0.0/8", "fd00::/8"))


def _sealed() -> bytes:
    document = json.loads(parcel.seal(b"{}", "passphrase"))
    return json.dumps(document | {"n": 1 << 30}).encode()  # a cost that is refused, so that nothing is derived


def seeds() -> Iterator[bytes]:
    yield numbered(0, _HEADERS + b"\n" + _PROXIES + b"\nx-api-key: k\nsec-fetch-site: same-origin\n")
    yield numbered(0, b"host: 127.0.0.1\nhost: a@b\norigin: null\nforwarded: for=_hidden\n")
    yield numbered(1, _sealed())
    renewal = {"accessToken": "a", "refreshToken": "r", "expiresIn": 3600, "profileArn": "arn"}
    client = {"clientId": "c", "clientSecret": "s", "clientSecretExpiresAt": 1796083200}
    device = {"deviceCode": "d", "userCode": "ABCD-EFGH", "verificationUri": "https://x.example/", "interval": 1,
              "verificationUriComplete": "https://x.example/?user_code=1", "expiresIn": 600}  # fmt: skip
    refusal = {"error": "invalid_grant", "error_description": "no", "message": "m", "region": "eu-west-1"}
    for document in (renewal, client, device, refusal):
        yield numbered(2, json.dumps(document).encode())
    grant = {"freeTrialStatus": "ACTIVE", "currentUsage": 1, "usageLimit": 500, "freeTrialExpiry": 1796083200}
    row = {"resourceType": "CREDIT", "currentUsage": 12, "currentUsageWithPrecision": 12.5, "usageLimit": 50,
           "unit": "c", "currency": "USD", "overageRate": 0.04, "nextDateReset": 1796083200.0, "freeTrialInfo": grant,
           "bonuses": [{"bonusCode": "b", "currentUsage": 1, "usageLimit": 2, "status": "ACTIVE", "expiresAt": 1e9}],
           }  # fmt: skip
    usage = {"subscriptionInfo": {"subscriptionTitle": "KIRO FREE", "type": "X"}, "nextDateReset": 1796083200,
             "overageConfiguration": {"overageStatus": "ENABLED"}, "userInfo": {"email": "e", "userId": "u"},
             "usageBreakdownList": [row], "limits": [{"type": "AGENTIC_REQUEST", "currentUsage": 1}]}  # fmt: skip
    yield numbered(3, json.dumps(usage).encode())
    effort = {"properties": {"output_config": {"properties": {"effort": {"enum": ["low", "high"]}}}}}
    page = {"models": [{"modelId": "claude-sonnet-4.5", "modelName": "n", "description": "d", "rateMultiplier": 1.3,
            "tokenLimits": {"maxInputTokens": 200000, "maxOutputTokens": None}, "supportedInputTypes": ["TEXT"],
            "additionalModelRequestFieldsSchema": effort,
            "promptCaching": {"supportsPromptCaching": True, "minimumTokensPerCacheCheckpoint": 1024}}],
            "nextToken": "t", "defaultModel": {"modelId": "m"}}  # fmt: skip
    yield numbered(4, json.dumps(page).encode())
    yield numbered(5, b'{"profiles":[{"arn":"a","profileName":"n"}],"nextToken":null}')
    said = {"__type": "com.amazon#ThrottlingException", "message": "Too many", "reason": "X", "code": "Y"}
    yield numbered(6, json.dumps(said).encode())
    yield numbered(7, b'{"token_endpoint":"https://t.example/x"}')
    yield numbered(8, b'{"label":"x","enabled":true}')
    for name in ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-opus-latest[1m]", "auto", "a/b"):
        yield numbered(9, name.encode())


def check(data: bytes) -> None:
    number, raw = split(data, len(_PARSERS))
    _PARSERS[number](raw)


def _headers(raw: bytes) -> None:
    headers: list[tuple[bytes, bytes]] = []
    for line in raw.replace(b"\r", b"").replace(b"\0", b"").split(b"\n"):
        name, _, value = line.partition(b":")
        headers.append((name.strip().lower(), value.strip()))
    peer = next((value.decode("latin-1") for name, value in headers if name == b"peer"), "127.0.0.1")
    scope: dict[str, Any] = {"type": "http", "method": "GET", "headers": headers, "client": (peer, 1), "scheme": "http"}
    request = asked.asked(scope)
    asked.from_this_machine(scope, request)
    asked.from_foreign_page(scope, request)
    asked.same_origin(request)
    asked.by_https(scope, request)
    asked.session_tokens(scope)
    address = VISITORS.address(scope)
    assert address is not None
    _place(address)


def _parcel(raw: bytes) -> None:
    if parcel.is_parcel(raw) and b"1073741824" in raw:
        _refused(lambda: parcel.unseal(raw, "passphrase"))


def _tokens(raw: bytes) -> None:
    for status in (200, 400, 429, 500):
        for kind in ("", "InvalidGrantException:http://x"):
            response = Response("host.example", status, kind, raw)
            for read in (answers.read_renewal, answers.read_registration, answers.read_device_code):
                found = read(response)
                if isinstance(found, Refusal):
                    found.message.encode("utf-8", "surrogatepass")
                if isinstance(found, answers.DeviceCode):
                    assert 0 < found.expires_in < 1e9
                    assert found.interval >= 1


def _quota(raw: bytes) -> None:
    def read() -> None:
        found = quota.read_quota(raw)
        found.exhausted(1_700_000_000)
        written = quota.written(found, 1.0)
        assert quota.kept(written) is not None
        json.loads(written)

    _refused(read)


def _models(raw: bytes) -> None:
    def read() -> None:
        found, _ = models.read_page(raw)
        rows = models.listed(found, {"fast": "claude-haiku-4.5"})
        msgspec.json.encode(rows)
        for model in rows:
            assert model.window > 0 or model.window
            models.resolve(model.id, found)

    _refused(read)


def _refusals(raw: bytes) -> None:
    for status in (400, 429, 500):
        errors.from_http(status, {"retry-after": raw[:20].decode("latin-1")}, raw)
    errors.from_frame("throttlingException", raw)
    errors.from_error_frame(raw[:50].decode("latin-1"), raw.decode("utf-8", "replace"))


def _names(raw: bytes) -> None:
    name = raw.decode("utf-8", "replace")
    models.resolve(name, models.STATIC, {"a": name})
    models.serving(name, models.STATIC)


def _refused(read: Callable[[], object]) -> None:
    with contextlib.suppress(RelayError):
        read()


_PARSERS: tuple[Callable[[bytes], object], ...] = (
    _headers,
    _parcel,
    _tokens,
    _quota,
    _models,
    lambda raw: _refused(lambda: profiles.read_page(raw)),
    _refusals,
    lambda raw: external_token_endpoint(raw.decode("utf-8", "replace")),
    lambda raw: _refused(lambda: fields.parse(raw)),
    _names,
)

TARGET = Target("parsers", seeds, check, after_number(json_mutator))
