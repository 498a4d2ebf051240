"""The simulator on a real port, in this event loop or in a thread of its own. What it answers is decided elsewhere."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from qrelay.simulator.app import build_simulator
from qrelay.simulator.models import Tier
from qrelay.simulator.oidc import Oidc
from qrelay.simulator.player import TRANSPORT
from qrelay.simulator.scenario import Scenario
from qrelay.simulator.service import AccountKind, Login, Options, RecordedRequest, Service


class Simulator:
    """A running simulator: `async with Simulator.serve() as sim`, then `sim.url`.

    Everything is also reachable under `/_sim/` (steering.py), for programs that only have the URL.
    """

    def __init__(self, service: Service, oidc: Oidc, url: str) -> None:
        self.service = service
        self.oidc = oidc
        self.url = url

    @classmethod
    @asynccontextmanager
    async def serve(cls, host: str = "127.0.0.1", port: int = 0, **options: Any) -> AsyncGenerator["Simulator"]:
        """Serve until the block ends; then every connection is closed. `options` are service.Options' members.

        Raises TypeError for an unknown option and OSError if the port is taken.
        """
        service = Service(Options(**options))
        oidc = Oidc(service)
        config = uvicorn.Config(
            build_simulator(service, oidc), log_config=None, access_log=False, lifespan="off", ws="none"
        )
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(config, state, {}), host, port)
        bound = server.sockets[0].getsockname()[1]
        try:
            yield cls(service, oidc, f"http://{host}:{bound}")
        finally:
            server.close()
            for connection in list(state.connections):
                connection.transport.abort()
            await asyncio.gather(*state.tasks, return_exceptions=True)
            await server.wait_closed()

    @classmethod
    @contextmanager
    def serve_in_thread(cls, host: str = "127.0.0.1", port: int = 0, **options: Any) -> Generator["Simulator"]:
        """The same for programs without an event loop. The object may be used from the caller's thread."""
        started: list[Simulator] = []
        failed: list[BaseException] = []
        ready = threading.Event()
        loop = asyncio.new_event_loop()
        stop = asyncio.Event()

        async def live() -> None:
            async with cls.serve(host, port, **options) as simulator:
                started.append(simulator)
                ready.set()
                await stop.wait()

        def run() -> None:
            try:
                loop.run_until_complete(live())
            except (OSError, TypeError) as error:
                failed.append(error)
            finally:
                loop.close()
                ready.set()

        thread = threading.Thread(target=run, name="simulator", daemon=True)
        thread.start()
        ready.wait()
        if failed:
            raise failed[0]
        try:
            yield started[0]
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()

    # --- what tests do ------------------------------------------------------------------------------------------------

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request so far, the log-in side's too; not those to `/_sim/`."""
        return self.service.requests

    @property
    def chats(self) -> list[RecordedRequest]:
        """The chat requests so far."""
        return [recorded for recorded in self.service.requests if recorded.operation in _CHAT]

    def next(self, scenario: Scenario | str, times: int = 1) -> None:
        """Queue the next answers: a scenario, or the name of a ready-made one or of an error."""
        self.service.next(scenario, times)

    def next_token_errors(self, *errors: str) -> None:
        """What the next calls of `/token` are told instead, by OAuth's names."""
        self.oidc.next_errors.extend(errors)

    def add_account(
        self,
        name: str | None = None,
        kind: AccountKind = "builder_id",
        *,
        tier: Tier = "paid",
        profile_arn: str | None = None,
        region: str | None = None,
    ) -> Login:
        """A new account, logged in: client id and secret, refresh token, and an access token that is still fresh."""
        return self.oidc.log_in(self.service.account(name, kind, tier=tier, profile_arn=profile_arn), region)

    def expire_access_tokens(self) -> None:
        self.service.expire_access_tokens()

    def token_calls(self, client_id: str) -> int:
        """How often this client called `/token`."""
        return self.oidc.token_calls[client_id]


_CHAT = {"GenerateAssistantResponse", "SendMessage"}


class _Connection(HttpToolsProtocol):
    """Lends its transport to the answer's author, so that a scenario can end the connection badly."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: {"transport": self.transport}}
