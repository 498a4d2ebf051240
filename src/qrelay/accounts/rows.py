"""Rows of the accounts table as values and back: what is sealed, what is digested. Not SQL."""

import hashlib
import hmac
from typing import Any

from sqlalchemy import Row

from qrelay.accounts.account import Account, Renewal
from qrelay.database.schema import SEALED, accounts
from qrelay.vault import Vault

_NOT_IN_MEMORY = frozenset({"previous_refresh_token"})


class Rows:
    """`pepper` keys the digests; it is the installation's, so that they outlive a change of the master key."""

    def __init__(self, vault: Vault, pepper: str) -> None:
        self._vault = vault
        self._pepper = pepper.encode()

    def account(self, row: Row[Any]) -> Account:
        """The value of a whole row. Raises RelayError(store_failed) when a secret in it can't be opened."""
        cells: dict[str, Any] = dict(zip(accounts.c.keys(), row, strict=True))
        plain: dict[str, Any] = {
            name: cells[name] for name in Account.__struct_fields__ if name not in SEALED and name in cells
        }
        for column in SEALED:
            if column not in _NOT_IN_MEMORY:
                record: bytes | None = cells[column]
                plain[column] = None if record is None else self._open(record, cells["id"], column)
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
        """The one that no account in memory has. Raises as `account` does."""
        record: bytes | None = row.previous_refresh_token
        return None if record is None else self._open(record, row.id, "previous_refresh_token")

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

    def _open(self, record: bytes, account_id: str, column: str) -> str:
        return self._vault.open(record, table=accounts.name, row=account_id, column=column)
