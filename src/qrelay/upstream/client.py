"""The only HTTP to the service for conversations and models. Bytes out, bytes in: it knows no event and no dialect.

    UpstreamClient.converse(credential, endpoint, body) -> Answer      RelayError if the service refuses
    Answer.read() -> bytes                                              one socket read's worth; b"" at the end

Nothing is spawned or queued per event: whoever reads runs the synchronous machines over each chunk. The transport is
`http1`.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlencode, urlsplit

import msgspec

from qrelay.credential import Credential
from qrelay.errors import ErrorCode, RelayError
from qrelay.outward.exchange import Exchange
from qrelay.outward.http1 import Connections
from qrelay.redaction import Clean, Redactor
from qrelay.trace import Trace
from qrelay.upstream.endpoints import Endpoint
from qrelay.upstream.errors import from_http

_ERROR_BODY_LIMIT = 64 * 1024
_LIST_LIMIT = 8 * 1024 * 1024
"""Bytes of a list of models or profiles, or of usage limits. Real ones have a few thousand."""
_ID = re.compile(r"[\x21-\x7e]{1,128}")
_PLAIN_ID = re.compile(r"[0-9a-fA-F-]{1,40}")
_CHAT = "GenerateAssistantResponse"
_REST_PATHS = {
    _CHAT: "/generateAssistantResponse",
    "ListAvailableModels": "/ListAvailableModels",
    "ListAvailableProfiles": "/ListAvailableProfiles",
    "GetUsageLimits": "/getUsageLimits",
}
_TOKEN_TYPES = {"external_idp": "EXTERNAL_IDP", "api_key": "API_KEY"}  # PROTOCOL.md §1.3


class Timeouts(NamedTuple):
    """Seconds: to connect; to the first event; between reads; for a whole reply."""

    connect: float = 5.0
    first_event: float = 120.0
    silence: float = 120.0
    total: float = 1800.0


class Answer:
    """A 200 that is being read. Close it in any case: leaving early is how the call upstream is cancelled."""

    def __init__(self, exchange: Exchange, timeouts: Timeouts, request_id: str) -> None:
        self._exchange = exchange
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._waiting_since: float | None = None
        self._expired: str | None = None
        self._watch = self._loop.call_later(min(timeouts.silence, timeouts.total), self._check)
        self.request_id = request_id
        self.framed = exchange.framed
        """HTTP says where the body ends, so that its end is one."""

    @property
    def ended(self) -> bool:
        """Everything has been read: the next read would return b"" without waiting."""
        return self._exchange.ended

    async def read(self) -> bytes:
        """What has arrived since the last read, at least a byte; b"" at the end. Raises RelayError."""
        self._waiting_since = self._loop.time()
        try:
            data = await self._exchange.read()
        except OSError as error:
            if self._expired is not None:
                raise RelayError(ErrorCode.upstream_timeout, self._expired) from None
            raise RelayError(
                ErrorCode.upstream_protocol, f"The upstream's answer was cut: {_describe(error)}."
            ) from None
        self._waiting_since = None
        return data

    def close(self) -> None:
        """Give the connection back if the answer was read to its end, else drop it."""
        self._watch.cancel()
        self._exchange.close()

    def _check(self) -> None:
        """One timer for the whole reply, set again for the time that is left: nothing is done per read.

        The upstream is silent only while somebody waits for it: a client that reads slowly is not its fault.
        """
        if self._exchange.complete:
            return
        now = self._loop.time()
        silent_until = (self._waiting_since or now) + self._timeouts.silence
        ends = self._started + self._timeouts.total
        due = min(silent_until, ends)
        if now < due:
            self._watch = self._loop.call_at(due, self._check)
            return
        self._expired = (
            f"The reply took longer than {self._timeouts.total:g} s (QRELAY_TOTAL_TIMEOUT_SECONDS)."
            if ends <= silent_until
            else f"The upstream was silent for {self._timeouts.silence:g} s (QRELAY_SILENCE_TIMEOUT_SECONDS)."
        )
        self._exchange.break_off(TimeoutError())
        self._exchange.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class UpstreamClient:
    """Calls the service over connections that the caller owns. `redactor` cleans what is said in errors and headers."""

    def __init__(
        self, connections: Connections, timeouts: Timeouts, user_agent: str, redactor: Redactor | None = None
    ) -> None:
        self._connections = connections
        self.timeouts = timeouts
        self._user_agent = user_agent
        self._redactor = redactor or Redactor()

    def clean(self, credential: Credential, sent: Callable[[], str] = str) -> Clean:
        """Return what cleans the service's words in answer to a call with this credential. `sent` gives the prompt."""
        return self._redactor.for_call(credential.access_token, sent=sent)

    async def converse(
        self,
        credential: Credential,
        endpoint: Endpoint,
        body: bytes,
        trace: Trace | None = None,
        clean: Clean | None = None,
    ) -> Answer:
        """GenerateAssistantResponse (PROTOCOL.md §1.2). Raises RelayError if no 200 comes.

        `clean` is the method's result for this call, where the caller has it already.
        """
        clean = clean or self.clean(credential, lambda: body.decode("utf-8", "replace"))
        exchange = await self._post(credential, endpoint, _CHAT, body, trace=trace, clean=clean)
        request_id = exchange.headers.get("x-amzn-requestid", "")
        return Answer(exchange, self.timeouts, self._id(request_id, clean))

    def _id(self, request_id: str, clean: Clean) -> str:
        """A request id from a header; "" for what can't be one. A plain one is only checked for secrets of the
        settings: it comes with every reply.
        """
        if not _ID.fullmatch(request_id):
            return ""
        return self._redactor.mask(request_id) if _PLAIN_ID.fullmatch(request_id) else clean(request_id)

    async def list_models(self, credential: Credential, endpoint: Endpoint, next_token: str | None) -> bytes:
        """One page of ListAvailableModels (§5) as JSON text. Raises RelayError."""
        query: dict[str, str | int] = {"origin": endpoint.origin, "maxResults": 50}
        if endpoint.sends_profile_arn and credential.profile_arn:
            query["profileArn"] = credential.profile_arn
        if next_token:
            query["nextToken"] = next_token
        operation = "ListAvailableModels"
        if endpoint.binding == "restjson":
            url = f"{endpoint.control}{_REST_PATHS[operation]}?{urlencode(query)}"
            asking = self._send("GET", url, credential)
        else:
            body = msgspec.json.encode(query)
            asking = self._post(credential, endpoint, operation, body)
        return await self._whole("list of models", asking)

    async def list_profiles(self, credential: Credential, endpoint: Endpoint, next_token: str | None) -> bytes:
        """One page of ListAvailableProfiles (§8.1) as JSON text. Raises RelayError."""
        query: dict[str, str | int] = {"maxResults": 10}
        if next_token:
            query["nextToken"] = next_token
        body = msgspec.json.encode(query)
        asking = self._post(credential, endpoint, "ListAvailableProfiles", body)
        return await self._whole("list of profiles", asking)

    async def usage_limits(self, credential: Credential, endpoint: Endpoint) -> bytes:
        """GetUsageLimits (§8.2) as JSON text. Raises RelayError."""
        query: dict[str, str | bool] = {"origin": endpoint.origin, "isEmailRequired": True}
        if endpoint.sends_profile_arn and credential.profile_arn:
            query["profileArn"] = credential.profile_arn
        operation = "GetUsageLimits"
        if endpoint.binding == "restjson":
            url = f"{endpoint.control}{_REST_PATHS[operation]}?{urlencode(query | {'isEmailRequired': 'true'})}"
            asking = self._send("GET", url, credential)
        else:
            body = msgspec.json.encode(query)
            asking = self._post(credential, endpoint, operation, body)
        return await self._whole("usage limits", asking)

    async def _whole(self, what: str, asking: Awaitable[Exchange]) -> bytes:
        try:
            async with asyncio.timeout(self.timeouts.first_event):
                body = await _body(await asking, _LIST_LIMIT)
        except TimeoutError:
            raise RelayError(ErrorCode.upstream_timeout, f"The upstream did not finish its {what}.") from None
        except OSError as error:
            raise RelayError(ErrorCode.upstream_protocol, f"The {what} was cut: {_describe(error)}.") from None
        if len(body) >= _LIST_LIMIT:
            raise RelayError(ErrorCode.upstream_protocol, f"The {what} is over {_LIST_LIMIT} bytes.")
        return body

    async def _post(
        self,
        credential: Credential,
        endpoint: Endpoint,
        operation: str,
        body: bytes,
        *,
        trace: Trace | None = None,
        clean: Clean | None = None,
    ) -> Exchange:
        base, target = (
            (endpoint.url, endpoint.streaming_target)
            if operation == _CHAT
            else (endpoint.control, endpoint.control_target)
        )
        headers: dict[str, str] = {}
        if endpoint.binding == "awsjson":
            headers["content-type"] = "application/x-amz-json-1.0"
            headers["x-amz-target"] = f"{target}.{operation}"
            url = base + "/"
        else:
            headers["content-type"] = "application/json"
            url = base + _REST_PATHS[operation]
        return await self._send("POST", url, credential, headers, body, trace=trace, clean=clean)

    def _headers(self, credential: Credential) -> dict[str, str]:
        headers = {
            "authorization": f"Bearer {credential.access_token}",
            "x-amzn-codewhisperer-optout": "true",  # what people write is theirs: never shared for training (§1.3)
            "user-agent": self._user_agent,
        }
        token_type = _TOKEN_TYPES.get(credential.kind)
        if token_type is not None:
            headers["tokentype"] = token_type
        return headers

    async def _send(
        self,
        method: str,
        url: str,
        credential: Credential,
        more_headers: Mapping[str, str] = MappingProxyType({}),
        body: bytes = b"",
        *,
        trace: Trace | None = None,
        clean: Clean | None = None,
    ) -> Exchange:
        connect = self.timeouts.connect
        headers = {**self._headers(credential), **more_headers}
        try:
            exchange = await self._connections.request(method, url, headers, body, connect_seconds=connect, trace=trace)
        except TimeoutError:
            raise RelayError(
                ErrorCode.upstream_unreachable, f"No connection to {_host(url)} within {connect:g} s."
            ) from None
        except OSError as error:
            raise RelayError(
                ErrorCode.upstream_unreachable, f"The upstream {_host(url)} can't be reached: {_describe(error)}."
            ) from None
        except ValueError as error:  # a URL or a header that can't be written; the texts of these hold no value
            raise RelayError(
                ErrorCode.upstream_unreachable, f"No request to {_host(url)} can be written: {error}."
            ) from None
        if trace is not None:
            trace.answered(exchange.status)
        if exchange.status == 200:
            return exchange
        raise await _refused(exchange, clean or self.clean(credential))


async def _refused(exchange: Exchange, clean: Clean) -> RelayError:
    body = b""
    try:
        async with asyncio.timeout(10):
            body = await _body(exchange, _ERROR_BODY_LIMIT)
    except (TimeoutError, OSError):
        pass  # the status alone says enough
    return from_http(exchange.status, exchange.headers, body, clean)


async def _body(exchange: Exchange, limit: int) -> bytes:
    """A whole body, or a little more than the first `limit` bytes of it; the exchange is closed."""
    body = bytearray()
    try:
        while len(body) < limit and (data := await exchange.read()):
            body += data
    finally:
        exchange.close()
    return bytes(body)


def _host(url: str) -> str:
    """Who was to be reached, without a password that the URL may hold."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return "that address"


def _describe(error: OSError) -> str:
    return error.strerror or type(error).__name__
