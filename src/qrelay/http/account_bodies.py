"""Management bodies about accounts: JSON in, values of the account room out, and the other way round. No HTTP.

Field names are q2api's (SWITCHING.md); amq2api's snake_case is understood too. Unknown members are ignored. A secret
goes in and never comes out whole.
"""

import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

from msgspec import to_builtins
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails, from_json

from qrelay import moments
from qrelay.accounts.account import BUILDER_ID_START_URL, REGION, Account, AccountChanges, NewAccount
from qrelay.credential import LoginKind
from qrelay.errors import ErrorCode, RelayError
from qrelay.upstream.quota import Grant, kept

Json: TypeAlias = "dict[str, Json] | list[Json] | str | float | bool | None"

API_KEY_PREFIX: Final = "ksk_"
_TRY_TAKES: Final = 30.0
"""Seconds after which asking for a quota has come to nothing."""
_SECRET_WORDS: Final = ("token", "secret", "password", "apikey", "api_key", "credential", "cookie")
_HARMLESS_ENDINGS: Final = ("endpoint", "url", "_at", "type", "expires_in", "expiresat", "expiresin", "uri")


def blank_is_none(value: object) -> object:
    """Forms send an empty field as an empty text."""
    return None if isinstance(value, str) and not value.strip() else value


_WORD: Final = r"^[\x21-\x7e]+$"
_LINE: Final = r"^[^\x00-\x1f\x7f]*$"
_ADDRESS: Final = r"^https://[\x21-\x7e]+$"
_REGION: Final = f"^{REGION.pattern}$"
_PATTERNS: Final[Mapping[str | None, str]] = {
    _WORD: "it should be one word of plain ASCII, without spaces or line breaks",
    _LINE: "it should be one line of text",
    _ADDRESS: "it should be an address that begins with https://",
    _REGION: "it should be a region such as us-east-1",
}

Word = Annotated[str, StringConstraints(strip_whitespace=True, max_length=16384, pattern=_WORD)]
"""Printable and without spaces: it will be part of a header."""
MaybeWord = Annotated[Word | None, BeforeValidator(blank_is_none)]
Line = Annotated[
    Annotated[str, StringConstraints(max_length=256, pattern=_LINE)] | None,
    BeforeValidator(blank_is_none),
]
_Region = Annotated[
    Annotated[str, StringConstraints(strip_whitespace=True, pattern=_REGION)] | None,
    BeforeValidator(blank_is_none),
]
_StartUrl = Annotated[
    Annotated[str, StringConstraints(strip_whitespace=True, max_length=2048, pattern=_ADDRESS)] | None,
    BeforeValidator(blank_is_none),
]


def _named(camel: str) -> Any:
    """A field known by q2api's name and by amq2api's."""
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in camel)
    return Field(default=None, validation_alias=AliasChoices(camel, snake))


class _Body(BaseModel):
    # What was sent stays out of error texts: it may be a secret in the wrong place.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, defer_build=True)

    label: Line = None
    enabled: bool | None = None
    client_id: MaybeWord = _named("clientId")
    client_secret: MaybeWord = _named("clientSecret")
    refresh_token: MaybeWord = _named("refreshToken")
    access_token: MaybeWord = _named("accessToken")
    profile_arn: MaybeWord = _named("profileArn")
    region: _Region = None
    start_url: _StartUrl = _named("startUrl")
    other: dict[str, Any] | str | None = None


class CreateBody(_Body):
    """`POST /v2/accounts`, and a row of `/batch`."""

    kind: LoginKind | None = None
    api_key: MaybeWord = _named("apiKey")
    expires_at: datetime | None = _named("expiresAt")


class ChangeBody(_Body):
    """`PATCH /v2/accounts/{id}`."""

    is_active: bool | None = None


AnyBody = TypeVar("AnyBody", bound=BaseModel)


def parse(raw: bytes) -> Json:
    """A request's JSON. Raises RelayError(request_invalid)."""
    try:
        return from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise RelayError(ErrorCode.request_invalid, f"The body isn't JSON: {error}.") from None


def read(model: type[AnyBody], value: Json) -> AnyBody:
    """One body. Raises RelayError(request_invalid) naming the field."""
    if not isinstance(value, dict):
        raise RelayError(ErrorCode.request_invalid, "The body should be a JSON object.")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = str(first["loc"][0])
        raise RelayError(ErrorCode.request_invalid, f"{field}: {_found(first)}.", param=field) from None


def _found(finding: ErrorDetails) -> str:
    """What pydantic found, in words of ours where its own are a pattern's."""
    if finding["type"] == "missing":
        return "it is missing"
    pattern = finding.get("ctx", {}).get("pattern")
    return _PATTERNS.get(pattern, "") or re.sub(r"^(Input|String|List|Value) ", "it ", finding["msg"])


def new_account(body: CreateBody) -> NewAccount:
    """What a body asks to add. Raises RelayError(request_invalid) naming the credential that is missing."""
    key = body.api_key or (body.access_token if body.kind == "api_key" else None)
    if body.refresh_token is not None and (body.kind == "api_key" or body.refresh_token.startswith(API_KEY_PREFIX)):
        key = key or body.refresh_token
    if key is not None:
        return NewAccount(
            kind="api_key",
            label=body.label,
            enabled=body.enabled,
            region=body.region,
            profile_arn=body.profile_arn,
            access_token=key,
            other=other_text(body.other),
        )
    kind = body.kind
    if kind is None and body.start_url is not None:
        kind = "builder_id" if body.start_url.rstrip("/") == BUILDER_ID_START_URL else "identity_center"
    _demand(body, kind)
    return NewAccount(
        kind=kind,
        label=body.label,
        enabled=body.enabled,
        region=body.region,
        profile_arn=body.profile_arn,
        start_url=body.start_url,
        client_id=body.client_id,
        client_secret=body.client_secret,
        refresh_token=body.refresh_token,
        access_token=body.access_token,
        expires_at=None if body.expires_at is None else epoch(body.expires_at),
        other=other_text(body.other),
    )


def account_changes(body: ChangeBody) -> AccountChanges:
    """What a body asks to change. An explicit null empties what may be empty, and says nothing otherwise."""
    emptied = body.model_fields_set & {"label", "other", "profile_arn", "start_url"}
    forget: set[Literal["label", "other", "profile_arn", "start_url"]] = set()
    for name in ("label", "other", "profile_arn", "start_url"):
        if name in emptied and getattr(body, name) is None:
            forget.add(name)
    return AccountChanges(
        label=body.label,
        enabled=body.enabled,
        is_active=body.is_active,
        region=body.region,
        start_url=body.start_url,
        profile_arn=body.profile_arn,
        client_id=body.client_id,
        client_secret=body.client_secret,
        refresh_token=body.refresh_token,
        access_token=body.access_token,
        other=other_text(body.other),
        forget=frozenset(forget),
    )


def without_masks(value: Json, account: Account) -> Json:
    """A body without the masked secrets it was given in an answer: an account may be sent back as it was read."""
    if not isinstance(value, dict):
        return value
    shown = account_answer(account)
    masked_names = ("clientSecret", "refreshToken", "accessToken", "other")
    return {name: sent for name, sent in value.items() if name not in masked_names or sent != shown[name]}


def account_answer(account: Account) -> dict[str, Any]:
    """An account as every answer tells it."""
    return {
        "id": account.id,
        "label": account.label,
        "clientId": account.client_id,
        "clientSecret": masked(account.client_secret),
        "refreshToken": masked(account.refresh_token),
        "accessToken": masked(account.access_token),
        "other": _other_answer(account.other),
        "last_refresh_time": iso(account.last_refresh_time),
        "last_refresh_status": account.last_refresh_status,
        "created_at": iso(account.created_at),
        "updated_at": iso(account.updated_at),
        "enabled": account.enabled,
        "error_count": account.error_count,
        "success_count": account.success_count,
        "kind": account.kind,
        "region": account.region,
        "startUrl": account.start_url,
        "profileArn": account.profile_arn,
        "expiresAt": iso(account.expires_at),
        "state": account.state,
        "state_reason": account.state_reason,
        "is_active": account.is_active,
        "last_error": account.last_error,
        "endpoint": account.endpoint,
        "email": account.email,
        "quota": quota_answer(account, time.time()),
    }


def quota_answer(account: Account, now: float) -> dict[str, Any] | None:
    """What is known of its quota, without asking; None where nothing is.

    It is stale when a newer one should be there: it is old, or the last try has come to nothing.
    """
    quota = kept(account.quota)
    if quota is None or quota.main is None:
        return None
    main, asked, read_at = quota.main, account.quota_asked_at or 0.0, account.quota_read_at or 0.0
    failed = asked > read_at and now - asked > _TRY_TAKES
    return {
        "plan": quota.plan,
        "used": main.used,
        "limit": main.limit,
        "left": main.left(now),
        "unit": main.unit,
        "resets_at": iso(main.resets_at),
        "trial": grant_answer(main.trial),
        "bonuses": [grant_answer(bonus) for bonus in main.bonuses],
        "overage": main.overage,
        "overage_rate": main.overage_rate,
        "overage_charges": main.overage_charges,
        "currency": main.currency,
        "overage_allowed": quota.overage_allowed,
        "read_at": iso(read_at),
        "stale": failed or (quota.good_until is not None and now > quota.good_until),
        "exhausted": quota.exhausted(now),
    }


def grant_answer(grant: Grant | None) -> dict[str, Any] | None:
    """A free trial or a bonus."""
    return None if grant is None else {**to_builtins(grant), "expires_at": iso(grant.expires_at)}


def masked(secret: str | None) -> str | None:
    """First 10 … last 4 at most, at least half of it hidden; of a short one nothing is shown."""
    if secret is None:
        return None
    if len(secret) < 16:
        return "…"
    tail = min(4, len(secret) // 8)
    head = min(10, len(secret) // 2 - tail)
    return f"{secret[:head]}…{secret[-tail:]}"


def other_text(other: dict[str, Any] | str | None) -> str | None:
    """q2api's `other` as it is stored: JSON text."""
    if isinstance(other, str):
        try:
            json.loads(other)
        except ValueError:
            return json.dumps(other, ensure_ascii=False)
        return other
    return None if other is None else json.dumps(other, ensure_ascii=False)


def _demand(body: CreateBody, kind: LoginKind | None) -> None:
    wanted: Mapping[str, str | None] = {"clientId": body.client_id, "clientSecret": body.client_secret}
    match kind:
        case "social":
            wanted = {}
        case "external_idp":
            wanted = {"clientId": body.client_id}
        case "api_key":
            raise RelayError(ErrorCode.request_invalid, "apiKey: an account of this kind needs it.", param="apiKey")
        case "builder_id" | "identity_center" | None:
            pass
    for name, value in {**wanted, "refreshToken": body.refresh_token}.items():
        if value is None:
            raise RelayError(
                ErrorCode.request_invalid,
                f"{name}: it is missing. Log-ins have clientId, clientSecret and refreshToken; API keys have apiKey.",
                param=name,
            )


def _other_answer(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return _hidden(json.loads(text))
    except ValueError:
        return masked(text)


def _hidden(value: Json, *, secret: bool = False) -> Json:
    match value:
        case dict():
            return {name: _hidden(inner, secret=secret or _sounds_secret(name)) for name, inner in value.items()}
        case list():
            return [_hidden(inner, secret=secret) for inner in value]
        case str() if secret or value.startswith((API_KEY_PREFIX, "aor", "aoa", "eyJ")):
            return masked(value)
        case _:
            return value


def _sounds_secret(name: str) -> bool:
    lower = name.lower()
    return any(word in lower for word in _SECRET_WORDS) and not lower.endswith(_HARMLESS_ENDINGS)


def iso(seconds: float | None) -> str | None:
    """As answers write a moment; None also for one that no calendar has."""
    if seconds is None or not 0 <= seconds <= moments.LAST:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def epoch(moment: datetime) -> float:
    """Seconds since the epoch; UTC unless it says otherwise. Raises RelayError(request_invalid) for odd years."""
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not 0 <= seconds <= moments.LAST:
        raise RelayError(
            ErrorCode.request_invalid, "expires_at: it should lie between 1970 and 9999.", param="expires_at"
        )
    return seconds
