"""Request bodies: reading one up to a size, within the memory for all of them, and checking a large one in slices.

    read      up to a size            413 `request_too_large` above it
    share     of the memory for all   503 `gateway_overloaded` when it is used up; nothing more is read
    scan      values, depth, text     400 `request_invalid` above the limits (`apis.request_limits`)

Decoding holds the interpreter for as long as it takes, so a large body is scanned first, a slice at a time, and what is
then done with it runs beside the event loop (`Bodies.apart`), one body after the other.
"""

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Final, Self, TypeVar

from starlette.types import Receive, Scope

from qrelay.apis.json_scan import SLICE, JsonScan, SurrogateMender, may_hold_surrogates
from qrelay.apis.request_limits import LIMITS, RequestLimits, check_json
from qrelay.conversation import LARGE
from qrelay.errors import ErrorCode, RelayError

Result = TypeVar("Result")

_DRAIN_LIMIT: Final = 512 * 1024 * 1024
_FREE: Final = 64 * 1024
"""Bodies up to this size take nothing of the budget."""
_RETRY_SECONDS: Final = 2.0
_BUDGET: Final = 256 * 1024 * 1024
_NO_UTF8: Final = b"\xff"


class ClientLeft(Exception):  # noqa: N818 - not an error of ours, and nobody is there to be told
    """The client went away before its request was complete."""


def over_setting(limit: int) -> RelayError:
    """The error for a body that is larger than anybody may send."""
    return RelayError(
        ErrorCode.request_too_large, f"The request's body is over the limit of {limit} bytes (QRELAY_MAX_BODY_BYTES)."
    )


class Share:
    """One request's part of the memory for bodies; leave it as a context, or call `release`."""

    def __init__(self, bodies: "Bodies") -> None:
        self._bodies = bodies
        self._taken = 0

    def grow(self, size: int) -> None:
        """Take what a body of so many bytes needs. Raises RelayError(gateway_overloaded) if too little is left."""
        more = size - _FREE - self._taken
        if more > 0:
            self.check(size)
            self._bodies.held_bytes += more
            self._taken += more

    def check(self, size: int) -> None:
        """Raise RelayError(gateway_overloaded) if a body of so many bytes would not fit now."""
        budget = self._bodies.budget_bytes
        if size > _FREE and self._bodies.held_bytes - self._taken + size - _FREE > budget:
            raise RelayError(
                ErrorCode.gateway_overloaded,
                f"The requests in progress use all of the {budget} bytes for bodies (QRELAY_BODY_BUDGET_BYTES).",
                retry_after=_RETRY_SECONDS,
            )

    def release(self) -> None:
        self._bodies.held_bytes -= self._taken
        self._taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Bodies:
    """Reads the bodies of all requests of a process. `held_bytes` is what requests in progress have of the budget."""

    def __init__(self, max_bytes: int, *, budget_bytes: int = _BUDGET, limits: RequestLimits = LIMITS) -> None:
        self.max_bytes = max_bytes
        self.budget_bytes = max(budget_bytes, max_bytes)
        self.limits = limits
        self.held_bytes = 0
        self._scanning = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "bodies")

    def close(self) -> None:
        """End the thread, when what it does is done."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def share(self) -> Share:
        """An empty share, for one request."""
        return Share(self)

    async def read(
        self,
        scope: Scope,
        receive: Receive,
        share: Share,
        *,
        limit: int | None = None,
        too_large: Callable[[int], RelayError] = over_setting,
    ) -> bytes:
        """Read a whole body of at most `limit` bytes and scan it if it is large.

        Raises `too_large(limit)` after reading the rest; RelayError: gateway_overloaded, request_invalid for an
        encoding or for more than the limits allow; ClientLeft.
        """
        limit = self.max_bytes if limit is None else limit
        body = await _read(scope, receive, limit, share, too_large)
        return await self._scanned(body) if len(body) > LARGE else body

    async def apart(self, body: bytes, work: Callable[[], Result]) -> Result:
        """Do what costs as much as the body is large: beside the loop for a large one, one after the other."""
        if not is_large(body):
            return work()
        return await self.beside(work)

    async def beside(self, work: Callable[[], Result]) -> Result:
        """Do it beside the loop, after what others have asked for."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, _uncollected, work)

    async def _scanned(self, body: bytes) -> bytes:
        """The body, with half surrogate pairs replaced. Raises RelayError(request_invalid) over the limits."""
        if body[:64].lstrip()[:1] not in {b"{", b"["}:
            return body  # a database to import; whoever wants JSON says so
        async with self._scanning:
            scan, surrogates = JsonScan(), False
            for start in range(0, len(body), SLICE):
                piece = body[start : start + SLICE]
                scan.feed(piece)
                surrogates = surrogates or may_hold_surrogates(body[max(0, start - 2) : start] + piece)
                check_json(scan, self.limits)
                await asyncio.sleep(0)
            if not surrogates:
                return body
            mender, whole = SurrogateMender(), BytesIO()
            for start in range(0, len(body), SLICE):
                piece = body[start : start + SLICE]
                if _NO_UTF8 in piece:
                    return body
                whole.write(mender.feed(piece))
                await asyncio.sleep(0)
            whole.write(mender.close())
            return whole.getvalue()


def _uncollected(work: Callable[[], Result]) -> Result:
    """Do it without the garbage collector, which would look through all that was decoded, again and again."""
    gc.disable()
    try:
        return work()
    finally:
        gc.enable()


def is_large(body: bytes) -> bool:
    """Return whether a body is large enough for a scan and a thread. A smaller one takes about 30 ms at most."""
    return len(body) > LARGE


async def _read(
    scope: Scope, receive: Receive, limit: int, share: Share, too_large: Callable[[int], RelayError]
) -> bytes:
    """Read a whole body.

    A client that is still sending when the answer comes sees a reset connection instead of a 413, so the rest is read
    first; one that asks before sending (`Expect: 100-continue`) is answered immediately.
    """
    declared, asks_first, encoding = _announced(scope)
    if encoding not in ("", "identity"):
        raise RelayError(
            ErrorCode.request_invalid,
            f"A body in the encoding {encoding[:40]!r} can't be read.",
            remedy="Send the body without content-encoding.",
            param="content-encoding",
        )
    if declared > limit and asks_first:
        raise too_large(limit)
    if declared <= limit:
        share.check(declared)
    first = b""
    whole: BytesIO | None = None
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        chunk: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        size += len(chunk)
        if size <= limit:
            share.grow(size)
            if whole is None and not first:
                first = chunk
            elif chunk:
                if whole is None:
                    whole = BytesIO(first)
                    whole.seek(0, 2)
                whole.write(chunk)
        elif whole is not None or first:
            first, whole = b"", None  # it is refused: only its end is waited for
            share.release()
        if not more or size > _DRAIN_LIMIT:
            break
    if size > limit:
        raise too_large(limit)
    return first if whole is None else whole.getvalue()


def _announced(scope: Scope) -> tuple[int, bool, str]:
    length, asks_first, encoding = 0, False, ""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            length = int(value)
        elif name == b"expect":
            asks_first = value.lower() == b"100-continue"
        elif name == b"content-encoding":
            encoding = value.decode("latin-1").strip().lower()
    return length, asks_first, encoding
