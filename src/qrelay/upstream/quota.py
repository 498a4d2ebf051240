"""What an account has left, asked of the service and remembered for a minute (PROTOCOL.md §8.2)."""

import asyncio
from typing import NamedTuple

import msgspec
from msgspec import Struct

from qrelay.credential import Credential
from qrelay.errors import ErrorCode, RelayError
from qrelay.upstream.client import UpstreamClient
from qrelay.upstream.endpoints import Endpoint
from qrelay.upstream.schema import UsageBreakdown, UsageLimits

FRESH_SECONDS = 60.0


class Allowance(Struct, frozen=True):
    """So much of something, in `unit`; times are epoch seconds. `overage` was used beyond the limit."""

    name: str
    used: float
    limit: float
    unit: str = ""
    overage: float = 0.0
    overage_charges: float = 0.0
    currency: str = ""
    resets_at: float | None = None


class Quota(Struct, frozen=True):
    """An account's plan and allowances. `overage_allowed`: more than the limit may be used, and is paid for."""

    plan: str
    plan_type: str
    overage_allowed: bool
    allowances: tuple[Allowance, ...]


class Known(NamedTuple):
    """A quota, how many seconds ago it was read, and what kept a newer one away."""

    quota: Quota
    age: float
    failure: RelayError | None = None


def read_quota(body: bytes) -> Quota:
    """The body of a GetUsageLimits answer. Raises RelayError if it can't be read."""
    try:
        said = msgspec.json.decode(body, type=UsageLimits)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RelayError(ErrorCode.upstream_protocol, f"The usage limits can't be read: {error}.") from None
    subscription, overages = said.subscriptionInfo, said.overageConfiguration
    allowances = [_allowance(row, said.nextDateReset) for row in said.usageBreakdownList or ()]
    if not allowances:
        allowances = [
            Allowance(
                row.type or "", row.currentUsage or 0, row.totalUsageLimit or row.currentUsageLimit or 0,
                resets_at=said.nextDateReset,
            )
            for row in said.limits or ()
        ]  # fmt: skip
    return Quota(
        (subscription and subscription.subscriptionTitle) or "",
        (subscription and subscription.type) or "",
        overages is not None and overages.overageStatus == "ENABLED",
        tuple(allowances),
    )


def _allowance(row: UsageBreakdown, resets_at: float | None) -> Allowance:
    def precise(exact: float | None, rounded: float | None) -> float:
        return exact if exact is not None else rounded or 0

    return Allowance(
        row.displayNamePlural or row.displayName or row.resourceType or "",
        precise(row.currentUsageWithPrecision, row.currentUsage),
        precise(row.usageLimitWithPrecision, row.usageLimit),
        row.unit or "",
        precise(row.currentOveragesWithPrecision, row.currentOverages),
        row.overageCharges or 0,
        row.currency or "",
        row.nextDateReset or resets_at,
    )


class Quotas:
    """The quotas that were read. One that can't be read anew is told as it was."""

    def __init__(self, client: UpstreamClient) -> None:
        self._client = client
        self._read: dict[str, tuple[Quota, float]] = {}

    async def of(self, credential: Credential, endpoint: Endpoint) -> Known:
        """An account's, asked for if it is older than a minute. Raises RelayError if it can't be had."""
        known = self.known(credential.account_id)
        if known is None or known.age >= FRESH_SECONDS:
            quota = read_quota(await self._client.usage_limits(credential, endpoint))
            self._read[credential.account_id] = quota, asyncio.get_running_loop().time()
            known = Known(quota, 0.0)
        return known

    def known(self, account_id: str, failure: RelayError | None = None) -> Known | None:
        """The last one that was read, however old."""
        if account_id not in self._read:
            return None
        quota, at = self._read[account_id]
        return Known(quota, asyncio.get_running_loop().time() - at, failure)
