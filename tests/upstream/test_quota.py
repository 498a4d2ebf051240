"""What GetUsageLimits says, in full, and when an account is of no use any more (PROTOCOL.md §8.2)."""

from typing import Any

import msgspec
import pytest

from qrelay.errors import ErrorCode, RelayError
from qrelay.upstream.quota import Grant, Quota, kept, read_quota, written

RESET = 1796083200.0
BEFORE, AFTER = RESET - 1, RESET + 1


def said(*, overage: str = "DISABLED", rows: int = 1, **more: Any) -> Quota:
    row = {
        "resourceType": "CREDIT",
        "displayName": "Credit",
        "displayNamePlural": "Credits",
        "unit": "INVOCATIONS",
        "currentUsage": 1,
        "currentUsageWithPrecision": 1.25,
        "usageLimit": 50,
        "usageLimitWithPrecision": 50.0,
        "currentOverages": 0,
        "currentOveragesWithPrecision": 0.5,
        "overageRate": 0.04,
        "overageCharges": 0.02,
        "currency": "USD",
        "nextDateReset": RESET,
    }
    body = {
        "nextDateReset": RESET,
        "limits": [{"type": "AGENTIC_REQUEST", "currentUsage": 3, "totalUsageLimit": 50, "percentUsed": 6.0}],
        "subscriptionInfo": {"type": "Q_DEVELOPER_STANDALONE_FREE", "subscriptionTitle": "KIRO FREE"},
        "overageConfiguration": {"overageStatus": overage},
        "usageBreakdownList": [row | more] * rows,
        "userInfo": {"userId": "d-1.u", "email": "somebody@example.com"},
    }
    return read_quota(msgspec.json.encode(body))


def trial(used: float, limit: float, *, status: str = "ACTIVE", expiry: float = RESET) -> dict[str, Any]:
    told = {"freeTrialStatus": status, "freeTrialExpiry": expiry, "currentUsage": used, "usageLimit": limit}
    return {"freeTrialInfo": told}


def test_every_figure_is_read() -> None:
    bonus = {"bonusCode": "x", "status": "ACTIVE", "currentUsage": 1.5, "usageLimit": 5, "expiresAt": RESET}
    quota = said(overage="ENABLED", bonuses=[bonus], **trial(2, 500))
    assert (quota.plan, quota.plan_type, quota.overage_allowed) == ("KIRO FREE", "Q_DEVELOPER_STANDALONE_FREE", True)
    assert (quota.user_id, quota.email) == ("d-1.u", "somebody@example.com")
    main = quota.main
    assert main is not None
    assert (main.name, main.used, main.limit, main.unit, main.resets_at) == (
        "Credits",
        1.25,
        50.0,
        "INVOCATIONS",
        RESET,
    )
    assert (main.overage, main.overage_rate, main.overage_charges, main.currency) == (0.5, 0.04, 0.02, "USD")
    assert main.trial == Grant("Free trial", 2, 500, active=True, expires_at=RESET)
    assert main.bonuses == (Grant("x", 1.5, 5, active=True, expires_at=RESET),)
    assert main.left(BEFORE) == 48.75 + 498 + 3.5


@pytest.mark.parametrize(
    ("more", "now", "exhausted"),
    [
        ({"currentUsageWithPrecision": 49.99}, BEFORE, False),
        ({"currentUsageWithPrecision": 50.0}, BEFORE, True),
        ({"currentUsageWithPrecision": 51.5}, BEFORE, True),
        ({"currentUsageWithPrecision": 50.0}, AFTER, False),
        ({"currentUsageWithPrecision": 50.0, "overage": "ENABLED"}, BEFORE, False),
        ({"currentUsageWithPrecision": 50.0, **trial(1, 500)}, BEFORE, False),
        ({"currentUsageWithPrecision": 50.0, **trial(500, 500)}, BEFORE, True),
        ({"currentUsageWithPrecision": 50.0, **trial(1, 500, status="EXPIRED")}, BEFORE, True),
        ({"currentUsageWithPrecision": 50.0, **trial(1, 500, expiry=BEFORE - 1)}, BEFORE, True),
        ({"usageLimit": 0, "usageLimitWithPrecision": 0.0}, BEFORE, False),
        ({"rows": 0}, BEFORE, False),
    ],
)
def test_when_it_is_used_up(more: dict[str, Any], now: float, exhausted: bool) -> None:
    assert said(**more).exhausted(now) is exhausted


def test_credits_count_before_other_resources() -> None:
    rows = [{"resourceType": "VIBE", "usageLimit": 1}, {"resourceType": "CREDIT", "usageLimit": 2}]
    quota = read_quota(msgspec.json.encode({"usageBreakdownList": rows}))
    assert quota.main is not None
    assert quota.main.limit == 2


def test_what_is_kept_says_nothing_of_the_user() -> None:
    quota = said()
    text = written(quota, 5.0)
    assert "somebody" not in text
    assert "d-1.u" not in text
    again = kept(text)
    assert again is not None
    assert (again.allowances, again.good_until, again.email) == (quota.allowances, 5.0, None)
    assert kept(None) is None
    assert kept('{"plan": 1}') is None


def test_what_can_not_be_read_is_told() -> None:
    with pytest.raises(RelayError) as raised:
        read_quota(b"[1]")
    assert raised.value.code is ErrorCode.upstream_protocol


@pytest.mark.parametrize("said_reset", [-1, 9e18])
def test_a_reset_that_is_no_date_is_not_known(said_reset: float) -> None:
    main = said(nextDateReset=said_reset, **trial(0, 5, expiry=said_reset)).main
    assert main is not None
    assert main.resets_at == RESET  # what is said of the whole
    assert main.trial is not None
    assert main.trial.expires_at is None


def test_a_reset_in_milliseconds() -> None:
    main = said(nextDateReset=RESET * 1000).main
    assert main is not None
    assert main.resets_at == RESET
