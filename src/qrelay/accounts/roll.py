"""Who may serve a model now, and what is said when nobody may. It looks; it lends nothing: that is `pool`.

`may_serve` is cheap and asked for single accounts. A `survey` looks at all of them, and is kept until the first of
those that rest comes back: with ten thousand accounts at their limits no request costs a look at each.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from qrelay.accounts.account import Account, AccountState
from qrelay.accounts.consequences import whole_seconds
from qrelay.accounts.cooldown_table import CoolDown
from qrelay.accounts.cooldowns import ModelOf
from qrelay.accounts.store import AccountStore
from qrelay.errors import ErrorCode, RelayError

_MANY: Final = 256
_LEAST_SECONDS: Final = 0.05
"""Among many accounts, how long a survey is kept at least: someone always comes back just now."""
_MOST_MODELS: Final = 64
_OWN_WORDS: Final = frozenset({ErrorCode.account_expired, ErrorCode.account_forbidden, ErrorCode.feature_blocked})
"""Failures of which people must read what the service says, since trying again doesn't help."""


class Survey(NamedTuple):
    """`usable` may serve; `tripped` are kept away by a broken circuit only; `resting` is what keeps each away."""

    usable: Sequence[str]
    tripped: Sequence[str]
    resting: Sequence[CoolDown]
    earliest: float
    """When the first of those that rest comes back, epoch seconds."""
    until: float
    seen: tuple[int, int]


class Roll:
    """The accounts that a strategy lets serve at all: all, or the active one only."""

    def __init__(self, store: AccountStore, *, only_active: bool) -> None:
        self._store = store
        self._cooldowns = store.cooldowns
        self._clock = store.clock
        self._only_active = only_active
        self._surveys: dict[str, Survey] = {}

    def accounts(self) -> list[Account]:
        """Them, oldest first."""
        accounts = self._store.accounts()
        if not self._only_active:
            return accounts
        return [account for account in accounts if account.is_active][:1] or accounts[:1]

    def may_serve(self, account_id: str, model: ModelOf, now: float) -> bool:
        """Whether an account may be asked; one that needs a log-in serves until its access token ends."""
        account = self._store.find(account_id)
        return (
            account is not None
            and _serves(account, now)
            and self._cooldowns.blocking(account_id, model, now) is None
        )  # fmt: skip

    def state(self, account: Account) -> AccountState:
        """As people are told: `cooling` while no model can be had of an account that is ready."""
        return "cooling" if account.state == "ready" and self._cooldowns.whole(account.id) else account.state

    def usable_now(self) -> int:
        """How many may serve some model."""
        now = self._clock()
        return sum(self.may_serve(account.id, lambda _: "", now) for account in self.accounts() if account.enabled)

    def known_as_empty(self, asked: str) -> bool:
        """Whether the last survey holds, and found nobody."""
        known = self._fresh(asked)
        return known is not None and not known.usable

    def survey(self, asked: str, model: ModelOf, *, anew: bool = False) -> Survey:
        """All of them. `asked` is the client's name of the model, under which this is kept.

        Who has begun to rest since may still be among the usable ones: they are to be asked about, or `anew`.
        """
        known = self._fresh(asked)
        if known is not None and not anew:
            return known
        now = self._clock()
        usable: list[str] = []
        tripped: list[str] = []
        resting: list[CoolDown] = []
        for account in self.accounts():
            if not _serves(account, now):
                continue
            found = self._cooldowns.blocking(account.id, model, now)
            if found is None:
                usable.append(account.id)
            else:
                resting.append(found)
                if not found.is_limit:
                    tripped.append(account.id)
        earliest = min((entry.until for entry in resting), default=now + 1)
        kept = _LEAST_SECONDS if len(usable) + len(resting) > _MANY else 0.0
        if len(self._surveys) >= _MOST_MODELS:
            self._surveys.clear()
        # What is half open, with a probe under way, is over already: it may come back at any time.
        surveyed = Survey(usable, tripped, resting, earliest, max(earliest, now + kept), self._seen())
        self._surveys[asked] = surveyed
        return surveyed

    def _fresh(self, asked: str) -> Survey | None:
        known = self._surveys.get(asked)
        return known if known is not None and known.seen == self._seen() and self._clock() < known.until else None

    def _seen(self) -> tuple[int, int]:
        return self._store.changes, self._cooldowns.releases

    def nobody(self, asked: str, model: ModelOf, avoid: Collection[str]) -> RelayError:
        """What a request is told that no account can serve: what keeps them away, and when to come back."""
        survey = self.survey(asked, model)
        resting = [entry for entry in survey.resting if entry.account_id not in avoid] or survey.resting
        if resting:
            return self._resting(resting)
        return self._absent()

    def _resting(self, resting: Sequence[CoolDown]) -> RelayError:
        first = min(resting, key=lambda entry: entry.until)
        seconds = whole_seconds(first.until - self._clock())
        tripped = [entry for entry in resting if not entry.is_limit]
        if tripped:
            said = tripped[0]
            if all(entry.code in _OWN_WORDS for entry in resting):
                return RelayError(said.code, f"No account can be used. {said.reason}")
            return RelayError(
                ErrorCode.upstream_overloaded,
                f"The last calls with every account failed, so that only one a second is made. {said.reason}",
                retry_after=1,
            )
        if all(entry.code is ErrorCode.quota_exhausted for entry in resting):
            date = datetime.fromtimestamp(first.until, UTC).strftime("%Y-%m-%d %H:%M UTC")
            message = f"The quota of every account is used up; the first begins anew on {date}."
            return RelayError(ErrorCode.quota_exhausted, message, resets="monthly")
        return RelayError(
            ErrorCode.account_throttled,
            f"Every account is at its limit; the first is free again in {seconds:g} s.",
            retry_after=seconds,
        )

    def _absent(self) -> RelayError:
        enabled = [account for account in self.accounts() if account.enabled]
        states = {account.state for account in enabled}
        if "needs_login" in states:
            names = ", ".join(account.name for account in enabled if account.state == "needs_login")
            return RelayError(ErrorCode.account_expired, f"No account can be used: {names} must be logged in again.")
        if "suspended" in states:
            reasons = "; ".join(account.state_reason or account.name for account in enabled)
            return RelayError(ErrorCode.account_suspended, f"No account can be used: {reasons}")
        stored = self._store.accounts()
        if self._only_active and stored:
            return RelayError(
                ErrorCode.no_account,
                f"The active account, {self.accounts()[0].name}, is off, and by QRELAY_STRATEGY no other one serves.",
                remedy="Make another one active: POST /api/accounts/{id}/activate, or add one with `qrelay login`.",
            )
        if stored:
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


def _serves(account: Account, now: float) -> bool:
    return account.state == "ready" or (account.state == "needs_login" and account.lives(now))
