"""Replicas are ended and started anew one after another while streams go on: no answer is cut, none is lost."""

import asyncio
import itertools
import signal
from collections.abc import Callable

import httpx
import pytest

from qrelay.simulator.server import Simulator
from tests.cli.process import Command, Running
from tests.replicas.conftest import Replicas
from tests.replicas.test_starting import new_account

pytestmark = pytest.mark.anyio

ASKED = {"model": "claude-sonnet-4.5", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
CLIENTS = 6


class Balancer:
    """The next replica each time, those that are said to leave left out; each request is tried twice at most."""

    def __init__(self) -> None:
        self.urls: dict[str, str] = {}
        self.answered = 0
        self._turn = itertools.count()

    async def ask(self, client: httpx.AsyncClient) -> None:
        failed: str | None = None
        while True:
            urls = [url for url in self.urls.values() if url != failed]
            url = urls[next(self._turn) % len(urls)]
            try:
                async with client.stream("POST", f"{url}/v1/chat/completions", json=ASKED) as answer:
                    text = (await answer.aread()).decode()
            except httpx.TransportError:
                if failed:
                    raise
                failed = url
                continue
            assert answer.status_code == 200, text
            assert text.endswith("data: [DONE]\n\n")
            self.answered += 1
            return


async def readiness(client: httpx.AsyncClient, url: str) -> int:
    """What it says of itself; 0 when nothing listens any more."""
    await asyncio.sleep(0.02)
    try:
        return (await client.get(f"{url}/readyz")).status_code
    except httpx.TransportError:
        return 0


async def test_a_rolling_restart_loses_no_request(
    replica: Replicas, started: Callable[[Command], Running], service: Simulator
) -> None:
    names = ("one", "two")
    commands = {name: replica(name, QRELAY_DRAIN_SECONDS="0.5") for name in names}
    running = {name: started(command) for name, command in commands.items()}
    balancer = Balancer()
    balancer.urls = {name: server.url() for name, server in running.items()}
    over = asyncio.Event()

    async def asking(client: httpx.AsyncClient) -> None:
        while not over.is_set():
            await balancer.ask(client)

    async with httpx.AsyncClient(timeout=60) as client, asyncio.TaskGroup() as group:
        await client.post(f"{balancer.urls['one']}/v2/accounts", json=new_account(service))
        for url in balancer.urls.values():
            while await readiness(client, url) != 200:
                pass
        for _ in range(CLIENTS):
            group.create_task(asking(client))
        for name in names:
            url, server = balancer.urls[name], running[name]
            server.process.send_signal(signal.SIGTERM)
            while await readiness(client, url) == 200:
                pass
            del balancer.urls[name]  # what its health check tells a load balancer
            done = await asyncio.to_thread(server.ended)
            assert done.code == 0, done.err
            again = await asyncio.to_thread(started, commands[name])
            balancer.urls[name] = await asyncio.to_thread(again.url)
        over.set()
    assert balancer.answered > CLIENTS
