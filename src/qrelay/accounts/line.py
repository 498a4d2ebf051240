"""Requests that wait until an account has room, first come, first served. Not who has room: the pool tries that.

Those who wait for the same model stand in one queue, so that nobody behind waits longer for it than who came before;
another model's queue, whose accounts may have room, is not held up by them.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Final, Generic, TypeVar

from qrelay.errors import ErrorCode, RelayError

Place = TypeVar("Place")

MOST_WAITING: Final = 1000


class _Waiter(Generic[Place]):
    def __init__(self, number: int, attempt: Callable[[], Place | RelayError | None]) -> None:
        self.number = number
        self.attempt = attempt
        self.outcome: asyncio.Future[Place] = asyncio.get_running_loop().create_future()


class Line(Generic[Place]):
    """`give_back` is told a place that was taken for somebody who has left."""

    def __init__(self, give_back: Callable[[Place], None]) -> None:
        self._give_back = give_back
        self._queues: dict[str, deque[_Waiter[Place]]] = {}
        self._numbers = count()

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def waits(self, model: str) -> bool:
        """Whether somebody stands in the queue for this model."""
        return model in self._queues

    async def wait(self, model: str, seconds: float, attempt: Callable[[], Place | RelayError | None]) -> Place:
        """What `attempt` gives once it is this request's turn: a place, an error to raise, or None for not yet.

        Raises RelayError(account_throttled) if too many wait already, or it takes too long.
        """
        if len(self) >= MOST_WAITING:
            raise _too_busy(f"Every account is busy, and {MOST_WAITING} requests wait already.")
        waiter = _Waiter(next(self._numbers), attempt)
        queue = self._queues.setdefault(model, deque())
        queue.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                return await waiter.outcome
        except TimeoutError:
            if waiter.outcome.done() and not waiter.outcome.cancelled():
                return waiter.outcome.result()  # it came at the last moment
            raise _too_busy(f"Every account was busy for {seconds:g} s (QRELAY_QUEUE_SECONDS).") from None
        except asyncio.CancelledError:
            if waiter.outcome.done() and not waiter.outcome.cancelled() and waiter.outcome.exception() is None:
                self._give_back(waiter.outcome.result())
            raise
        finally:
            self._leave(model, waiter)

    def serve(self) -> None:
        """Let go on whoever can: there may be room."""
        if not self._queues:
            return
        for model, queue in sorted(self._queues.items(), key=lambda item: item[1][0].number):
            while queue:
                waiter = queue[0]
                if not waiter.outcome.done():
                    found = waiter.attempt()
                    if found is None:
                        break
                    if isinstance(found, RelayError):
                        waiter.outcome.set_exception(found)
                    else:
                        waiter.outcome.set_result(found)
                queue.popleft()
            if not queue:
                self._queues.pop(model, None)

    def _leave(self, model: str, waiter: _Waiter[Place]) -> None:
        queue = self._queues.get(model)
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            if not queue:
                del self._queues[model]


def _too_busy(message: str) -> RelayError:
    return RelayError(
        ErrorCode.account_throttled,
        message,
        remedy="Wait a little, add an account, or raise QRELAY_ACCOUNT_CONCURRENCY.",
        retry_after=3,
    )
