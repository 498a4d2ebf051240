"""What one request went through on its way to a reply: which accounts were called, and how long each step took.

    queue ── refresh ── connect ── first event        each where it happens; the sums are over all attempts

It is made by who takes the request in and written by whoever does a step, so that it is there as well when the request
fails. Plain numbers and names; not how they are kept (`records`) or told (`http`).
"""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Literal, TypeAlias

from msgspec import Struct

Step: TypeAlias = Literal["queue_ms", "refresh_ms", "connect_ms"]


class Attempt(Struct):
    """One call to the service. `ms` is to its first event, or to what ended it before.

    `outcome` is `ok`, the code of what failed, or `cancelled`; `status` is the HTTP status the service gave, if any.
    """

    account_id: str
    label: str
    endpoint: str
    outcome: str = "cancelled"
    status: int | None = None
    ms: float = 0.0


class Trace:
    """Mutable, one for each request. Times are milliseconds; `first_event_ms` counts from the start of the request."""

    __slots__ = ("_clock", "_tried_at", "attempts", "connect_ms", "first_event_ms", "queue_ms", "refresh_ms", "started")

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.started = self._tried_at = clock()
        self.attempts: list[Attempt] = []
        self.queue_ms = 0.0
        """Waiting until an account was free."""
        self.refresh_ms = 0.0
        """Waiting for a token, where one had to be refreshed."""
        self.connect_ms = 0.0
        """Opening connections; nothing where a kept one was used."""
        self.first_event_ms: float | None = None

    def attempt(self, account_id: str, label: str, endpoint: str) -> Attempt:
        """A call to the service begins."""
        attempt = Attempt(account_id, label, endpoint)
        self._tried_at = self._clock()
        self.attempts.append(attempt)
        return attempt

    def answered(self, status: int) -> None:
        """The service has answered the call with this status."""
        if self.attempts:
            self.attempts[-1].status = status

    def ended(self, outcome: str) -> None:
        """The call has given its first event (`ok`), or failed before."""
        now = self._clock()
        attempt = self.attempts[-1]
        attempt.outcome = outcome
        attempt.ms = (now - self._tried_at) * 1000
        if outcome == "ok":
            self.first_event_ms = (now - self.started) * 1000

    @contextmanager
    def timing(self, step: Step) -> Generator[None]:
        """What is done inside is time of that step, however it ends."""
        began = self._clock()
        try:
            yield
        finally:
            setattr(self, step, getattr(self, step) + (self._clock() - began) * 1000)

    def waited_ms(self) -> float:
        """What was not this process's own work until the first event: for an account, a token and the service."""
        return self.queue_ms + self.refresh_ms + sum(attempt.ms for attempt in self.attempts)

    def elapsed_ms(self) -> float:
        """Since the start of the request."""
        return (self._clock() - self.started) * 1000
