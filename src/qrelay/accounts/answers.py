"""What token services answer, bytes to values (PROTOCOL.md §6). Not the asking: `oidc`.

Where nothing was answered at all, the Refusal that says so goes through.

AWS's own SDKs know an error by the header `x-amzn-errortype`, others by the body's `error`; here either will do. A
token is dead only when the service says so in one of these words: an endpoint that is down or speaks nonsense says
nothing about an account.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from qrelay import moments
from qrelay.accounts.account import REGION, Renewal
from qrelay.json_errors import JSON_ERRORS
from qrelay.redaction import CLEAN, Clean

RefusalKind: TypeAlias = Literal["invalid_grant", "invalid_client", "slow_down", "refused", "unreachable", "timeout"]

_FALLBACK_LIFETIME: Final = 3600.0  # PROTOCOL.md §6.1: what is seen when nothing is said
_LONGEST_LIFETIME: Final = 366 * 86_400.0
_FALLBACK_CODE_LIFETIME: Final = 600.0
_FALLBACK_INTERVAL: Final = 5.0  # RFC 8628 §3.2
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]{1,2048}")
_WEB: Final = re.compile(r"https?://[\x21-\x7e]{1,2048}")
_WORD: Final = re.compile(r"[\x21-\x7e]+")  # a bearer travels in a header
_ERROR: Final = re.compile(r"\w{1,64}")
_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")
_KINDS: Final[Mapping[str, RefusalKind]] = {
    "invalid_grant": "invalid_grant",
    "expired_token": "invalid_grant",
    "invalid_client": "invalid_client",
    "slow_down": "slow_down",
    "server_error": "unreachable",
    "temporarily_unavailable": "unreachable",
    "too_many_requests": "slow_down",
    "throttling": "slow_down",
    "internal_server": "unreachable",
}


class Response(NamedTuple):
    """One HTTP answer of `host`; `error_type` is the header `x-amzn-errortype`. `clean` is for the words in it."""

    host: str
    status: int
    error_type: str
    body: bytes
    clean: Clean = CLEAN


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Not what was asked for, and why.

    invalid_grant    the refresh token is dead            invalid_client   the client registration is
    slow_down        asked too often                      refused          anything else that was said clearly
    unreachable      no answer, or none that can be read  timeout          not in time

    `error` is OAuth's word for it where there was one (`authorization_pending`, `access_denied`, …); `region` is set
    when the service says that another region is the right one.
    """

    kind: RefusalKind
    message: str
    error: str = ""
    region: str | None = None


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """A client of ours at one region's service. `expires_at` is in seconds since the epoch, None if nobody said."""

    client_id: str
    client_secret: str
    expires_at: float | None = None

    def __repr__(self) -> str:
        return f"Registration(client_id={self.client_id!r})"


class DeviceCode(msgspec.Struct, frozen=True, kw_only=True):
    """A log-in that waits for somebody's yes: what we ask with, what they are shown. `expires_in`, `interval`: seconds.

    What is shown is plain printable text: it ends on people's terminals and in their browsers.
    """

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: float
    interval: float

    def __repr__(self) -> str:
        return f"DeviceCode(expires_in={self.expires_in})"


def read_renewal(response: Response | Refusal, *, dead_on_401: bool = False) -> Renewal | Refusal:
    """The tokens in an answer. `dead_on_401`: from a service that says no more than that about a dead token."""
    if isinstance(response, Refusal):
        return response
    answer = mapping(response.body)
    if response.status != 200:
        return _refusal(response, answer, dead_on_401=dead_on_401)
    access_token = _text(answer, "accessToken", "access_token")
    if access_token is None or not _WORD.fullmatch(access_token):
        return _unreadable(response, "an access token")
    return Renewal(
        access_token=access_token,
        refresh_token=_text(answer, "refreshToken", "refresh_token"),
        expires_in=min(_seconds(answer, "expiresIn", "expires_in") or _FALLBACK_LIFETIME, _LONGEST_LIFETIME),
        profile_arn=_as_it_is(response.clean, _text(answer, "profileArn", "profile_arn")),
    )


def read_registration(response: Response | Refusal) -> Registration | Refusal:
    """The client in an answer of RegisterClient."""
    if isinstance(response, Refusal):
        return response
    answer = mapping(response.body)
    if response.status != 200:
        return _refusal(response, answer)
    client_id, client_secret = _text(answer, "clientId"), _text(answer, "clientSecret")
    if client_id is None or client_secret is None:
        return _unreadable(response, "a client")
    expires_at = moments.told(_seconds(answer, "clientSecretExpiresAt"))
    return Registration(client_id=client_id, client_secret=client_secret, expires_at=expires_at)


def read_device_code(response: Response | Refusal) -> DeviceCode | Refusal:
    """The codes in an answer of StartDeviceAuthorization."""
    if isinstance(response, Refusal):
        return response
    answer = mapping(response.body)
    if response.status != 200:
        return _refusal(response, answer)
    device_code, user_code = _text(answer, "deviceCode"), _text(answer, "userCode")
    page = _text(answer, "verificationUri")
    complete = _text(answer, "verificationUriComplete") or page
    interval = _seconds(answer, "interval")
    if (
        device_code is None
        or user_code is None
        or page is None
        or complete is None
        or not _PRINTABLE.fullmatch(user_code)
        or not _WEB.fullmatch(page)
        or not _WEB.fullmatch(complete)
        or response.clean(shown := f"{user_code} {page}") != shown
        or device_code in f"{shown} {complete}"
    ):
        return _unreadable(response, "a device code and its page")
    return DeviceCode(
        device_code=device_code,
        user_code=user_code,
        verification_uri=page,
        verification_uri_complete=complete,
        expires_in=min(_seconds(answer, "expiresIn") or _FALLBACK_CODE_LIFETIME, _LONGEST_LIFETIME),
        interval=max(1.0, _FALLBACK_INTERVAL if interval is None else interval),
    )


def _refusal(response: Response, answer: Mapping[str, Any], *, dead_on_401: bool = False) -> Refusal:
    status = response.status
    said = answer.get("error")
    name = response.error_type.partition(":")[0].rpartition("#")[2]
    named = _CAPITAL.sub("_", name.removesuffix("Exception")).lower()
    word = said if isinstance(said, str) else ""
    kind = _KINDS.get(named) or _KINDS.get(word)
    if kind is None and dead_on_401 and status == 401:
        kind = "invalid_grant"
    if kind is None and status == 429:
        kind = "slow_down"
    if kind is None and status >= 500:
        kind = "unreachable"
    told = answer.get("error_description") or answer.get("message") or answer.get("Message")
    words = response.clean(", ".join(str(text) for text in (said if isinstance(said, str) else name, told) if text))
    message = f"{response.host} answered {status}" + (f": {words.rstrip('.')}." if words else ".")
    error, region = word or named, _text(answer, "region")
    return Refusal(
        kind=kind or "refused",
        message=message,
        error=error if _ERROR.fullmatch(error) else "",
        region=region if region is not None and REGION.fullmatch(region) else None,
    )


def _unreadable(response: Response, what: str) -> Refusal:
    return Refusal(kind="unreachable", message=f"{response.host} answered {response.status} without {what}.")


def _text(answer: Mapping[str, Any], *names: str) -> str | None:
    return next((value for name in names if isinstance(value := answer.get(name), str) and value), None)


def _as_it_is(clean: Clean, text: str | None) -> str | None:
    """A name that must not be changed, None if it would have to be."""
    return text if text is not None and clean(text) == text else None


def _seconds(answer: Mapping[str, Any], *names: str) -> float | None:
    said = next((value for name in names if (value := answer.get(name)) is not None), None)
    try:
        seconds = float(said)  # pyright: ignore[reportArgumentType] - whatever JSON holds; what isn't a number is refused
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def mapping(body: bytes) -> Mapping[str, Any]:
    """A JSON object; an empty one for everything else."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except JSON_ERRORS:
        return {}
