"""One ASGI app on one address, and for its owner on a socket, until it is told to stop. Not what the app does.

uvicorn does the HTTP. What is done here differs from it: the address is taken before the app starts, the first signal
ends open streams at once (their handlers see the client leave, and clean up), and a signal is a good end: no traceback,
no second signal raised.
"""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import HANDLED_SIGNALS

from qrelay.cli.listening import BACKLOG
from qrelay.cli.outcome import Failed
from qrelay.errors import RelayError
from qrelay.http.doors import for_owner

_GRACE = 2  # seconds for handlers to clean up after their client is gone


def run_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run it on uvloop where there is one."""
    if sys.platform == "win32":
        factory = None
    else:
        import uvloop  # noqa: PLC0415 - not made for Windows

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work)


async def serve_app(
    app: ASGIApp, sockets: list[socket.socket], ready: Callable[[], None], private: socket.socket | None = None
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is called when the app has started. Raises what its start raised.

    Who comes by `private` is the owner.
    """
    start = _Start(app)
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    try:
        await _Server(_config(start), ready, private, _config(for_owner(app))).serve(sockets)
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


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_GRACE,
    )


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        ready: Callable[[], None],
        private: socket.socket | None,
        private_config: uvicorn.Config,
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._private = private
        self._private_config = private_config

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._private is not None:
            self.servers.append(await self._serve_owner(self._private))
        if not self.should_exit:
            self._ready()

    async def _serve_owner(self, private: socket.socket) -> asyncio.Server:
        """The same app once more; its connections are counted, and ended, with the others."""
        config = self._private_config
        config.load()

        def protocol() -> asyncio.Protocol:
            return HttpToolsProtocol(config, self.server_state, self.lifespan.state)

        return await asyncio.get_running_loop().create_unix_server(protocol, sock=private)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn would leave the app's own end out: the store is closed all the same
            await self.lifespan.shutdown()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Listen for signals until the process is gone: one more Ctrl-C must not make a bad end of a good one."""
        for number in HANDLED_SIGNALS:
            signal.signal(number, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - what signal.signal passes
        self.force_exit = self.should_exit
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


def _is_news(record: logging.LogRecord) -> bool:
    """Not so: a handler ended by the end of the server, and a failed start, which is told in a sentence."""
    cancelled = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not cancelled and record.msg != "Application startup failed. Exiting."
