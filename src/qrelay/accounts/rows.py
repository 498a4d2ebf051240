"""Rows of the accounts table as values and back: what is sealed, what is digested. Not SQL."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, Final, get_args

import structlog
from sqlalchemy import Row

from qrelay.accounts.account import DEFAULT_REGION, REGION, Account, AccountState, Renewal
from qrelay.credential import LoginKind
from qrelay.database.schema import SEALED, accounts
from qrelay.errors import RelayError
from qrelay.vault import Vault

log = structlog.get_logger()

_NOT_IN_MEMORY = frozenset({"previous_refresh_token"})
_WORDS: Final[Mapping[str, re.Pattern[str]]] = {
    "kind": re.compile("|".join(get_args(LoginKind))),
    "region": REGION,
    "state": re.compile("|".join(get_args(AccountState))),
}
"""Patterns that columns must match before they are used: the region, for one, becomes part of a host name."""
_USUAL: Final[Mapping[str, str]] = {"kind": "builder_id", "region": DEFAULT_REGION, "state": "needs_login"}


class Rows:
    """`pepper` keys the digests; it is the installation's, so that they outlive a change of the master key."""

    def __init__(self, vault: Vault, pepper: str) -> None:
        self._vault = vault
        self._pepper = pepper.encode()
        self._reported: set[tuple[str, str, bytes]] = set()

    def account(self, row: Row[Any]) -> Account:
        """Return the value of a whole row. One that is damaged needs a new log-in, and says so."""
        cells: dict[str, Any] = dict(zip(accounts.c.keys(), row, strict=True))
        plain: dict[str, Any] = {
            name: cells[name] for name in Account.__struct_fields__ if name not in SEALED and name in cells
        }
        unreadable: set[str] = set()
        for column in SEALED:
            if column not in _NOT_IN_MEMORY:
                record: bytes | None = cells[column]
                plain[column] = None if record is None else self._opened(record, cells["id"], column)
                if record is not None and plain[column] is None:
                    unreadable.add(column)
        if reason := _make_valid(plain) or _lost_login(plain, unreadable):
            plain |= {"state": "needs_login", "state_reason": reason}
        if not plain["enabled"]:
            plain["state"] = "disabled"
        return Account(**plain)

    def cells(self, account_id: str, values: dict[str, Any]) -> dict[str, Any]:
        """Values as they are stored: those of sealed columns sealed, the others as they are, but for one thing:
        PostgreSQL's text has no NUL, and what a service said with one in it must not keep a row from being written.
        """
        return {
            name: self.seal(account_id, name, value)
            if name in SEALED and value is not None
            else value.replace("\0", "")
            if isinstance(value, str)
            else value
            for name, value in values.items()
        }

    def seal(self, account_id: str, column: str, plain: str) -> bytes:
        return self._vault.seal(plain, table=accounts.name, row=account_id, column=column)

    def previous_refresh_token(self, row: Row[Any]) -> str | None:
        """Return the one that no account in memory has; None also where it can't be decrypted."""
        record: bytes | None = row.previous_refresh_token
        return None if record is None else self._opened(record, row.id, "previous_refresh_token")

    def digest(self, client_id: str | None, token: str) -> str:
        """What tells credentials apart without being any use to log in with."""
        return hmac.digest(self._pepper, f"{client_id or ''}|{token}".encode(), hashlib.sha256).hex()

    def renewed(self, account: Account, renewal: Renewal, received_at: float) -> dict[str, Any]:
        """What changes in the row when a token service has answered; the refresh token it used is kept as previous."""
        refresh_token = renewal.refresh_token or account.refresh_token
        suspended = account.state == "suspended"
        values: dict[str, Any] = {
            "refresh_token": refresh_token,
            "previous_refresh_token": account.refresh_token,
            "access_token": renewal.access_token,
            "issued_at": received_at,
            "expires_at": received_at + renewal.expires_in,
            "generation": account.generation + 1,
            # A refresh mends a dead log-in. What the service has suspended stays so.
            "state": "suspended" if suspended else "ready",
            "state_reason": account.state_reason if suspended or not account.enabled else None,
            "last_refresh_time": received_at,
            "last_refresh_status": "success",
            "updated_at": received_at,
        }
        if refresh_token is not None:
            values["token_digest"] = self.digest(account.client_id, refresh_token)
        if renewal.profile_arn is not None:
            values["profile_arn"] = renewal.profile_arn
        return values

    def _opened(self, record: bytes, account_id: str, column: str) -> str | None:
        """Return the text of a record; None, and a line in the log, where it can't be decrypted."""
        try:
            return self._vault.open(record, table=accounts.name, row=account_id, column=column)
        except RelayError as error:
            if (account_id, column, record) not in self._reported:
                self._reported.add((account_id, column, record))
                log.warning("account.secret_unreadable", account=account_id, column=column, reason=error.message)
            return None


def _make_valid(plain: dict[str, Any]) -> str | None:
    """Replace words that no account can have. Return why the row can't be used then, else None."""
    wrong = [name for name in _USUAL if not _WORDS[name].fullmatch(plain[name])]
    plain.update({name: _USUAL[name] for name in wrong})
    return f"Its row in the database is damaged ({', '.join(wrong)}). Log the account in again." if wrong else None


def _lost_login(plain: dict[str, Any], unreadable: set[str]) -> str | None:
    """Return why an account can't serve without what is unreadable; None if a refresh or nothing at all replaces it."""
    if plain["kind"] == "api_key" or plain["refresh_token"] is None:
        needed = {"refresh_token", "access_token"}
    else:
        needed = {"client_secret"}
    if plain["kind"] == "external_idp":
        needed.add("other")  # it has the address of the token service
    lost = sorted(needed & unreadable)
    return f"Its stored tokens cannot be decrypted ({', '.join(lost)}). Log the account in again." if lost else None
