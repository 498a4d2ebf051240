"""What the simulated service knows: accounts, tokens, what was asked of it and what it shall answer next. No HTTP."""

import asyncio
import hashlib
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

from msgspec import Struct

from qrelay.simulator.errors import Placement
from qrelay.simulator.models import Tier
from qrelay.simulator.scenario import Scenario, Tail, refusal
from qrelay.simulator.validation import Limits
from qrelay.simulator.violation import Style, Violation

AccountKind: TypeAlias = Literal["builder_id", "identity_center", "social", "external_idp", "api_key"]
Rotation: TypeAlias = Literal["strict", "grace", "none"]

TOKEN_TYPES: dict[str, str] = {"external_idp": "EXTERNAL_IDP", "api_key": "API_KEY"}
"""What the `tokentype` header must say, by kind of account; for the others it must be missing (PROTOCOL.md §1.3)."""


class Options(Struct, frozen=True, kw_only=True):
    """How the service behaves where it can behave in several ways. All durations are in seconds.

    `error_placement` None: in the body on awsJson, in the header on restJson. `profile_arn`: "by_identity" asks for one
    from Identity Center accounts only, "by_host" on the Kiro host from everybody but API keys. `management_errors`: an
    invalid bearer on a control operation is the management host's 400 `Invalid token` (PROTOCOL.md §4.2). `token_delay`
    holds every answer of `/token` back, so that two refreshes can meet. `device_approval` "auto" approves a device code
    at its first poll.
    """

    validation: Style = "new"
    limits: Limits = Limits()
    rotation: Rotation = "strict"
    token_lifetime: int = 3600
    refresh_lifetime: int = 90 * 86_400
    client_lifetime: int = 90 * 86_400
    device_lifetime: int = 600
    device_interval: int = 1
    device_approval: Literal["manual", "auto"] = "manual"
    token_delay: float = 0.0
    word_delay: float = 0.0
    bytes_per_write: int | None = None
    tail: Tail = Tail()
    error_placement: Placement | None = None
    accept_any_token: bool = False
    access_tokens: tuple[str, ...] = ()
    profile_arn: Literal["by_identity", "by_host", "required", "ignored"] = "by_identity"
    management_errors: bool = False
    clock: Callable[[], float] = time.time
    seed: int = 0


@dataclass(kw_only=True)
class Account:
    """Somebody who can log in. `refusal` names a catalogue row that every chat request of theirs gets.

    `trial_credits` is what a free trial gives on top of the plan, `overages` whether more may be used and is paid for.
    `more_profiles` are those they may use besides their own.
    """

    name: str
    kind: AccountKind = "builder_id"
    tier: Tier = "paid"
    profile_arn: str | None = None
    more_profiles: tuple[str, ...] = ()
    refusal: str | None = None
    credits_used: float = 0.0
    trial_credits: float | None = None
    overages: bool = False

    @property
    def profiles(self) -> tuple[str, ...]:
        return self.more_profiles if self.profile_arn is None else (self.profile_arn, *self.more_profiles)


@dataclass(kw_only=True)
class AccessToken:
    account: Account
    expires_at: float
    refresh_token: str | None = None


@dataclass(kw_only=True)
class Login:
    """What an account's owner holds after logging in: enough to add the account to a gateway."""

    account: Account
    client_id: str
    client_secret: str
    refresh_token: str
    access_token: str


@dataclass(kw_only=True)
class RecordedRequest:
    """One request as it came, and what became of it. `body` is None if it wasn't JSON.

    `refusal` says why it was refused: a validation rule's name (then `violation` has the detail), a catalogue
    row's name or an OAuth error. `over` is set when the answer has ended: `finished` at its clean end, `disconnected`
    because the client left before it. `host` is which of the service's hosts was meant.
    """

    number: int
    at: float
    operation: str
    binding: Literal["awsJson", "restJson", "oidc", "other"]
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    raw: bytes
    body: Any
    host: str = "q"
    account: str | None = None
    violation: Violation | None = None
    refusal: str | None = None
    status: int | None = None
    scenario: str | None = None
    disconnected: bool = False
    finished: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def target(self) -> str | None:
        return self.headers.get("x-amz-target")

    @property
    def members(self) -> dict[str, Any]:
        """The body's members; none if it isn't an object."""
        return cast("dict[str, Any]", self.body) if isinstance(self.body, dict) else {}

    @property
    def state(self) -> dict[str, Any]:
        """A chat request's conversationState."""
        return self.body["conversationState"]

    @property
    def current(self) -> dict[str, Any]:
        """A chat request's userInputMessage."""
        return self.state["currentMessage"]["userInputMessage"]

    @property
    def history(self) -> list[dict[str, Any]]:
        return self.state.get("history", [])

    def summary(self) -> dict[str, Any]:
        """For people and other programs: everything but the bearer and OAuth secrets."""
        hidden = {"authorization"}
        body = {name: value for name, value in self.members.items() if name not in _SECRET_MEMBERS}
        return {
            "number": self.number,
            "at": self.at,
            "operation": self.operation,
            "binding": self.binding,
            "host": self.host,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": {name: value for name, value in self.headers.items() if name not in hidden},
            "body": body,
            "account": self.account,
            "refusal": self.refusal,
            "detail": self.violation.detail if self.violation else None,
            "status": self.status,
            "scenario": self.scenario,
            "disconnected": self.disconnected,
            "finished": self.finished,
        }


_SECRET_MEMBERS = {"clientSecret", "refreshToken", "code", "codeVerifier", "deviceCode"}


@dataclass
class Service:
    """The state behind the routes; one per simulator."""

    options: Options = field(default_factory=Options)
    accounts: dict[str, Account] = field(default_factory=dict[str, Account])
    access_tokens: dict[str, AccessToken] = field(default_factory=dict[str, AccessToken])
    requests: list[RecordedRequest] = field(default_factory=list[RecordedRequest])
    queued: deque[Scenario] = field(default_factory=deque[Scenario])
    closed: dict[str, str] = field(default_factory=dict[str, str])
    """Hosts that refuse everything, and with which row of the catalogue."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.options.seed)  # noqa: S311 - ids that repeat with the seed are the point
        self.anybody = Account(name="anybody")
        for token in self.options.access_tokens:
            self.access_tokens[token] = AccessToken(account=self.anybody, expires_at=float("inf"))

    def now(self) -> float:
        return self.options.clock()

    def new_id(self, length: int = 22) -> str:
        return "".join(self._random.choices("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz23456789", k=length))

    def new_uuid(self) -> str:
        digits = f"{self._random.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def profile_arn_for(self, name: str) -> str:
        tail = hashlib.sha256(name.encode()).hexdigest()[:12].upper()
        return f"arn:aws:codewhisperer:us-east-1:123456789012:profile/{tail}"

    def account(
        self,
        name: str | None = None,
        kind: AccountKind = "builder_id",
        *,
        tier: Tier = "paid",
        profile_arn: str | None = None,
    ) -> Account:
        """A new account. Identity Center and social ones have a profile of their own unless one is given."""
        name = name or f"account-{len(self.accounts) + 1}"
        if profile_arn is None and kind in ("identity_center", "social"):
            profile_arn = self.profile_arn_for(name)
        self.accounts[name] = Account(name=name, kind=kind, tier=tier, profile_arn=profile_arn)
        return self.accounts[name]

    def issue(self, account: Account, refresh_token: str | None = None, lifetime: float | None = None) -> str:
        """A new access token."""
        token = ("ksk_" if account.kind == "api_key" else "aoaAAAAAG") + self.new_id(32)
        ends = self.now() + (self.options.token_lifetime if lifetime is None else lifetime)
        self.access_tokens[token] = AccessToken(
            account=account,
            expires_at=float("inf") if account.kind == "api_key" else ends,
            refresh_token=refresh_token,
        )
        return token

    def expire_access_tokens(self) -> None:
        """Every access token stops being valid now. API keys and preset ones too."""
        for token in self.access_tokens.values():
            token.expires_at = float("-inf")

    def who(self, headers: dict[str, str]) -> Account | None:
        """Whose bearer this is; None if it is missing, unknown, expired or of another `tokentype`."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        known = self.access_tokens.get(token)
        if known is None:
            return self.anybody if self.options.accept_any_token else None
        if known.expires_at <= self.now() or headers.get("tokentype") != TOKEN_TYPES.get(known.account.kind):
            return None
        return known.account

    def next(self, scenario: Scenario | str, times: int = 1) -> None:
        """Queue the answers to the next chat requests that pass authentication and validation.

        A string is the name of a ready-made scenario or of a row of the error catalogue.
        """
        chosen = _scenario_named(scenario) if isinstance(scenario, str) else scenario
        self.queued.extend([chosen] * times)

    def reset(self) -> None:
        """Forget what was asked and what was queued. Accounts and tokens stay."""
        self.requests.clear()
        self.queued.clear()


def _scenario_named(name: str) -> Scenario:
    from qrelay.simulator.named import SCENARIOS  # noqa: PLC0415 - data that itself needs the model's signatures

    return SCENARIOS[name] if name in SCENARIOS else refusal(name)
