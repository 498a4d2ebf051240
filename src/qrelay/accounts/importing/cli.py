"""The database of Amazon Q CLI and of its successor Kiro CLI (PROTOCOL.md §7.1, §7.2).

auth_kv   codewhisperer:odic:token, kirocli:odic:token (kirocli:oidc:token), …:device-registration
          kirocli:external-idp:token, kirocli:social:token
state     api.codewhisperer.profile, auth.idc.region
"""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from qrelay.accounts.account import BUILDER_ID_START_URL, NewAccount
from qrelay.accounts.importing.databases import columns, reading
from qrelay.accounts.importing.files import Reading, as_object, unreadable
from qrelay.accounts.importing.shapes import read_account, text
from qrelay.json_errors import JSON_ERRORS

_OIDC: Final = ("kirocli:odic", "kirocli:oidc", "codewhisperer:odic", "codewhisperer:oidc")
_OTHERS: Final = {"kirocli:external-idp:token": "external_idp", "kirocli:social:token": "social"}
_LARGEST_VALUE: Final = 1 << 20


def read(path: Path, *, label: str) -> Reading:
    """Its log-ins, each named `label`. Raises RelayError."""
    with reading(path) as connection:
        return read_tables(connection, path, label=label)


def read_tables(connection: sqlite3.Connection, path: Path, *, label: str) -> Reading:
    """The log-ins of an open database that came from `path`. Raises RelayError."""
    if not {"key", "value"} <= columns(connection, "auth_kv"):
        raise unreadable(f"{path} is not Amazon Q CLI's or Kiro CLI's: it has no table auth_kv.")
    auth = _objects(connection, "auth_kv", path)
    state = _objects(connection, "state", path) if columns(connection, "state") else {}
    accounts: list[NewAccount] = []
    skipped: list[str] = []
    for key, fields in _log_ins(auth, state):
        match read_account(fields, label=label):
            case str(reason):
                skipped.append(f"{key} in {path} {reason}.")
            case account:
                accounts.append(account)
    if not accounts and not skipped:
        skipped.append(f"Nobody is logged in in {path}.")
    return Reading(accounts, skipped)


def _log_ins(auth: Mapping[str, Any], state: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Each log-in with what belongs to it; of OIDC's, the one of the newest name."""
    found: list[tuple[str, dict[str, Any]]] = []
    for key, kind in _OTHERS.items():
        if (fields := as_object(auth.get(key))) is not None:
            found.append((key, fields | {"kind": kind}))
    for family in _OIDC:
        if (token := as_object(auth.get(f"{family}:token"))) is not None:
            found.append((f"{family}:token", _oidc(token, _registration(auth, family), state)))
            break
    return found


def _oidc(token: Mapping[str, Any], registration: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """A token and the registration it is bound to, as one object."""
    start_url = text(token, "start_url", "startUrl")
    fields: dict[str, Any] = {
        "refresh_token": text(token, "refresh_token", "refreshToken"),
        "access_token": text(token, "access_token", "accessToken"),
        "expires_at": token.get("expires_at") or token.get("expiresAt"),
        "client_id": text(registration, "client_id", "clientId"),
        "client_secret": text(registration, "client_secret", "clientSecret"),
        "client_secret_expires_at": registration.get("client_secret_expires_at"),
        "region": text(token, "region") or text(registration, "region"),
    }
    if start_url is None or start_url.rstrip("/") == BUILDER_ID_START_URL:
        # The state keeps the organisation and the profile of an earlier log-in; they are no part of a Builder ID.
        return fields | {"kind": "builder_id"}
    return fields | {
        "kind": "identity_center",
        "start_url": start_url,
        "region": fields["region"] or text(state, "auth.idc.region"),
        "profile_arn": text(as_object(state.get("api.codewhisperer.profile")) or {}, "arn"),
    }


def _registration(auth: Mapping[str, Any], family: str) -> Mapping[str, Any]:
    for name in (family, *_OIDC):
        if (found := as_object(auth.get(f"{name}:device-registration"))) is not None:
            return found
    return {}


def _objects(connection: sqlite3.Connection, table: str, path: Path) -> dict[str, Any]:
    """The JSON values of the keys that are ours to read; what else is in there (conversations) stays there."""
    wanted = [*(f"{family}:{what}" for family in _OIDC for what in ("token", "device-registration")), *_OTHERS]
    if table == "state":
        wanted = ["api.codewhisperer.profile", "auth.idc.region"]
    found: dict[str, Any] = {}
    marks = ", ".join("?" * len(wanted))
    rows = connection.execute(
        f"SELECT key, value FROM {table} WHERE key IN ({marks}) AND length(value) <= ?",  # noqa: S608 - names of our own
        [*wanted, _LARGEST_VALUE],
    )
    for key, value in rows:
        try:
            found[key] = msgspec.json.decode(value if isinstance(value, bytes | str) else b"")
        except JSON_ERRORS as error:
            if table == "state":
                continue  # it says more about a log-in, and is none
            raise unreadable(f"{key} in {path} is damaged.", "Log in again in that program.") from error
    return found
