"""Tasks that go on until they are stopped. Not what they do."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

_AGAIN_SECONDS: Final = 1.0
_LONGEST_UNCUT: Final = 15.0


async def uncut(work: Coroutine[object, object, object]) -> None:
    """Do it to its end, also when who asks for it is cancelled meanwhile: that comes afterwards, or after 15 seconds.

    For writes to a database: a driver that is cancelled between two steps may leave a connection that nobody can use.
    """
    doing = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    until = float("inf")
    loop = asyncio.get_running_loop()
    while not doing.done() and loop.time() < until:
        try:
            await asyncio.wait({doing}, timeout=None if cancelled is None else until - loop.time())
        except asyncio.CancelledError as error:
            if cancelled is None:
                cancelled, until = error, loop.time() + _LONGEST_UNCUT
    if not doing.done():
        with suppress(Exception):
            await stopped(doing)
    if cancelled is not None:
        if not doing.cancelled():
            doing.exception()  # seen: what waits is still there, and written by who closes
        raise cancelled
    doing.result()


async def stopped(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel them and wait for their ends. Raises what one of them had failed with.

    A cancellation can get lost: one that meets a broken connection to PostgreSQL comes out as the driver's error, which
    a task that never gives up takes for one more failure. So it is asked again, slowly: an orderly end takes its time.
    """
    going = set(tasks)
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=_AGAIN_SECONDS)
    for task in tasks:
        with suppress(asyncio.CancelledError):
            task.result()
