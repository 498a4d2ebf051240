"""What an account has left, as GetUsageLimits says it (PROTOCOL.md §8.2). Pure: not the asking, not the remembering.

    Quota ── Allowance, one for each resource ── Grant: the free trial, bonuses

The allowance that counts is that of credits. It is used up when nothing is left of it, of a trial and of bonuses; then
an account is of no use until it begins anew, unless more may be used and is paid for.
"""

import msgspec
from msgspec import Struct

from qrelay import moments
from qrelay.errors import ErrorCode, RelayError
from qrelay.json_errors import JSON_ERRORS
from qrelay.redaction import CLEAN, Clean
from qrelay.upstream.schema import UsageBreakdown, UsageLimits

_MAIN = ("CREDIT", "AGENTIC_REQUEST")


class Grant(Struct, frozen=True):
    """Something on top of the plan. `active`: it can be used."""

    name: str
    used: float
    limit: float
    active: bool
    expires_at: float | None = None


class Allowance(Struct, frozen=True):
    """So much of something, in `unit`; times are epoch seconds. `overage` was used beyond the limit.

    `overage_rate` is the price of one more, `overage_charges` what is owed for it so far, both in `currency`.
    """

    name: str
    used: float
    limit: float
    unit: str = ""
    overage: float = 0.0
    overage_charges: float = 0.0
    currency: str = ""
    resets_at: float | None = None
    overage_rate: float = 0.0
    resource: str = ""
    trial: Grant | None = None
    bonuses: tuple[Grant, ...] = ()

    def left(self, now: float) -> float:
        """What can be used yet, all grants included."""
        grants = (grant for grant in (self.trial, *self.bonuses) if grant is not None and _usable(grant, now))
        return max(0.0, self.limit - self.used) + sum(max(0.0, grant.limit - grant.used) for grant in grants)


class Quota(Struct, frozen=True):
    """An account's plan and allowances, and whose account it is where that is said.

    `overage_allowed`: more than the limit may be used, and is paid for. A newer one should be there at `good_until`.
    """

    plan: str
    plan_type: str
    overage_allowed: bool
    allowances: tuple[Allowance, ...]
    user_id: str | None = None
    email: str | None = None
    good_until: float | None = None

    @property
    def main(self) -> Allowance | None:
        """The allowance that chats are taken from."""
        named = (row for name in _MAIN for row in self.allowances if row.resource == name)
        return next(named, self.allowances[0] if self.allowances else None)

    def exhausted(self, now: float) -> bool:
        """Whether nothing is left, and no more may be used."""
        main = self.main
        if main is None or self.overage_allowed or (main.resets_at is not None and main.resets_at <= now):
            return False
        return main.limit > 0 and main.left(now) <= 0


def read_quota(body: bytes, clean: Clean = CLEAN) -> Quota:
    """The body of a GetUsageLimits answer, its texts cleaned. Raises RelayError if it can't be read."""
    try:
        said = msgspec.json.decode(body, type=UsageLimits)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RelayError(ErrorCode.upstream_protocol, f"The usage limits can't be read: {error}.") from None
    subscription, overages, user = said.subscriptionInfo, said.overageConfiguration, said.userInfo
    allowances = [_allowance(row, moments.told(said.nextDateReset), clean) for row in said.usageBreakdownList or ()]
    if not allowances:
        allowances = [
            Allowance(
                clean(row.type or ""),
                row.currentUsage or 0,
                row.totalUsageLimit or row.currentUsageLimit or 0,
                resets_at=moments.told(said.nextDateReset),
                resource=clean(row.type or ""),
            )
            for row in said.limits or ()
        ]
    return Quota(
        clean((subscription and subscription.subscriptionTitle) or ""),
        clean((subscription and subscription.type) or ""),
        overages is not None and overages.overageStatus == "ENABLED",
        tuple(allowances),
        clean((user and user.userId) or "") or None,
        clean((user and user.email) or "") or None,
    )


def written(quota: Quota, good_until: float | None) -> str:
    """As it is kept: without whose it is, which has a place of its own."""
    return msgspec.json.encode(msgspec.structs.replace(quota, user_id=None, email=None, good_until=good_until)).decode()


def kept(text: str | None) -> Quota | None:
    """What `written` wrote; None for nothing, or for what another version wrote and can't be read."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=Quota)
    except JSON_ERRORS:
        return None


def _allowance(row: UsageBreakdown, resets_at: float | None, clean: Clean) -> Allowance:
    trial = row.freeTrialInfo
    return Allowance(
        clean(row.displayNamePlural or row.displayName or row.resourceType or ""),
        _precise(row.currentUsageWithPrecision, row.currentUsage),
        _precise(row.usageLimitWithPrecision, row.usageLimit),
        clean(row.unit or ""),
        _precise(row.currentOveragesWithPrecision, row.currentOverages),
        row.overageCharges or 0,
        clean(row.currency or ""),
        moments.told(row.nextDateReset) or resets_at,
        row.overageRate or 0,
        clean(row.resourceType or ""),
        None
        if trial is None
        else Grant(
            "Free trial",
            _precise(trial.currentUsageWithPrecision, trial.currentUsage),
            _precise(trial.usageLimitWithPrecision, trial.usageLimit),
            trial.freeTrialStatus == "ACTIVE",
            moments.told(trial.freeTrialExpiry),
        ),
        tuple(
            Grant(
                clean(bonus.displayName or bonus.bonusCode or ""),
                bonus.currentUsage or 0,
                bonus.usageLimit or 0,
                bonus.status == "ACTIVE",
                moments.told(bonus.expiresAt),
            )
            for bonus in row.bonuses or ()
        ),
    )


def _usable(grant: Grant, now: float) -> bool:
    return grant.active and (grant.expires_at is None or grant.expires_at > now)


def _precise(exact: float | None, rounded: float | None) -> float:
    return exact if exact is not None else rounded or 0
