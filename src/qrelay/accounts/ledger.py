"""The accounts table and its picture in memory, which changes only after the table has. Not what a change means.

Where a method says nothing else it raises RelayError: account_unknown for an id that isn't there, store_failed when the
database can't do what is asked.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import Row, and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from qrelay.accounts.account import Account
from qrelay.accounts.rows import Rows
from qrelay.accounts.tallies import Tally
from qrelay.database import Database
from qrelay.database.schema import accounts
from qrelay.errors import ErrorCode, RelayError

_TOKEN_FIELDS: Final = ("refresh_token", "access_token", "issued_at", "expires_at", "generation", "profile_arn")

_ARRANGING: Final = 0x71726C7A
"""The number of the lock of `arranging`; any number that nobody else uses."""


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
        self._movements: dict[str, asyncio.Event] = {}
        self.when_gone: list[Callable[[str], None]] = []
        """Told of each account that isn't here any more, by its id: whoever remembers something of it forgets it."""
        self.changes = 0
        """Counts what changes who there is and who may serve; not what is only counted, and no tokens."""

    @asynccontextmanager
    async def arranging(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction that adds or deletes accounts or says which one is active: one at a time, also of replicas."""
        async with self.writing(tell=True) as connection:
            if self.database.shared:
                await connection.execute(select(func.pg_advisory_xact_lock(_ARRANGING)))
            yield connection

    def accounts(self) -> list[Account]:
        """All there are, oldest first. No SQL."""
        return list(self._live.values())

    def get(self, account_id: str) -> Account:
        """One of them. No SQL."""
        try:
            return self._live[account_id]
        except KeyError:
            raise unknown(account_id) from None

    def find(self, account_id: str) -> Account | None:
        """One of them, if it is there. No SQL."""
        return self._live.get(account_id)

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
        shown = set(self._live)  # what is added while this reads isn't gone
        async with self.reading() as connection:
            there = select(accounts.c.id, accounts.c.revision).where(accounts.c.deleted_at.is_(None))
            revisions: dict[str, int] = {row.id: row.revision for row in await connection.execute(there)}
            changed = [id_ for id_, revision in revisions.items() if self._revisions.get(id_) != revision]
            if changed:
                rows = (await connection.execute(select(accounts).where(accounts.c.id.in_(changed)))).all()
        for account_id in shown - revisions.keys():
            self.drop(account_id)
        for row in rows:
            if row.deleted_at is None:
                self.put(row)

    def put(self, row: Row[Any]) -> Account:
        """The row's account into memory, with what isn't stored yet: counts, and tokens newer than the row's."""
        held = self._live.get(row.id)
        if held is not None and row.revision < self._revisions.get(row.id, 0):
            return held  # it was read before a change that is here already
        account = self.rows.account(row)
        self._revisions[account.id] = row.revision
        if held is not None and held.generation > account.generation:
            account = replace(account, **{name: getattr(held, name) for name in _TOKEN_FIELDS})
        if account.id in self._tallies:
            account = self._tallies[account.id].onto(account)
        self.show(account)
        if held is None or held.generation != account.generation:
            self._moved_on(account.id)
        return account

    async def newer(self, account_id: str, generation: int, seconds: float) -> None:
        """Wait until the tokens of `generation` are seen to be replaced, and no longer than so many seconds."""
        held = self._live.get(account_id)
        if held is None or held.generation != generation:
            return
        movement = self._movements.setdefault(account_id, asyncio.Event())
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await movement.wait()

    def _moved_on(self, account_id: str) -> None:
        movement = self._movements.pop(account_id, None)
        if movement is not None:
            movement.set()

    def show(self, account: Account) -> Account:
        """Show an account as it is stored, or will be: it may be newer than its row for a while."""
        held = self._live.get(account.id)
        if held is None or (held.state, held.is_active) != (account.state, account.is_active):
            self.changes += 1
        self._live[account.id] = account
        return account

    def show_active(self, account_id: str) -> None:
        """Show one account as the active one and no other."""
        for account in self.accounts():
            if account.is_active is not (account.id == account_id):
                self.show(replace(account, is_active=not account.is_active))

    def drop(self, account_id: str) -> None:
        """Forget an account that isn't in the table any more, or whose picture is wrong."""
        known = self._live.pop(account_id, None)
        self._revisions.pop(account_id, None)
        self._moved_on(account_id)
        if known is not None:
            self._tallies.pop(account_id, None)
            for forget in self.when_gone:
                forget(account_id)

    def count(self, account_id: str, tally: Tally) -> None:
        """Count in memory; `flush` stores it."""
        account = self._live.get(account_id)
        if account is not None:
            self._tallies[account_id] = self._tallies.get(account_id, Tally()).then(tally)
            self.show(tally.onto(account))

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

    async def fetch(self, connection: AsyncConnection, account_id: str, *, changing: bool = False) -> Row[Any] | None:
        """One row that isn't deleted. `changing`: it stays as it is read until the transaction ends."""
        query = select(accounts).where(present(account_id))
        return (await connection.execute(query.with_for_update() if changing else query)).one_or_none()


def unknown(account_id: str) -> RelayError:
    return RelayError(ErrorCode.account_unknown, f"There is no account {account_id!r}.")


def present(account_id: str) -> Any:
    return and_(accounts.c.id == account_id, accounts.c.deleted_at.is_(None))
