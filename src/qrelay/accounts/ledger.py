"""The accounts table and its picture in memory, which changes only after the table has. Not what a change means.

Where a method says nothing else it raises RelayError: account_unknown for an id that isn't there, store_failed when the
database can't do what is asked.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import Row, and_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from qrelay.accounts.account import Account
from qrelay.accounts.rows import Rows
from qrelay.accounts.tallies import Tally
from qrelay.database import Database
from qrelay.database.schema import accounts
from qrelay.errors import ErrorCode, RelayError

_TOKEN_FIELDS: Final = ("refresh_token", "access_token", "issued_at", "expires_at", "generation", "profile_arn")


class Ledger:
    """Reads are of memory: no SQL. Writes happen in `writing` and end in `put`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.rows = Rows(database.vault, database.pepper)
        self.writing = database.writing
        self.reading = database.reading
        self._live: dict[str, Account] = {}
        self._revisions: dict[str, int] = {}
        self._tallies: dict[str, Tally] = {}

    def accounts(self) -> list[Account]:
        """All there are, oldest first. No SQL."""
        return list(self._live.values())

    def get(self, account_id: str) -> Account:
        """One of them. No SQL."""
        try:
            return self._live[account_id]
        except KeyError:
            raise unknown(account_id) from None

    async def reload(self, account_id: str) -> Account:
        """One of them as the database has it now: another process may have changed it."""
        async with self.reading() as connection:
            row = await self.fetch(connection, account_id)
        if row is None:
            self.drop(account_id)
            raise unknown(account_id)
        return self.put(row)

    async def load(self) -> None:
        """Read the whole table."""
        async with self.reading() as connection:
            found = await connection.execute(
                select(accounts).where(accounts.c.deleted_at.is_(None)).order_by(accounts.c.created_at, accounts.c.id)
            )
            for row in found:
                self.put(row)

    async def look(self) -> None:
        """Take over what other processes have changed since the last look."""
        rows: Sequence[Row[Any]] = ()
        async with self.reading() as connection:
            there = select(accounts.c.id, accounts.c.revision).where(accounts.c.deleted_at.is_(None))
            revisions: dict[str, int] = {row.id: row.revision for row in await connection.execute(there)}
            changed = [id_ for id_, revision in revisions.items() if self._revisions.get(id_) != revision]
            if changed:
                rows = (await connection.execute(select(accounts).where(accounts.c.id.in_(changed)))).all()
        for account_id in self._live.keys() - revisions.keys():
            self.drop(account_id)
        for row in rows:
            if row.revision >= self._revisions.get(row.id, 0) and row.deleted_at is None:
                self.put(row)

    def put(self, row: Row[Any]) -> Account:
        """The row's account into memory, with what isn't stored yet: counts, and tokens newer than the row's."""
        account = self.rows.account(row)
        self._revisions[account.id] = row.revision
        held = self._live.get(account.id)
        if held is not None and held.generation > account.generation:
            account = replace(account, **{name: getattr(held, name) for name in _TOKEN_FIELDS})
        if account.id in self._tallies:
            account = self._tallies[account.id].onto(account)
        self._live[account.id] = account
        return account

    def show(self, account: Account) -> Account:
        """Show an account as it will be stored: newer than its row for a while."""
        self._live[account.id] = account
        return account

    def show_active(self, account_id: str) -> None:
        """Show one account as the active one and no other."""
        for account in self.accounts():
            if account.is_active is not (account.id == account_id):
                self.show(replace(account, is_active=not account.is_active))

    def drop(self, account_id: str) -> None:
        """Forget an account that isn't in the table any more, or whose picture is wrong."""
        self._live.pop(account_id, None)
        self._revisions.pop(account_id, None)

    def count(self, account_id: str, tally: Tally) -> None:
        """Count in memory; `flush` stores it."""
        account = self._live.get(account_id)
        if account is not None:
            self._tallies[account_id] = self._tallies.get(account_id, Tally()).then(tally)
            self._live[account_id] = tally.onto(account)

    async def flush(self) -> None:
        """Store what was counted. Nothing is forgotten when it fails."""
        if not self._tallies:
            return
        tallies, self._tallies = self._tallies, {}
        rows: list[Row[Any]] = []
        try:
            urgent = any(tally.switched_off or tally.suspended for tally in tallies.values())
            async with self.writing(tell=urgent) as connection:
                for account_id, tally in sorted(tallies.items()):
                    statement = update(accounts).where(present(account_id)).values(tally.values())
                    rows += await connection.execute(statement.returning(accounts))
        except (RelayError, asyncio.CancelledError):
            for account_id, tally in tallies.items():
                self._tallies[account_id] = tally.then(self._tallies.get(account_id, Tally()))
            raise
        for row in rows:
            self.put(row)

    async def update(self, connection: AsyncConnection, account_id: str, values: dict[str, Any]) -> Row[Any]:
        """Change one row inside a transaction, sealing what is to be sealed."""
        cells = self.rows.cells(account_id, values)
        statement = update(accounts).where(accounts.c.id == account_id).values(cells)
        return (await connection.execute(statement.returning(accounts))).one()

    async def fetch(self, connection: AsyncConnection, account_id: str) -> Row[Any] | None:
        """One row that isn't deleted."""
        return (await connection.execute(select(accounts).where(present(account_id)))).one_or_none()


def unknown(account_id: str) -> RelayError:
    return RelayError(ErrorCode.account_unknown, f"There is no account {account_id!r}.")


def present(account_id: str) -> Any:
    return and_(accounts.c.id == account_id, accounts.c.deleted_at.is_(None))
