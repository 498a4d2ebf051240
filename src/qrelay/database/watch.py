"""What other processes changed, seen within a second: everyone looks by themselves, a NOTIFY only makes it sooner.

Polling is what makes it correct. A notification that is lost, or a connection for them that is, costs freshness only
(OPERATIONS.md C.5). One process alone with its SQLite file has nobody to watch.

A look is a question about once a second, so it is also what notices a server that takes questions and answers none:
stopped, out of breath, or behind a network that swallows everything. No time-out of a driver ends that.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from qrelay.errors import RelayError
from qrelay.tasks import stopped

log = structlog.get_logger()

CHANNEL: Final = "qrelay"
LISTENING: Final = f"LISTEN {CHANNEL}"
"""What the one connection of each replica that listens last ran, and so how they can be counted."""
EVERY_SECONDS: Final = 0.8
"""Between two looks, unless a notification makes it less; with what a look takes, about a second."""
SILENT_SECONDS: Final = 5.0
"""After so long without an answer to a look, there is none: as long as the server may take for one statement."""
_LAST_CHANCE_SECONDS: Final = 1.0
_LISTEN_AGAIN_SECONDS: Final = 5.0

Look = Callable[[], Awaitable[None]]


class Watch:
    """Calls each look about once a second. A look reads what it watches and raises RelayError when it can't.

    `fell_silent` is called when one takes longer than SILENT_SECONDS.
    """

    def __init__(self, engine: AsyncEngine, fell_silent: Callable[[], None]) -> None:
        self._engine = engine
        self._fell_silent = fell_silent
        self._looks: list[Look] = []
        self._hint = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, look: Look) -> None:
        """Look here too."""
        self._looks.append(look)

    def start(self) -> None:
        """Begin to watch, where there is anybody else."""
        if self._engine.dialect.name == "postgresql":
            self._tasks = [asyncio.create_task(self._keep_looking()), asyncio.create_task(self._keep_listening())]

    async def close(self) -> None:
        await stopped(*self._tasks)
        self._tasks.clear()

    async def _keep_looking(self) -> None:
        blind = False
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_SECONDS):
                    await self._hint.wait()
            self._hint.clear()
            reason = await self._look()
            if reason is not None and not blind:
                log.warning("what other replicas change isn't seen", reason=reason)
            elif reason is None and blind:
                log.info("what other replicas change is seen again")
            blind = reason is not None

    async def _look(self) -> str | None:
        """Every look, also after one that can't be had; why it can't."""
        reason: str | None = None
        for look in self._looks:
            try:
                with self._patience():
                    await look()
            except RelayError as error:
                reason = error.message
            except Exception:  # whatever it is, the others and the next time go on
                reason = "it broke on this side"
                log.exception("a look at what other replicas change broke")
        return reason

    @contextmanager
    def _patience(self) -> Generator[None]:
        loop = asyncio.get_running_loop()

        def late() -> None:  # not yet said: when this process stood still, the answer may lie there unread
            nonlocal timer
            timer = loop.call_later(_LAST_CHANCE_SECONDS, self._fell_silent)

        timer = loop.call_later(SILENT_SECONDS - _LAST_CHANCE_SECONDS, late)
        try:
            yield
        finally:
            timer.cancel()

    async def _keep_listening(self) -> None:
        """A connection of its own, direct: listening doesn't work through a pooler."""
        import psycopg  # noqa: PLC0415 - the driver is an extra, and here only for who uses PostgreSQL

        address = self._engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        while True:
            with suppress(psycopg.Error, OSError):
                async with await psycopg.AsyncConnection.connect(address, autocommit=True) as connection:
                    await connection.execute(LISTENING)
                    async for _ in connection.notifies():
                        self._hint.set()
            await asyncio.sleep(_LISTEN_AGAIN_SECONDS)
