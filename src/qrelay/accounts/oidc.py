"""The token services' HTTP: one question, one answer, as values (`answers`). Not when to ask, not what to store.

    builder_id, identity_center   AWS SSO OIDC, camelCase JSON                      PROTOCOL.md §6.1
    social                        Kiro's own refresh, JSON                          PROTOCOL.md §6.2
    external_idp                  the tenant's token endpoint, a form               PROTOCOL.md §6.3
    api_key                       never refreshed                                   PROTOCOL.md §6.4

A log-in by device code is three questions: `register` a client, `authorize_device`, then `device_token` until it is
approved.
"""

import asyncio
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, assert_never
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec

from qrelay.accounts.account import REGION, Account, Renewal
from qrelay.accounts.answers import (
    DeviceCode,
    Refusal,
    Registration,
    Response,
    mapping,
    read_device_code,
    read_registration,
    read_renewal,
)
from qrelay.outward import USER_AGENT
from qrelay.outward.exchange import Exchange
from qrelay.outward.http1 import Connections
from qrelay.redaction import Redactor

CLIENT_NAME: Final = "qrelay"
"""Who we say we are when a client is registered: never another program."""
SCOPES: Final = ("codewhisperer:completions", "codewhisperer:analysis", "codewhisperer:conversations")
DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
SOCIAL_ENDPOINT: Final = "https://prod.us-east-1.auth.desktop.kiro.dev/refreshToken"
_LONGEST_ANSWER: Final = 1 << 20
_SECRET_FIELDS: Final = frozenset({"refreshToken", "refresh_token", "clientSecret", "deviceCode"})

Fields: TypeAlias = Mapping[str, str | Sequence[str] | None]


class TokenClient:
    """Asks the token services over `connections`, which are the caller's: what they trust, which proxy they take.

    `token_endpoint` goes before AWS's own (`https://oidc.<region>.amazonaws.com/token`), and its siblings
    `client/register`, `device_authorization` and, for a social log-in, `refreshToken` before theirs. The timeout, in
    seconds, is for one whole question. A region that isn't one is refused: it would become part of a host name.
    `redactor` cleans what is said in refusals.
    """

    def __init__(
        self,
        connections: Connections,
        *,
        token_endpoint: str | None = None,
        timeout_seconds: float = 10.0,
        redactor: Redactor | None = None,
    ) -> None:
        self.timeout_seconds = timeout_seconds
        self._connections = connections
        self._redactor = redactor or Redactor()
        self._token_endpoint = token_endpoint

    async def refresh(self, account: Account) -> Renewal | Refusal:
        """New tokens for an account's refresh token. Never asked twice by itself: the token may be good for one use."""
        match account.kind:
            case "builder_id" | "identity_center":
                fields = {
                    "clientId": account.client_id,
                    "clientSecret": account.client_secret,
                    "grantType": "refresh_token",
                    "refreshToken": account.refresh_token,
                }
                return read_renewal(await self._ask_region(account.region, "token", fields))
            case "social":
                endpoint = urljoin(self._token_endpoint, "refreshToken") if self._token_endpoint else SOCIAL_ENDPOINT
                return read_renewal(
                    await self._ask(endpoint, json={"refreshToken": account.refresh_token}), dead_on_401=True
                )
            case "external_idp":
                endpoint = external_token_endpoint(account.other)
                if endpoint is None:
                    return Refusal(kind="refused", message="The account's `other` names no usable token_endpoint.")
                form = {
                    "grant_type": "refresh_token",
                    "refresh_token": account.refresh_token or "",
                    "client_id": account.client_id or "",
                }
                return read_renewal(await self._ask(endpoint, form=form))
            case "api_key":
                return Refusal(kind="refused", message="An API key can't be refreshed.")
            case _:
                assert_never(account.kind)

    async def register(self, region: str) -> Registration | Refusal:
        """RegisterClient: a new client of ours in a region."""
        fields = {"clientName": CLIENT_NAME, "clientType": "public", "scopes": SCOPES}
        return read_registration(await self._ask_region(region, "client/register", fields))

    async def authorize_device(self, region: str, client: Registration, start_url: str) -> DeviceCode | Refusal:
        """StartDeviceAuthorization: a code for somebody to approve at a start URL's log-in page."""
        fields = {"clientId": client.client_id, "clientSecret": client.client_secret, "startUrl": start_url}
        return read_device_code(await self._ask_region(region, "device_authorization", fields))

    async def device_token(self, region: str, client: Registration, device_code: str) -> Renewal | Refusal:
        """CreateToken for a device code: a Refusal whose `error` is `authorization_pending` until it is approved."""
        fields = {
            "clientId": client.client_id,
            "clientSecret": client.client_secret,
            "grantType": DEVICE_GRANT,
            "deviceCode": device_code,
        }
        return read_renewal(await self._ask_region(region, "token", fields))

    async def _ask_region(self, region: str, path: str, fields: Fields) -> Response | Refusal:
        if not REGION.fullmatch(region):
            return Refusal(kind="refused", message=f"{region!r} is not a region.")
        token_endpoint = self._token_endpoint or f"https://oidc.{region}.amazonaws.com/token"
        return await self._ask(token_endpoint if path == "token" else urljoin(token_endpoint, path), json=fields)

    async def _ask(
        self,
        endpoint: str,
        *,
        json: Fields | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Response | Refusal:
        host = urlsplit(endpoint).netloc
        if json is not None:
            body, kind = msgspec.json.encode(json), "application/json"
        else:
            body, kind = urlencode(form or {}).encode(), "application/x-www-form-urlencoded"
        headers = {"accept": "application/json", "content-type": kind, "user-agent": USER_AGENT, "connection": "close"}
        try:
            async with asyncio.timeout(self.timeout_seconds):
                exchange = await self._connections.request(
                    "POST",
                    endpoint,
                    headers,
                    body,
                    connect_seconds=self.timeout_seconds / 2,
                    fresh=True,  # over one that was kept and has died it would be asked twice
                )
                answer = await _body(exchange)
        except TimeoutError:
            return Refusal(kind="timeout", message=f"{host} didn't answer in time.")
        except (OSError, ValueError) as error:  # ValueError: an address that can't be one
            reason = (isinstance(error, OSError) and error.strerror) or type(error).__name__
            return Refusal(kind="unreachable", message=f"{host} can't be reached ({reason}).")
        sent = json if json is not None else form or {}
        secrets = (value for name, value in sent.items() if name in _SECRET_FIELDS and isinstance(value, str))
        clean = self._redactor.for_call(*secrets)
        return Response(host, exchange.status, exchange.headers.get("x-amzn-errortype", ""), answer, clean)


async def _body(exchange: Exchange) -> bytes:
    """The whole answer, or as much of it as any real one has."""
    body = bytearray()
    try:
        while len(body) <= _LONGEST_ANSWER and (data := await exchange.read()):
            body += data
    finally:
        exchange.close()
    return bytes(body)


def external_token_endpoint(other: str | None) -> str | None:
    """Where an external identity provider's tokens come from: https anywhere, plain http on loopback only."""
    found = mapping((other or "").encode())
    endpoint = found.get("token_endpoint") or found.get("tokenEndpoint")
    if not isinstance(endpoint, str):
        return None
    try:
        parts = urlsplit(endpoint)
    except ValueError:
        return None
    if parts.hostname is None:
        return None
    return endpoint if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname)) else None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, where plain http may be used."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
