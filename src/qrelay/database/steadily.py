"""Writing again and again what waits in memory, whatever happens to one try. Not what is written, nor when it is."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

import structlog

from qrelay.errors import RelayError
from qrelay.tasks import uncut

log: structlog.stdlib.BoundLogger = structlog.get_logger()

AGAIN_SECONDS = 1.0


async def steadily(
    write: Callable[[], Coroutine[object, object, object]],
    due: Callable[[], Awaitable[object]],
    *,
    waiting: str,
    failed: Callable[[], Awaitable[object]] | None = None,
    again_seconds: float = AGAIN_SECONDS,
) -> None:
    """Write each time `due` returns, until it is cancelled; what fails is tried again soon, until it succeeds.

    A write that has begun ends before a cancellation does anything. A failure is told when it begins, not again while
    it lasts; `waiting` says what waits. `failed` comes between one and the next try.
    """
    failing = False
    while True:
        await (asyncio.sleep(again_seconds) if failing else due())
        try:
            if failing and failed is not None:
                await failed()
            await uncut(write())
        except Exception as error:  # whatever it is, tokens may wait here: the trying must go on
            if not failing:
                unforeseen = not isinstance(error, RelayError)
                log.warning("a write to the database failed", waiting=waiting, reason=str(error), exc_info=unforeseen)
            failing = True
        else:
            if failing:
                log.info("what waited for the database is written", waiting=waiting)
            failing = False
