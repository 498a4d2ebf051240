"""The token services' HTTP: one question, one answer, as values. Not when to ask, not what to store.

    builder_id, identity_center   AWS SSO OIDC CreateToken, camelCase JSON          PROTOCOL.md §6.1
    social                        Kiro's own refresh, JSON                          PROTOCOL.md §6.2
    external_idp                  the tenant's token endpoint, a form               PROTOCOL.md §6.3
    api_key                       never refreshed                                   PROTOCOL.md §6.4

AWS's own SDKs know an error by the header `x-amzn-errortype`, others by the body's `error`; here either will do. A
token is dead only when the service says so in one of these words: an endpoint that is down or speaks nonsense says
nothing about an account.
"""

import ipaddress
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, assert_never
from urllib.parse import urljoin, urlsplit

import aiohttp
import msgspec

from qrelay.accounts.account import REGION, Account, Renewal

RefusalKind: TypeAlias = Literal["invalid_grant", "invalid_client", "slow_down", "refused", "unreachable", "timeout"]

SOCIAL_ENDPOINT: Final = "https://prod.us-east-1.auth.desktop.kiro.dev/refreshToken"
_FALLBACK_LIFETIME: Final = 3600.0  # PROTOCOL.md §6.1: what is seen when nothing is said
_LONGEST_ANSWER: Final = 1 << 20
_LONGEST_REASON: Final = 300
_KINDS: Final[Mapping[str, RefusalKind]] = {
    "invalid_grant": "invalid_grant",
    "expired_token": "invalid_grant",
    "invalid_client": "invalid_client",
    "slow_down": "slow_down",
    "server_error": "unreachable",
    "temporarily_unavailable": "unreachable",
    "InvalidGrantException": "invalid_grant",
    "ExpiredTokenException": "invalid_grant",
    "InvalidClientException": "invalid_client",
    "SlowDownException": "slow_down",
    "TooManyRequestsException": "slow_down",
    "ThrottlingException": "slow_down",
    "InternalServerException": "unreachable",
}


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """No tokens, and why.

    invalid_grant    the refresh token is dead            invalid_client   the client registration is
    slow_down        asked too often                      refused          anything else that was said clearly
    unreachable      no answer, or none that can be read  timeout          not in time
    """

    kind: RefusalKind
    message: str


class TokenClient:
    """Asks the token services through `session`, which is the caller's (proxy and TLS settings are the session's).

    `token_endpoint` goes before AWS's own (`https://oidc.<region>.amazonaws.com/token`); for a social log-in its
    sibling `refreshToken` does. The timeout, in seconds, is for one whole question.
    """

    def __init__(
        self, session: aiohttp.ClientSession, *, token_endpoint: str | None = None, timeout_seconds: float = 10.0
    ) -> None:
        self._session = session
        self._token_endpoint = token_endpoint
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, connect=timeout_seconds / 2)

    async def refresh(self, account: Account) -> Renewal | Refusal:
        """New tokens for an account's refresh token. Never asked twice by itself: the token may be good for one use."""
        match account.kind:
            case "builder_id" | "identity_center":
                if not REGION.fullmatch(account.region):
                    return Refusal(kind="refused", message=f"{account.region!r} is not a region.")
                fields = {
                    "clientId": account.client_id,
                    "clientSecret": account.client_secret,
                    "grantType": "refresh_token",
                    "refreshToken": account.refresh_token,
                }
                endpoint = self._token_endpoint or f"https://oidc.{account.region}.amazonaws.com/token"
                return await self._ask(endpoint, json=fields)
            case "social":
                endpoint = urljoin(self._token_endpoint, "refreshToken") if self._token_endpoint else SOCIAL_ENDPOINT
                return await self._ask(endpoint, json={"refreshToken": account.refresh_token}, dead_on_401=True)
            case "external_idp":
                endpoint = external_token_endpoint(account.other)
                if endpoint is None:
                    return Refusal(kind="refused", message="The account's `other` names no usable token_endpoint.")
                form = {
                    "grant_type": "refresh_token",
                    "refresh_token": account.refresh_token or "",
                    "client_id": account.client_id or "",
                }
                return await self._ask(endpoint, form=form)
            case "api_key":
                return Refusal(kind="refused", message="An API key can't be refreshed.")
            case _:
                assert_never(account.kind)

    async def _ask(
        self,
        endpoint: str,
        *,
        json: Mapping[str, str | None] | None = None,
        form: Mapping[str, str] | None = None,
        dead_on_401: bool = False,
    ) -> Renewal | Refusal:
        host = urlsplit(endpoint).netloc
        headers = {"accept": "application/json"}
        if json is not None:
            headers["content-type"] = "application/json"
        data = msgspec.json.encode(json) if json is not None else form
        try:
            async with self._session.post(
                # Secrets are not sent on to wherever an answer points.
                endpoint, data=data, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as response:  # fmt: skip
                body = await _body(response)
                status, error_type = response.status, response.headers.get("x-amzn-errortype", "")
        except TimeoutError:
            return Refusal(kind="timeout", message=f"{host} didn't answer in time.")
        except (aiohttp.ClientError, OSError) as error:
            return Refusal(kind="unreachable", message=f"{host} can't be reached ({type(error).__name__}).")
        return _read(host, status, error_type, body, dead_on_401=dead_on_401)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The whole answer, or as much of it as any real one has."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _LONGEST_ANSWER:
            break
    return bytes(body)


def external_token_endpoint(other: str | None) -> str | None:
    """Where an external identity provider's tokens come from: https anywhere, plain http on loopback only."""
    found = _mapping((other or "").encode())
    endpoint = found.get("token_endpoint") or found.get("tokenEndpoint")
    if not isinstance(endpoint, str):
        return None
    try:
        parts = urlsplit(endpoint)
    except ValueError:
        return None
    if parts.hostname is None:
        return None
    return endpoint if parts.scheme == "https" or (parts.scheme == "http" and _loopback(parts.hostname)) else None


def _read(host: str, status: int, error_type: str, body: bytes, *, dead_on_401: bool) -> Renewal | Refusal:
    answer = _mapping(body)
    if status == 200:
        return _renewal(host, answer)
    error = answer.get("error")
    name = error_type.partition(":")[0].rpartition("#")[2]
    kind = _KINDS.get(name) or (_KINDS.get(error) if isinstance(error, str) else None)
    if kind is None and dead_on_401 and status == 401:
        kind = "invalid_grant"
    if kind is None and status == 429:
        kind = "slow_down"
    if kind is None and status >= 500:
        kind = "unreachable"
    told = answer.get("error_description") or answer.get("message") or answer.get("Message")
    words = ", ".join(str(word)[:_LONGEST_REASON] for word in (error if isinstance(error, str) else name, told) if word)
    return Refusal(kind=kind or "refused", message=f"{host} answered {status}" + (f": {words}" if words else ""))


def _renewal(host: str, answer: Mapping[str, Any]) -> Renewal | Refusal:
    def text(*names: str) -> str | None:
        return next((value for name in names if isinstance(value := answer.get(name), str) and value), None)

    access_token = text("accessToken", "access_token")
    if access_token is None:
        return Refusal(kind="unreachable", message=f"{host} answered 200 without an access token.")
    try:
        expires_in = float(answer.get("expiresIn") or answer.get("expires_in") or _FALLBACK_LIFETIME)
    except (TypeError, ValueError):
        expires_in = _FALLBACK_LIFETIME
    return Renewal(
        access_token=access_token,
        refresh_token=text("refreshToken", "refresh_token"),
        expires_in=max(0.0, expires_in),
        profile_arn=text("profileArn", "profile_arn"),
    )


def _mapping(body: bytes) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:  # ValidationError is one
        return {}


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
