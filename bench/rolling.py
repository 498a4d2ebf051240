"""Restart two replicas one after another, again and again, behind a real proxy under constant load, and count failures.

    python bench/rolling.py                    # nginx and Caddy with our configurations: what deploy/ has
    python bench/rolling.py --proxy nginx --plain    # with a proxy's usual keep-alive settings in place of ours
    python bench/rolling.py --runs 5 --rounds 3

Each run prints a row of a table in docs/reliability.md. A failure is every response that isn't complete, and every
broken connection. Nothing is sent twice by the clients.
"""

import argparse
import asyncio
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import aiohttp
from tests.cli.process import Command, Running
from tests.deploy.proxies import CADDY, CADDY_FILE, NGINX, NGINX_SITE, Proxy, caddy_before, free_port, nginx_before
from tests.postgres import running

from qrelay.simulator.scenario import Pause, Scenario, Step, Tail, text
from qrelay.simulator.server import Simulator

ENDS = {"/v1/messages": b"event: message_stop", "/v1/chat/completions": b"data: [DONE]"}
PLAIN_NGINX = re.sub(r"    keepalive_timeout .*\n", "", NGINX_SITE)
PLAIN_CADDY = re.sub(r"\t\t\tkeepalive .*\n", "", CADDY_FILE)
_PAUSE = 0.05
_NOTICED = 2.0
"""Seconds until a proxy that checks every second has seen that a replica is back; only then the next one may end."""


class Load:
    """Clients that ask all the time, and what came of it."""

    def __init__(self, url: str, clients: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self._url = url
        self._clients = clients
        self._over = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        timeout = aiohttp.ClientTimeout(total=60)
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), timeout=timeout, headers={"host": "qrelay.example.com"}
            ) as http,
            asyncio.TaskGroup() as group,
        ):
            for number in range(self._clients):
                group.create_task(self._ask_until_over(http, number))
            yield
            self._over.set()

    @property
    def failures(self) -> int:
        return self.outcomes.total() - self.outcomes["complete"]

    async def _ask_until_over(self, http: aiohttp.ClientSession, number: int) -> None:
        chance = random.Random(number)
        while not self._over.is_set():
            self.outcomes[await self._ask(http, chance)] += 1
            await asyncio.sleep(chance.random() * _PAUSE)

    async def _ask(self, http: aiohttp.ClientSession, chance: random.Random) -> str:
        path, stream = chance.choice(list(ENDS)), chance.random() < 0.5
        messages = [{"role": "user", "content": "Hi " * chance.choice([1, 1, 30_000])}]
        body = {"model": "claude-sonnet-4.5", "max_tokens": 99, "stream": stream, "messages": messages}
        began = time.monotonic()
        try:
            async with http.post(self._url + path, json=body) as answer:
                raw = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            return type(error).__name__
        if answer.status != 200:
            return f"{answer.status} after {time.monotonic() - began:.1f} s: {raw[:200].decode(errors='replace')}"
        return "complete" if (ENDS[path] if stream else b"}") in raw else "incomplete"


class Replica(NamedTuple):
    command: Command
    port: int

    @contextmanager
    def started(self) -> Generator[Running]:
        with self.command.running("serve", "--port", str(self.port)) as server:
            server.url()
            yield server

    async def ready(self, http: aiohttp.ClientSession) -> None:
        while True:
            try:
                async with http.get(f"http://127.0.0.1:{self.port}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


@contextmanager
def replicas(drain: float) -> Generator[tuple[list[Replica], Simulator]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qrelay-rolling-")))
        postgres = stack.enter_context(running())
        service = stack.enter_context(Simulator.serve_in_thread())
        login = service.add_account()
        variables = {
            "QRELAY_DATABASE_URL": postgres.url(postgres.new_database()),
            "QRELAY_MASTER_KEY": "c2FtZSBmb3IgZXZlcnlib2R5LCBhbmQgMzIgYnl0ZXM=",
            "QRELAY_ALLOWED_HOSTS": "qrelay.example.com",
            "QRELAY_DRAIN_SECONDS": str(drain),
            "QRELAY_LOG_LEVEL": "error",
            "QRELAY_ACCOUNT_CONCURRENCY": "100",
            "AMAZONQ_API_ENDPOINT": service.url,
            "AMAZONQ_TOKEN_ENDPOINT": f"{service.url}/token",
            "AMAZONQ_CLIENT_ID": login.client_id,
            "AMAZONQ_CLIENT_SECRET": login.client_secret,
            "AMAZONQ_REFRESH_TOKEN": login.refresh_token,
        }
        made: list[Replica] = []
        for number in range(2):
            (folder / str(number)).mkdir()
            made.append(Replica(Command(folder / str(number), variables), stack.enter_context(free_port())))
        yield made, service


@asynccontextmanager
async def before(proxy: str, urls: list[str], *, plain: bool) -> AsyncGenerator[Proxy]:
    if proxy == "nginx":
        async with nginx_before(urls, PLAIN_NGINX if plain else NGINX_SITE) as running_proxy:
            yield running_proxy
    else:
        async with caddy_before(urls, PLAIN_CADDY if plain else CADDY_FILE) as running_proxy:
            yield running_proxy


async def restart(replica: Replica, stack: ExitStack, server: Running, http: aiohttp.ClientSession) -> Running:
    """End the replica as a deployment does, and start it again at the same address."""
    server.process.send_signal(signal.SIGTERM)
    done = await asyncio.to_thread(server.ended)
    if done.code:
        raise SystemExit(f"a replica ended with {done.code}: {done.err}")
    again = await asyncio.to_thread(stack.enter_context, replica.started())
    await replica.ready(http)
    await asyncio.sleep(_NOTICED)
    return again


async def run(proxy: str, *, rounds: int, clients: int, drain: float, plain: bool) -> int:
    """Return how many requests failed."""
    with replicas(drain) as (pair, service), ExitStack() as stack:
        slow: list[Step] = [text("Once "), Pause(0.2), text("upon "), Pause(0.4), text("a time"), Tail()]
        service.next(Scenario([text("Hi"), Tail()]), 20)
        for _ in range(2000):
            service.next(Scenario(slow))
            service.next(Scenario([text("Hi"), Tail()]), 3)
        servers = [stack.enter_context(replica.started()) for replica in pair]
        urls = [f"http://127.0.0.1:{replica.port}" for replica in pair]
        began = time.monotonic()
        async with aiohttp.ClientSession() as http, before(proxy, urls, plain=plain) as front:
            for replica in pair:
                await replica.ready(http)
            load = Load(f"http://{front.host}:{front.port}", clients)
            async with load.running():
                await asyncio.sleep(1)
                for _ in range(rounds):
                    for number, replica in enumerate(pair):
                        servers[number] = await restart(replica, stack, servers[number], http)
        settings = "plain" if plain else "ours"
        print(
            f"| {proxy}, {settings} | {drain:g} s | {2 * rounds} | {load.outcomes.total()} | {load.failures} "
            f"| {time.monotonic() - began:.0f} s |",
            flush=True,
        )
        if load.failures:
            print(f"  {dict(load.outcomes)}", file=sys.stderr)
        return load.failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proxy", choices=["nginx", "caddy", "both"], default="both")
    parser.add_argument("--plain", action="store_true", help="the proxy's own keep-alive time in place of ours")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="restarts of each replica")
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--drain", type=float, default=6, help="QRELAY_DRAIN_SECONDS")
    asked = parser.parse_args()
    missing = [name for name, program in (("nginx", NGINX), ("caddy", CADDY)) if not program]
    failures = 0
    for proxy in ("nginx", "caddy") if asked.proxy == "both" else (asked.proxy,):
        if proxy in missing:
            print(f"SKIP {proxy}: it is not installed", file=sys.stderr)
            continue
        for _ in range(asked.runs):
            failures += asyncio.run(
                run(proxy, rounds=asked.rounds, clients=asked.clients, drain=asked.drain, plain=asked.plain)
            )
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
