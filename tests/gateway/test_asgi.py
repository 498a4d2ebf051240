"""The application under ASGI servers other than its own."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx
import pytest
import uvicorn

from qrelay.http.app import App, build_app
from qrelay.server.protocol import HTTPProtocol
from qrelay.simulator.scenario import Scenario, Silence, text
from qrelay.simulator.server import Simulator
from tests.gateway.conftest import settings_for

pytestmark = pytest.mark.anyio

BODIES: dict[str, dict[str, Any]] = {
    "/v1/messages": {"model": "claude-sonnet-4-5", "max_tokens": 99, "messages": [{"role": "user", "content": "Hi"}]},
    "/v1/chat/completions": {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "Hi"}]},
    "/v1/responses": {"model": "claude-sonnet-4-5", "input": "Hi"},
}
SERVERS = ["h11", "httptools", HTTPProtocol, "in process"]


@asynccontextmanager
async def client_of(app: App, server: Any) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of the application, served by uvicorn with that protocol, or by no server at all."""
    if server == "in process":
        async with app.opened():
            transport = httpx.ASGITransport(app)  # type: ignore[arg-type] -- an ASGI application is one
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=30) as client:
                yield client
        return
    http: Literal["h11"] = server
    config = uvicorn.Config(app, http=http, port=0, lifespan="on", log_config=None, access_log=False)
    running = uvicorn.Server(config)
    serving = asyncio.create_task(running.serve())
    with anyio.fail_after(30):
        while not running.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield client
    finally:
        running.should_exit = True
        await serving


@pytest.mark.parametrize("server", SERVERS, ids=str)
async def test_chat_routes_answer_under_any_server(tmp_path: Path, server: Any) -> None:
    async with Simulator.serve() as sim, client_of(build_app(settings_for(sim, tmp_path)), server) as client:
        for path, body in BODIES.items():
            for stream in (False, True):
                answer = await client.post(path, json=body | {"stream": stream})
                assert answer.status_code == 200, answer.text
                kind = "text/event-stream" if stream else "application/json"
                assert answer.headers["content-type"].startswith(kind)


@pytest.mark.parametrize("server", SERVERS[:3], ids=str)
async def test_disconnect_cancels_the_call_under_any_server(tmp_path: Path, server: Any) -> None:
    async with Simulator.serve() as sim, client_of(build_app(settings_for(sim, tmp_path)), server) as client:
        sim.next(Scenario([text("one"), Silence()]))
        body = BODIES["/v1/messages"] | {"stream": True}
        async with client.stream("POST", "/v1/messages", json=body) as answer:
            async for line in answer.aiter_lines():
                if "one" in line:
                    break
        with anyio.fail_after(30):
            await sim.chats[-1].over.wait()
        assert sim.chats[-1].disconnected
