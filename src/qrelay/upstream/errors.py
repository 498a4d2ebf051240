"""What the service says when it refuses, to a `RelayError`. Pure; the facts are PROTOCOL.md §4.

An error arrives as an HTTP answer, as an exception frame after a 200, or as an error frame; all three are the same to
`classify`. The service's type names and statuses are not reliable alone (§4.1: official clients match substrings of the
body), so the rows are tried in order and the first that fits decides. They see the words as they came; a message has
them cleaned (`qrelay.redaction`).
"""

import math
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

import msgspec

from qrelay.errors import ErrorCode, RelayError, Resets
from qrelay.redaction import CLEAN, Clean, readable


class Refusal(NamedTuple):
    """What the service said. `type` is `ThrottlingException`: no namespace, no URL; `status` is 0 in a frame."""

    status: int
    type: str
    reason: str
    message: str
    retry_after: float | None = None


class Row(NamedTuple):
    """Any of these makes an answer this failure."""

    code: ErrorCode
    reasons: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()

    def fits(self, refusal: Refusal) -> bool:
        return (
            refusal.reason in self.reasons
            or refusal.type in self.types
            or refusal.status in self.statuses
            or any(phrase in refusal.message for phrase in self.phrases)
        )


_PROFILE_WANTED = "profileArn is required"
_LONGEST_PAGE = 300
_NAME = re.compile(r"[\w.-]{1,100}")
"""A type or a reason. Other text in its place is no name, and is not told."""
_NO_TEXT = "(an answer that is not text)"

ROWS = (
    Row(
        ErrorCode.context_too_long,
        reasons=("CONTENT_LENGTH_EXCEEDS_THRESHOLD", "PROMPT_TOO_LONG"),
        phrases=("Input is too long",),
    ),
    Row(ErrorCode.model_unknown, reasons=("INVALID_MODEL_ID",), phrases=("Invalid model",)),
    Row(
        ErrorCode.quota_exhausted,
        reasons=(
            "MONTHLY_REQUEST_COUNT",
            "DAILY_REQUEST_COUNT",
            "OVERAGE_REQUEST_LIMIT_EXCEEDED",
            "CONVERSATION_LIMIT_EXCEEDED",
        ),
        phrases=("Maximum Request reached for this month", "MONTHLY_REQUEST_COUNT", "You have reached the limit"),
        types=("ServiceQuotaExceededException",),
        statuses=(402,),
    ),
    Row(
        ErrorCode.upstream_overloaded,
        reasons=("INSUFFICIENT_MODEL_CAPACITY", "MODEL_TEMPORARILY_UNAVAILABLE"),
        phrases=("unexpectedly high load", "ServiceUnavailableException"),
        types=("ServiceUnavailableException",),
        statuses=(503,),
    ),
    Row(
        ErrorCode.account_throttled,
        phrases=("Too many requests", "credit limit exceeded"),
        types=("ThrottlingException", "ThrottlingError"),
        statuses=(429,),
    ),
    Row(ErrorCode.account_suspended, reasons=("TEMPORARILY_SUSPENDED",), phrases=("is suspended",)),
    Row(
        ErrorCode.feature_blocked,
        reasons=("FEATURE_NOT_SUPPORTED",),
        phrases=(
            "Feature is not supported",
            "does not support this application",
            "to purchase a Kiro subscription",
            "is not supported for this operation",
        ),
    ),
    Row(
        ErrorCode.account_expired,
        phrases=("bearer token included in the request is invalid", "Invalid token"),
        types=("UnauthorizedException", "ExpiredTokenException"),
        statuses=(401,),
    ),
    Row(
        ErrorCode.account_forbidden,
        phrases=(_PROFILE_WANTED,),
        types=("AccessDeniedException",),
        statuses=(403,),
    ),
    Row(
        ErrorCode.upstream_failed,
        types=("InternalServerException", "ResourceNotFoundException", "UnknownOperationException", "Error"),
        statuses=(404,),
    ),
    Row(ErrorCode.request_too_large, statuses=(413,)),
    Row(
        ErrorCode.upstream_rejected,
        types=("ValidationException", "ConflictException"),
        statuses=(400, 409, 422),
    ),
)
"""First match wins. The monthly limit comes before throttling: it arrives as 429, 400 and 402 (§4.2)."""

# What was probably broken, for the person who must mend it (PROTOCOL.md §2.6).
_EXPLAINED = {
    "TOOL_CONFIG_MISSING": "the conversation has tool calls but the request offers no tools",
    "TOOL_DUPLICATE": "two tools have the same name",
    "TOOL_SCHEMA_INVALID": "a tool's JSON Schema is not accepted",
    "TOOL_USE_RESULT_MISMATCH": "tool calls and tool results do not pair up",
    "THINKING_SIGNATURE_INVALID": "Invalid `signature` in `thinking` block: it is not one the service gave",
    "IMAGE_COUNT_EXCEEDED": "there are too many images",
    "IMAGE_DIMENSION_EXCEEDED": "an image has too many pixels on a side (8000 at most)",
    "IMAGE_FORMAT_UNSUPPORTED": "an image is neither PNG, JPEG, GIF nor WebP",
    "IMAGE_MIME_MISMATCH": "an image's bytes are not of the format it was declared as",
    "IMAGE_SIZE_EXCEEDED": "an image is too large (3.75 MiB at most)",
    "INVALID_CONVERSATION_ID": "the conversation id is not accepted",
    "REQUEST_BODY_INVALID_JSON": "the body is not JSON",
}
_IMPROPER = (
    "the service does not say which rule was broken; the usual ones are a body over about 1.25 MB, a tool's schema, "
    "name or description, or the order of the turns"
)

_NOT_MONTHLY: Final[Mapping[Resets | None, str]] = {
    "daily": "Wait for the account's daily reset, upgrade its plan or add another account.",
    None: "Start a new conversation: no waiting ends the limit of this one.",
}
"""What to do about a limit that no new month ends."""


def classify(refusal: Refusal, clean: Clean = CLEAN) -> RelayError:
    """Return the error for a refusal. Its message has the service's own words, cleaned."""
    code = next((row.code for row in ROWS if row.fits(refusal)), ErrorCode.upstream_failed)
    reason = refusal.reason if _NAME.fullmatch(refusal.reason) else ""
    said = refusal.message.strip() or reason or refusal.type or f"status {refusal.status}"
    message = f"The service says: {clean(said)}"
    if _PROFILE_WANTED in said and _PROFILE_WANTED not in message:
        message = f"{message} ({_PROFILE_WANTED})"  # `wants_profile` looks for it
    if code is ErrorCode.upstream_rejected:
        explained = _EXPLAINED.get(refusal.reason)
        if explained is None and ("Improperly formed request" in said or refusal.reason == "REQUEST_BODY_INVALID"):
            explained = _IMPROPER
        if explained is not None:
            message = f"{message} ({explained})"
    resets, remedy = None, None
    if code is ErrorCode.quota_exhausted:
        resets = _resets(refusal.reason)
        remedy = _NOT_MONTHLY.get(resets)
    status = refusal.status or None
    return RelayError(code, message, remedy=remedy, retry_after=refusal.retry_after, status=status, resets=resets)


def _resets(reason: str) -> Resets | None:
    """What ends a quota that is exhausted. A conversation's own limit is ended by no date."""
    if reason == "CONVERSATION_LIMIT_EXCEEDED":
        return None
    return "daily" if reason == "DAILY_REQUEST_COUNT" else "monthly"


def wants_profile(error: RelayError) -> bool:
    """Whether it says that a profile's ARN must be named, and none was (§8.1)."""
    return error.code is ErrorCode.account_forbidden and _PROFILE_WANTED in error.message


def from_http(status: int, headers: Mapping[str, str], body: bytes, clean: Clean = CLEAN) -> RelayError:
    """An HTTP answer other than 200. `headers` must look names up without case."""
    told = _told(body)
    kind = _bare(headers.get("x-amzn-errortype")) or _bare(told.get("code")) or _bare(told.get("__type"))
    retry_after = _seconds(headers.get("retry-after"))
    return classify(Refusal(status, kind, _text(told, "reason"), _message(told), retry_after), clean)


def from_frame(kind: str, payload: bytes, clean: Clean = CLEAN) -> RelayError:
    """An exception frame (`:exception-type`), which ends the reply it stands in."""
    told = _told(payload)
    return classify(Refusal(0, _bare(kind), _text(told, "reason"), _message(told)), clean)


def from_error_frame(error_code: str, message: str, clean: Clean = CLEAN) -> RelayError:
    """An error frame (`:error-code`, `:error-message`): a failure the service has no type for. It ends the reply."""
    return classify(Refusal(0, _bare(error_code), "", message), clean)


def _told(body: bytes) -> dict[str, Any]:
    """The members of an error's JSON. Other text, a proxy's page perhaps, is its message; other bytes say nothing."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = readable(body, _LONGEST_PAGE)
        return {"message": _NO_TEXT if text is None else text}
    return cast("dict[str, Any]", decoded) if isinstance(decoded, dict) else {}


def _text(told: dict[str, Any], name: str) -> str:
    value = told.get(name)
    return value if isinstance(value, str) else ""


def _message(told: dict[str, Any]) -> str:
    return _text(told, "message") or _text(told, "Message") or _text(told, "errorMessage")


def _bare(name: Any) -> str:
    """`com.amazon.aws.codewhisperer#ThrottlingException`, `ThrottlingException:http://…` and, in a frame,
    `throttlingException` to `ThrottlingException`; "" for what is no name.
    """
    bare = name.split(":", 1)[0].rsplit("#", 1)[-1].strip() if isinstance(name, str) else ""
    return bare[:1].upper() + bare[1:] if _NAME.fullmatch(bare) else ""


def _seconds(header: str | None) -> float | None:
    """A `retry-after` in seconds. A date is not understood: the service sends none."""
    try:
        seconds = float(header) if header is not None else math.nan
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None
