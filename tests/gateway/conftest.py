"""The whole gateway on a real port, in front of a simulator on a real port, with one account."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import uvicorn
from pydantic import SecretStr

from qrelay.http.app import App, build_app
from qrelay.server.protocol import HTTPProtocol
from qrelay.settings import Settings
from qrelay.simulator.server import Simulator
from qrelay.vault import open_vault
from tests.sqlite import new_database


@asynccontextmanager
async def serving(settings: Settings, app: App | None = None) -> AsyncGenerator[str]:
    """The gateway's URL, while it serves; `app` is one made of those settings."""
    database, given = settings.database_path, settings.master_key or settings.master_key_file
    if database is not None and given is None and not database.exists():
        open_vault(settings.home)  # a database without its master key is refused
        new_database(database)
    app = app or build_app(settings)
    config = uvicorn.Config(
        app,
        http=HTTPProtocol,
        port=0,
        lifespan="on",
        log_config=None,
        access_log=False,
        ws="none",
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    assert server.started, "the gateway did not start"
    ticking = asyncio.create_task(server.main_loop())
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await ticking
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        await asyncio.gather(*server.server_state.tasks, return_exceptions=True)
        server.force_exit = False
        await server.shutdown()


def settings_for(sim: Simulator, home: Path, **more: Any) -> Settings:
    """Settings whose one account is logged in at the simulator."""
    login = sim.add_account()
    given: dict[str, Any] = {
        "home": home,
        "api_endpoint": sim.url,
        "token_endpoint": f"{sim.url}/token",
        "amazonq_refresh_token": SecretStr(login.refresh_token),
        "amazonq_client_id": login.client_id,
        "amazonq_client_secret": SecretStr(login.client_secret),
        "quota_check_seconds": 0,
    }
    return Settings(**(given | more))


class Bench(NamedTuple):
    """A simulator, the gateway in front of it, and a plain HTTP client."""

    sim: Simulator
    url: str
    http: httpx.AsyncClient

    async def messages(self, text: str = "Hello", **more: Any) -> httpx.Response:
        body = {"model": "claude-sonnet-4-5", "max_tokens": 1000, "messages": [{"role": "user", "content": text}]}
        return await self.http.post("/v1/messages", json=body | more)

    async def chat(self, text: str = "Hello", **more: Any) -> httpx.Response:
        body = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": text}]}
        return await self.http.post("/v1/chat/completions", json=body | more)


@asynccontextmanager
async def bench(home: Path, sim_options: dict[str, Any] | None = None, **settings: Any) -> AsyncGenerator[Bench]:
    # No TLS here, and to read the certificates for it takes longer than most tests.
    async with (
        Simulator.serve(**(sim_options or {})) as sim,
        serving(settings_for(sim, home, **settings)) as url,
        httpx.AsyncClient(base_url=url, timeout=20, verify=False) as http,
    ):
        yield Bench(sim, url, http)


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncGenerator[Bench]:
    async with bench(tmp_path / "home") as running:
        yield running
