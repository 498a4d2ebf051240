"""The account store: accounts added, changed and deleted by hand; who is the same account; counters. Not a refresh.

Reads are of memory. Where a method says nothing else it raises RelayError: account_unknown for an id that isn't there,
store_failed when the database can't do what is asked.
"""

import asyncio
import uuid
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import structlog
from sqlalchemy import Row, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from qrelay.accounts import identity
from qrelay.accounts.account import Account, AccountChanges, NewAccount
from qrelay.accounts.cooldowns import CoolDowns
from qrelay.accounts.ledger import Ledger, unknown
from qrelay.accounts.quota_notes import QuotaNotes
from qrelay.accounts.safekeeping import LEASE_SECONDS, Safekeeping
from qrelay.accounts.spill import Spill
from qrelay.accounts.tallies import Tally
from qrelay.database import Database, sqlite_path, steadily
from qrelay.database.schema import SEALED, accounts
from qrelay.errors import ErrorCode, RelayError
from qrelay.tasks import stopped

log = structlog.get_logger()

_FLUSH_SECONDS: Final = 1.0
_ALL_IN_ORDER: Final = select(accounts.c.id).order_by(accounts.c.id).with_for_update()
"""Before more than one row is changed: replicas that take rows in one order never wait for each other in a circle."""

Acquaintance: TypeAlias = Literal["new", "known", "deleted"]


class AccountStore:
    """Made by `open_store`; `close` it. What a refresh needs of it is its `safekeeping`."""

    def __init__(self, ledger: Ledger, safekeeping: Safekeeping) -> None:
        self.safekeeping = safekeeping
        self.cooldowns = CoolDowns(ledger.database)
        self.quota_notes = QuotaNotes(ledger)
        self.clock = ledger.database.clock
        """Seconds since the epoch, as everything here goes by."""
        self.when_gone = ledger.when_gone
        self._ledger = ledger
        self._clock = ledger.database.clock
        self._flusher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read everything, adopt what a process before could not store, begin to store counters: for `open_store`."""
        if not self._ledger.database.shared:
            # One process only (it holds the state's lock), so whoever held these leases is gone.
            async with self._ledger.writing() as connection:
                await connection.execute(update(accounts).values(lease_owner=None, lease_until=None))
        await self._ledger.load()
        await self.safekeeping.adopt_spilled()
        await self.cooldowns.start()
        due = partial(asyncio.sleep, _FLUSH_SECONDS)
        self._flusher = asyncio.create_task(steadily(self.flush, due, waiting="counters"))
        self._ledger.database.watch.add(self._ledger.look)

    async def close(self) -> None:
        """Store what is counted."""
        if self._flusher is not None:
            await stopped(self._flusher)
        await self.cooldowns.close()
        try:
            await self.flush()
        except RelayError as error:
            log.warning("counters were not stored", reason=error.message)

    def accounts(self) -> list[Account]:
        """All there are, oldest first."""
        return self._ledger.accounts()

    def secrets(self) -> list[str]:
        """Return every account's tokens and client secret, for what must not repeat them."""
        held = (
            (account.access_token, account.refresh_token, account.client_secret) for account in self._ledger.accounts()
        )
        return [secret for secrets in held for secret in secrets if secret]

    def get(self, account_id: str) -> Account:
        """One of them."""
        return self._ledger.get(account_id)

    def find(self, account_id: str) -> Account | None:
        """One of them, if it is there."""
        return self._ledger.find(account_id)

    @property
    def changes(self) -> int:
        """Counts what changes who there is and who may serve."""
        return self._ledger.changes

    async def reload(self, account_id: str) -> Account:
        """One of them as the database has it now: another process may have changed it."""
        return await self._ledger.reload(account_id)

    async def add(self, new: NewAccount) -> Account:
        """Add an account, or bring the one that has these credentials up to date; a deleted one comes back."""
        return self._ledger.put(await self._upsert(new, identity.added_again))

    async def adopt(self, new: NewAccount) -> Account | None:
        """Add an account that variables or a file name, if it isn't known; None when it was deleted here.

        A known one keeps its tokens, its state and its label: they are newer than what is named.
        """
        row = await self._upsert(new, identity.named_again)
        return None if row.deleted_at is not None else self._ledger.put(row)

    async def recognise(self, new: NewAccount) -> tuple[Acquaintance, str | None]:
        """Whether these credentials are an account's here, or were, and which account's."""
        async with self._ledger.reading() as connection:
            row = await self._known(connection, self._digest(new), new.user_id)
        if row is None:
            return "new", None
        return ("known" if row.deleted_at is None else "deleted"), row.id

    async def log_in_again(self, account_id: str, new: NewAccount) -> Account:
        """Give an account the tokens of a new log-in; its id, its first identity and its counts stay."""
        digest = self._digest(new)
        await self.flush()
        async with self._ledger.writing(tell=True) as connection:
            row = await self._ledger.fetch(connection, account_id, changing=True)
            if row is None:
                raise unknown(account_id)
            values = identity.logged_in_again(row, new, digest, self._clock())
            row = await self._ledger.update(connection, account_id, values)
        await self.cooldowns.forget(account_id)
        return self._ledger.put(row)

    async def patch(self, account_id: str, changes: AccountChanges) -> Account:
        """Change what is said. New tokens make the account ready again, and so does switching it on, also one that is
        on but suspended; both forget its errors and end its cool-downs.
        """
        await self.flush()
        async with self._ledger.arranging() if changes.is_active else self._ledger.writing(tell=True) as connection:
            if changes.is_active:
                await connection.execute(_ALL_IN_ORDER)
            row = await self._ledger.fetch(connection, account_id, changing=True)
            if row is None:
                raise unknown(account_id)
            if changes.is_active:
                others = update(accounts).where(accounts.c.is_active, accounts.c.id != account_id)
                await connection.execute(others.values(is_active=False))
            values = identity.changed(self._ledger.rows.account(row), changes, self._ledger.rows, self._clock())
            if changes.enabled and row.state == "suspended":
                values |= {"state": "ready", "state_reason": None, "error_count": 0}
            row = await self._ledger.update(connection, account_id, values)
        if changes.enabled or changes.refresh_token is not None or changes.access_token is not None:
            await self.cooldowns.forget(account_id)
        if changes.is_active:
            self._ledger.show_active(account_id)
        return self._ledger.put(row)

    async def delete(self, account_id: str) -> None:
        """Delete for good: secrets go, a digest stays, so that variables and imports don't bring the account back."""
        now = self._clock()
        async with self._ledger.arranging() as connection:
            await connection.execute(_ALL_IN_ORDER)
            row = await self._ledger.fetch(connection, account_id, changing=True)
            if row is None:
                raise unknown(account_id)
            gone: dict[str, Any] = dict.fromkeys((*SEALED, "quota", "lease_owner", "lease_until"))
            gone |= {"is_active": False, "deleted_at": now, "updated_at": now, "generation": row.generation + 1}
            await self._ledger.update(connection, account_id, gone)
            heir: str | None = None
            if row.is_active:
                left = select(accounts.c.id).where(accounts.c.deleted_at.is_(None))
                heir = await connection.scalar(left.order_by(accounts.c.created_at, accounts.c.id).limit(1))
            if heir is not None:
                await self._ledger.update(connection, heir, {"is_active": True})
        self._ledger.drop(account_id)
        if heir is not None:
            self._ledger.show_active(heir)
        await self.safekeeping.forget(account_id)
        await self.cooldowns.forget(account_id)

    # -- counters

    def succeeded(self, account_id: str) -> None:
        """Count a request that was served. Memory only; stored soon."""
        self._ledger.count(account_id, Tally(successes=1))

    def failed(self, account_id: str, reason: str, *, most_errors: int) -> None:
        """Count a request that failed by this account; at `most_errors` in a row it is switched off."""
        with suppress(RelayError):  # it may have been deleted since the request began
            account = self._ledger.get(account_id)
            errors = account.error_count + 1
            too_many = account.enabled and errors >= most_errors
            off = f"Switched off after {errors} errors in a row. The last: {reason}" if too_many else None
            self._ledger.count(account_id, Tally(errors=1, last_error=reason, switched_off=off))

    async def suspend(self, account_id: str, reason: str) -> None:
        """Take an account out, for the reason the service gives, until somebody enables it. Stored when this returns.

        Where the database can't take it, it holds in memory and is stored later, as counters are.
        """
        with suppress(RelayError):  # it may have been deleted since the request began
            self._ledger.get(account_id)
            self._ledger.count(account_id, Tally(suspended=reason))
            log.warning("the service has suspended an account: it is taken out", account=account_id, reason=reason)
            await self._ledger.flush()

    def found(self, account_id: str, endpoint: str) -> None:
        """Remember which endpoint an account works with. Memory only; stored soon."""
        self._ledger.count(account_id, Tally(endpoint=endpoint))

    async def flush(self) -> None:
        """Store what waits in memory: tokens the database would not take, then counters. What fails waits on."""
        await self.safekeeping.save()
        await self._ledger.flush()

    async def _upsert(self, new: NewAccount, again: identity.Again) -> Row[Any]:
        digest = self._digest(new)
        await self.flush()
        try:
            return await self._upsert_once(new, digest, again)
        except IntegrityError:  # another process added it in between, and now it is found
            return await self._upsert_once(new, digest, again)

    def _digest(self, new: NewAccount) -> str:
        token = new.refresh_token or new.access_token
        if token is None:
            raise RelayError(ErrorCode.request_invalid, "An account needs a refresh token.", param="refreshToken")
        return self._ledger.rows.digest(new.client_id, token)

    async def _upsert_once(self, new: NewAccount, digest: str, again: identity.Again) -> Row[Any]:
        async with self._ledger.arranging() as connection:
            row = await self._known(connection, digest, new.user_id, changing=True)
            if row is None:
                return await self._insert(connection, new, digest)
            changes = again(row, self._ledger.rows.account(row), new, digest, self._clock())
            return await self._ledger.update(connection, row.id, changes) if changes else row

    async def _known(
        self, connection: AsyncConnection, digest: str, user_id: str | None, *, changing: bool = False
    ) -> Row[Any] | None:
        """The row of these credentials: as first seen, as they are now, or of the same user; one in use goes first."""
        same = or_(accounts.c.identity == digest, accounts.c.token_digest == digest)
        if user_id:
            same = or_(same, accounts.c.user_id == user_id)
        newest = accounts.c.deleted_at.is_(None).desc(), (accounts.c.identity == digest).desc()
        found = select(accounts).where(same).order_by(*newest).limit(1)
        return (await connection.execute(found.with_for_update() if changing else found)).one_or_none()

    async def _insert(self, connection: AsyncConnection, new: NewAccount, digest: str) -> Row[Any]:
        account_id = str(uuid.uuid4())
        active = select(accounts.c.id).where(accounts.c.is_active, accounts.c.deleted_at.is_(None)).limit(1)
        values = identity.added(new, digest, self._clock())
        values["is_active"] = await connection.scalar(active) is None
        statement = insert(accounts).values(id=account_id, **self._ledger.rows.cells(account_id, values))
        return (await connection.execute(statement.returning(accounts))).one()


async def open_store(
    database: Database, *, spill_folder: Path | None = None, lease_seconds: float = LEASE_SECONDS
) -> AccountStore:
    """The accounts of a database, read; close it before the database.

    The spill folder is `spill/` beside a SQLite file unless given; another database has none unless given.
    `lease_seconds`: how long a process that refreshes an account has it for itself, at most. Raises
    RelayError(store_failed).
    """
    path = sqlite_path(database.engine)
    folder = spill_folder or (path.parent / "spill" if path is not None else None)
    ledger = Ledger(database)
    spill = Spill(folder, database.vault) if folder is not None else None
    store = AccountStore(ledger, Safekeeping(ledger, spill, lease_seconds))
    await store.start()
    return store
