"""Accounts on disk and in memory: reads are of memory, writes are committed before memory changes. Not HTTP.

The rules of a refresh (OPERATIONS.md C.5) as statements; `refresher` calls them in this order:

    take_lease   one short transaction by the database's clock, which also proves that there is room to write
    (the token call, with no transaction open)
    keep         fenced by the generation; or, where the database refuses, a sealed file in `spill/`
    refused      the lease given back, and why

Where a method says nothing else it raises RelayError: account_unknown for an id that isn't there, store_failed when the
database can't do what is asked.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import structlog
from msgspec.structs import replace
from sqlalchemy import Row, and_, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from qrelay.accounts import database
from qrelay.accounts.account import DEFAULT_REGION, Account, AccountChanges, NewAccount, Renewal
from qrelay.accounts.rows import Rows
from qrelay.accounts.schema import accounts, database_now, secrets
from qrelay.accounts.spill import Spill, Spilled
from qrelay.accounts.tallies import Tally
from qrelay.accounts.vault import Vault
from qrelay.errors import ErrorCode, RelayError

log = structlog.get_logger()

LEASE_SECONDS: Final = 30.0
"""Longer than a token call and its commit can take, so that two live holders never meet."""
_FLUSH_SECONDS: Final = 1.0
_KEEP_AGAIN_AFTER: Final = (0.05, 0.2, 0.5)
_ROOM: Final = bytes(16 * 1024)
"""Written with every lease: more than the tokens that are to be kept after it need."""
_TOKEN_FIELDS: Final = ("refresh_token", "access_token", "issued_at", "expires_at", "generation", "profile_arn")


class AccountStore:
    """Made by `open_store`; `close` it."""

    def __init__(self, engine: AsyncEngine, rows: Rows, spill: Spill | None, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._rows = rows
        self._spill = spill
        self._clock = clock
        self._live: dict[str, Account] = {}
        self._tallies: dict[str, Tally] = {}
        self._unsaved: dict[str, Spilled] = {}
        self._saving = asyncio.Lock()
        self._flusher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read everything, adopt what a process before could not store, begin to store counters: for `open_store`."""
        if self._engine.dialect.name == "sqlite":
            # One process only (it holds the state's lock), so whoever held these leases is gone.
            async with self._writing() as connection:
                await connection.execute(update(accounts).values(lease_owner=None, lease_until=None))
        async with self._reading() as connection:
            found = await connection.execute(
                select(accounts).where(accounts.c.deleted_at.is_(None)).order_by(accounts.c.created_at, accounts.c.id)
            )
            for row in found:
                self._put(row)
        await self._adopt_spilled()
        self._flusher = asyncio.create_task(self._keep_flushing())

    async def close(self) -> None:
        """Store what is counted, then let go of the database."""
        if self._flusher is not None:
            self._flusher.cancel()
            with suppress(asyncio.CancelledError):
                await self._flusher
        try:
            await self.flush()
        except RelayError as error:
            log.warning("counters were not stored", reason=error.message)
        await self._engine.dispose()

    # -- reading

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
        async with self._reading() as connection:
            row = (await connection.execute(select(accounts).where(_present(account_id)))).one_or_none()
        if row is None:
            self._live.pop(account_id, None)
            raise unknown(account_id)
        return self._put(row)

    # -- changes by hand

    async def add(self, new: NewAccount) -> Account:
        """Add an account, or bring the one that has these credentials up to date; a deleted one comes back."""
        account = await self._upsert(new, revive=True)
        if account is None:
            raise AssertionError("reviving leaves no account out")
        return account

    async def adopt(self, new: NewAccount) -> Account | None:
        """Add an account that variables or a file name, if it isn't known; None when it was deleted here.

        A known one keeps its tokens, its state and its label: they are newer than what is named.
        """
        return await self._upsert(new, revive=False)

    async def patch(self, account_id: str, changes: AccountChanges) -> Account:
        """Change what is said. New tokens make the account ready again; switching it on forgets its errors."""
        self.get(account_id)
        await self.flush()
        async with self._writing() as connection:
            row = (await connection.execute(select(accounts).where(_present(account_id)))).one_or_none()
            if row is None:
                raise unknown(account_id)
            if changes.is_active:
                await connection.execute(update(accounts).values(is_active=False).where(accounts.c.is_active))
            values = self._changed(self._rows.account(row), changes)
            row = await self._update(connection, account_id, values)
        if changes.is_active:
            self._deactivate_others(account_id)
        return self._put(row)

    async def delete(self, account_id: str) -> None:
        """Delete for good: secrets go, a digest stays, so that variables and imports don't bring the account back."""
        now = self._clock()
        gone: dict[str, Any] = dict.fromkeys(
            ("client_secret", "refresh_token", "previous_refresh_token", "access_token", "other", "lease_owner")
        )
        async with self._writing() as connection:
            row = (await connection.execute(select(accounts).where(_present(account_id)))).one_or_none()
            if row is None:
                raise unknown(account_id)
            was_active: bool = row.is_active
            gone |= {
                "lease_until": None,
                "is_active": False,
                "deleted_at": now,
                "updated_at": now,
                "generation": accounts.c.generation + 1,
            }
            await self._update(connection, account_id, gone)
            heir = None
            if was_active:
                first = select(accounts.c.id).where(accounts.c.deleted_at.is_(None))
                heir = await connection.scalar(first.order_by(accounts.c.created_at, accounts.c.id).limit(1))
                if heir is not None:
                    await self._update(connection, heir, {"is_active": True})
        self._live.pop(account_id, None)
        self._tallies.pop(account_id, None)
        await self._forget_unsaved(account_id)
        if heir is not None and heir in self._live:
            self._live[heir] = replace(self._live[heir], is_active=True)

    # -- a refresh

    async def take_lease(self, account_id: str, generation: int, owner: str) -> bool:
        """Whether `owner` alone may refresh the tokens of `generation` now. False: they moved on, or another is at it.

        Raises RelayError(store_failed) when the database would not take the answer of a token call either.
        """
        if account_id in self._unsaved:
            await self._save(account_id)
        async with self._writing() as connection:
            await connection.execute(delete(secrets).where(secrets.c.name == "canary"))
            await connection.execute(insert(secrets).values(name="canary", value=_ROOM))
            taken = await connection.execute(
                update(accounts)
                .where(
                    _present(account_id),
                    accounts.c.generation == generation,
                    or_(accounts.c.lease_until.is_(None), accounts.c.lease_until < database_now()),
                )
                .values(lease_owner=owner, lease_until=database_now() + LEASE_SECONDS)
            )
        return taken.rowcount == 1

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
        self._unsaved[account.id] = spilled
        refusal = await self._write_spill(spilled)
        for pause in _KEEP_AGAIN_AFTER:
            await asyncio.sleep(pause)
            with suppress(RelayError):
                return await self._save(account.id)
        if refusal is not None:
            raise refusal
        renewed = self._rows.renewed(account, renewal, spilled.received_at)
        fields = {name: value for name, value in renewed.items() if name in Account.__struct_fields__}
        self._live[account.id] = replace(self._live.get(account.id, account), **fields)
        return self._live[account.id]

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
        async with self._writing() as connection:
            await connection.execute(
                update(accounts)
                .where(
                    _present(account.id),
                    accounts.c.generation == account.generation,
                    accounts.c.lease_owner == owner,
                )
                .values(values)
            )
        return await self.reload(account.id)

    # -- counters

    def succeeded(self, account_id: str) -> None:
        """Count a request that was served. Memory only; stored soon."""
        self._count(account_id, Tally(successes=1))

    def failed(self, account_id: str, reason: str, *, most_errors: int) -> None:
        """Count a request that failed by this account; at `most_errors` in a row it is switched off."""
        account = self._live.get(account_id)
        if account is None:
            return
        errors = account.error_count + 1
        off = f"Switched off after {errors} errors in a row. The last: {reason}" if errors >= most_errors else None
        self._count(account_id, Tally(errors=1, last_error=reason, switched_off=off if account.enabled else None))

    async def flush(self) -> None:
        """Store what was counted and what could not be stored before. Nothing is forgotten when it fails."""
        for account_id in list(self._unsaved):
            await self._save(account_id)
        if not self._tallies:
            return
        tallies, self._tallies = self._tallies, {}
        rows: list[Row[Any]] = []
        try:
            async with self._writing() as connection:
                for account_id, tally in sorted(tallies.items()):
                    statement = update(accounts).where(_present(account_id)).values(tally.values())
                    rows += await connection.execute(statement.returning(accounts))
        except (RelayError, asyncio.CancelledError):
            for account_id, tally in tallies.items():
                self._tallies[account_id] = tally.then(self._tallies.get(account_id, Tally()))
            raise
        for row in rows:
            self._put(row)

    # -- inside

    async def _keep_flushing(self) -> None:
        failing = False
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            try:
                await self.flush()
                failing = False
            except RelayError as error:
                if not failing:
                    log.warning("counters wait to be stored", reason=error.message)
                failing = True

    def _count(self, account_id: str, tally: Tally) -> None:
        account = self._live.get(account_id)
        if account is not None:
            self._tallies[account_id] = self._tallies.get(account_id, Tally()).then(tally)
            self._live[account_id] = tally.onto(account)

    async def _upsert(self, new: NewAccount, *, revive: bool) -> Account | None:
        token = new.refresh_token or new.access_token
        if token is None:
            raise RelayError(ErrorCode.request_invalid, "An account needs a refresh token.", param="refreshToken")
        digest = self._rows.digest(new.client_id, token)
        await self.flush()
        for last in (False, True):
            try:
                async with self._writing() as connection:
                    row = await self._known(connection, digest, new.user_id)
                    if row is None:
                        row = await self._insert(connection, new, digest)
                    elif revive:
                        row = await self._update(connection, row.id, self._again(row, new, digest))
                    elif row.deleted_at is not None:
                        return None
                    else:
                        row = await self._update(connection, row.id, _named(new, self._clock()))
                return self._put(row)
            except IntegrityError:
                if last:  # pragma: no cover - the second time the row is found
                    raise
        raise AssertionError("one of two attempts ends it")

    async def _known(self, connection: AsyncConnection, digest: str, user_id: str | None) -> Row[Any] | None:
        """The row of these credentials: as first seen, as they are now, or of the same user; one in use goes first."""
        same = or_(accounts.c.identity == digest, accounts.c.token_digest == digest)
        if user_id:
            same = or_(same, accounts.c.user_id == user_id)
        newest = accounts.c.deleted_at.is_(None).desc(), (accounts.c.identity == digest).desc()
        return (await connection.execute(select(accounts).where(same).order_by(*newest).limit(1))).one_or_none()

    async def _insert(self, connection: AsyncConnection, new: NewAccount, digest: str) -> Row[Any]:
        account_id = str(uuid.uuid4())
        now = self._clock()
        active = select(accounts.c.id).where(accounts.c.is_active, accounts.c.deleted_at.is_(None)).limit(1)
        values = _said(new) | {
            "kind": new.kind or "builder_id",
            "region": new.region or DEFAULT_REGION,
            "enabled": new.enabled is not False,
            "is_active": await connection.scalar(active) is None,
            "issued_at": now if new.access_token is not None and new.expires_at is not None else None,
            "identity": digest,
            "token_digest": digest,
            "created_at": now,
            "updated_at": now,
        }
        statement = insert(accounts).values(id=account_id, **self._rows.cells(account_id, values))
        return (await connection.execute(statement.returning(accounts))).one()

    def _again(self, row: Row[Any], new: NewAccount, digest: str) -> dict[str, Any]:
        """What changes in a known row when its credentials are added again by hand.

        Tokens are taken when they are a new log-in, or when those stored are dead anyway; the first refresh token of an
        account that has rotated since is older than what is stored.
        """
        now = self._clock()
        values = _said(new) | {"updated_at": now}
        outdated = row.identity == digest != row.token_digest
        if outdated and row.deleted_at is None and row.state != "needs_login":
            for name in ("refresh_token", "access_token", "expires_at"):
                values.pop(name, None)
            return values
        if new.access_token is None and row.token_digest != digest:
            values |= {"access_token": None, "expires_at": None}
        if "access_token" in values:
            values |= {"expires_at": new.expires_at, "issued_at": now if new.expires_at is not None else None}
        values |= {
            "token_digest": digest,
            "generation": row.generation + 1,
            "state": "ready",
            "state_reason": None,
            "deleted_at": None,
            "lease_owner": None,
            "lease_until": None,
        }
        if row.deleted_at is not None:
            values |= {"enabled": new.enabled is not False, "error_count": 0}
        return values

    def _changed(self, account: Account, changes: AccountChanges) -> dict[str, Any]:
        values = _said(changes) | dict.fromkeys(changes.forget)
        values["updated_at"] = self._clock()
        if changes.refresh_token is not None or changes.access_token is not None:
            values |= {
                "access_token": changes.access_token,
                "issued_at": None,
                "expires_at": None,
                "generation": account.generation + 1,
                "state": "ready",
                "state_reason": None,
                "error_count": 0,
            }
        token = changes.refresh_token or account.refresh_token or changes.access_token
        if token is not None:
            values["token_digest"] = self._rows.digest(changes.client_id or account.client_id, token)
        if changes.enabled and not account.enabled:
            values |= {"error_count": 0, "state_reason": None}
        return values

    async def _update(self, connection: AsyncConnection, account_id: str, values: dict[str, Any]) -> Row[Any]:
        cells = self._rows.cells(account_id, values)
        statement = update(accounts).where(accounts.c.id == account_id).values(cells)
        return (await connection.execute(statement.returning(accounts))).one()

    async def _commit(self, account: Account, spilled: Spilled) -> Account | None:
        values = self._rows.renewed(account, spilled.renewal, spilled.received_at)
        cells = self._rows.cells(account.id, values) | {"lease_owner": None, "lease_until": None}
        async with self._writing() as connection:
            fenced = and_(_present(account.id), accounts.c.generation == spilled.generation)
            statement = update(accounts).where(fenced).values(cells)
            row = (await connection.execute(statement.returning(accounts))).one_or_none()
        return None if row is None else self._put(row)

    async def _save(self, account_id: str) -> Account | None:
        """Bring tokens that could not be stored into the database; None when the row has moved on without them."""
        async with self._saving:
            spilled = self._unsaved.get(account_id)
            if spilled is None:
                return self._live.get(account_id)
            async with self._reading() as connection:
                row = (await connection.execute(select(accounts).where(_present(account_id)))).one_or_none()
            kept = None
            if row is not None and row.generation == spilled.generation:
                kept = await self._commit(self._rows.account(row), spilled)
            await self._forget_unsaved(account_id)
        if kept is None:
            self._live.pop(account_id, None)
            with suppress(RelayError):
                await self.reload(account_id)
        log.info("tokens that waited are stored" if kept else "tokens that waited are outdated", account=account_id)
        return kept

    async def _forget_unsaved(self, account_id: str) -> None:
        if self._unsaved.pop(account_id, None) is not None and self._spill is not None:
            try:
                await asyncio.to_thread(self._spill.remove, account_id)
            except OSError as error:
                log.warning("a spilled file stays", account=account_id, reason=error.strerror)

    async def _write_spill(self, spilled: Spilled) -> RelayError | None:
        if self._spill is None:
            return RelayError(ErrorCode.store_failed, "The renewed tokens can't be stored, and no spill folder is set.")
        try:
            await asyncio.to_thread(self._spill.write, spilled)
        except OSError as error:
            return RelayError(ErrorCode.store_failed, f"The renewed tokens can't be stored: {error.strerror}.")
        return None

    async def _adopt_spilled(self) -> None:
        if self._spill is None:
            return
        for spilled in await asyncio.to_thread(self._spill.read_all):
            async with self._reading() as connection:
                known = select(accounts.c.id).where(accounts.c.id == spilled.account_id)
                if await connection.scalar(known) is None:
                    log.warning("spilled tokens of an account that isn't in this database", account=spilled.account_id)
                    continue
            self._unsaved[spilled.account_id] = spilled
            await self._save(spilled.account_id)

    def _put(self, row: Row[Any]) -> Account:
        """The row's account into memory, with what isn't stored yet: counts, and tokens newer than the row's."""
        account = self._rows.account(row)
        held = self._live.get(account.id)
        if held is not None and held.generation > account.generation:
            account = replace(account, **{name: getattr(held, name) for name in _TOKEN_FIELDS})
        if account.id in self._tallies:
            account = self._tallies[account.id].onto(account)
        self._live[account.id] = account
        return account

    def _deactivate_others(self, account_id: str) -> None:
        for other in self._live.values():
            if other.is_active and other.id != account_id:
                self._live[other.id] = replace(other, is_active=False)

    @asynccontextmanager
    async def _writing(self) -> AsyncGenerator[AsyncConnection]:
        with database.told():
            async with self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def _reading(self) -> AsyncGenerator[AsyncConnection]:
        with database.told():
            async with self._engine.connect() as connection:
                yield await connection.execution_options(**database.READING)


async def open_store(
    url: str,
    vault: Vault,
    *,
    spill_folder: Path | None = None,
    busy_seconds: float = 5.0,
    clock: Callable[[], float] = time.time,
) -> AccountStore:
    """Open the store, made or brought up to date first. `url`: `sqlite:///path` or `postgresql://…`.

    On SQLite the caller holds the state's lock: one process at a time. The spill folder is `spill/` beside a SQLite
    file unless given; other databases have none unless given. Raises RelayError(store_failed), also for a master key
    that isn't this state's.
    """
    engine = database.connect(url, busy_seconds=busy_seconds)
    try:
        await database.migrate(engine)
        path = database.sqlite_path(engine)
        folder = spill_folder or (path.parent / "spill" if path is not None else None)
        spill = Spill(folder, vault) if folder is not None else None
        store = AccountStore(engine, Rows(vault, await _pepper(engine, vault)), spill, clock)
        await store.start()
    except BaseException:
        await engine.dispose()
        raise
    return store


async def _pepper(engine: AsyncEngine, vault: Vault) -> str:
    """The key of the digests, made on the first start. Opening it also proves that the master key is this state's."""
    with database.told():
        async with engine.begin() as connection:
            record = await connection.scalar(select(secrets.c.value).where(secrets.c.name == "pepper"))
            if record is None:
                pepper = uuid.uuid4().hex + uuid.uuid4().hex
                record = vault.seal(pepper, table=secrets.name, row="pepper", column="value")
                await connection.execute(insert(secrets).values(name="pepper", value=record))
    return vault.open(record, table=secrets.name, row="pepper", column="value")


def unknown(account_id: str) -> RelayError:
    return RelayError(ErrorCode.account_unknown, f"There is no account {account_id!r}.")


def _present(account_id: str) -> Any:
    return and_(accounts.c.id == account_id, accounts.c.deleted_at.is_(None))


def _said(values: NewAccount | AccountChanges) -> dict[str, Any]:
    """The fields that were said."""
    return {
        name: value
        for name in values.__struct_fields__
        if name != "forget" and (value := getattr(values, name)) is not None
    }


def _named(new: NewAccount, now: float) -> dict[str, Any]:
    """What variables and files may still change in a known account: what nobody rotates."""
    changes = {name: value for name, value in _said(new).items() if name in {"profile_arn", "client_secret"}}
    return changes | {"updated_at": now} if changes else {"id": accounts.c.id}
