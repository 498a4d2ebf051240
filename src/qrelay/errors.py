"""Everything that can go wrong, as values: one type, one table. Not how an API spells it (`apis/errors.py`).

    RelayError                 what happened (message), what to do next (remedy), when to try again (retry_after)
      .code  ->  ErrorCode     a row of CATALOGUE: status, both API families' words, whether trying again can help

A message says what happened to *this* request; the remedy is the row's unless the raiser knows a better one.
"""

from enum import StrEnum
from typing import Literal, NamedTuple, TypeAlias

Resets: TypeAlias = Literal["monthly", "daily"]


class ErrorCode(StrEnum):
    """The name of one way to fail; it is what logs, metrics and the docs call it."""

    client_unauthorized = "client_unauthorized"
    client_forbidden = "client_forbidden"
    request_invalid = "request_invalid"
    request_too_large = "request_too_large"
    context_too_long = "context_too_long"
    route_unknown = "route_unknown"
    method_not_allowed = "method_not_allowed"
    model_unknown = "model_unknown"
    response_unknown = "response_unknown"
    request_unknown = "request_unknown"
    previous_response_unknown = "previous_response_unknown"
    account_unknown = "account_unknown"
    key_unknown = "key_unknown"
    too_many_attempts = "too_many_attempts"
    login_unknown = "login_unknown"
    login_failed = "login_failed"
    login_timeout = "login_timeout"
    no_account = "no_account"
    account_expired = "account_expired"
    account_suspended = "account_suspended"
    account_forbidden = "account_forbidden"
    feature_blocked = "feature_blocked"
    account_throttled = "account_throttled"
    quota_exhausted = "quota_exhausted"
    upstream_overloaded = "upstream_overloaded"
    upstream_unreachable = "upstream_unreachable"
    upstream_timeout = "upstream_timeout"
    upstream_rejected = "upstream_rejected"
    upstream_failed = "upstream_failed"
    upstream_protocol = "upstream_protocol"
    store_failed = "store_failed"
    configuration_refused = "configuration_refused"
    gateway_overloaded = "gateway_overloaded"
    stopping = "stopping"
    internal = "internal"


class Row(NamedTuple):
    """How a code is told. `retryable` is what `x-should-retry` says: can the same request succeed unchanged?"""

    status: int
    anthropic_status: int
    anthropic_type: str
    openai_type: str
    openai_code: str | None
    retryable: bool
    remedy: str


CATALOGUE: dict[ErrorCode, Row] = {
    ErrorCode.client_unauthorized: Row(
        401, 401, "authentication_error", "invalid_request_error", "invalid_api_key", False,
        "Send a key this gateway knows as 'Authorization: Bearer …' or 'x-api-key: …'.",
    ),
    ErrorCode.client_forbidden: Row(
        403, 403, "permission_error", "invalid_request_error", "forbidden", False,
        "Call the gateway by a loopback name, or set QRELAY_ALLOWED_HOSTS and keys (docs/reference/settings.md).",
    ),
    ErrorCode.request_invalid: Row(
        400, 400, "invalid_request_error", "invalid_request_error", None, False,
        "Correct the named field and send the request again.",
    ),
    ErrorCode.request_too_large: Row(
        413, 413, "request_too_large", "invalid_request_error", "request_too_large", False,
        "Send less: drop old images or tool output from the conversation.",
    ),
    ErrorCode.context_too_long: Row(
        400, 400, "invalid_request_error", "invalid_request_error", "context_length_exceeded", False,
        "Shorten or compact the conversation, or choose a model with a larger window.",
    ),
    ErrorCode.route_unknown: Row(
        404, 404, "not_found_error", "invalid_request_error", "unknown_url", False,
        "The routes are listed in README.md.",
    ),
    ErrorCode.method_not_allowed: Row(
        405, 405, "invalid_request_error", "invalid_request_error", "method_not_allowed", False,
        "Use the method the API's documentation names for this route.",
    ),
    ErrorCode.model_unknown: Row(
        404, 404, "not_found_error", "invalid_request_error", "model_not_found", False,
        "Ask GET /v1/models for the names this account may use.",
    ),
    ErrorCode.response_unknown: Row(
        404, 404, "not_found_error", "invalid_request_error", "not_found", False,
        "Stored responses are kept for a limited time, and only for the key that asked for them.",
    ),
    ErrorCode.request_unknown: Row(
        404, 404, "not_found_error", "invalid_request_error", "not_found", False,
        "Ask GET /v2/requests for those that are kept; the oldest make room (QRELAY_REQUEST_LOG_ROWS).",
    ),
    ErrorCode.previous_response_unknown: Row(
        400, 400, "invalid_request_error", "invalid_request_error", "previous_response_not_found", False,
        "Send the whole conversation instead; stored responses are kept for a limited time.",
    ),
    ErrorCode.account_unknown: Row(
        404, 404, "not_found_error", "invalid_request_error", "account_unknown", False,
        "Ask GET /v2/accounts for the ids there are.",
    ),
    ErrorCode.key_unknown: Row(
        404, 404, "not_found_error", "invalid_request_error", "key_unknown", False,
        "Ask GET /v2/keys for the ids there are; those that were revoked are not among them.",
    ),
    ErrorCode.too_many_attempts: Row(
        429, 429, "rate_limit_error", "rate_limit_error", "too_many_attempts", True,
        "Wait as long as Retry-After says, and send the right secret.",
    ),
    ErrorCode.login_unknown: Row(
        404, 404, "not_found_error", "invalid_request_error", "login_unknown", False,
        "Start the log-in again, with `qrelay login` or POST /v2/auth/start; one that ended is told for an hour.",
    ),
    ErrorCode.login_failed: Row(
        400, 400, "invalid_request_error", "invalid_request_error", "login_failed", False,
        "Start the log-in again: `qrelay login`.",
    ),
    ErrorCode.login_timeout: Row(
        408, 408, "timeout_error", "invalid_request_error", "login_timeout", False,
        "Start the log-in again with `qrelay login`, and approve it within QRELAY_LOGIN_TIMEOUT_SECONDS.",
    ),
    ErrorCode.no_account: Row(
        401, 401, "authentication_error", "invalid_request_error", "no_account", False,
        "Add an account: `qrelay login`, POST /v2/accounts, or the AMAZONQ_* variables (README.md).",
    ),
    ErrorCode.account_expired: Row(
        401, 401, "authentication_error", "invalid_request_error", "account_expired", False,
        "Log the account in again, with `qrelay login --account ID`: its refresh token is no longer accepted.",
    ),
    ErrorCode.account_suspended: Row(
        403, 403, "permission_error", "invalid_request_error", "account_suspended", False,
        "Follow what the service says about this account, or use another one.",
    ),
    ErrorCode.account_forbidden: Row(
        403, 403, "permission_error", "invalid_request_error", "account_forbidden", False,
        "Check the account's subscription and profile ARN.",
    ),
    ErrorCode.feature_blocked: Row(
        403, 403, "permission_error", "invalid_request_error", "feature_blocked", False,
        "This kind of log-in may no longer use this service; log in with a Kiro account.",
    ),
    ErrorCode.account_throttled: Row(
        429, 429, "rate_limit_error", "rate_limit_error", "rate_limit_exceeded", True,
        "Wait a little and send the request again.",
    ),
    ErrorCode.quota_exhausted: Row(
        429, 429, "rate_limit_error", "insufficient_quota", "insufficient_quota", False,
        "Wait for the account's monthly reset, upgrade its plan or add another account.",
    ),
    ErrorCode.upstream_overloaded: Row(
        503, 529, "overloaded_error", "server_error", "server_is_overloaded", True,
        "Try again shortly or choose another model.",
    ),
    ErrorCode.upstream_unreachable: Row(
        502, 502, "api_error", "server_error", "upstream_unreachable", True,
        "Check the network, QRELAY_PROXY, QRELAY_API_ENDPOINT and QRELAY_TOKEN_ENDPOINT.",
    ),
    ErrorCode.upstream_timeout: Row(
        504, 504, "timeout_error", "server_error", "upstream_timeout", True,
        "Try again; ask for less at once if it happens often.",
    ),
    ErrorCode.upstream_rejected: Row(
        400, 400, "invalid_request_error", "invalid_request_error", "upstream_rejected", False,
        "The service refuses this request as it stands; change what the message names.",
    ),
    ErrorCode.upstream_failed: Row(
        502, 502, "api_error", "server_error", "upstream_failed", True,
        "Try again; the service failed on its side.",
    ),
    ErrorCode.upstream_protocol: Row(
        502, 502, "api_error", "server_error", "upstream_protocol", True,
        "Try again; the service's answer was damaged or cut.",
    ),
    ErrorCode.store_failed: Row(
        503, 503, "api_error", "server_error", "store_failed", True,
        "Check the disk under QRELAY_HOME: space, permissions, another process.",
    ),
    ErrorCode.configuration_refused: Row(
        500, 500, "api_error", "server_error", "configuration_refused", False,
        "Correct what the message names and start qrelay again (docs/reference/settings.md).",
    ),
    ErrorCode.gateway_overloaded: Row(
        503, 529, "overloaded_error", "server_error", "server_is_overloaded", True,
        "Wait as long as Retry-After says and send the request again.",
    ),
    ErrorCode.stopping: Row(
        503, 529, "overloaded_error", "server_error", "server_is_overloaded", True,
        "Send the request again: another process answers it, or this one when it is back.",
    ),
    ErrorCode.internal: Row(
        500, 500, "api_error", "server_error", "internal", True,
        "Try again, and report it with the request id if it stays.",
    ),
}  # fmt: skip


class RelayError(Exception):
    """A failure a caller is told about.

    `retry_after` is in seconds; `param` names the request's field at fault; `status` is the upstream's HTTP status
    where there was one (for logs, not for clients); `tokens` is (the prompt's size, the model's window) when a prompt
    is too long, for clients that read the two numbers; `resets` is what ends a quota that is exhausted, None if waiting
    doesn't.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        remedy: str | None = None,
        retry_after: float | None = None,
        param: str | None = None,
        status: int | None = None,
        tokens: tuple[int, int] | None = None,
        resets: Resets | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy if remedy is not None else CATALOGUE[code].remedy
        self.retry_after = retry_after
        self.param = param
        self.status = status
        self.tokens = tokens
        self.resets: Resets | None = resets

    @property
    def row(self) -> Row:
        return CATALOGUE[self.code]
