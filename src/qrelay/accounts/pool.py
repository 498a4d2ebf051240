"""Which account serves a request, and how that went. Not the call, not the retrying: those are the gateway's."""

import hashlib
import random
from collections import Counter
from collections.abc import Collection
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias, assert_never

from qrelay.accounts.account import Account
from qrelay.accounts.refresher import Refresher
from qrelay.accounts.store import AccountStore
from qrelay.credential import Credential
from qrelay.errors import ErrorCode, RelayError
from qrelay.trace import Trace

Strategy: TypeAlias = Literal["sticky", "least_busy", "random", "active"]

AGAINST_THE_ACCOUNT: Final = frozenset(
    {
        ErrorCode.account_expired,
        ErrorCode.account_suspended,
        ErrorCode.account_forbidden,
        ErrorCode.account_throttled,
        ErrorCode.feature_blocked,
        ErrorCode.quota_exhausted,
        ErrorCode.upstream_failed,
        ErrorCode.upstream_overloaded,
        ErrorCode.upstream_protocol,
    }
)
"""Failures that count towards the most errors in a row. Not what the request itself did wrong, and not a network that
is down, which would switch every account off."""

_MOST_TRIES: Final = 3


class Lease:
    """An account on loan for one request: a context manager, so that it is given back however the request ends."""

    def __init__(self, pool: "Pool", account: Account, credential: Credential) -> None:
        self._pool = pool
        self._held = True
        self.account_id = account.id
        self.label = account.name
        self.credential = credential

    async def renew(self, trace: Trace | None = None) -> Credential:
        """Another credential, after the service refused this one. Raises as `Refresher.renew` does."""
        with (trace or Trace()).timing("refresh_ms"):
            self.credential = await self._pool.refresher.renew(self.credential)
        return self.credential

    def succeeded(self) -> None:
        """The service has answered this request to its end."""
        self._pool.store.succeeded(self.account_id)

    def failed(self, error: RelayError) -> None:
        """It has not. Counted where the account may be at fault."""
        if error.code in AGAINST_THE_ACCOUNT:
            self._pool.store.failed(self.account_id, error.message, most_errors=self._pool.max_error_count)

    def release(self) -> None:
        """Give it back; a second time does nothing."""
        if self._held:
            self._held = False
            self._pool.given_back(self.account_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


class Pool:
    """Lends accounts out, by its strategy:

    sticky      a session stays with its account for as long as the same accounts are ready
    least_busy  the one with the fewest requests now
    random      any (q2api's)
    active      the active one, else the first, and no other (amq2api's)
    """

    def __init__(
        self,
        store: AccountStore,
        refresher: Refresher,
        *,
        strategy: Strategy = "sticky",
        max_error_count: int = 100,
    ) -> None:
        self.store = store
        self.refresher = refresher
        self.max_error_count = max_error_count
        self._strategy: Strategy = strategy
        self._clock = store.clock
        self._in_flight: Counter[str] = Counter()

    async def lease(self, session: str, *, avoid: Collection[str] = (), trace: Trace | None = None) -> Lease:
        """An account for a request of this session, with a credential that is good now.

        `avoid` names accounts that failed this request already: they are taken only where there is no other.
        Raises RelayError: no_account when none is enabled, what keeps all the enabled ones away (account_expired,
        account_suspended, account_throttled), else what refreshing the first choice gave.
        """
        candidates = self._candidates(session, avoid)
        refusal: RelayError | None = None
        for account in candidates[:_MOST_TRIES]:
            try:
                return await self._lend(account, trace)
            except RelayError as error:
                refusal = refusal or error
        raise refusal or self._nobody()

    async def lease_of(self, account_id: str) -> Lease:
        """One account whatever its state, to see whether it works. Raises as `lease` and `store.get` do."""
        return await self._lend(self.store.get(account_id))

    async def _lend(self, account: Account, trace: Trace | None = None) -> Lease:
        with (trace or Trace()).timing("refresh_ms"):
            credential = await self.refresher.credential(account.id)
        self._in_flight[account.id] += 1
        return Lease(self, account, credential)

    def in_flight(self, account_id: str) -> int:
        """How many requests have this account now."""
        return self._in_flight[account_id]

    def given_back(self, account_id: str) -> None:
        """What `Lease.release` tells."""
        self._in_flight[account_id] -= 1
        if self._in_flight[account_id] <= 0:
            del self._in_flight[account_id]

    def _candidates(self, session: str, avoid: Collection[str]) -> list[Account]:
        """Who may serve, best first; an account that needs a log-in serves until its access token ends."""
        now = self._clock()
        ready = [
            (account.state != "ready", account.id in avoid, self._turn(session, account), account)
            for account in self._chosen()
            if account.state == "ready" or (account.state == "needs_login" and account.lives(now))
        ]
        return [account for *_, account in sorted(ready, key=lambda row: row[:3])]

    def _chosen(self) -> list[Account]:
        """Those that the strategy lets serve at all."""
        accounts = self.store.accounts()
        if self._strategy != "active":
            return accounts
        return [account for account in accounts if account.is_active][:1] or accounts[:1]

    def _turn(self, session: str, account: Account) -> Any:
        """Who is lower goes first."""
        match self._strategy:
            case "sticky":
                return _rank(session, account.id)
            case "least_busy":
                return self._in_flight[account.id], random.random()  # noqa: S311 - spreads load, hides nothing
            case "random":
                return random.random()  # noqa: S311 - as above
            case "active":
                return 0
            case _:
                assert_never(self._strategy)

    def _nobody(self) -> RelayError:
        enabled = [account for account in self._chosen() if account.enabled]
        states = {account.state for account in enabled}
        if "cooling" in states:
            return RelayError(ErrorCode.account_throttled, "Every account is waiting for its limit to pass.")
        if "needs_login" in states:
            names = ", ".join(account.name for account in enabled if account.state == "needs_login")
            return RelayError(ErrorCode.account_expired, f"No account can be used: {names} must be logged in again.")
        if "suspended" in states:
            reasons = "; ".join(account.state_reason or account.name for account in enabled)
            return RelayError(ErrorCode.account_suspended, f"No account can be used: {reasons}")
        if self._strategy == "active" and self.store.accounts():
            return RelayError(
                ErrorCode.no_account,
                f"The active account, {self._chosen()[0].name}, is off, and by QRELAY_STRATEGY no other one serves.",
                remedy="Make another one active: POST /api/accounts/{id}/activate, or add one with `qrelay login`.",
            )
        if self.store.accounts():
            return RelayError(
                ErrorCode.no_account,
                "No account is enabled.",
                remedy='Enable one: PATCH /v2/accounts/{id} {"enabled": true}, or add one with `qrelay login`.',
            )
        return RelayError(
            ErrorCode.no_account,
            "No account is stored.",
            remedy="Add one: `qrelay login`, POST /v2/accounts, or the AMAZONQ_* variables (README.md).",
        )


def _rank(session: str, account_id: str) -> bytes:
    """Highest random weight: when an account goes, only its own sessions move."""
    return hashlib.blake2b(f"{session}|{account_id}".encode(errors="surrogatepass"), digest_size=8).digest()
