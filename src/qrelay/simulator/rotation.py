"""Refresh tokens and what becomes of them when they are used: strict, graceful or no rotation (PROTOCOL.md §6.1).

A *family* is every token that came from one log-in; using a refresh token twice ends it when rotation is strict.
"""

from dataclasses import dataclass, field
from typing import Any

from qrelay.simulator.oauth_errors import OidcError
from qrelay.simulator.service import Account, Service


@dataclass(kw_only=True)
class Family:
    """What came from one log-in. `client_id` is None for social ones."""

    client_id: str | None
    account: Account
    dead: bool = False
    previous: str | None = None
    answered: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(kw_only=True)
class RefreshToken:
    family: Family
    expires_at: float
    used: bool = False


class Families:
    """All refresh tokens, and the access tokens made by them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._tokens: dict[str, RefreshToken] = {}

    def refresh(self, token: str, client_id: str | None) -> dict[str, Any]:
        known = self._tokens.get(token)
        if known is None or known.family.dead or known.family.client_id != client_id:
            raise OidcError("invalid_grant", "Invalid refresh token provided")
        if known.expires_at <= self._service.now():
            raise OidcError("invalid_grant", "Invalid refresh token provided")
        family = known.family
        rotation = self._service.options.rotation
        if known.used:
            if rotation == "grace" and family.previous == token:
                return family.answered
            self._end(family)
            raise OidcError("invalid_grant", "Invalid refresh token provided")
        if rotation == "none":
            answer = self._answer(family, token)
            del answer["refreshToken"]
            return answer
        known.used = True
        answer = self.issue(family)
        family.previous, family.answered = token, answer
        return answer

    def _end(self, family: Family) -> None:
        family.dead = True
        for access in self._service.access_tokens.values():
            holder = self._tokens.get(access.refresh_token or "")
            if holder is not None and holder.family is family:
                access.expires_at = float("-inf")

    def issue(self, family: Family) -> dict[str, Any]:
        token = "aorAAAAAG" + self._service.new_id(32)
        ends = self._service.now() + self._service.options.refresh_lifetime
        self._tokens[token] = RefreshToken(family=family, expires_at=ends)
        return self._answer(family, token)

    def _answer(self, family: Family, refresh_token: str) -> dict[str, Any]:
        return {
            "accessToken": self._service.issue(family.account, refresh_token),
            "tokenType": "Bearer",
            "expiresIn": self._service.options.token_lifetime,
            "refreshToken": refresh_token,
        }
