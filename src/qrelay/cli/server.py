"""One ASGI app on one address, and for its owner on a socket, until it is told to stop. Not what the app does.

uvicorn is the server, `server.protocol` what speaks HTTP in it. What is done here differs from uvicorn: the address is
taken before the app starts, and a signal is a good end: no traceback, no second signal raised.

    Ctrl-C, or a second signal    open answers are cut at once (their handlers see the client leave, and clean up)
    SIGTERM                       `Drain`: not ready, then no new connections, then open answers end (`server.drain`)
"""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from functools import partial
from itertools import zip_longest
from types import FrameType
from typing import NamedTuple, cast

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.server import HANDLED_SIGNALS

from qrelay.cli.listening import BACKLOG
from qrelay.cli.outcome import Failed
from qrelay.errors import RelayError
from qrelay.http.doors import for_owner
from qrelay.http.leaving import Leaving
from qrelay.server.connections import ConnectionTable
from qrelay.server.drain import (
    CLOSE,
    HANDSHAKE_SECONDS,
    IdleTimes,
    announce_close,
    drop_new_connections,
    established,
)
from qrelay.server.protocol import HTTPProtocol

_GRACE = 2  # seconds for handlers to clean up after their client is gone
_KEEP_ALIVE = 150  # seconds; proxies keep a connection for less (nginx 60, Caddy 120), so they close it first


class Drain(NamedTuple):
    """The way a server ends on SIGTERM.

    For `open_seconds` it accepts connections, and says that it isn't ready. Then open answers have `patience_seconds`.
    Connections that are kept are closed after `open_seconds` without a request.
    """

    leaving: Leaving
    open_seconds: float
    patience_seconds: float


async def serve_app(
    app: ASGIApp,
    sockets: list[socket.socket],
    ready: Callable[[], None],
    private: socket.socket | None = None,
    drain: Drain | None = None,
    *,
    table: ConnectionTable,
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is called when the app has started. Raises what its start raised.

    Who comes by `private` is the owner. Without `drain` every signal is Ctrl-C. `table` holds the connections.
    """
    start = _Start(app)
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    try:
        server = _Server(_config(start, table), ready, private, _config(for_owner(app), table), drain, table=table)
        await server.serve(sockets)
    except SystemExit as stopped:
        if start.failure is not None:
            raise start.failure from None
        raise Failed("The server could not start; the log says why.") from stopped


async def until_signal() -> None:
    """Wait for SIGINT or SIGTERM. They are heard until the process is gone, like `serve_app`'s."""
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(heard.set)

    for number in HANDLED_SIGNALS:
        signal.signal(number, on_signal)
    await heard.wait()


def _config(app: ASGIApp, table: ConnectionTable) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", partial(HTTPProtocol, table=table)),  # called as a class is, and no more
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_GRACE,
    )


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        ready: Callable[[], None],
        private: socket.socket | None,
        private_config: uvicorn.Config,
        drain: Drain | None,
        *,
        table: ConnectionTable,
    ) -> None:
        super().__init__(config)
        self._table = table
        self._drain = drain
        self._at_once = False
        self._ready = ready
        self._private = private
        self._private_config = private_config

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._private is not None:
            self.servers.append(await self._serve_owner(self._private))
        if not self.should_exit:
            _settle()
            self._ready()

    async def _serve_owner(self, private: socket.socket) -> asyncio.Server:
        """The same app once more; its connections are counted, and ended, with the others."""
        config = self._private_config
        config.load()

        def protocol() -> asyncio.Protocol:
            return HTTPProtocol(config, self.server_state, self.lifespan.state, table=self._table)

        return await asyncio.get_running_loop().create_unix_server(protocol, sock=private)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        drain = self._drain
        if drain is None or self._at_once:
            self._cut()
        else:
            await self._empty(drain, sockets or [])
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn would leave the app's own end out: the store is closed all the same
            self._cut()
            if self.server_state.tasks:
                await asyncio.wait(self.server_state.tasks, timeout=_GRACE)
            await self.lifespan.shutdown()

    def _cut(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    async def _empty(self, drain: Drain, listeners: list[socket.socket]) -> None:
        """Let requests end and connections close. What is still open on return has had its time."""
        idle = IdleTimes()
        drain.leaving.begin()
        await self._announce_close()
        async for now in self._steps(drain.open_seconds):
            idle.update(self._connections(), now)
        await self._close_listeners(listeners, min(HANDSHAKE_SECONDS, drain.open_seconds))
        async for now in self._steps(drain.patience_seconds):
            idle.update(self._connections(), now)
            for _ in range(2):  # requests that have arrived are read first
                await asyncio.sleep(0)
            for connection in idle.idle_for(drain.open_seconds, now):
                connection.shutdown()
            if not (self.server_state.connections or self.server_state.tasks):
                return
        if not self.force_exit:
            drain.leaving.hurry()

    async def _steps(self, seconds: float) -> AsyncGenerator[float]:
        """Yield the loop's time ten times a second, until the time is over or everything has to end now."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (now := loop.time()) < end and not self.force_exit:  # what a signal's handler sets can't be waited for
            yield now
            await asyncio.sleep(min(0.1, max(0.0, end - loop.time())))

    def _connections(self) -> list[HTTPProtocol]:
        return cast("list[HTTPProtocol]", list(self.server_state.connections))

    async def _announce_close(self) -> None:
        """Let every response from now on say that its connection closes."""
        self.config.encoded_headers.append(CLOSE)
        await self.on_tick(0)  # writes the headers of all responses
        for connection in self._connections():
            announce_close(connection.cycle)
            for cycle, _ in connection.pipeline:
                announce_close(cycle)

    async def _close_listeners(self, listeners: list[socket.socket], handshake_seconds: float) -> None:
        """Take over what is established, so that no connection is reset."""
        for listener in listeners:
            drop_new_connections(listener)
        await asyncio.sleep(handshake_seconds)
        loop = asyncio.get_running_loop()
        for server, listener in zip_longest(self.servers, listeners):  # the owner's is the last, and passed by nobody
            accepted = established(listener) if listener else []
            server.close()
            if listener:
                listener.close()
            for connection in accepted:
                await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        return HTTPProtocol(self.config, self.server_state, self.lifespan.state, table=self._table)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Handle signals while the server runs; ignore them from then on, so that a late Ctrl-C can't fail a good end.

        Python itself replaces a handler by the default action while it exits, which would kill the process.
        """
        for number in HANDLED_SIGNALS:
            signal.signal(number, self.handle_exit)
        yield
        for number in HANDLED_SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - what signal.signal passes
        self.force_exit = self.should_exit
        self._at_once = self.should_exit or sig != signal.SIGTERM
        self.should_exit = True


class _Start:
    """The app, with an eye on its start: a RelayError there is for people, not for a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.failure: RelayError | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_unless_failed(message: Message) -> None:
            nonlocal started
            started |= message["type"] == "lifespan.startup.complete"
            if message["type"] == "lifespan.startup.failed":
                held.append(message)
            else:
                await send(message)

        started, held = False, list[Message]()
        try:
            await self._app(scope, receive, send_unless_failed)
        except RelayError as error:
            if started:
                raise
            self.failure = error
            await send({"type": "lifespan.startup.failed", "message": ""})
        else:
            for message in held:
                await send(message)


def _settle() -> None:
    """What was loaded until now stays for good, so the collector need not look at it again and again.

    A look at all of it would stop every stream for a tenth of a second. Young objects are looked at less often than
    Python does by itself: requests leave next to nothing that only the collector finds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _is_news(record: logging.LogRecord) -> bool:
    """Not so: a handler ended by the end of the server, and a failed start, which is told in a sentence."""
    cancelled = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not cancelled and record.msg != "Application startup failed. Exiting."
