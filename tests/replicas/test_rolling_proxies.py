"""Two replicas behind a real proxy are ended and started again one after another, and no request fails."""

import asyncio
import re
import signal
from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from functools import partial

import httpx
import pytest

from qrelay.simulator.scenario import Pause, Scenario, Tail, text
from qrelay.simulator.server import Simulator
from tests.cli.process import Command, Running
from tests.deploy.proxies import (
    CADDY_FILE,
    NGINX_SITE,
    Proxy,
    caddy_before,
    free_port,
    needs_caddy,
    needs_nginx,
    nginx_before,
)
from tests.replicas.conftest import Replicas
from tests.replicas.test_starting import new_account

pytestmark = pytest.mark.anyio

ASKED = {"model": "claude-sonnet-4.5", "messages": [{"role": "user", "content": "Hi"}]}
CLIENTS = 4
PLAIN_NGINX = re.sub(r"    keepalive_timeout .*\n", "", NGINX_SITE)  # keeps idle connections for a minute
QUICK_CADDY = CADDY_FILE.replace("health_interval 1s", "health_interval 200ms")


@pytest.fixture
def serving() -> Generator[Callable[[Command, int], Running]]:
    """Starts `qrelay serve` on a port; what still runs at the end is killed."""
    with ExitStack() as stack:
        yield lambda command, port: stack.enter_context(command.running("serve", "--port", str(port)))


@contextmanager
def two_ports() -> Generator[tuple[int, int]]:
    with free_port() as one, free_port() as two:
        yield one, two


async def until_ready(url: str) -> None:
    async with httpx.AsyncClient(verify=False) as client:
        while True:
            try:
                if (await client.get(f"{url}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


class Load:
    """Clients that ask all the time; a request that fails ends the test."""

    def __init__(self, proxy: Proxy) -> None:
        self.answered = 0
        self.over = asyncio.Event()
        self._proxy = proxy

    async def ask(self) -> None:
        stream = False
        while not self.over.is_set():
            stream = not stream
            answer = await self._proxy.http.post("/v1/chat/completions", json=ASKED | {"stream": stream})
            assert answer.status_code == 200, answer.text
            assert not stream or answer.text.endswith("data: [DONE]\n\n")
            self.answered += 1

    async def until_more(self, count: int) -> None:
        """Wait for that many further responses."""
        wanted = self.answered + count
        while self.answered < wanted:  # noqa: ASYNC110 - counted by several tasks
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(partial(nginx_before, site=PLAIN_NGINX), marks=needs_nginx, id="nginx"),
        pytest.param(partial(caddy_before, caddyfile=QUICK_CADDY), marks=needs_caddy, id="caddy"),
    ],
)
async def test_a_rolling_restart_behind_a_proxy_loses_no_request(
    replica: Replicas,
    serving: Callable[[Command, int], Running],
    service: Simulator,
    before: Callable[[list[str]], AbstractAsyncContextManager[Proxy]],
) -> None:
    for _ in range(500):  # now and then a stream that is under way when its process is told to end
        service.next(Scenario([text("Once "), Pause(0.3), text("more"), Tail()]))
        service.next(Scenario([text("Hi"), Tail()]), 3)
    variables = {"QRELAY_DRAIN_SECONDS": "2", "QRELAY_ALLOWED_HOSTS": "qrelay.example.com"}
    commands = [replica(name, **variables) for name in ("one", "two")]
    with two_ports() as ports:
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        running = [serving(command, port) for command, port in zip(commands, ports, strict=True)]
        for server in running:
            await asyncio.to_thread(server.url)
        async with httpx.AsyncClient(timeout=30, verify=False) as client:
            await client.post(f"{urls[0]}/v2/accounts", json=new_account(service))
        for url in urls:
            await until_ready(url)
        async with before(urls) as proxy, asyncio.TaskGroup() as group:
            load = Load(proxy)
            for _ in range(CLIENTS):
                group.create_task(load.ask())
            for number, server in enumerate(running):
                await load.until_more(20)
                server.process.send_signal(signal.SIGTERM)
                done = await asyncio.to_thread(server.ended)
                assert done.code == 0, done.err
                await load.until_more(20)  # by the other one alone
                again = await asyncio.to_thread(serving, commands[number], ports[number])
                await asyncio.to_thread(again.url)
                await until_ready(urls[number])
                await asyncio.sleep(1)  # until the proxy's own check has seen it too
            load.over.set()
