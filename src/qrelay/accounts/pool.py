"""Accounts lent out to requests, and how that went. Not the call, not the retrying: those are the gateway's.

lease ─→ whose turn (strategies) among those who may serve (roll) and have room
      ─→ nobody has room: wait (line)      nobody may serve: one probe a second, or what keeps them away
      ─→ a credential that is good now (refresher) ─→ Lease ─→ answered | failed (cooldowns) ─→ release
"""

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Final, NamedTuple, Self

from qrelay.accounts.account import Account
from qrelay.accounts.consequences import Rest, consequence, whole_seconds
from qrelay.accounts.cooldown_table import CoolDown, Key
from qrelay.accounts.cooldowns import ModelOf
from qrelay.accounts.line import Line
from qrelay.accounts.refresher import Refresher
from qrelay.accounts.roll import Roll
from qrelay.accounts.store import AccountStore
from qrelay.accounts.strategies import Strategy, Turns
from qrelay.credential import Credential
from qrelay.errors import RelayError
from qrelay.trace import Trace

_MOST_TRIES: Final = 3
_PROBE_SECONDS: Final = 1.0
_LOOK_AGAIN_SECONDS: Final = 0.25
"""How often those who wait are looked at by themselves: a cool-down may have ended."""


class Wanted(NamedTuple):
    """A model as a client names it, and what it is called at each account."""

    name: str = ""
    at: ModelOf = lambda _: ""


ANYTHING: Final = Wanted()
"""No model in particular: only what covers all models keeps an account away."""


class _Place(NamedTuple):
    """An account with room that was taken for a request. `forced`: it goes through a circuit that is open."""

    account_id: str
    model: str
    probe: tuple[Key, ...]
    forced: bool = False


class Lease:
    """An account on loan for one request: a context manager, so that it is given back however the request ends."""

    def __init__(self, pool: "Pool", account: Account, credential: Credential, place: _Place) -> None:
        self._pool = pool
        self._place = place
        self._model = place.model
        self._probe = place.probe
        self._held = True
        self._began = pool.store.clock()
        self.account_id = account.id
        self.label = account.name
        self.credential = credential

    async def renew(self, trace: Trace | None = None) -> Credential:
        """Another credential, after the service refused this one. Raises as `Refresher.renew` does."""
        with (trace or Trace()).timing("refresh_ms"):
            self.credential = await self._pool.refresher.renew(self.credential)
        return self.credential

    def asks_for(self, model: str) -> CoolDown | None:
        """The model is known for certain now: what has come to keep the account from being asked for it, if anything.

        Time has passed since the account was chosen, and by the name alone it may have been taken for another model.
        """
        cooldowns = self._pool.store.cooldowns
        self._settle()
        self._model = model
        if not self._place.forced:
            blocking = cooldowns.blocking(self.account_id, lambda _: model, self._pool.store.clock())
            if blocking is not None:
                return blocking
        self._probe = cooldowns.probe(self.account_id, model)
        return None

    def answered(self) -> None:
        """The service has begun to answer: the account works."""
        self._settle()
        self._pool.store.cooldowns.answered(self.account_id, self._model, self._began)

    def succeeded(self) -> None:
        """The service has answered this request to its end."""
        self._pool.store.succeeded(self.account_id)

    async def failed(self, error: RelayError) -> None:
        """It has not. When this returns, what follows for the account is stored, or known not to be for now."""
        outcome = consequence(error)
        if outcome.counted:
            self._pool.store.failed(self.account_id, error.message, most_errors=self._pool.max_error_count)
        if outcome.rest is Rest.taken_out:
            await self._pool.store.suspend(self.account_id, error.message)
        else:
            await self._pool.store.cooldowns.failed(self.account_id, self._model, error)

    def release(self) -> None:
        """Give it back; a second time does nothing."""
        if self._held:
            self._held = False
            self._settle()
            self._pool.returned(self.account_id)

    def _settle(self) -> None:
        """The broken circuits that it goes through are free for the next probe."""
        if self._probe:
            self._pool.store.cooldowns.probed(self._probe)
            self._probe = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


class Pool:
    """Lends accounts out, by its strategy (`strategies`).

    `concurrency` requests have an account at once, 0 is any number; those without a place wait `queue_seconds`.
    """

    def __init__(
        self,
        store: AccountStore,
        refresher: Refresher,
        *,
        strategy: Strategy = "sticky",
        max_error_count: int = 100,
        concurrency: int = 0,
        queue_seconds: float = 30.0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.store = store
        self.refresher = refresher
        self.max_error_count = max_error_count
        self.strategy: Strategy = strategy
        self.roll = Roll(store, only_active=strategy == "active")
        self._turns = Turns(strategy, chance)
        self._seated = -1
        self._concurrency = concurrency
        self._queue_seconds = queue_seconds
        self._chance = chance
        self._clock = store.clock
        self._in_flight: dict[str, int] = {}
        """Requests by account; only of those that have any."""
        self._probed_at = -_PROBE_SECONDS
        self._line: Line[_Place] = Line(self.given_back)
        self._looking: asyncio.TimerHandle | None = None

    async def lease(
        self, session: str, wanted: Wanted = ANYTHING, *, avoid: Collection[str] = (), trace: Trace | None = None
    ) -> Lease:
        """An account for a request of this session, with a credential that is good now. Never one of `avoid`.

        Raises RelayError: no_account when none is enabled; what keeps all of them away: account_expired,
        account_suspended, account_throttled (with the earliest `retry_after`), quota_exhausted, upstream_overloaded;
        account_throttled when none had room in time; else what refreshing the first choice gave.
        """
        trace = trace or Trace()
        passed: Collection[str] = avoid
        refusal: RelayError | None = None
        for _ in range(_MOST_TRIES):
            try:
                place = self._now(session, wanted, passed) or await self._later(session, wanted, passed, trace)
            except RelayError as error:
                raise refusal or error from None
            try:
                credential = self.refresher.credential_now(place.account_id)
                if credential is None:
                    with trace.timing("refresh_ms"):
                        credential = await self.refresher.credential(place.account_id)
                return Lease(self, self.store.get(place.account_id), credential, place)
            except RelayError as error:
                self.given_back(place)
                refusal = refusal or error
                passed = {*passed, place.account_id}
            except BaseException:
                self.given_back(place)
                raise
        raise refusal or self.roll.nobody(wanted.name, wanted.at, avoid)

    async def lease_of(self, account_id: str) -> Lease:
        """One account whatever its state, to see whether it works. Raises as `lease` and `store.get` do."""
        account = self.store.get(account_id)
        credential = await self.refresher.credential(account_id)
        self._in_flight[account_id] = self.in_flight(account_id) + 1
        return Lease(self, account, credential, _Place(account_id, "", (), forced=True))

    @property
    def queued(self) -> int:
        """How many requests wait for room now."""
        return len(self._line)

    def in_flight(self, account_id: str) -> int:
        """How many requests have this account now."""
        return self._in_flight.get(account_id, 0)

    def has_others(self, wanted: Wanted, failed: Collection[str]) -> bool:
        """Whether somebody else may serve this model."""
        now = self._clock()
        usable = self.roll.survey(wanted.name, wanted.at).usable
        return any(id_ not in failed and self.roll.may_serve(id_, wanted.at, now) for id_ in usable)

    def wait_seconds(self, wanted: Wanted) -> float:
        """In how many whole seconds a request for this model has a chance again."""
        now = self._clock()
        survey = self.roll.survey(wanted.name, wanted.at)
        if not any(self.roll.may_serve(id_, wanted.at, now) for id_ in survey.usable):
            survey = self.roll.survey(wanted.name, wanted.at, anew=True)
        return 1.0 if survey.usable else whole_seconds(survey.earliest - now)

    def given_back(self, place: _Place) -> None:
        """A place that was taken and isn't used."""
        self.store.cooldowns.probed(place.probe)
        self.returned(place.account_id)

    def returned(self, account_id: str) -> None:
        """What `Lease.release` tells. Whoever waits for room may have it now."""
        left = self._in_flight[account_id] - 1
        if left > 0:
            self._in_flight[account_id] = left
        else:
            del self._in_flight[account_id]
        self._line.serve()

    def _now(self, session: str, wanted: Wanted, passed: Collection[str]) -> _Place | None:
        """A place for who has just come, behind those that wait for the same; None is to wait. Raises RelayError."""
        self._line.serve()
        if self._line.waits(wanted.name):
            return None
        found = self._place(session, wanted, passed)
        if isinstance(found, RelayError):
            raise found
        return found

    async def _later(self, session: str, wanted: Wanted, passed: Collection[str], trace: Trace) -> _Place:
        self._look_again()
        with trace.timing("queue_ms"):
            return await self._line.wait(
                wanted.name, self._queue_seconds, lambda: self._place(session, wanted, passed)
            )  # fmt: skip

    def _look_again(self) -> None:
        """Serve the line every now and then while there is one."""
        if self._looking is None:

            def look() -> None:
                self._looking = None
                self._line.serve()
                if len(self._line):
                    self._look_again()

            self._looking = asyncio.get_running_loop().call_later(_LOOK_AGAIN_SECONDS, look)

    def _place(self, session: str, wanted: Wanted, passed: Collection[str]) -> _Place | RelayError | None:
        """A place; what keeps everybody away; or None while those who may serve have no room."""
        if self._seated != self.store.changes:
            self._seated = self.store.changes
            self._turns.seat([account.id for account in self.roll.accounts()])
        now = self._clock()

        def able(account_id: str) -> bool:
            return account_id not in passed and self.roll.may_serve(account_id, wanted.at, now)

        def usable() -> Sequence[str]:
            survey = self.roll.survey(wanted.name, wanted.at)
            return () if self._saturated(len(survey.usable)) else survey.usable

        def free(account_id: str) -> bool:
            return self._has_room(account_id) and able(account_id)

        if not self.roll.known_as_empty(wanted.name):
            found = self._turns.choose(session, free, self.in_flight, usable)
            if found is not None:
                return self._taken(found, wanted)
        survey = self.roll.survey(wanted.name, wanted.at)
        if any(able(id_) for id_ in survey.usable):
            return None
        if any(id_ not in passed for id_ in survey.usable):  # they have begun to rest since
            survey = self.roll.survey(wanted.name, wanted.at, anew=True)
        tripped = [id_ for id_ in survey.tripped if id_ not in passed]
        if tripped and now - self._probed_at >= _PROBE_SECONDS:
            self._probed_at = now
            return self._taken(tripped[int(self._chance() * len(tripped))], wanted, forced=True)
        return self.roll.nobody(wanted.name, wanted.at, passed)

    def _taken(self, account_id: str, wanted: Wanted, *, forced: bool = False) -> _Place:
        model = wanted.at(account_id)
        self._in_flight[account_id] = self.in_flight(account_id) + 1
        return _Place(account_id, model, self.store.cooldowns.probe(account_id, model), forced)

    def _has_room(self, account_id: str) -> bool:
        return not self._concurrency or self.in_flight(account_id) < self._concurrency

    def _saturated(self, accounts: int) -> bool:
        """Whether a look at each for room is in vain."""
        return bool(self._concurrency) and sum(self._in_flight.values()) >= accounts * self._concurrency
