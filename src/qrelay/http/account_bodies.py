"""Management bodies about accounts: what was sent, as values of the account room. No HTTP.

Field names are q2api's (SWITCHING.md); amq2api's snake_case is understood too. Unknown members are ignored.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from qrelay.accounts.account import API_KEY_PREFIX, BUILDER_ID_START_URL, Account, AccountChanges, NewAccount
from qrelay.credential import LoginKind
from qrelay.errors import ErrorCode, RelayError
from qrelay.http.account_answers import account_answer
from qrelay.http.fields import Json, Line, MaybeWord, Region, StartUrl, epoch


def _named(camel: str) -> Any:
    """A field known by q2api's name and by amq2api's."""
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in camel)
    return Field(default=None, validation_alias=AliasChoices(camel, snake))


MOST_ROWS: Final = 10_000
"""The most accounts in one request."""


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
    region: Region = None
    start_url: StartUrl = _named("startUrl")
    other: dict[str, Any] | str | None = None


class CreateBody(_Body):
    """`POST /v2/accounts`, and a row of `/batch`."""

    kind: LoginKind | None = None
    api_key: MaybeWord = _named("apiKey")
    expires_at: datetime | None = _named("expiresAt")


class ChangeBody(_Body):
    """`PATCH /v2/accounts/{id}`."""

    is_active: bool | None = None


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
            other=_other_text(body.other),
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
        other=_other_text(body.other),
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
        other=_other_text(body.other),
        forget=frozenset(forget),
    )


def without_masks(value: Json, account: Account) -> Json:
    """A body without the masked secrets it was given in an answer: an account may be sent back as it was read."""
    if not isinstance(value, dict):
        return value
    shown = account_answer(account)
    masked_names = ("clientSecret", "refreshToken", "accessToken", "other")
    return {name: sent for name, sent in value.items() if name not in masked_names or sent != shown[name]}


def _other_text(other: dict[str, Any] | str | None) -> str | None:
    """q2api's `other` as it is stored: JSON text."""
    if isinstance(other, str):
        try:
            json.loads(other)
        except (ValueError, RecursionError):
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
