"""Every refusal of the chat service as data: status, type, reason, message (PROTOCOL.md §4.2). Not when it happens.

A refusal is placed in one of two ways (§4.1):

    header   x-amzn-errortype: ValidationException:http://internal.amazon.com/coral/…     {"message": …, "reason": …}
    body     {"__type": "com.amazon.aws.codewhisperer#ValidationException", "message": …, "reason": …}
"""

from typing import Any, Literal, TypeAlias

from msgspec import Struct

Placement: TypeAlias = Literal["header", "body", "both"]

URL_SUFFIX = "http://internal.amazon.com/coral/com.amazon.coral.service/"
NAMESPACE = "com.amazon.aws.codewhisperer#"


class ServiceError(Struct, frozen=True):
    """One refusal. `reason` None is sent as `null`; `reason_absent` leaves the member out (§4.1: both are seen)."""

    type: str
    status: int
    message: str | None
    reason: str | None = None
    reason_absent: bool = False

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"message": self.message}
        if not self.reason_absent:
            body["reason"] = self.reason
        return body


IMPROPER = "Improperly formed request."
TOO_LONG = "Input is too long."
BEARER_INVALID = "The bearer token included in the request is invalid."
HIGH_LOAD = "Encountered unexpectedly high load when processing the request, please try again."
UNEXPECTED = "Encountered an unexpected error when processing the request, please try again."
MONTHLY = "Maximum Request reached for this month."
LIMIT = "You have reached the limit."

VALIDATION_REASONS: dict[str, str] = {
    "INVALID_CONVERSATION_ID": "Invalid conversation id.",
    "CONTENT_LENGTH_EXCEEDS_THRESHOLD": TOO_LONG,
    "INVALID_KMS_GRANT": "Invalid KMS grant.",
    "INVALID_MODEL_ID": "Invalid model. Please select a different model to continue.",
    "PROMPT_TOO_LONG": TOO_LONG,
    "REQUEST_BODY_INVALID": IMPROPER,
    "REQUEST_BODY_INVALID_JSON": IMPROPER,
    "TOOL_CONFIG_MISSING": "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
    "TOOL_DUPLICATE": "The tool list contains a name more than once.",
    "TOOL_SCHEMA_INVALID": "A tool's input schema is invalid.",
    "TOOL_USE_RESULT_MISMATCH": "The tool results do not match the tool uses of the previous turn.",
    "THINKING_SIGNATURE_INVALID": "Invalid signature in thinking block.",
    "IMAGE_COUNT_EXCEEDED": "Too many images.",
    "IMAGE_DIMENSION_EXCEEDED": "An image has too many pixels on a side.",
    "IMAGE_FORMAT_UNSUPPORTED": "An image's format is not supported.",
    "IMAGE_MIME_MISMATCH": "An image is not of the format it is said to be.",
    "IMAGE_SIZE_EXCEEDED": "An image is too large.",
}
"""Reason to message of a 400. The six DOCUMENT_* reasons are missing: their names are in no source we have.

Messages outside §4.2's last column are ours: the reasons are known, the wording isn't.
"""


def validation(reason: str | None, message: str | None = None) -> ServiceError:
    """A 400 with this reason; its usual message unless another is given."""
    return ServiceError(
        "ValidationException", 400, message or (VALIDATION_REASONS[reason] if reason else IMPROPER), reason
    )


def denied(message: str, reason: str | None = None, status: int = 403) -> ServiceError:
    return ServiceError("AccessDeniedException", status, message, reason)


def _quota(reason: str) -> ServiceError:
    return ServiceError("ServiceQuotaExceededException", 402, LIMIT, reason)


def _throttled(message: str, reason: str | None = None, status: int = 429) -> ServiceError:
    return ServiceError("ThrottlingException", status, message, reason)


def _conflict(reason: str) -> ServiceError:
    return ServiceError("ConflictException", 409, "The customer managed key can't be used.", reason)


CATALOGUE: dict[str, ServiceError] = {
    "improperly_formed": validation(None),
    "improperly_formed_without_reason": ServiceError("ValidationException", 400, IMPROPER, reason_absent=True),
    "tool_format_invalid": validation("REQUEST_BODY_INVALID", "Invalid tool use format."),
    "profile_arn_required": validation(None, "profileArn is required for this request."),
    **{reason.lower(): validation(reason) for reason in VALIDATION_REASONS},
    "conversation_limit": _quota("CONVERSATION_LIMIT_EXCEEDED"),
    "monthly_402": _quota("MONTHLY_REQUEST_COUNT"),
    "overage_limit": _quota("OVERAGE_REQUEST_LIMIT_EXCEEDED"),
    "bearer_invalid": denied(BEARER_INVALID),
    "not_authorized": denied("User is not authorized to make this call."),
    "feature_not_supported": denied("Feature is not supported", "FEATURE_NOT_SUPPORTED"),
    "subscription_required": denied(
        "Please visit https://app.kiro.dev to purchase a Kiro subscription.", "FEATURE_NOT_SUPPORTED"
    ),
    "subscription_unsupported": denied("Your subscription does not support this application."),
    "suspended": denied(
        "Your User ID (d-0000000000.sim) temporarily is suspended. Contact support to restore it.",
        "TEMPORARILY_SUSPENDED",
    ),
    "customization_unauthorized": denied(
        "User is not authorized to use this customization.", "UNAUTHORIZED_CUSTOMIZATION_RESOURCE_ACCESS"
    ),
    "workspace_unauthorized": denied(
        "User is not authorized to use the workspace context.", "UNAUTHORIZED_WORKSPACE_CONTEXT_FEATURE_ACCESS"
    ),
    "builder_id_unsupported": denied("AWS Builder ID is not supported for this operation."),
    "management_token_invalid": denied("Invalid token", status=400),
    "not_found": ServiceError("ResourceNotFoundException", 404, "The resource was not found.", reason_absent=True),
    "kms_policy": _conflict("CUSTOMER_KMS_KEY_INVALID_KEY_POLICY"),
    "kms_disabled": _conflict("CUSTOMER_KMS_KEY_DISABLED"),
    "kms_mismatched": _conflict("MISMATCHED_KMS_KEY"),
    "throttled": _throttled("Too many requests, please wait before trying again."),
    "throttled_hour": _throttled("60-minute credit limit exceeded"),
    "daily_limit": _throttled("You have reached the limit for today.", "DAILY_REQUEST_COUNT"),
    "monthly_429": _throttled(MONTHLY, "MONTHLY_REQUEST_COUNT"),
    "monthly_400": _throttled(MONTHLY, "MONTHLY_REQUEST_COUNT", status=400),
    "capacity": _throttled("I am experiencing high traffic, please try again shortly.", "INSUFFICIENT_MODEL_CAPACITY"),
    "high_load": ServiceError("InternalServerException", 500, HIGH_LOAD),
    "model_unavailable": ServiceError("InternalServerException", 500, HIGH_LOAD, "MODEL_TEMPORARILY_UNAVAILABLE"),
    "internal": ServiceError("InternalServerException", 500, UNEXPECTED),
    "unavailable": ServiceError(
        "ServiceUnavailableException", 503, "The service is temporarily unavailable.", reason_absent=True
    ),
    "unavailable_in_500": ServiceError("InternalServerException", 500, "ServiceUnavailableException: try again."),
}
"""Every row of PROTOCOL.md §4.2, and the monthly limit in its three guises. Scenarios name rows by these keys."""

UNKNOWN_OPERATION = ServiceError("UnknownOperationException", 404, None, reason_absent=True)
