"""A refresh as the database sees it: a lease, then tokens that are kept before anyone uses them. Not the token call.

    take_lease   one short transaction by the database's clock, which also proves that there is room to write
    (the token call, with no transaction open)
    keep         fenced by the generation; or, where the database refuses, a sealed file in `spill/`
    refused      the lease given back, and why
    give_back    the lease given back, and nothing else

The statements are OPERATIONS.md C.5's. Where a method says nothing else it raises what `Ledger`'s raise.
"""

import asyncio
from contextlib import suppress
from typing import Any, Final

import structlog
from msgspec.structs import replace
from sqlalchemy import and_, delete, insert, or_, select, update

from qrelay.accounts.account import Account, Renewal
from qrelay.accounts.ledger import Ledger, present
from qrelay.accounts.spill import Spill, Spilled
from qrelay.database.clock import steady
from qrelay.database.schema import CANARY, accounts, database_now, secrets
from qrelay.errors import ErrorCode, RelayError
from qrelay.failpoints import reach

log = structlog.get_logger()

LEASE_SECONDS: Final = 30.0
"""Longer than a token call and its commit can take, so that two live holders never meet."""
_KEEP_AGAIN_AFTER: Final = (0.05, 0.2, 0.5)
_ROOM: Final = bytes(16 * 1024)
"""Written with every lease, taken away with the tokens that come after it: it is more than they need."""


class Safekeeping:
    """Tokens that the database would not take yet wait in memory, and in the spill folder where there is one."""

    def __init__(self, ledger: Ledger, spill: Spill | None, lease_seconds: float = LEASE_SECONDS) -> None:
        self._ledger = ledger
        self._spill = spill
        self._lease_seconds = lease_seconds
        self._clock = ledger.database.clock
        self._unsaved: dict[str, Spilled] = {}
        self._saving = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """How many accounts' tokens wait for the database."""
        return len(self._unsaved)

    async def take_lease(self, account_id: str, generation: int, owner: str) -> float | None:
        """Until when, as `steady` has it, `owner` alone may refresh the tokens of `generation`.

        None: they moved on, or another process is at it. A process refreshes an account once at a time, so a lease of
        its own is left over from a refresh that could not give it back. Raises RelayError(store_failed) when the
        database would not take the answer of a token call either.
        """
        if account_id in self._unsaved:
            await self._save(account_id)
        until = steady() + self._lease_seconds
        async with self._ledger.writing() as connection:
            if not self._ledger.database.shared:  # there, replicas would wait for one another at this row
                await connection.execute(delete(secrets).where(secrets.c.name == CANARY))
                await connection.execute(insert(secrets).values(name=CANARY, value=_ROOM))
            taken = await connection.execute(
                update(accounts)
                .where(
                    present(account_id),
                    accounts.c.generation == generation,
                    or_(
                        accounts.c.lease_until.is_(None),
                        accounts.c.lease_until < database_now(),
                        accounts.c.lease_owner == owner,
                    ),
                )
                .values(lease_owner=owner, lease_until=database_now() + self._lease_seconds)
            )
        return until if taken.rowcount == 1 else None

    async def give_back(self, account_id: str, owner: str) -> None:
        """Give a lease back, if it is still `owner`'s."""
        async with self._ledger.writing() as connection:
            await connection.execute(
                update(accounts)
                .where(present(account_id), accounts.c.lease_owner == owner)
                .values(lease_owner=None, lease_until=None)
            )

    async def newer(self, account_id: str, generation: int, seconds: float) -> None:
        """Wait until another process's tokens are seen here, and no longer than so many seconds."""
        await self._ledger.newer(account_id, generation, seconds)

    async def previous_refresh_token(self, account_id: str) -> str | None:
        """The refresh token before the stored one, if one is kept."""
        async with self._ledger.reading() as connection:
            row = await self._ledger.fetch(connection, account_id)
        return None if row is None else self._ledger.rows.previous_refresh_token(row)

    async def keep(self, account: Account, renewal: Renewal) -> Account | None:
        """Make a token service's answer durable; `account` is what was refreshed. None: the row has moved on.

        Where the database refuses, a sealed file holds the tokens and the database is tried again for as long as this
        process lives. Raises RelayError(store_failed) when neither could be written: then the tokens aren't to be used,
        but the trying goes on.
        """
        spilled = Spilled(
            account_id=account.id, generation=account.generation, received_at=self._clock(), renewal=renewal
        )
        try:
            return await self._commit(account, spilled)
        except RelayError as failure:
            log.warning(
                "renewed tokens were not stored, keeping them in a file", account=account.id, why=failure.message
            )
        except Exception:  # a fault nobody thought of must not cost the log-in either
            log.exception("renewed tokens were not stored, keeping them in a file", account=account.id)
        self._unsaved[account.id] = spilled
        refusal = await self._write_spill(spilled)
        reach("refresh.spill_written")
        for pause in _KEEP_AGAIN_AFTER:
            await asyncio.sleep(pause)
            with suppress(Exception):  # told above; the flusher goes on trying
                return await self._save(account.id)
        if refusal is not None:
            raise refusal
        renewed = self._ledger.rows.renewed(account, renewal, spilled.received_at)
        fields = {name: value for name, value in renewed.items() if name in Account.__struct_fields__}
        return self._ledger.show(replace(self._ledger.get(account.id), **fields))

    async def refused(
        self, account: Account, owner: str, reason: str, *, needs_login: bool = False, access_token_too: bool = False
    ) -> Account:
        """Note a refresh that failed and give the lease back. What has moved on in the meantime stays as it is.

        `access_token_too` drops the access token, when the service has refused that as well.
        """
        now = self._clock()
        values: dict[str, Any] = {
            "lease_owner": None,
            "lease_until": None,
            "last_refresh_time": now,
            "last_refresh_status": f"failed: {reason}",
            "last_error": reason,
            "updated_at": now,
        }
        if needs_login:
            values |= {"state": "needs_login", "state_reason": reason}
        if access_token_too:
            values["access_token"] = None
        async with self._ledger.writing() as connection:
            await connection.execute(
                update(accounts)
                .where(
                    present(account.id),
                    accounts.c.generation == account.generation,
                    accounts.c.lease_owner == owner,
                )
                .values(self._ledger.rows.cells(account.id, values))
            )
        return await self._ledger.reload(account.id)

    async def save(self) -> None:
        """Bring what waits into the database."""
        for account_id in list(self._unsaved):
            await self._save(account_id)

    async def forget(self, account_id: str) -> None:
        """Drop what waits for an account: it is stored, outdated, or the account is gone."""
        if self._unsaved.pop(account_id, None) is not None and self._spill is not None:
            try:
                await asyncio.to_thread(self._spill.remove, account_id)
            except OSError as error:
                log.warning("a spilled file stays", account=account_id, reason=error.strerror)

    async def adopt_spilled(self) -> None:
        """Store what a process before this one could not."""
        if self._spill is None:
            return
        for spilled in await asyncio.to_thread(self._spill.read_all):
            async with self._ledger.reading() as connection:
                known = select(accounts.c.id).where(accounts.c.id == spilled.account_id)
                if await connection.scalar(known) is None:
                    log.warning("spilled tokens of an account that isn't in this database", account=spilled.account_id)
                    continue
            self._unsaved[spilled.account_id] = spilled
            await self._save(spilled.account_id)

    async def _commit(self, account: Account, spilled: Spilled) -> Account | None:
        values = self._ledger.rows.renewed(account, spilled.renewal, spilled.received_at)
        cells = self._ledger.rows.cells(account.id, values) | {"lease_owner": None, "lease_until": None}
        async with self._ledger.writing(tell=True) as connection:
            if not self._ledger.database.shared:
                await connection.execute(delete(secrets).where(secrets.c.name == CANARY))
            fenced = and_(present(account.id), accounts.c.generation == spilled.generation)
            statement = update(accounts).where(fenced).values(cells)
            row = (await connection.execute(statement.returning(accounts))).one_or_none()
            reach("refresh.before_commit")
        reach("refresh.after_commit")
        return None if row is None else self._ledger.put(row)

    async def _save(self, account_id: str) -> Account | None:
        """Bring tokens that could not be stored into the database; None when the row has moved on without them."""
        async with self._saving:
            spilled = self._unsaved.get(account_id)
            if spilled is None:
                return self._ledger.get(account_id)
            async with self._ledger.reading() as connection:
                row = await self._ledger.fetch(connection, account_id)
            kept = None
            if row is not None and row.generation == spilled.generation:
                kept = await self._commit(self._ledger.rows.account(row), spilled)
            await self.forget(account_id)
        if kept is None:
            with suppress(RelayError):
                await self._ledger.reload(account_id)
        log.info("tokens that waited are stored" if kept else "tokens that waited are outdated", account=account_id)
        return kept

    async def _write_spill(self, spilled: Spilled) -> RelayError | None:
        if self._spill is None:
            return RelayError(ErrorCode.store_failed, "The renewed tokens can't be stored, and no spill folder is set.")
        try:
            await asyncio.to_thread(self._spill.write, spilled)
        except OSError as error:
            return RelayError(ErrorCode.store_failed, f"The renewed tokens can't be stored: {error.strerror}.")
        return None
