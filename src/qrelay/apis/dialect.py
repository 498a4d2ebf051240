"""The seam every client API fills, so that one driver in `http/` serves them all. No API's words are in here.

Dialect.read(body, stamp) -> Call            request bytes to meaning; RelayError if they can't be read
Call.writer               -> ReplyWriter     events to SSE bytes
Call.whole(completion)    -> bytes           the same reply in one JSON body
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

from qrelay.apis.request_limits import LIMITS, RequestLimits
from qrelay.completion import Completion
from qrelay.conversation import Conversation
from qrelay.errors import RelayError
from qrelay.events import Event

Family: TypeAlias = Literal["anthropic", "openai"]


class Stamp(NamedTuple):
    """What a pure reader or writer may not make itself: an id (hex, unique per reply) and the time.

    `now` is called for epoch seconds: when the request is read, and when the reply is complete.
    """

    id: str
    now: Callable[[], float]


class ReplyWriter(Protocol):
    """One streamed reply. Every method returns complete SSE events as bytes, maybe none (b"").

    `start` is called once, first; then `feed` any number of times; then either `close`, after `Finish` was fed, or
    `fail`, after which nothing is open and exactly one terminal event has been written.
    """

    def start(self) -> bytes: ...
    def feed(self, events: Sequence[Event]) -> bytes: ...
    def close(self) -> bytes: ...
    def fail(self, error: RelayError) -> bytes: ...


class Call(NamedTuple):
    """A request, understood. `ignored` names the fields that are not honoured (`x-qrelay-ignored`)."""

    conversation: Conversation
    stream: bool
    ignored: tuple[str, ...]
    writer: Callable[[], ReplyWriter]
    whole: Callable[[Completion], bytes]


class Dialect(NamedTuple):
    """One client API. `ping` is a keep-alive that its clients skip."""

    name: Literal["messages", "chat", "responses"]
    family: Family
    ping: bytes
    read: "Reader"


class Reader(Protocol):
    """Reads a request's body. Raises RelayError."""

    def __call__(self, body: bytes, stamp: Stamp, *, limits: RequestLimits = LIMITS) -> Call: ...
