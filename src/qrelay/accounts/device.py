"""One log-in by device code: where, with which client of ours, and the wait for somebody's yes (PROTOCOL.md §6.1).

    place   what was wished for -> a start URL and a region that are one
    begin   a client (an account's own, else a new one) and a code to show
    wait    one question an interval, until there are tokens, a no, or no time

Not what becomes of the tokens.
"""

import asyncio
import re
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from qrelay.accounts.account import BUILDER_ID_START_URL, DEFAULT_REGION, REGION, Renewal
from qrelay.accounts.answers import DeviceCode, Refusal, Registration
from qrelay.accounts.oidc import TokenClient, is_loopback
from qrelay.credential import LoginKind
from qrelay.errors import ErrorCode, RelayError

PlaceKind: TypeAlias = Literal["builder_id", "identity_center"]

_EXPIRED: Final = "The code has expired before anybody approved it."
_SLOWER: Final = 5.0  # RFC 8628 §3.5: what a slow_down adds to the interval, for good
_LONGEST_PAUSE: Final = 30.0
_PORTAL: Final = re.compile(
    r"([a-z0-9-]+\.)+awsapps\.(com|cn)"
    r"|([a-z0-9-]+\.)+portal\.[a-z0-9-]+\.app\.aws"
    r"|identitycenter\.([a-z0-9-]+\.)?amazonaws\.(com|com\.cn)"
)


class Place(Struct, frozen=True):
    """Where somebody logs in: a start URL and the region of its token service."""

    kind: PlaceKind
    start_url: str
    region: str


def place(kind: LoginKind | None, start_url: str | None, region: str | None) -> Place:
    """The place that is meant; None is "not said". Raises RelayError(request_invalid) naming the field at fault.

    Only AWS's own log-in pages, and for trying things http on loopback: a start URL is shown to people as one to trust.
    """
    if kind not in {None, "builder_id", "identity_center"}:
        raise RelayError(
            ErrorCode.request_invalid,
            f"kind: an account of the kind {kind} can't be logged in by a device code.",
            remedy="Log it in with its own program, and import or add what that program stored.",
            param="kind",
        )
    if region is not None and not REGION.fullmatch(region):
        raise _wrong("region", "it should be a region such as us-east-1")
    if start_url is not None:
        start_url = start_url.partition("#")[0].rstrip("/")  # a page's own address has its state behind it
        if not _is_start_url(start_url):
            raise _wrong("startUrl", "it should be a log-in page of AWS such as https://d-1234567890.awsapps.com/start")
    if kind is None:
        kind = "builder_id" if start_url in {None, BUILDER_ID_START_URL} else "identity_center"
    if kind == "identity_center":
        if start_url is None or start_url == BUILDER_ID_START_URL:
            raise _wrong("startUrl", "an Identity Center has a start URL of its own, and it is missing")
        return Place("identity_center", start_url, region or DEFAULT_REGION)
    if start_url not in {None, BUILDER_ID_START_URL}:
        raise _wrong("startUrl", f"a Builder ID logs in at {BUILDER_ID_START_URL}")
    if region not in {None, DEFAULT_REGION}:
        raise _wrong("region", f"a Builder ID logs in at {DEFAULT_REGION}; an Identity Center elsewhere needs startUrl")
    return Place("builder_id", BUILDER_ID_START_URL, DEFAULT_REGION)


class DeviceLogIn:
    """A log-in that waits for its approval. `client` and `place` are what it was begun with in the end."""

    def __init__(
        self, tokens: TokenClient, place: Place, client: Registration, code: DeviceCode, timeout_seconds: float
    ) -> None:
        self.place = place
        self.client = client
        self.code = code
        self._tokens = tokens
        self._timeout = timeout_seconds
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()

    @property
    def remaining(self) -> float:
        """Seconds left for the approval."""
        return max(0.0, self._begun + min(self._timeout, self.code.expires_in) - self._loop.time())

    async def wait(self, stop: asyncio.Event) -> Renewal:
        """The tokens. A question under way is waited for also when `stop` is set: its answer comes only once.

        Raises RelayError: login_failed when the log-in can't succeed any more, login_timeout.
        """
        interval = pause = self.code.interval
        trouble = ""
        while (left := self.remaining) > 0:
            if await _is_set_within(stop, min(pause, left)):
                raise RelayError(ErrorCode.login_failed, "The server has ended before the log-in was approved.")
            if left < pause:
                break  # asking now would be asking too early
            answer = await self._tokens.device_token(self.place.region, self.client, self.code.device_code)
            match answer:
                case Renewal():
                    return answer
                case Refusal(kind="slow_down"):
                    interval += _SLOWER
                    pause, trouble = interval, ""
                case Refusal(error="authorization_pending"):
                    pause, trouble = interval, ""
                case Refusal(kind="unreachable" | "timeout"):
                    pause = min(max(pause * 2, interval), _LONGEST_PAUSE)
                    trouble = f" The last answer: {answer.message}"
                case Refusal(error="access_denied"):
                    raise RelayError(ErrorCode.login_failed, "The log-in was denied on its page.")
                case Refusal(error="expired_token"):
                    raise RelayError(ErrorCode.login_failed, _EXPIRED)
                case Refusal():
                    raise RelayError(ErrorCode.login_failed, f"The log-in was refused: {answer.message}")
        if self.code.expires_in < self._timeout:  # not every service says so
            raise RelayError(ErrorCode.login_failed, _EXPIRED)
        raise RelayError(
            ErrorCode.login_timeout, f"Nobody has approved the log-in within {self._timeout:g} s.{trouble}"
        )


async def begin(
    tokens: TokenClient, place: Place, known: Registration | None, *, timeout_seconds: float
) -> DeviceLogIn:
    """A code to approve, asked for with the `known` client, or with a new one where that is refused.

    Raises RelayError: login_failed, upstream_unreachable, upstream_timeout, upstream_overloaded.
    """
    client = known or await _registered(tokens, place)
    answer = await tokens.authorize_device(place.region, client, place.start_url)
    if isinstance(answer, Refusal) and answer.kind == "invalid_client" and known is not None:
        client = await _registered(tokens, place)
        answer = await tokens.authorize_device(place.region, client, place.start_url)
    if isinstance(answer, Refusal) and answer.region not in {None, place.region}:
        # PROTOCOL.md §6.1, InvalidRequestRegionException: it names the region that is the right one.
        place = replace(place, region=answer.region)
        client = await _registered(tokens, place)
        answer = await tokens.authorize_device(place.region, client, place.start_url)
    if isinstance(answer, Refusal):
        raise _not_begun(answer)
    return DeviceLogIn(tokens, place, client, answer, timeout_seconds)


async def _registered(tokens: TokenClient, place: Place) -> Registration:
    answer = await tokens.register(place.region)
    if isinstance(answer, Refusal):
        raise _not_begun(answer)
    return answer


def _not_begun(refusal: Refusal) -> RelayError:
    message = f"The log-in can't begin: {refusal.message}"
    network = "Check the network, the region and QRELAY_TOKEN_ENDPOINT."
    match refusal.kind:
        case "timeout":
            return RelayError(ErrorCode.upstream_timeout, message, remedy=network)
        case "unreachable":
            return RelayError(ErrorCode.upstream_unreachable, message, remedy=network)
        case "slow_down":
            return RelayError(ErrorCode.upstream_overloaded, message, remedy="Try again in a minute.")
        case "invalid_grant" | "invalid_client" | "refused":
            return RelayError(ErrorCode.login_failed, message, remedy="Check the start URL and its region.")


def _is_start_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.username is not None or parts.query or not url.isprintable() or " " in url:
        return False
    if parts.scheme == "https" and port is None and _PORTAL.fullmatch(host):
        return True
    return parts.scheme in {"http", "https"} and is_loopback(host)


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _wrong(field: str, why: str) -> RelayError:
    return RelayError(ErrorCode.request_invalid, f"{field}: {why}.", param=field)
