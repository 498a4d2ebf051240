"""What each account has left: asked of the service when somebody wants to know, and in the background; kept in its row.

    somebody asks ──────────┐
    a refusal: used up ─────┼─ one asking an account ─► row ─► other replicas, restarts
    every so often ── claim ┘           └─► cool-downs: used up until its reset, or not any more

A try that fails leaves what was read before. Not what the figures mean: `upstream/quota.py`.
"""

import asyncio
import random
from contextlib import suppress
from heapq import nsmallest
from typing import Final, NamedTuple

import structlog

from qrelay.accounts.account import Account
from qrelay.accounts.refresher import Refresher
from qrelay.accounts.store import AccountStore
from qrelay.credential import Credential
from qrelay.errors import ErrorCode, RelayError
from qrelay.reach import Reach
from qrelay.upstream.client import UpstreamClient
from qrelay.upstream.errors import wants_profile
from qrelay.upstream.quota import Quota, kept, read_quota, written

log: structlog.stdlib.BoundLogger = structlog.get_logger()

FRESH_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 1.0
_AFTER_FAILURE_SECONDS: Final = 30.0
_AT_ONCE: Final = 4


class Known(NamedTuple):
    """A quota, how many seconds ago it was read, and what kept a newer one away."""

    quota: Quota
    age: float
    failure: RelayError | None = None


class Quotas:
    """All of one process. `close` it before the store."""

    def __init__(
        self, client: UpstreamClient, reach: Reach, refresher: Refresher, store: AccountStore, *, every_seconds: int
    ) -> None:
        self._client = client
        self._reach = reach
        self._refresher = refresher
        self._store = store
        self._clock = store.clock
        self._every = every_seconds
        self._asking: dict[str, asyncio.Task[Account]] = {}
        store.cooldowns.known_reset = self._reset_of

    async def of(self, account_id: str) -> Known:
        """An account's, at most a minute old; an older one if no newer can be had. Raises RelayError."""
        account = self._store.get(account_id)
        known = self._known(account)
        if known is not None and known.age < FRESH_SECONDS:
            return known
        try:
            known = self._known(await self._past(account_id))
        except RelayError as error:
            if known is None or error.code is ErrorCode.account_unknown:
                raise
            return known._replace(failure=error)
        if known is None:
            raise RelayError(ErrorCode.internal, "A quota that was just kept can't be read.")
        return known

    async def read(self, account_id: str) -> Account:
        """Ask now, and keep what is said. Raises RelayError."""
        return await self._past(account_id)

    def soon(self, account_id: str, error: RelayError) -> None:
        """The service has said that it is used up: ask when it begins anew, unless that was just asked."""
        with suppress(RelayError):  # it may have been deleted since the request began
            if self._clock() - (self._store.get(account_id).quota_asked_at or 0.0) >= FRESH_SECONDS:
                self._flight(account_id, error)

    async def keep_checked(self) -> None:
        """Ask for each account's every so often, until cancelled: for one that is new, or was logged in again, at once.

        A look waits for nothing that it starts, and starts a few at most, the longest unasked first: many accounts are
        asked for one after another, and at that distance ever after. Of several replicas one asks.
        """
        pause = _LOOK_SECONDS
        while True:
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, hides nothing
            try:
                for account in self._due(_AT_ONCE - len(self._asking)):
                    if await self._store.quota_notes.claim(account.id, self._every):
                        self._flight(account.id)
            except RelayError as error:
                log.info("quotas are not asked for", code=error.code, reason=error.message)
                pause = _AFTER_FAILURE_SECONDS
            else:
                pause = _LOOK_SECONDS

    async def close(self) -> None:
        """Stop asking."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- inside

    def _due(self, most: int) -> list[Account]:
        """Whose to ask for, no more than `most`."""
        before = self._clock() - self._every
        due = (
            account
            for account in self._store.accounts()
            if account.state in {"ready", "cooling"} and (account.quota_asked_at or 0.0) <= before
        )
        return nsmallest(most, due, key=lambda account: account.quota_asked_at or 0.0)

    async def _past(self, account_id: str) -> Account:
        return await asyncio.shield(self._flight(account_id))

    def _flight(self, account_id: str, refusal: RelayError | None = None) -> "asyncio.Task[Account]":
        task = self._asking.get(account_id)
        if task is None:
            task = asyncio.create_task(self._ask(account_id, refusal))
            self._asking[account_id] = task
            task.add_done_callback(lambda done: self._landed(account_id, done))
        return task

    def _landed(self, account_id: str, task: "asyncio.Task[Account]") -> None:
        self._asking.pop(account_id, None)
        match None if task.cancelled() else task.exception():
            case None:
                pass
            case RelayError() as error:
                log.info("a quota was not read", account=account_id, code=error.code, reason=error.message)
            case error:
                log.error("reading a quota broke", account=account_id, exc_info=error)

    async def _ask(self, account_id: str, refusal: RelayError | None) -> Account:
        quota = await self._asked(account_id)
        held = self._store.get(account_id)
        text = written(quota, self._clock() + 2 * self._every if self._every else None)
        account = await self._store.quota_notes.note(account_id, text, user_id=quota.user_id, email=quota.email)
        if quota.user_id and held.user_id != quota.user_id and (twin := self.same_user(account)) is not None:
            log.warning("two accounts are the same user's and share one quota", account=account_id, other=twin.id)
        await self._tell(account_id, quota, refusal)
        return account

    def same_user(self, account: Account) -> Account | None:
        """The oldest other account of the same user, where that is known."""
        others = (held for held in self._store.accounts() if held.id != account.id and account.user_id)
        return next((held for held in others if held.user_id == account.user_id), None)

    async def _asked(self, account_id: str) -> Quota:
        """Where its chats go; with a new token, and with its profile's ARN, if the service wants that."""
        credential = await self._refresher.credential(account_id)
        try:
            return await self._read(credential)
        except RelayError as error:
            if error.code is ErrorCode.account_expired:
                credential = await self._refresher.renew(credential)
            elif wants_profile(error):
                found = await self._reach.with_profile(credential, error)
                if found is None:
                    raise
                credential = found
            else:
                raise
        return await self._read(credential)

    async def _read(self, credential: Credential) -> Quota:
        said = await self._client.usage_limits(credential, self._reach.endpoint(credential))
        return read_quota(said, self._client.clean(credential))

    async def _tell(self, account_id: str, quota: Quota, refusal: RelayError | None) -> None:
        """A refusal that says "used up" is right whatever the figures say, which lag; they know no day's limit."""
        if refusal is not None and refusal.resets != "monthly":
            return
        main, now = quota.main, self._clock()
        cooldowns = self._store.cooldowns
        if refusal is None and not quota.exhausted(now):
            await cooldowns.not_exhausted(account_id)
        elif main is not None and main.resets_at is not None:
            used_up = f"{main.used:g} of {main.limit:g} {main.name or 'credits'} are used."
            await cooldowns.exhausted(account_id, main.resets_at, refusal.message if refusal is not None else used_up)

    def _known(self, account: Account) -> Known | None:
        quota = kept(account.quota)
        if quota is None or account.quota_read_at is None:
            return None
        return Known(quota, max(0.0, self._clock() - account.quota_read_at))

    def _reset_of(self, account_id: str) -> float | None:
        try:
            quota = kept(self._store.get(account_id).quota)
        except RelayError:  # deleted since the request began
            return None
        return quota.main.resets_at if quota is not None and quota.main is not None else None
