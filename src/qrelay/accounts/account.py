"""What the account room speaks of: an account, one to be added, the tokens of a refresh. Values, without I/O.

Times are seconds since the epoch. Secrets are in plain text here, so no `repr` shows a field.
"""

import re
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from qrelay.credential import Credential, LoginKind

AccountState: TypeAlias = Literal["ready", "cooling", "needs_login", "suspended", "disabled"]

BUILDER_ID_START_URL: Final = "https://view.awsapps.com/start"
DEFAULT_REGION: Final = "us-east-1"
API_KEY_PREFIX: Final = "ksk_"
"""What Kiro's API keys begin with."""
REGION: Final = re.compile(r"[a-z]{2,3}(-[a-z]+){1,3}-\d{1,2}")
"""What a region looks like. It becomes part of a host name, so nothing else may."""


class Account(Struct, frozen=True, kw_only=True):
    """One account as stored. `state` is `disabled` when `enabled` is false, whatever it was before.

    `generation` counts its tokens: every change of them, by refresh or by hand, adds one. `expires_at` None means that
    nobody said when the access token ends. `own_client`: its client was registered here, under our own name, and may be
    used for another log-in. `other` is q2api's JSON text. `endpoint` is the one it was found to work with.
    `quota` is JSON text of `upstream.quota`; it was asked for later than it was read where nothing came of it.
    """

    id: str
    label: str | None = None
    kind: LoginKind = "builder_id"
    region: str = DEFAULT_REGION
    start_url: str | None = None
    profile_arn: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    client_secret_expires_at: float | None = None
    own_client: bool = False
    user_id: str | None = None
    refresh_token: str | None = None
    access_token: str | None = None
    issued_at: float | None = None
    expires_at: float | None = None
    generation: int = 0
    state: AccountState = "ready"
    state_reason: str | None = None
    enabled: bool = True
    is_active: bool = False
    other: str | None = None
    endpoint: str | None = None
    email: str | None = None
    quota: str | None = None
    quota_read_at: float | None = None
    quota_asked_at: float | None = None
    error_count: int = 0
    success_count: int = 0
    last_error: str | None = None
    last_refresh_time: float | None = None
    last_refresh_status: str | None = None
    created_at: float = 0.0
    updated_at: float = 0.0

    def __repr__(self) -> str:
        return f"Account(id={self.id!r}, generation={self.generation}, state={self.state!r})"

    @property
    def name(self) -> str:
        """What people call it."""
        return self.label or self.id[:8]

    @property
    def refreshable(self) -> bool:
        """Whether it has anything to refresh with. API keys never have."""
        return self.refresh_token is not None and self.kind != "api_key"

    def lives(self, now: float, lead: float = 0.0) -> bool:
        """Whether its access token can be used and won't end within `lead` seconds.

        A lead of more than half of the token's life counts as half of it, or a short-lived token would never be good.
        """
        if self.access_token is None:
            return False
        if self.expires_at is None:
            return True
        if self.issued_at is not None:
            lead = min(lead, max(0.0, self.expires_at - self.issued_at) / 2)
        return now < self.expires_at - lead

    def credential(self) -> Credential | None:
        """What a call to the service needs, if there is an access token."""
        if self.access_token is None:
            return None
        return Credential(
            account_id=self.id,
            access_token=self.access_token,
            generation=self.generation,
            kind=self.kind,
            region=self.region,
            profile_arn=self.profile_arn,
            endpoint=self.endpoint,
        )


class NewAccount(Struct, frozen=True, kw_only=True):
    """An account to add. None means "not said": where the account is known already, what it has stays.

    It has a refresh token or an access token; an API key is the access token of the kind `api_key`.
    """

    kind: LoginKind | None = None
    label: str | None = None
    region: str | None = None
    start_url: str | None = None
    profile_arn: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    client_secret_expires_at: float | None = None
    own_client: bool | None = None
    user_id: str | None = None
    refresh_token: str | None = None
    access_token: str | None = None
    expires_at: float | None = None
    enabled: bool | None = None
    other: str | None = None

    def __repr__(self) -> str:
        return f"NewAccount(kind={self.kind!r}, label={self.label!r})"


class AccountChanges(Struct, frozen=True, kw_only=True):
    """What a change by hand says. None means "not said"; `forget` names fields that become empty."""

    label: str | None = None
    enabled: bool | None = None
    is_active: bool | None = None
    region: str | None = None
    start_url: str | None = None
    profile_arn: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    refresh_token: str | None = None
    access_token: str | None = None
    other: str | None = None
    forget: frozenset[Literal["label", "other", "profile_arn", "start_url"]] = frozenset()

    def __repr__(self) -> str:
        return "AccountChanges()"


class Renewal(Struct, frozen=True, kw_only=True):
    """What a token service answered. `expires_in` is in seconds; no `refresh_token` means that the old one stays."""

    access_token: str
    expires_in: float
    refresh_token: str | None = None
    profile_arn: str | None = None

    def __repr__(self) -> str:
        return f"Renewal(expires_in={self.expires_in})"
