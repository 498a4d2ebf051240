"""The connections of an engine to PostgreSQL, to be hung up when nobody answers at the other end. Not when that is.

Who waits for an answer there has no time-out that ends it, and a cancellation waits for the server too. A socket that
is shut down ends it at once: the driver finds its connection broken, as if the server had gone.
"""

import os
import socket
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine


class Lines:
    """Of one engine, from the first connection on. With SQLite there are none."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._open: WeakSet[Any] = WeakSet()
        if engine.dialect.name == "postgresql":
            event.listen(engine.sync_engine, "connect", self._opened)

    def hang_up(self) -> None:
        """End whatever is waited for, on all of them. The pool opens new ones."""
        for connection in list(self._open):
            if connection.closed:
                continue
            with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

    def _opened(self, connection: Any, _record: Any) -> None:
        self._open.add(connection.driver_connection)
