"""Writing again and again what waits in memory, whatever happens to one try. Not what is written."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from qrelay.errors import RelayError

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def steadily(write: Callable[[], Awaitable[object]], every_seconds: float, *, waiting: str) -> None:
    """Until it is cancelled. A failure is told when it begins, not again while it lasts; `waiting` says what waits."""
    failing = False
    while True:
        await asyncio.sleep(every_seconds)
        try:
            await write()
        except Exception as error:  # whatever it is, tokens may wait here: the trying must go on
            if not failing:
                unforeseen = not isinstance(error, RelayError)
                log.warning("a write to the database failed", waiting=waiting, reason=str(error), exc_info=unforeseen)
            failing = True
        else:
            failing = False
