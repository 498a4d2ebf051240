"""Every row of PROTOCOL.md §4.2, with its type in both places, and the monthly limit in three guises."""

import json
from typing import Any

import httpx
import pytest

from qrelay.simulator.errors import CATALOGUE, VALIDATION_REASONS, Placement
from qrelay.simulator.scenario import Refuse, Scenario, refusal
from qrelay.simulator.server import Simulator

from .asking import Caller

pytestmark = pytest.mark.anyio

ROWS = {
    # (type, status): the reasons that PROTOCOL.md §4.2 lists; None where it says "or null"
    ("ServiceQuotaExceededException", 402): {
        "CONVERSATION_LIMIT_EXCEEDED", "MONTHLY_REQUEST_COUNT", "OVERAGE_REQUEST_LIMIT_EXCEEDED",
    },
    ("AccessDeniedException", 403): {
        "UNAUTHORIZED_CUSTOMIZATION_RESOURCE_ACCESS", "UNAUTHORIZED_WORKSPACE_CONTEXT_FEATURE_ACCESS",
        "TEMPORARILY_SUSPENDED", "FEATURE_NOT_SUPPORTED", None,
    },
    ("ResourceNotFoundException", 404): {None},
    ("ConflictException", 409): {
        "CUSTOMER_KMS_KEY_INVALID_KEY_POLICY", "CUSTOMER_KMS_KEY_DISABLED", "MISMATCHED_KMS_KEY",
    },
    ("ThrottlingException", 429): {
        "DAILY_REQUEST_COUNT", "MONTHLY_REQUEST_COUNT", "INSUFFICIENT_MODEL_CAPACITY", None,
    },
    ("InternalServerException", 500): {"MODEL_TEMPORARILY_UNAVAILABLE", None},
    ("ServiceUnavailableException", 503): {None},
    ("ValidationException", 400): {*VALIDATION_REASONS, None},
}  # fmt: skip


def test_every_row_is_there() -> None:
    for (kind, status), reasons in ROWS.items():
        found = {row.reason for row in CATALOGUE.values() if (row.type, row.status) == (kind, status)}
        assert found == reasons, kind


def test_the_marker_strings_are_exact() -> None:
    """Official clients tell errors apart by these (PROTOCOL.md §4.1, §4.3)."""
    messages = {row.message for row in CATALOGUE.values()}
    assert messages >= {
        "Improperly formed request.",
        "Input is too long.",
        "Invalid tool use format.",
        "profileArn is required for this request.",
        "You have reached the limit.",
        "The bearer token included in the request is invalid.",
        "User is not authorized to make this call.",
        "Feature is not supported",
        "Your subscription does not support this application.",
        "AWS Builder ID is not supported for this operation.",
        "Maximum Request reached for this month.",
        "Too many requests, please wait before trying again.",
        "60-minute credit limit exceeded",
        "Encountered unexpectedly high load when processing the request, please try again.",
        "Encountered an unexpected error when processing the request, please try again.",
        "Invalid token",
    }


def test_the_monthly_limit_has_three_guises() -> None:
    guises = {(row.type, row.status) for row in CATALOGUE.values() if row.reason == "MONTHLY_REQUEST_COUNT"}
    assert guises == {
        ("ThrottlingException", 429),
        ("ThrottlingException", 400),
        ("ServiceQuotaExceededException", 402),
    }


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("placement", ["header", "body", "both"])
async def test_row_over_the_wire(caller: Caller, name: str, placement: Placement) -> None:
    caller.simulator.next(refusal(name, placement))
    response = await caller.chat()
    row = CATALOGUE[name]
    assert response.status_code == row.status
    told: dict[str, Any] = response.json()
    assert told["message"] == row.message
    assert ("reason" in told) is not row.reason_absent
    assert told.get("reason") == row.reason
    assert ("__type" in told) is (placement != "header")
    assert ("x-amzn-errortype" in response.headers) is (placement != "body")
    if placement != "header":
        assert told["__type"] == f"com.amazon.aws.codewhisperer#{row.type}"
    if placement != "body":
        assert response.headers["x-amzn-errortype"].startswith(f"{row.type}:http://")
    assert caller.simulator.requests[-1].refusal == name


async def test_the_place_follows_the_binding(caller: Caller) -> None:
    caller.simulator.next("throttled", times=2)
    on_aws_json, on_rest_json = await caller.chat(), await caller.chat(rest=True)
    assert "__type" in on_aws_json.json()
    assert "x-amzn-errortype" not in on_aws_json.headers
    assert "__type" not in on_rest_json.json()
    assert "x-amzn-errortype" in on_rest_json.headers


async def test_the_place_is_an_option(http: httpx.AsyncClient) -> None:
    async with Simulator.serve(error_placement="both") as sim:
        response = await Caller(sim, http).chat(headers={})
        assert "__type" in response.json()
        assert "x-amzn-errortype" in response.headers


async def test_headers_of_ones_own(caller: Caller) -> None:
    caller.simulator.next(Scenario([Refuse("throttled", headers={"retry-after": "7"})]))
    assert (await caller.chat()).headers["retry-after"] == "7"


async def test_refused_twice_then_answered(caller: Caller) -> None:
    caller.simulator.next("unavailable", times=2)
    assert [(await caller.chat()).status_code for _ in range(3)] == [503, 503, 200]


def test_unknown_names_are_told() -> None:
    with pytest.raises(KeyError):
        refusal("no_such_row")


async def test_the_body_is_json_of_the_binding(caller: Caller) -> None:
    response = await caller.chat(b"")
    assert response.headers["content-type"] == "application/x-amz-json-1.0"
    assert json.loads(response.content)["reason"] == "REQUEST_BODY_INVALID_JSON"
