"""What the service said of an account's quota and of its user, in the account's row. Not the asking, not its meaning.

    claim     who asks next: one process of all, once in a while
    note      what was said, for restarts and for other replicas

Methods raise RelayError: account_unknown for an account that isn't there, store_failed.
"""

from typing import Any

from sqlalchemy import or_, update

from qrelay.accounts.account import Account
from qrelay.accounts.ledger import Ledger, present, unknown
from qrelay.database.schema import accounts


class QuotaNotes:
    """`quota` is JSON text, of whoever reads it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._clock = ledger.database.clock

    async def claim(self, account_id: str, every_seconds: float) -> bool:
        """Whether the caller is to ask now: nobody has for so many seconds."""
        now = self._clock()
        free = or_(accounts.c.quota_asked_at.is_(None), accounts.c.quota_asked_at <= now - every_seconds)
        async with self._ledger.writing() as connection:
            statement = update(accounts).where(present(account_id), free).values(quota_asked_at=now)
            row = (await connection.execute(statement.returning(accounts))).one_or_none()
        if row is not None:
            self._ledger.put(row)
        return row is not None

    async def note(self, account_id: str, quota: str, *, user_id: str | None, email: str | None) -> Account:
        """Keep it. A user or an address that isn't said stays the one that was."""
        now = self._clock()
        values: dict[str, Any] = {"quota": quota, "quota_read_at": now, "quota_asked_at": now}
        values |= {name: value for name, value in (("user_id", user_id), ("email", email)) if value}
        cells = self._ledger.rows.cells(account_id, values)
        async with self._ledger.writing(tell=True) as connection:
            statement = update(accounts).where(present(account_id)).values(cells)
            row = (await connection.execute(statement.returning(accounts))).one_or_none()
        if row is None:
            raise unknown(account_id)
        return self._ledger.put(row)
