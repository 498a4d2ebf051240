"""The log-in side: AWS SSO OIDC, Kiro's social log-in and an external identity provider (PROTOCOL.md §6). No HTTP.

register -> client        device_authorization -> device code -> (a person approves) -> token
authorize -> code, with PKCE                               -> token
refresh token    -> token, rotated
"""

import hashlib
from base64 import urlsafe_b64encode
from collections import Counter, deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from qrelay.simulator.oauth_errors import OidcError
from qrelay.simulator.rotation import Families, Family
from qrelay.simulator.service import Account, AccountKind, Login, Service

BUILDER_ID = "https://view.awsapps.com/start"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

Decision: TypeAlias = Literal["pending", "approved", "denied"]


@dataclass(kw_only=True)
class Client:
    client_id: str
    client_secret: str
    expires_at: float
    region: str | None
    redirect_uris: list[str]


@dataclass(kw_only=True)
class Device:
    device_code: str
    user_code: str
    client_id: str
    start_url: str
    expires_at: float
    decision: Decision = "pending"
    account: Account | None = None
    polled_at: float | None = None
    used: bool = False


@dataclass(kw_only=True)
class Code:
    client_id: str
    redirect_uri: str
    challenge: str
    account: Account
    used: bool = False


class Oidc:
    """One region's worth of log-in state, or all of them: a client registered under a region is known only there."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.clients: dict[str, Client] = {}
        self.devices: dict[str, Device] = {}
        self.codes: dict[str, Code] = {}
        self.families = Families(service)
        self.token_calls: Counter[str] = Counter()
        self.next_errors: deque[str] = deque()
        self.in_flight = 0
        self.most_in_flight = 0

    @contextmanager
    def flight(self) -> Generator[None]:
        """Around one call of `/token`: a client that refreshes one at a time never has two in flight."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    # --- clients ------------------------------------------------------------------------------------------------------

    def register(self, body: dict[str, Any], region: str | None) -> dict[str, Any]:
        if not body.get("clientName"):
            raise OidcError("invalid_request", "clientName is missing")
        if body.get("clientType") != "public":
            raise OidcError("invalid_client_metadata", "clientType must be public")
        scopes = body.get("scopes", [])
        if not isinstance(scopes, list) or not all(str(scope) for scope in scopes):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] -- JSON
            raise OidcError("invalid_scope", "scopes must be a list of names")
        for uri in body.get("redirectUris", []):
            if not str(uri).startswith(("http://127.0.0.1", "http://localhost")):
                raise OidcError("invalid_redirect_uri", "a public client's redirect is to loopback")
        client = self.add_client(region, body.get("redirectUris", []))
        return {
            "clientId": client.client_id,
            "clientSecret": client.client_secret,
            "clientIdIssuedAt": int(self._service.now()),
            "clientSecretExpiresAt": int(client.expires_at),
        }

    def add_client(self, region: str | None = None, redirect_uris: list[str] | None = None) -> Client:
        client = Client(
            client_id=self._service.new_id(),
            client_secret="eyJraWQi" + self._service.new_id(60),
            expires_at=self._service.now() + self._service.options.client_lifetime,
            region=region,
            redirect_uris=redirect_uris or [],
        )
        self.clients[client.client_id] = client
        return client

    def _client(self, body: dict[str, Any]) -> Client:
        client = self.clients.get(str(body.get("clientId")))
        if client is None or client.client_secret != body.get("clientSecret"):
            raise OidcError("invalid_client", "Invalid client provided")
        if client.expires_at <= self._service.now():
            raise OidcError("invalid_client", "The client's registration has expired")
        return client

    # --- a person's yes -----------------------------------------------------------------------------------------------

    def start_device(self, body: dict[str, Any], region: str | None, base: str) -> dict[str, Any]:
        client = self._client(body)
        if client.region and region and client.region != region:
            raise OidcError(
                "invalid_request_region", "Use the client's own region", endpoint=f"{base}/{client.region}",
                region=client.region,
            )  # fmt: skip
        start_url = body.get("startUrl")
        if not isinstance(start_url, str) or not start_url.startswith("https://"):
            raise OidcError("invalid_request", "startUrl is missing")
        user_code = self._service.new_id(8).upper()
        device = Device(
            device_code=self._service.new_id(40),
            user_code=f"{user_code[:4]}-{user_code[4:]}",
            client_id=client.client_id,
            start_url=start_url,
            expires_at=self._service.now() + self._service.options.device_lifetime,
        )
        self.devices[device.device_code] = device
        return {
            "deviceCode": device.device_code,
            "userCode": device.user_code,
            "verificationUri": f"{base}/device",
            "verificationUriComplete": f"{base}/device?user_code={device.user_code}",
            "expiresIn": self._service.options.device_lifetime,
            "interval": self._service.options.device_interval,
        }

    def device(self, user_code: str) -> Device | None:
        wanted = user_code.strip().upper()
        return next((device for device in self.devices.values() if device.user_code == wanted), None)

    def decide(self, user_code: str, decision: Literal["approved", "denied"], account: Account | None = None) -> bool:
        """A person's answer to a user code; False if there is no such code or it has been answered."""
        device = self.device(user_code)
        if device is None or device.decision != "pending":
            return False
        device.decision = decision
        device.account = account or self._service.account(kind=kind_of(device.start_url))
        return True

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser goes after a person said yes: the redirect, with a code. Raises OidcError."""
        client = self.clients.get(query.get("client_id", ""))
        if client is None:
            raise OidcError("invalid_client", "Invalid client provided")
        redirect = query.get("redirect_uri", "")
        if not redirect.startswith(("http://127.0.0.1", "http://localhost")):
            raise OidcError("invalid_redirect_uri", "a public client's redirect is to loopback")
        if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
            raise OidcError("invalid_request", "response_type must be code and code_challenge_method S256")
        code = self._service.new_id(40)
        self.codes[code] = Code(
            client_id=client.client_id,
            redirect_uri=redirect,
            challenge=query.get("code_challenge", ""),
            account=self._service.account(),
        )
        return f"{redirect}{'&' if '?' in redirect else '?'}code={code}&state={query.get('state', '')}"

    # --- tokens -------------------------------------------------------------------------------------------------------

    def token(self, body: dict[str, Any], region: str | None = None) -> dict[str, Any]:
        """CreateToken. Raises OidcError."""
        self.token_calls[str(body.get("clientId"))] += 1
        if self.next_errors:
            raise OidcError(self.next_errors.popleft(), "as the test asked")
        client = self._client(body)
        if region and client.region and region != client.region:
            raise OidcError("invalid_grant", "Invalid grant provided")
        match body.get("grantType"):
            case "refresh_token":
                return self.families.refresh(str(body.get("refreshToken")), client.client_id)
            case "authorization_code":
                return self._by_code(body, client)
            case grant if grant == DEVICE_GRANT:
                return self._by_device(str(body.get("deviceCode")), client)
            case _:
                raise OidcError("unsupported_grant_type", "grantType is not one of ours")

    def _by_device(self, device_code: str, client: Client) -> dict[str, Any]:
        now = self._service.now()
        device = self.devices.get(device_code)
        if device is None or device.client_id != client.client_id or device.used:
            raise OidcError("invalid_grant", "Invalid device code provided")
        if device.expires_at <= now:
            raise OidcError("expired_token", "The device code has expired")
        polled, device.polled_at = device.polled_at, now
        if self._service.options.device_approval == "auto":
            self.decide(device.user_code, "approved")
        if device.decision == "denied":
            raise OidcError("access_denied", "The person said no")
        if device.decision == "pending" or device.account is None:
            if polled is not None and now - polled < self._service.options.device_interval * 0.9:
                raise OidcError("slow_down", "Polled faster than the interval")
            raise OidcError("authorization_pending", "Nobody has said yes yet")
        device.used = True
        return self.families.issue(Family(client_id=client.client_id, account=device.account))

    def _by_code(self, body: dict[str, Any], client: Client) -> dict[str, Any]:
        code = self.codes.get(str(body.get("code")))
        verifier = str(body.get("codeVerifier", ""))
        challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if (
            code is None
            or code.used
            or code.client_id != client.client_id
            or code.redirect_uri != body.get("redirectUri")
            or code.challenge.rstrip("=") != challenge
        ):
            raise OidcError("invalid_grant", "Invalid authorization code provided")
        code.used = True
        return self.families.issue(Family(client_id=client.client_id, account=code.account))

    # --- other identities ---------------------------------------------------------------------------------------------

    def social_refresh(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """Kiro's `/refreshToken` (PROTOCOL.md §6.2); None is its 401."""
        self.token_calls["social"] += 1
        try:
            answer = self.families.refresh(str(body.get("refreshToken")), None)
        except OidcError:
            return None
        account = self._service.access_tokens[answer["accessToken"]].account
        told = {name: value for name, value in answer.items() if name != "tokenType"}
        return {**told, "profileArn": account.profile_arn}

    def external_token(self, form: dict[str, str]) -> dict[str, Any]:
        """A tenant's `token_endpoint`: form-encoded, snake_case (PROTOCOL.md §6.3). Raises OidcError."""
        self.token_calls[form.get("client_id", "")] += 1
        if self.next_errors:
            raise OidcError(self.next_errors.popleft(), "as the test asked")
        if form.get("grant_type") != "refresh_token":
            raise OidcError("unsupported_grant_type", "grant_type must be refresh_token")
        answer = self.families.refresh(form.get("refresh_token", ""), form.get("client_id"))
        told = {"access_token": answer["accessToken"], "expires_in": answer["expiresIn"], "token_type": "Bearer"}
        if "refreshToken" in answer:
            told["refresh_token"] = answer["refreshToken"]
        return told

    def log_in(self, account: Account, region: str | None = None) -> Login:
        """A log-in as if the person had gone through it; the access token is fresh."""
        social = account.kind == "social"
        client = None if social else self.add_client(region)
        answer = self.families.issue(Family(client_id=client.client_id if client else None, account=account))
        return Login(
            account=account,
            client_id=client.client_id if client else "",
            client_secret=client.client_secret if client else "",
            refresh_token=answer["refreshToken"],
            access_token=answer["accessToken"],
        )


def kind_of(start_url: str) -> AccountKind:
    """Builder ID has one start URL; every other one is an Identity Center's (PROTOCOL.md §6.1)."""
    return "builder_id" if start_url.rstrip("/") == BUILDER_ID else "identity_center"
