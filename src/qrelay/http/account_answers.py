"""Accounts and what they have left, as every management answer tells them. A secret is never told whole.

Field names are q2api's (SWITCHING.md).
"""

import json
import time
from typing import Any, Final

from msgspec import to_builtins

from qrelay.accounts.account import API_KEY_PREFIX, Account
from qrelay.http.fields import Json, iso
from qrelay.upstream.quota import Grant, kept

_TRY_TAKES: Final = 30.0
"""Seconds after which asking for a quota has come to nothing."""
_SECRET_WORDS: Final = ("token", "secret", "password", "apikey", "api_key", "credential", "cookie")
_HARMLESS_ENDINGS: Final = ("endpoint", "url", "_at", "type", "expires_in", "expiresat", "expiresin", "uri")


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


def _other_answer(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return _hidden(json.loads(text))
    except (ValueError, RecursionError):
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
