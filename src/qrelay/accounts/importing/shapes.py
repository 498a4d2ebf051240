"""One account as a JSON object, in any of the spellings that are about: camelCase, snake_case, more or less of it.

What decides the kind of a log-in: what the object says, else a start URL, else what only one kind has (a token
endpoint, no client). PROTOCOL.md §6 and §7 have the kinds and the fields.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from qrelay import moments
from qrelay.accounts.account import API_KEY_PREFIX, BUILDER_ID_START_URL, DEFAULT_REGION, NewAccount
from qrelay.accounts.importing.files import as_object
from qrelay.credential import LoginKind

_KINDS: Final[Mapping[str, LoginKind]] = {
    "builderid": "builder_id",
    "awsbuilderid": "builder_id",
    "identitycenter": "identity_center",
    "iamidentitycenter": "identity_center",
    "enterprise": "identity_center",
    "social": "social",
    "google": "social",
    "github": "social",
    "externalidp": "external_idp",
    "apikey": "api_key",
}
_WORD: Final = re.compile(r"[\x21-\x7e]+")


def read_account(row: object, *, label: str | None = None) -> NewAccount | str:
    """The account an object describes, or why it is none: a part of a sentence, without any of its values.

    `label` is for one that has no name of its own.
    """
    fields = as_object(row)
    if fields is None:
        return "is no JSON object"
    if any(isinstance(value, str) and "\0" in value for value in fields.values()):  # PostgreSQL stores none
        return "has a NUL character in it: it is damaged"
    refresh_token = text(fields, "refreshToken", "refresh_token")
    access_token = text(fields, "accessToken", "access_token")
    api_key = text(fields, "apiKey", "api_key", "kiroApiKey", "kiro_api_key") or next(
        (token for token in (refresh_token, access_token) if token and token.startswith(API_KEY_PREFIX)), None
    )
    name = text(fields, "label", "name") or label
    said = kind_of(fields)
    region = text(fields, "region")
    profile_arn = text(fields, "profileArn", "profile_arn")
    if api_key is None and said == "api_key":
        api_key = access_token or refresh_token
    client_id = text(fields, "clientId", "client_id")
    client_secret = text(fields, "clientSecret", "client_secret")
    credentials = (api_key, refresh_token, access_token, client_id, client_secret)
    if not all(_WORD.fullmatch(credential) for credential in credentials if credential):
        return "has a credential with spaces or line breaks in it: it is cut or damaged"
    if api_key is not None:
        return NewAccount(
            kind="api_key",
            label=name,
            region=region,
            access_token=api_key,
            enabled=_switch(fields),
            other=_other(fields),
        )
    if refresh_token is None:
        return "has no refresh token"
    endpoint = text(fields, "tokenEndpoint", "token_endpoint")
    if said is None and endpoint is not None:
        said = "external_idp"
    if said is None and client_id is None and client_secret is None and profile_arn is not None:
        said = "social"
    if said == "external_idp" and (client_id is None or (endpoint is None and "other" not in fields)):
        return "has no clientId and tokenEndpoint, which an external log-in is refreshed with"
    if said not in {"social", "external_idp"} and (client_id is None or client_secret is None):
        return "has no clientId and clientSecret, which its refresh token works with"
    return NewAccount(
        kind=said,
        label=name,
        region=region,
        start_url=text(fields, "startUrl", "start_url"),
        profile_arn=profile_arn,
        client_id=client_id,
        client_secret=client_secret,
        client_secret_expires_at=moment(
            fields, "clientSecretExpiresAt", "client_secret_expires_at", "registrationExpiresAt"
        ),
        user_id=text(fields, "userId", "user_id"),
        refresh_token=refresh_token,
        access_token=access_token,
        expires_at=moment(fields, "expiresAt", "expires_at") if access_token else None,
        enabled=_switch(fields),
        other=_other(fields, token_endpoint=endpoint if said == "external_idp" else None),
    )


def kind_of(fields: Mapping[str, Any]) -> LoginKind | None:
    """What an object says of its kind; None when it doesn't."""
    words: list[LoginKind | None] = [
        _KINDS.get(word.lower().replace("_", "").replace("-", "").replace(" ", ""))
        for name in ("kind", "authMethod", "auth_method", "provider")
        if (word := text(fields, name))
    ]
    for kind in words:
        if kind is not None:
            return kind
    start_url = text(fields, "startUrl", "start_url")
    if start_url is not None:
        return "builder_id" if start_url.rstrip("/") == BUILDER_ID_START_URL else "identity_center"
    if words and text(fields, "region") not in {None, DEFAULT_REGION}:
        return "identity_center"  # "IdC" is said of both, but Builder IDs live in one region
    return None


def text(fields: Mapping[str, Any], *names: str) -> str | None:
    """The first of these that is a text with anything in it."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return None


def moment(fields: Mapping[str, Any], *names: str) -> float | None:
    """The first of these that is a time, as seconds since the epoch: ISO 8601, seconds or milliseconds."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str):
            try:
                said = datetime.fromisoformat(value.strip())
            except ValueError:
                continue
            return (said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp()
        if isinstance(value, int | float) and not isinstance(value, bool):
            return moments.told(value)
    return None


def _switch(fields: Mapping[str, Any]) -> bool | None:
    """`enabled`: a boolean, or SQLite's 0 and 1."""
    value = fields.get("enabled")
    return bool(value) if isinstance(value, bool | int) else None


def _other(fields: Mapping[str, Any], *, token_endpoint: str | None = None) -> str | None:
    """q2api's `other`, as JSON text; an external log-in's token endpoint lies in it."""
    other = fields.get("other")
    if token_endpoint is not None:
        return msgspec.json.encode((as_object(other) or {}) | {"token_endpoint": token_endpoint}).decode()
    if other is None or isinstance(other, str):
        return other or None
    return msgspec.json.encode(other).decode()
