"""A reply under way: the upstream's bytes to events, within the caller's limits. Not how it was asked for: `gateway`.

Reply.head, Reply.next()     events as they come, the last one Finish; RelayError if it breaks
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias, TypeVar

from msgspec.structs import replace

from qrelay.accounts.pool import Lease
from qrelay.errors import RelayError
from qrelay.events import Event, Finish
from qrelay.limits import Limiter
from qrelay.tokens import count_text, is_quick
from qrelay.upstream.client import Answer
from qrelay.upstream.response import ReplyReader

Result = TypeVar("Result")
Completed: TypeAlias = Callable[[RelayError], Awaitable[RelayError]]


class Served(NamedTuple):
    """What served a reply, for headers and logs. Which accounts were called: `trace`."""

    model: str
    ignored: tuple[str, ...]
    adjustments: tuple[str, ...]
    upstream_request_id: str


class Flow:
    """One answer being read: bytes to events. `ended` once Finish has been returned.

    `asked_bytes` is the size of the request, which is what may have to be counted besides the reply.
    """

    def __init__(self, answer: Answer, reader: ReplyReader, limiter: Limiter, asked_bytes: int) -> None:
        self._answer = answer
        self._reader = reader
        self._limiter = limiter
        self._bytes = asked_bytes
        self.ended = False

    async def next(self) -> list[Event]:
        """The events of the next bytes, maybe none. What came before a failure is returned first, then it is raised."""
        reader, limiter = self._reader, self._limiter
        if reader.failure is not None:
            raise reader.failure
        data = await self._answer.read()
        self._bytes += len(data)
        if limiter.may_count(len(data)) and not is_quick(0):
            await asyncio.to_thread(count_text, " ")  # the first count loads the vocabulary
        events = limiter.feed(reader.feed(data)) if data else []
        if self._answer.ended and reader.failure is None and limiter.reached is None:
            events += limiter.feed(await self._counting(partial(reader.close, framed=self._answer.framed)))
            self.ended = reader.failure is None
        if (reached := limiter.reached) is not None:  # whatever came after the caller's limit
            usage = await self._counting(reader.usage)
            if reached.tokens is not None and usage.output_tokens > reached.tokens:
                usage = replace(usage, output_tokens=reached.tokens, estimated=True)  # of what the caller got
            events.append(Finish(reached.stop_reason, usage, reached.stop_sequence))
            self.ended = True
        elif reader.failure is not None and not events:
            raise reader.failure
        return events

    async def _counting(self, work: Callable[[], Result]) -> Result:
        """Do what may count tokens: beside the loop if there are many, so that other streams need not wait for it."""
        if self._reader.counted or is_quick(self._bytes):
            return work()
        return await asyncio.to_thread(work)

    def close(self) -> None:
        """Give the connection back; before the end of the answer, cancel the call upstream."""
        self._answer.close()


class Reply:
    """A reply under way. Close it in any case; until Finish was read, closing cancels the call upstream."""

    def __init__(self, lease: Lease, flow: Flow, head: list[Event], served: Served, complete: Completed) -> None:
        """`complete` adds to a failure what the service doesn't say."""
        self.head = head
        self.served = served
        self._lease = lease
        self._flow = flow
        self._complete = complete

    async def next(self) -> list[Event]:
        """The events of the next bytes, maybe none; not to be called once `ended`. Raises RelayError if it breaks."""
        try:
            return await self._flow.next()
        except RelayError as error:
            raise await self._complete(error) from None

    @property
    def ended(self) -> bool:
        """Finish has been read."""
        return self._flow.ended

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flow.close()
        try:
            if isinstance(error, RelayError):
                await self._lease.failed(error)
            elif self._flow.ended:
                self._lease.succeeded()
        finally:
            self._lease.release()
