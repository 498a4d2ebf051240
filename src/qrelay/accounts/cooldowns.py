"""Which account isn't to be asked for which model, until when and why. Not who is asked instead: `pool`.

    failed ─→ in memory ─→ table ─→ the failed attempt's answer leaves      so that no restart forgets it
                             └────→ other replicas, within a second

A cool-down is for an account and a model, `""` for all of them. There are two kinds (`consequences.Rest`): a limit,
which the service asked for and nobody touches before it is over; and a circuit that broke after failures in a row. A
circuit whose time is over is half open: one request at a time may try, its first event closes it, its failure opens it
for longer.

Where the table can't be written a cool-down holds in memory, is logged, and is written once that works again.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

import structlog

from qrelay.accounts.consequences import LIMITS, TRIPS_AFTER, Rest, consequence, open_seconds, pause, reset_at
from qrelay.accounts.cooldown_table import CoolDown, CoolDownTable, Key
from qrelay.database import Database
from qrelay.errors import ErrorCode, RelayError

log = structlog.get_logger()

ANY_MODEL: Final = ""
_LONGEST_REASON: Final = 500
_FORGOTTEN_AFTER: Final = 3600.0
"""Seconds after its end when a cool-down's strikes don't count any more."""

ModelOf: TypeAlias = Callable[[str], str]
"""The model that an account would be asked for, by the account's id."""


class CoolDowns:
    """Everything about them in this process. `start` it; `close` it before the database."""

    def __init__(self, database: Database, chance: Callable[[], float] = random.random) -> None:
        self.known_reset: Callable[[str], float | None] = lambda _: None
        """When an account's quota begins anew, where that is known: epoch seconds."""
        self.releases = 0
        """Counts what ended before its time, or might: whoever found nobody may look again."""
        self._table = CoolDownTable(database)
        self._watch = database.watch
        self._clock = database.clock
        self._chance = chance
        self._held: dict[str, dict[str, CoolDown]] = {}
        self._in_a_row: Counter[Key] = Counter()
        self._probing: set[Key] = set()

    async def start(self) -> None:
        """Read what earlier processes and other ones hold, and go on seeing the latter's. Raises RelayError."""
        for entry in await self._table.read(self._clock(), forgotten_after=_FORGOTTEN_AFTER):
            self._keep(entry)
        self._watch.add(self.look)

    async def close(self) -> None:
        """Write what waits."""
        await self._table.close()

    # -- asking: memory only

    def blocking(self, account_id: str, model: ModelOf, now: float) -> CoolDown | None:
        """What keeps this account from being asked for this model: a cool-down, or a probe that is under way."""
        held = self._held.get(account_id)
        if held is None:
            return None
        for key in (ANY_MODEL, model(account_id)):
            found = held.get(key)
            if found is not None and (found.until > now or found.key in self._probing):
                return found
        return None

    def of(self, account_id: str) -> list[CoolDown]:
        """Those of an account that aren't over, the one for all models first."""
        now = self._clock()
        held = self._held.get(account_id, {}).values()
        return sorted((entry for entry in held if entry.until > now), key=lambda entry: entry.model)

    def whole(self, account_id: str) -> CoolDown | None:
        """The one for all models, unless it is over."""
        found = self._held.get(account_id, {}).get(ANY_MODEL)
        return found if found is not None and found.until > self._clock() else None

    # -- what requests tell

    def probe(self, account_id: str, model: str) -> tuple[Key, ...]:
        """Take the broken circuits that a request goes through, which must be told to `probed` when it is over."""
        held = self._held.get(account_id)
        if held is None:
            return ()
        through = (held[name] for name in dict.fromkeys((ANY_MODEL, model)) if name in held)
        keys = tuple(entry.key for entry in through if not entry.is_limit)
        self._probing.update(keys)
        return keys

    def probed(self, keys: Iterable[Key]) -> None:
        """These are free for the next probe."""
        self._probing.difference_update(keys)

    def answered(self, account_id: str, model: str, asked_at: float) -> None:
        """An account begins to answer: what was counted in a row begins anew, circuits that it went through close."""
        if not self._held and not self._in_a_row:
            return
        for name in dict.fromkeys((ANY_MODEL, model)):
            self._in_a_row.pop((account_id, name), None)
            found = self._held.get(account_id, {}).get(name)
            if found is not None and (
                found.until <= self._clock() or (not found.is_limit and found.since <= asked_at)
            ):  # fmt: skip
                self._drop(found)
                self._table.soon()

    async def failed(self, account_id: str, model: str, error: RelayError) -> None:
        """A call has failed. When this returns, what follows from it is in the table, or known not to be."""
        outcome = consequence(error)
        key = (account_id, model if outcome.scope == "model" else ANY_MODEL)
        now = self._clock()
        said = error.retry_after is not None or outcome.rest is Rest.reset
        found = self._held.get(account_id, {}).get(key[1])
        again = found is not None and found.is_limit is (outcome.rest in LIMITS)
        strikes = found.strikes + (found.until <= now) if found is not None and again else 1
        match outcome.rest:
            case Rest.pause:
                until = now + pause(error.retry_after, strikes, self._chance)
            case Rest.reset:
                known = None if error.resets == "daily" else self.known_reset(account_id)
                until = known if known is not None and known > now else reset_at(error.resets, now)
            case Rest.circuit | Rest.log_in:
                self._in_a_row[key] += 1
                if self._in_a_row[key] < TRIPS_AFTER and (found is None or found.is_limit):
                    return
                until = now + open_seconds(strikes)
            case Rest.nothing | Rest.taken_out:
                return
        entry = CoolDown(*key, until, error.code, error.message[:_LONGEST_REASON], strikes, now)
        if found is None or found.until <= now:
            self._hold(entry)
        elif entry.is_limit and entry.until > found.until and (said or not found.is_limit):
            self._hold(entry)  # it was said, and later than what was said before; a guess is made once
        await self._table.written()

    async def exhausted(self, account_id: str, until: float, reason: str) -> None:
        """Its quota is known to be used up until then (epoch seconds), whatever was thought before."""
        now = self._clock()
        found = self.whole(account_id)
        told = found is not None and found.code is ErrorCode.quota_exhausted and found.until == until
        if until > now and not told:
            self._hold(
                CoolDown(account_id, ANY_MODEL, until, ErrorCode.quota_exhausted, reason[:_LONGEST_REASON], 1, now)
            )
            await self._table.written()

    async def not_exhausted(self, account_id: str) -> None:
        """There is quota again."""
        found = self._held.get(account_id, {}).get(ANY_MODEL)
        if found is not None and found.code is ErrorCode.quota_exhausted:
            self._drop(found)
            await self._table.written()

    async def forget(self, account_id: str) -> None:
        """Somebody has changed the account by hand, or deleted it: whoever has it may be asked at once."""
        for key in [key for key in self._in_a_row if key[0] == account_id]:
            del self._in_a_row[key]
        for entry in list(self._held.get(account_id, {}).values()):
            self._drop(entry)
        await self._table.written()

    # -- what other processes hold

    async def look(self) -> None:
        """Take over what other processes hold, and let go of what they let go. Raises RelayError."""
        now = self._clock()
        before = {entry.key: entry for held in self._held.values() for entry in held.values()}
        there = await self._table.active(now)
        for key, entry in there.items():
            if self._unchanged(key, before) and _differ(before.get(key), entry):
                self._keep(entry)
                self.releases += 1  # it may end earlier than what was held
        for key, entry in before.items():
            if entry.until > now and key not in there and self._unchanged(key, before):
                self._remove(entry)

    def _unchanged(self, key: Key, before: Mapping[Key, CoolDown]) -> bool:
        return not self._table.waits(key) and self._held.get(key[0], {}).get(key[1]) is before.get(key)

    def _hold(self, entry: CoolDown) -> None:
        self._keep(entry)
        self._table.note(entry.key, entry)
        log.info(
            "an account rests",
            account=entry.account_id,
            model=entry.model or "any",
            seconds=round(entry.until - entry.since, 1),
            code=entry.code,
        )

    def _drop(self, entry: CoolDown) -> None:
        self._remove(entry)
        self._table.note(entry.key, None)

    def _keep(self, entry: CoolDown) -> None:
        self._held.setdefault(entry.account_id, {})[entry.model] = entry

    def _remove(self, entry: CoolDown) -> None:
        self.releases += 1
        held = self._held[entry.account_id]
        del held[entry.model]
        if not held:
            del self._held[entry.account_id]


def _differ(known: CoolDown | None, stored: CoolDown) -> bool:
    return known is None or (known.until, known.code, known.strikes) != (stored.until, stored.code, stored.strikes)
