"""Tokens kept fresh: one refresh of an account at a time, and nothing used before it is kept. Not HTTP, not SQL.

    a caller ─┐
    a caller ─┼─ one flight per account ─ lease ─ token call ─ kept ─ everyone gets the new credential
    a caller ─┘  (a task of its own: a caller who leaves takes nothing with them)

What a refusal means (PROTOCOL.md §6.1):

    invalid_grant, invalid_client   the row is read again; if it is what was refused: needs_login, account_expired
                                    (before that, where the service is known to take it, one try with the token before)
    slow_down                       upstream_overloaded, the account untouched
    timeout, unreachable            upstream_timeout, upstream_unreachable, the account untouched
    refused                         account_forbidden in the service's words, the account untouched
"""

import asyncio
import random
import secrets
import zlib
from collections import Counter
from contextlib import suppress
from typing import Final, assert_never

import structlog
from msgspec.structs import replace

from qrelay.accounts.account import Account, Renewal
from qrelay.accounts.answers import Refusal
from qrelay.accounts.oidc import TokenClient
from qrelay.accounts.setbacks import Setbacks
from qrelay.accounts.store import AccountStore
from qrelay.credential import Credential
from qrelay.database.clock import steady
from qrelay.errors import ErrorCode, RelayError
from qrelay.failpoints import reach
from qrelay.histogram import Histogram

log = structlog.get_logger()

_LEAD_SECONDS: Final = 60.0
"""How long before its end a token is refreshed while a request waits; Amazon Q's own client takes a minute too."""
_AT_ONCE: Final = 8
_SHORTEST_LOOK, _LONGEST_LOOK = 0.01, 0.15
"""How long to wait before looking again what became of a lease that another process has."""


class Refresher:
    """Hands out credentials. `owner` names this process in leases.

    `previous_tokens`: the service is known to accept the refresh token before the last one too.
    """

    def __init__(
        self,
        store: AccountStore,
        tokens: TokenClient,
        *,
        owner: str | None = None,
        previous_tokens: bool = False,
    ) -> None:
        self._store = store
        self._safekeeping = store.safekeeping
        self._tokens = tokens
        self._clock = store.clock
        self._owner = owner or secrets.token_hex(8)
        self._previous_tokens = previous_tokens
        self._flights: dict[str, asyncio.Task[Account]] = {}
        self._setbacks = Setbacks()
        store.when_gone.append(self._setbacks.forget)
        self.outcomes: Counter[str] = Counter()
        """Refreshes so far, by outcome: `ok`, or the code of what failed."""
        self.waits = Histogram()
        """Until there was a lease."""
        self.calls = Histogram()
        """Calls of token services, whatever they answered."""
        self.keeps = Histogram()
        """From the answer to its being stored."""

    def credential_now(self, account_id: str) -> Credential | None:
        """A credential good for a call now, None where it has to be refreshed first. Raises as `credential` does."""
        account = self._store.get(account_id)
        return None if self._due(account, self._clock(), _LEAD_SECONDS) else self._usable(account)

    async def credential(self, account_id: str) -> Credential:
        """A credential good for a call now, refreshed first where it has to be.

        Raises RelayError: account_unknown, account_expired, account_forbidden, store_failed, upstream_unreachable,
        upstream_timeout, upstream_overloaded.
        """
        account = self._store.get(account_id)
        now = self._clock()
        if not self._due(account, now, _LEAD_SECONDS):
            return self._usable(account)
        try:
            self._setbacks.check(account_id)
            account = await self._past(account)
        except RelayError as error:
            account = self._store.get(account_id)
            if not account.lives(self._clock()):
                raise
            log.warning("refresh failed, the old token serves to its end", account=account.id, code=error.code)
        return self._usable(account)

    async def renew(self, stale: Credential) -> Credential:
        """Another credential than `stale`, which the service refused: the newer one there is, or a refreshed one.

        Raises as `credential` does; account_expired too when there is nothing to refresh with.
        """
        account = self._store.get(stale.account_id)
        if account.generation == stale.generation:
            if not account.refreshable:
                raise _expired(account, "its access token is refused, and it has no refresh token")
            self._setbacks.check(account.id)
            account = await self._past(account, refused=True)
        return self._usable(account)

    async def refresh(self, account_id: str) -> Account:
        """Refresh because someone asks for it, even a token that is fresh. Raises as `credential` does."""
        account = self._store.get(account_id)
        if not account.refreshable:
            raise RelayError(
                ErrorCode.request_invalid,
                f"Account {account.name} has nothing to refresh with.",
                remedy="API keys and accounts without a refresh token are used as they are.",
            )
        return await self._past(account)

    async def keep_fresh(self, check_seconds: float, lead_seconds: float) -> None:
        """Refresh ahead of expiry until cancelled. A refresh under way goes on to its end: `close` waits for it.

        Each look starts what is due and waits for nothing: an account whose service is slow holds no other one up.
        """
        room = asyncio.Semaphore(_AT_ONCE)
        ahead: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                now = self._clock()
                for account in self._store.accounts():
                    if (
                        account.enabled
                        and account.id not in ahead
                        and self._due(account, now, lead_seconds * _spread(account), known_only=False)
                    ):
                        task = ahead[account.id] = asyncio.create_task(self._ahead(account.id, room))
                        task.add_done_callback(lambda _, account_id=account.id: ahead.pop(account_id, None))
                await asyncio.sleep(check_seconds)
        finally:
            for task in ahead.values():
                task.cancel()

    async def close(self) -> None:
        """Wait for the refreshes under way: what they receive must be kept. A token call ends within its timeout."""
        while self._flights:
            await asyncio.wait(self._flights.values())

    # -- inside

    def _due(self, account: Account, now: float, lead: float, *, known_only: bool = True) -> bool:
        """Whether to refresh now. A token whose end nobody knows is due only in the background (not `known_only`)."""
        if not account.refreshable or account.state == "needs_login":
            return False
        if account.access_token is None or not account.lives(now):
            return known_only or not self._setbacks.holds(account.id)
        if account.expires_at is None:
            return not known_only and not self._setbacks.holds(account.id)
        return not account.lives(now, lead) and not self._setbacks.holds(account.id)

    def _usable(self, account: Account) -> Credential:
        credential = account.credential()
        if credential is None or (account.state == "needs_login" and not account.lives(self._clock())):
            raise _expired(account, account.state_reason or "it has no usable token")
        return credential

    async def _past(self, account: Account, *, refused: bool = False) -> Account:
        """The account with tokens newer than these: by joining the refresh under way, or by starting one."""
        return await asyncio.shield(self._flight(account, refused=refused))

    def _flight(self, account: Account, *, refused: bool = False) -> asyncio.Task[Account]:
        flight = self._flights.get(account.id)
        if flight is None:
            flight = asyncio.create_task(self._refresh(account.id, account.generation, refused=refused))
            self._flights[account.id] = flight
            flight.add_done_callback(lambda done: self._landed(account.id, done))
        return flight

    def _landed(self, account_id: str, flight: asyncio.Task[Account]) -> None:
        self._flights.pop(account_id, None)
        if flight.cancelled():
            return
        error = flight.exception()  # asking for it also says that it was seen: every caller may have left
        match error:
            case None:
                self.outcomes["ok"] += 1
                self._setbacks.passed(account_id)
            case RelayError():
                self.outcomes[error.code] += 1
                log.warning("refresh failed", account=account_id, code=error.code, reason=error.message)
                self._setbacks.failed(account_id, error)
            case _:
                self.outcomes[ErrorCode.internal] += 1
                log.error("refresh broke", account=account_id, exc_info=error)
                self._setbacks.failed(account_id, None)

    async def _ahead(self, account_id: str, room: asyncio.Semaphore) -> None:
        async with room:
            with suppress(RelayError):  # it may have been deleted since
                account = self._store.get(account_id)
                await asyncio.wait({self._flight(account)})  # how it went is `_landed`'s; the next check tries again

    async def _refresh(self, account_id: str, generation: int, *, refused: bool) -> Account:
        """One flight. It runs to its end whoever waits for it."""
        began = steady()
        pause = _SHORTEST_LOOK
        dead = self._store.get(account_id).state == "needs_login"
        while True:
            until = await self._safekeeping.take_lease(account_id, generation, self._owner)
            account = await self._store.reload(account_id)
            if account.generation != generation:
                return account
            if until is None:
                if account.state == "needs_login" and not dead:
                    raise _expired(account, account.state_reason or "its refresh token is refused")
                # Another process has the lease. It ends by the database's clock, so this ends too.
                await self._safekeeping.newer(account_id, generation, pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, hides nothing
                pause = min(_LONGEST_LOOK, pause * 2)
                continue
            reach("refresh.lease_taken")
            self.waits.add(steady() - began)
            if self._in_time(until):
                return await self._under_lease(account, until, refused=refused)

    def _in_time(self, until: float) -> bool:
        """Whether a token call that begins now ends while the lease lasts. Not so after this process stood still."""
        return steady() + self._tokens.timeout_seconds < until

    async def _under_lease(self, account: Account, until: float, *, refused: bool) -> Account:
        try:
            began = steady()
            answer = await self._tokens.refresh(account)
            self.calls.add(steady() - began)
            if isinstance(answer, Refusal) and answer.kind == "invalid_grant" and self._in_time(until):
                account, answer = await self._with_the_token_before(account, answer)
            if isinstance(answer, Refusal):
                return await self._given_up(account, answer, refused=refused)
            reach("refresh.response_read")
            return await self._kept(account, answer)
        except Exception as error:
            if not isinstance(error, RelayError):  # nobody thought of it, so nobody gave the lease back
                with suppress(RelayError):
                    await self._safekeeping.give_back(account.id, self._owner)
            raise

    async def _kept(self, account: Account, renewal: Renewal) -> Account:
        began = steady()
        kept = await self._safekeeping.keep(account, renewal)
        self.keeps.add(steady() - began)
        if kept is None:
            log.warning("tokens changed during a refresh, its own are dropped", account=account.id)
            return await self._store.reload(account.id)
        log.info("refreshed", account=account.id, generation=kept.generation)
        return kept

    async def _with_the_token_before(self, account: Account, refusal: Refusal) -> tuple[Account, Renewal | Refusal]:
        """One try with the token before the refused one, where that is known to be accepted."""
        if not self._previous_tokens:
            return account, refusal
        before = await self._safekeeping.previous_refresh_token(account.id)
        if before is None or before == account.refresh_token:
            return account, refusal
        log.warning("the refresh token is refused, trying the one before it", account=account.id)
        account = replace(account, refresh_token=before)
        answer = await self._tokens.refresh(account)
        return account, refusal if isinstance(answer, Refusal) else answer

    async def _given_up(self, account: Account, refusal: Refusal, *, refused: bool) -> Account:
        dead = refusal.kind in {"invalid_grant", "invalid_client"}
        if dead:
            current = await self._store.reload(account.id)
            if current.generation != account.generation:
                return current  # another process refreshed with this very token, and was faster
        try:
            await self._safekeeping.refused(
                account, self._owner, refusal.message, needs_login=dead, access_token_too=dead and refused
            )
        except RelayError as error:
            log.warning("a failed refresh was not noted", account=account.id, reason=error.message)
        match refusal.kind:
            case "invalid_grant" | "invalid_client":
                raise _expired(account, refusal.message)
            case "slow_down":
                raise RelayError(ErrorCode.upstream_overloaded, f"Refresh failed: {refusal.message}", retry_after=5)
            case "timeout":
                raise RelayError(ErrorCode.upstream_timeout, f"Refresh failed: {refusal.message}")
            case "unreachable":
                raise RelayError(ErrorCode.upstream_unreachable, f"Refresh failed: {refusal.message}")
            case "refused":
                right = f" Its log-in is of the region {refusal.region}." if refusal.region else ""
                raise RelayError(
                    ErrorCode.account_forbidden, f"Refresh failed: {refusal.message}{right}", remedy=_REFUSED
                )
            case _:
                assert_never(refusal.kind)


_REFUSED: Final = (
    "Check the account's region and QRELAY_TOKEN_ENDPOINT, or log the account in again: `qrelay login --account ID`."
)


def _expired(account: Account, reason: str) -> RelayError:
    return RelayError(ErrorCode.account_expired, f"Account {account.name} needs a new log-in: {reason}")


def _spread(account: Account) -> float:
    """0.8 to 1.2, the same for one account and generation: leads that differ keep refreshes apart."""
    return 0.8 + 0.4 * (zlib.crc32(f"{account.id}:{account.generation}".encode()) / 0xFFFFFFFF)
