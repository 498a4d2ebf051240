"""The operations beside the chat: models, profiles, usage (PROTOCOL.md §5, §8). Not how they are routed."""

from typing import Any

from qrelay.simulator import models
from qrelay.simulator.chat import Refused, authenticate, check_open, check_profile_arn
from qrelay.simulator.service import Account, RecordedRequest, Service

DAY = 86_400
CREDITS = {"free": 50.0, "paid": 1000.0}


def answer(service: Service, recorded: RecordedRequest) -> dict[str, Any]:
    """The body of the answer to a recorded ListAvailableModels, ListAvailableProfiles or GetUsageLimits.

    Raises Refused.
    """
    check_open(service, recorded)
    try:
        account = authenticate(service, recorded)
    except Refused:
        if service.options.management_errors:
            raise Refused("management_token_invalid") from None
        raise
    if recorded.method != "GET" and not isinstance(recorded.body, dict):
        raise Refused("request_body_invalid_json")
    asked: dict[str, Any] = dict(recorded.query) if recorded.method == "GET" else recorded.members
    match recorded.operation:
        case "ListAvailableModels":
            check_profile_arn(service, account, asked.get("profileArn"), recorded.host)
            return _models(account, asked)
        case "ListAvailableProfiles":
            return _profiles(account, asked)
        case "GetUsageLimits":
            check_profile_arn(service, account, asked.get("profileArn"), recorded.host)
            return _usage(service, account, asked)
        case _:
            raise ValueError(recorded.operation)


def _models(account: Account, asked: dict[str, Any]) -> dict[str, Any]:
    if not asked.get("origin"):
        raise Refused("request_body_invalid")
    page = models.page(account.tier, _size(asked, 100), asked.get("nextToken"))
    if page is None:
        raise Refused("request_body_invalid")
    return page


def _profiles(account: Account, asked: dict[str, Any]) -> dict[str, Any]:
    _size(asked, 10)
    match account.kind:
        case "builder_id":
            raise Refused("builder_id_unsupported")
        case "api_key":
            raise Refused("bearer_invalid")
        case "social":
            return {"profiles": []}
        case _:
            names = {arn: f"{account.name}'s profile {number}" for number, arn in enumerate(account.profiles, 1)}
            return {"profiles": [{"arn": arn, "profileName": name} for arn, name in names.items()]}


def _size(asked: dict[str, Any], most: int) -> int | None:
    size = asked.get("maxResults")
    if size is None:
        return None
    if not str(size).isdecimal() or not 1 <= int(size) <= most:
        raise Refused("request_body_invalid")
    return int(size)


def _usage(service: Service, account: Account, asked: dict[str, Any]) -> dict[str, Any]:
    reset_at = (service.now() // (30 * DAY) + 1) * 30 * DAY
    limit = CREDITS[account.tier]
    used = round(account.credits_used, 6)
    free = account.tier == "free"
    answer: dict[str, Any] = {
        "daysUntilReset": int((reset_at - service.now()) // DAY),
        "nextDateReset": reset_at,
        "limits": [
            {
                "type": "AGENTIC_REQUEST",
                "currentUsage": int(used),
                "totalUsageLimit": int(limit),
                "percentUsed": round(100 * used / limit, 4),
            }
        ],
        "subscriptionInfo": {
            "type": "Q_DEVELOPER_STANDALONE_FREE" if free else "Q_DEVELOPER_STANDALONE_PRO",
            "subscriptionTitle": "KIRO FREE" if free else "KIRO PRO",
            "upgradeCapability": "UPGRADE_CAPABLE",
            "overageCapability": "OVERAGE_INCAPABLE" if free else "OVERAGE_CAPABLE",
            "subscriptionManagementTarget": "PURCHASE" if free else "MANAGE",
        },
        "overageConfiguration": {"overageStatus": "ENABLED" if account.overages else "DISABLED"},
        "usageBreakdownList": [
            {
                "resourceType": "CREDIT",
                "displayName": "Credit",
                "displayNamePlural": "Credits",
                "unit": "INVOCATIONS",
                "currentUsage": int(used),
                "currentUsageWithPrecision": used,
                "usageLimit": int(limit),
                "usageLimitWithPrecision": limit,
                "currentOverages": 0,
                "currentOveragesWithPrecision": 0.0,
                "overageRate": 0.04,
                "overageCharges": 0.0,
                "currency": "USD",
                "nextDateReset": reset_at,
                "bonuses": [],
            }
        ],
        "userInfo": {"userId": f"d-0000000000.{account.name}"},
    }
    if account.trial_credits is not None:
        answer["usageBreakdownList"][0]["freeTrialInfo"] = {
            "freeTrialStatus": "ACTIVE",
            "freeTrialExpiry": reset_at,
            "currentUsage": 0,
            "usageLimit": account.trial_credits,
        }
    if str(asked.get("isEmailRequired")).lower() == "true":
        answer["userInfo"]["email"] = f"{account.name}@example.com"
    return answer
