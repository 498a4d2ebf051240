"""Tasks that go on until they are stopped. Not what they do."""

import asyncio
from contextlib import suppress
from typing import Any, Final

_AGAIN_SECONDS: Final = 1.0


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
