"""What changes in an account's row, and what must not, when credentials are added, added again or changed. No I/O.

An account is named for good by the credentials it was first seen with (DESIGN.md §7). Values are plain text here; None
empties a column.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from sqlalchemy import Row

from qrelay.accounts.account import DEFAULT_REGION, Account, AccountChanges, NewAccount
from qrelay.accounts.rows import Rows

Again: TypeAlias = Callable[[Row[Any], Account, NewAccount, str, float], dict[str, Any]]
"""Returns the changes to a known row, given (row, its account, the new account, its digest, now); {} for none."""

_TOKENS: Final = frozenset({"refresh_token", "access_token", "expires_at"})
_ASK_ANEW: Final[dict[str, Any]] = {"quota_asked_at": None}
"""After a log-in: what the service says of the quota is asked for again, as for a new account."""


def added(new: NewAccount, digest: str, now: float) -> dict[str, Any]:
    """A new row, but for its id and whether it is the active one."""
    return _said(new) | {
        "kind": new.kind or "builder_id",
        "region": new.region or DEFAULT_REGION,
        "enabled": new.enabled is not False,
        "issued_at": _issued(new, now),
        "identity": digest,
        "token_digest": digest,
        "created_at": now,
        "updated_at": now,
    }


def added_again(row: Row[Any], account: Account, new: NewAccount, digest: str, now: float) -> dict[str, Any]:
    """A known row whose credentials are added again by hand.

    Tokens are taken when they are a new log-in, or when those stored are dead or gone. Otherwise the refresh token is
    the stored one, which may be on its way to the token service just now, or the first one, which is older.
    """
    values = _said(new) | _client(row.client_id, new) | {"updated_at": now}
    known = digest in {row.identity, row.token_digest}
    if known and row.deleted_at is None and row.state != "needs_login" and account.state != "needs_login":
        return {name: value for name, value in values.items() if name not in _TOKENS}
    values |= _fresh(row, new, digest, now) | {"deleted_at": None}
    if row.deleted_at is not None:
        values |= {"enabled": new.enabled is not False, "error_count": 0}
    return values


def named_again(row: Row[Any], _account: Account, new: NewAccount, _digest: str, now: float) -> dict[str, Any]:
    """A known row that variables or a file name: only what nobody rotates may change, and nothing in a deleted one."""
    changes = {name: value for name, value in _said(new).items() if name in {"profile_arn", "client_secret"}}
    return changes | {"updated_at": now} if changes and row.deleted_at is None else {}


def logged_in_again(row: Row[Any], new: NewAccount, digest: str, now: float) -> dict[str, Any]:
    """A row whose owner has logged in again: everything of the log-in is new, the account stays the one it was."""
    return (
        _said(new)
        | _client(row.client_id, new)
        | _fresh(row, new, digest, now)
        | {
            "refresh_token": new.refresh_token,
            "previous_refresh_token": None,
            "last_refresh_time": None,
            "last_refresh_status": None,
            "error_count": 0,
            "updated_at": now,
        }
    )


def changed(account: Account, changes: AccountChanges, rows: Rows, now: float) -> dict[str, Any]:
    """A row changed by hand. Switching an account on forgets its errors."""
    values = _said(changes) | _client(account.client_id, changes) | dict.fromkeys(changes.forget)
    values["updated_at"] = now
    if changes.refresh_token is not None:
        values |= {"access_token": changes.access_token, "generation": account.generation + 1}
    if changes.refresh_token is not None or changes.access_token is not None:
        # An access token alone leaves the generation as it is, or the answer of a refresh under way would be dropped.
        values |= {"issued_at": None, "expires_at": None, "state": "ready", "state_reason": None, "error_count": 0}
        values |= _ASK_ANEW
    token = changes.refresh_token or account.refresh_token or changes.access_token
    if token is not None:
        values["token_digest"] = rows.digest(changes.client_id or account.client_id, token)
    if changes.profile_arn is not None or changes.region is not None or "profile_arn" in changes.forget:
        values["endpoint"] = None
    if changes.enabled and not account.enabled:
        values |= {"error_count": 0, "state_reason": None}
    return values


def _fresh(row: Row[Any], new: NewAccount, digest: str, now: float) -> dict[str, Any]:
    """Tokens of a new log-in in a known row. A refresh of the old ones that is under way can't be kept any more."""
    return {
        "access_token": new.access_token,
        "expires_at": new.expires_at,
        "issued_at": _issued(new, now),
        "token_digest": digest,
        "generation": row.generation + 1,
        "endpoint": None,
        "state": "ready",
        "state_reason": None,
        "lease_owner": None,
        "lease_until": None,
        **_ASK_ANEW,
    }


def _client(known: str | None, said: NewAccount | AccountChanges) -> dict[str, Any]:
    """What goes with a client: nothing that was known of the one before it holds for another."""
    if said.client_id in {None, known}:
        return {}
    if isinstance(said, AccountChanges):
        return {"own_client": False, "client_secret_expires_at": None}
    return {"own_client": said.own_client is True, "client_secret_expires_at": said.client_secret_expires_at}


def _issued(new: NewAccount, now: float) -> float | None:
    return now if new.access_token is not None and new.expires_at is not None else None


def _said(values: NewAccount | AccountChanges) -> dict[str, Any]:
    """The fields that were said."""
    return {
        name: value
        for name in values.__struct_fields__
        if name != "forget" and (value := getattr(values, name)) is not None
    }
