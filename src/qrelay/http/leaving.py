"""The end of a server, as those see it who answer. Not when it comes: that is `cli.server`'s.

begin    it takes no more work soon: /readyz says so, whoever waits for something far off is let go
hurry    answers that still go on end now, each with an error that its client understands
"""

import asyncio
from collections.abc import Callable

Hurried = Callable[[], None]


class Leaving:
    """One for the whole server."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()
        self._at_work: set[Hurried] = set()

    @property
    def begun(self) -> bool:
        """True from the first moment of its end."""
        return self._begun.is_set()

    async def wait(self) -> None:
        """Until it begins."""
        await self._begun.wait()

    def begin(self) -> None:
        self._begun.set()

    def hurry(self) -> None:
        for hurried in list(self._at_work):
            hurried()

    def enter(self, hurried: Hurried) -> None:
        """An answer has begun; it is told by `hurried` when it has to end."""
        self._at_work.add(hurried)

    def leave(self, hurried: Hurried) -> None:
        """It has ended."""
        self._at_work.discard(hurried)
