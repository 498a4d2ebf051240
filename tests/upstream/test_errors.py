"""The service's refusals to codes: every row of PROTOCOL.md §4.2, wherever its type stands and whatever is missing."""

import json
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from qrelay.errors import CATALOGUE, ErrorCode, RelayError
from qrelay.upstream.errors import from_error_frame, from_frame, from_http

VALIDATION, QUOTA, DENIED = "ValidationException", "ServiceQuotaExceededException", "AccessDeniedException"
THROTTLING, INTERNAL = "ThrottlingException", "InternalServerException"
IMPROPER = "Improperly formed request."


class Row(NamedTuple):
    status: int
    kind: str
    reason: str | None
    message: str
    code: ErrorCode


ROWS = [Row(*row) for row in [
    (400, VALIDATION, "CONTENT_LENGTH_EXCEEDS_THRESHOLD", "Input is too long.", ErrorCode.context_too_long),
    (400, VALIDATION, None, "Input is too long.", ErrorCode.context_too_long),
    (400, VALIDATION, "PROMPT_TOO_LONG", "no", ErrorCode.context_too_long),
    (400, VALIDATION, "INVALID_MODEL_ID", "Invalid model. Please select another.", ErrorCode.model_unknown),
    (400, VALIDATION, None, "Invalid model x", ErrorCode.model_unknown),
    (400, VALIDATION, "INVALID_CONVERSATION_ID", "no", ErrorCode.upstream_rejected),
    (400, VALIDATION, "INVALID_KMS_GRANT", "no", ErrorCode.upstream_rejected),
    (400, VALIDATION, None, IMPROPER, ErrorCode.upstream_rejected),
    (400, VALIDATION, "REQUEST_BODY_INVALID", IMPROPER, ErrorCode.upstream_rejected),
    (400, VALIDATION, "REQUEST_BODY_INVALID", "Invalid tool use format.", ErrorCode.upstream_rejected),
    (400, VALIDATION, "REQUEST_BODY_INVALID_JSON", "no", ErrorCode.upstream_rejected),
    (400, VALIDATION, "TOOL_CONFIG_MISSING", "toolConfig field must be defined", ErrorCode.upstream_rejected),
    (400, VALIDATION, "TOOL_DUPLICATE", "no", ErrorCode.upstream_rejected),
    (400, VALIDATION, "TOOL_SCHEMA_INVALID", "no", ErrorCode.upstream_rejected),
    (400, VALIDATION, "TOOL_USE_RESULT_MISMATCH", "no", ErrorCode.upstream_rejected),
    (400, VALIDATION, "THINKING_SIGNATURE_INVALID", "no", ErrorCode.upstream_rejected),
    (400, VALIDATION, "IMAGE_COUNT_EXCEEDED", "no", ErrorCode.upstream_rejected),
    (400, VALIDATION, "IMAGE_DIMENSION_EXCEEDED", "no", ErrorCode.upstream_rejected),
    (400, VALIDATION, "IMAGE_FORMAT_UNSUPPORTED", "no", ErrorCode.upstream_rejected),
    (400, VALIDATION, "IMAGE_MIME_MISMATCH", "no", ErrorCode.upstream_rejected),
    (400, VALIDATION, "IMAGE_SIZE_EXCEEDED", "no", ErrorCode.upstream_rejected),
    (400, VALIDATION, "DOCUMENT_SIZE_EXCEEDED", "no", ErrorCode.upstream_rejected),
    (400, VALIDATION, None, "profileArn is required for this request.", ErrorCode.account_forbidden),
    (402, QUOTA, "MONTHLY_REQUEST_COUNT", "You have reached the limit.", ErrorCode.quota_exhausted),
    (402, QUOTA, "CONVERSATION_LIMIT_EXCEEDED", "no", ErrorCode.quota_exhausted),
    (402, QUOTA, "OVERAGE_REQUEST_LIMIT_EXCEEDED", "no", ErrorCode.quota_exhausted),
    (402, QUOTA, None, "no", ErrorCode.quota_exhausted),
    (429, THROTTLING, "MONTHLY_REQUEST_COUNT", "Maximum Request reached for this month.", ErrorCode.quota_exhausted),
    (400, THROTTLING, "MONTHLY_REQUEST_COUNT", "Maximum Request reached for this month.", ErrorCode.quota_exhausted),
    (429, THROTTLING, None, "Maximum Request reached for this month.", ErrorCode.quota_exhausted),
    (429, THROTTLING, "DAILY_REQUEST_COUNT", "no", ErrorCode.quota_exhausted),
    (429, THROTTLING, "INSUFFICIENT_MODEL_CAPACITY", "no", ErrorCode.upstream_overloaded),
    (429, THROTTLING, None, "Too many requests, please wait before trying again.", ErrorCode.account_throttled),
    (429, THROTTLING, None, "60-minute credit limit exceeded", ErrorCode.account_throttled),
    (400, THROTTLING, None, "no", ErrorCode.account_throttled),
    (403, DENIED, None, "The bearer token included in the request is invalid.", ErrorCode.account_expired),
    (400, DENIED, None, "Invalid token", ErrorCode.account_expired),
    (403, DENIED, None, "User is not authorized to make this call.", ErrorCode.account_forbidden),
    (403, DENIED, "UNAUTHORIZED_CUSTOMIZATION_RESOURCE_ACCESS", "no", ErrorCode.account_forbidden),
    (403, DENIED, "UNAUTHORIZED_WORKSPACE_CONTEXT_FEATURE_ACCESS", "no", ErrorCode.account_forbidden),
    (403, DENIED, "TEMPORARILY_SUSPENDED", "no", ErrorCode.account_suspended),
    (403, DENIED, None, "Your User ID (d-1) temporarily is suspended. Contact us.", ErrorCode.account_suspended),
    (403, DENIED, "FEATURE_NOT_SUPPORTED", "no", ErrorCode.feature_blocked),
    (403, DENIED, None, "Feature is not supported", ErrorCode.feature_blocked),
    (403, DENIED, None, "Your subscription does not support this application. See …", ErrorCode.feature_blocked),
    (403, DENIED, None, "Please visit kiro.dev … to purchase a Kiro subscription…", ErrorCode.feature_blocked),
    (403, DENIED, None, "AWS Builder ID is not supported for this operation.", ErrorCode.feature_blocked),
    (404, "ResourceNotFoundException", None, "no", ErrorCode.upstream_failed),
    (404, "UnknownOperationException", None, "no", ErrorCode.upstream_failed),
    (409, "ConflictException", "CUSTOMER_KMS_KEY_DISABLED", "no", ErrorCode.upstream_rejected),
    (500, INTERNAL, "MODEL_TEMPORARILY_UNAVAILABLE", "no", ErrorCode.upstream_overloaded),
    (500, INTERNAL, None, "Encountered unexpectedly high load when processing the request, please try again.",
     ErrorCode.upstream_overloaded),
    (500, INTERNAL, None, "Encountered an unexpected error when processing the request, please try again.",
     ErrorCode.upstream_failed),
    (503, "ServiceUnavailableException", None, "no", ErrorCode.upstream_overloaded),
    (500, "ServiceUnavailableException", None, "no", ErrorCode.upstream_overloaded),
    (500, INTERNAL, None, "ServiceUnavailableException: no", ErrorCode.upstream_overloaded),
    (413, "", None, "too large", ErrorCode.request_too_large),
    (401, "", None, "no", ErrorCode.account_expired),
    (302, "", None, "no", ErrorCode.upstream_failed),
    (500, "", None, "no", ErrorCode.upstream_failed),
    (418, "NewException", "NEW_REASON", "no", ErrorCode.upstream_failed),
]]  # fmt: skip


def told(status: int, body: Any, **headers: str) -> RelayError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return from_http(status, CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()}), raw)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("place", ["header", "header with a URL", "__type", "code"])
def test_each_row(row: Row, place: str) -> None:
    body: dict[str, Any] = {"message": row.message, "reason": row.reason}
    match place:
        case "header":
            error = told(row.status, body, X_Amzn_ErrorType=row.kind)
        case "header with a URL":
            error = told(row.status, body, x_amzn_errortype=f"{row.kind}:http://internal.amazon.com/coral/com.amazon/")
        case "__type":
            error = told(row.status, {"__type": f"com.amazon.aws.codewhisperer#{row.kind}", **body})
        case _:
            error = told(row.status, {"code": row.kind, **body})
    assert error.code is row.code
    assert row.message in error.message
    assert error.status == row.status


@pytest.mark.parametrize("row", [row for row in ROWS if row.kind])
def test_each_row_as_a_frame(row: Row) -> None:
    kind = row.kind[0].lower() + row.kind[1:]
    error = from_frame(kind, json.dumps({"message": row.message, "reason": row.reason}).encode())
    assert error.code is row.code
    assert error.status is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, THROTTLING), (400, THROTTLING), (402, QUOTA), (400, VALIDATION), (500, INTERNAL), (429, "")],
)
def test_the_monthly_limit_in_every_guise_is_never_tried_again(status: int, kind: str) -> None:
    error = told(status, {"message": "no", "reason": "MONTHLY_REQUEST_COUNT", "__type": kind})
    assert error.code is ErrorCode.quota_exhausted
    assert not CATALOGUE[error.code].retryable
    assert error.retry_after is None


def test_the_header_s_type_comes_before_the_body_s() -> None:
    body = {"message": "no", "__type": f"com.amazon.kiro.runtimeservice#{VALIDATION}"}
    assert told(500, body, x_amzn_errortype=THROTTLING).code is ErrorCode.account_throttled


@pytest.mark.parametrize("key", ["message", "Message", "errorMessage"])
def test_the_spellings_of_message(key: str) -> None:
    assert "what it says" in told(500, {key: "what it says"}).message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "InternalServerException"),
        (b"{}", "InternalServerException"),
        (b"null", "InternalServerException"),
        (b"[1]", "InternalServerException"),
        (b'{"message":null,"reason":null,"__type":null,"code":5}', "InternalServerException"),
        (b'{"message":5,"reason":"WHY"}', "WHY"),
        (b"<html>Bad gateway</html>", "<html>Bad gateway</html>"),
        (b"<html>Bad\ngateway\xe2\x80\xae \x1b[31m", "(an answer that is not text)"),
        (b"<html>" + b"Bad gateway " * 9000, "<html>Bad gateway"),
        (b"\xff\xfe", "(an answer that is not text)"),
        (b'{"message":"\xff"}', "(an answer that is not text)"),
        (b"[" * 100_000, "InternalServerException"),
        (b'{"message":"a\\nb\\u001b[31m\\u202ec"}', "The service says: a b[31mc"),
    ],
)
def test_bodies_of_all_kinds(body: bytes, said: str) -> None:
    error = told(500, body, x_amzn_errortype=INTERNAL)
    assert error.code is ErrorCode.upstream_failed
    assert said in error.message


def test_an_answer_that_says_nothing_at_all() -> None:
    assert "status 502" in told(502, b"").message


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("1.5", 1.5),
        ("0", 0.0),
        ("-1", None),
        ("inf", None),
        ("nan", None),
        ("Wed, 21 Oct 2026", None),
        ("", None),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    assert told(429, {"message": "no"}, retry_after=header).retry_after == seconds
    assert told(503, {"message": "no"}, retry_after=header).retry_after == seconds


@pytest.mark.parametrize(
    ("reason", "explained"),
    [
        ("TOOL_CONFIG_MISSING", "offers no tools"),
        ("TOOL_DUPLICATE", "same name"),
        ("TOOL_SCHEMA_INVALID", "JSON Schema"),
        ("TOOL_USE_RESULT_MISMATCH", "do not pair up"),
        ("THINKING_SIGNATURE_INVALID", "Invalid `signature` in `thinking` block"),
        ("IMAGE_COUNT_EXCEEDED", "too many images"),
        ("IMAGE_DIMENSION_EXCEEDED", "pixels"),
        ("IMAGE_FORMAT_UNSUPPORTED", "neither PNG"),
        ("IMAGE_MIME_MISMATCH", "declared"),
        ("IMAGE_SIZE_EXCEEDED", "too large"),
        ("INVALID_CONVERSATION_ID", "conversation id"),
        ("REQUEST_BODY_INVALID_JSON", "not JSON"),
        ("REQUEST_BODY_INVALID", "which rule"),
    ],
)
def test_a_refused_request_is_explained(reason: str, explained: str) -> None:
    error = told(400, {"message": "no", "reason": reason}, x_amzn_errortype=VALIDATION)
    assert error.message.startswith("The service says: no (")
    assert explained in error.message


def test_the_older_hosts_word_for_everything_is_explained() -> None:
    assert "1.25 MB" in told(400, {"message": IMPROPER, "reason": None}, x_amzn_errortype=VALIDATION).message


@pytest.mark.parametrize(
    ("reason", "resets", "advice"),
    [
        ("MONTHLY_REQUEST_COUNT", "monthly", "monthly reset"),
        ("OVERAGE_REQUEST_LIMIT_EXCEEDED", "monthly", "monthly reset"),
        ("", "monthly", "monthly reset"),
        ("DAILY_REQUEST_COUNT", "daily", "daily reset"),
        ("CONVERSATION_LIMIT_EXCEEDED", None, "new conversation"),
    ],
)
def test_what_ends_a_quota(reason: str, resets: str | None, advice: str) -> None:
    error = told(402, {"message": "You have reached the limit.", "reason": reason})
    assert (error.code, error.resets) == (ErrorCode.quota_exhausted, resets)
    assert advice in error.remedy


def test_error_frames() -> None:
    assert from_error_frame("ThrottlingException", "slow").code is ErrorCode.account_throttled
    assert from_error_frame("InternalFailure", "oh").code is ErrorCode.upstream_failed
    assert "oh" in from_error_frame("InternalFailure", "oh").message


@given(st.integers(100, 599), st.text(max_size=20), st.binary(max_size=60))
def test_any_answer_is_some_error(status: int, kind: str, body: bytes) -> None:
    error = told(status, body, x_amzn_errortype=kind)
    assert error.message
    assert error.remedy
    assert from_frame(kind, body).message
