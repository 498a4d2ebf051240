"""A gateway under everything that clients and the service do, for minutes: does it come back to where it began?

    .venv/bin/python bench/soak.py [--minutes 20] [--clients 8] [--memory 200]

`qrelay serve` on SQLite, in front of `soak_upstream.py`. Clients stream, leave at random moments, read slowly, send
large bodies, keep connections open with heads of 50 KB, and watch the console. Every 30 seconds, and at the end when
every client has gone, a row is printed. Exit code 1: descriptors, connections, tasks or upstream calls did not go back
to what they were at the start, or memory was over the bound at any time.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import random
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from processes import KIT_CORE, SERVER_CORE, Broken, announced_port, free_port, running, wait_until_listening

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.upstream.pictures import png

ACCOUNTS = 20
KEPT_CONNECTIONS = 150
HEAD = 50_000
"""Bytes of a large head."""
CALM_SECONDS = 120.0
"""Seconds the gateway may take to close everything after the last client has left."""
CONSOLE = ("/v2/overview", "/v2/accounts", "/v2/requests", "/v2/usage", "/v2/audit", "/v2/keys", "/metrics", "/")
SIZES = (100_000, 100_000, 100_000, 1_000_000, 5_000_000)
PATHS = ("/v1/messages", "/v1/chat/completions", "/v1/responses")


class Level(NamedTuple):
    """Memory in MB and open resources of the gateway process. `running` counts chat calls at the upstream."""

    rss: float
    pss: float
    descriptors: int
    threads: int
    connections: int
    tasks: int
    requests: int
    running: int


class Gateway(NamedTuple):
    pid: int
    port: int
    upstream: int


@contextmanager
def serving(folder: Path) -> Generator[Gateway]:
    """The gateway and its upstream, as long as the block lasts."""
    with running([sys.executable, HERE / "soak_upstream.py"], KIT_CORE, folder, announces=True) as stand_in:
        upstream, port = announced_port(stand_in), free_port()
        env = {
            **{name: value for name, value in os.environ.items() if name.startswith(("MALLOC_", "GLIBC_"))},
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT / "src"),
            "QRELAY_HOME": str(folder / "state"),
            "QRELAY_FIRST_EVENT_TIMEOUT_SECONDS": "5",
            "QRELAY_SILENCE_TIMEOUT_SECONDS": "5",
            "QRELAY_MAX_ERROR_COUNT": "1000000",
            "AMAZONQ_API_ENDPOINT": f"http://127.0.0.1:{upstream}/",
            "AMAZONQ_TOKEN_ENDPOINT": f"http://127.0.0.1:{upstream}/token",
        }
        with running([ROOT / ".venv" / "bin" / "qrelay", "serve", "--port", str(port)], SERVER_CORE, folder, env) as it:
            wait_until_listening(port, it)
            yield Gateway(it.pid, port, upstream)


# --- clients ----------------------------------------------------------------------------------------------------------


class Client:
    """One client after another, each doing one thing by chance. What they did is counted in `done`."""

    def __init__(self, port: int, seed: int, done: Counter[str], only: frozenset[str] = frozenset()) -> None:
        self._port = port
        self._chance = random.Random(seed)
        self._done = done
        acts: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (20, self.read_stream),
            (10, self.read_whole),
            (10, self.send_large),
            (8, self.leave_before_head),
            (8, self.leave_in_body),
            (8, self.leave_between_events),
            (6, self.leave_after_second_request),
            (5, self.read_slowly),
            (5, self.send_large_head),
            (4, self.count_tokens),
            (4, self.watch_console),
            (2, self.follow_requests),
        ]
        self._acts = [(weight, act) for weight, act in acts if not only or act.__name__ in only]

    async def live(self, ends: float) -> None:
        acts, weights = [act for _, act in self._acts], [weight for weight, _ in self._acts]
        while acts and time.monotonic() < ends:
            act = self._chance.choices(acts, weights)[0]
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await act()
            self._done[act.__name__] += 1

    async def read_stream(self) -> None:
        await self._converse(self._request(stream=True))

    async def read_whole(self) -> None:
        await self._converse(self._request(stream=False))

    async def send_large(self) -> None:
        await self._converse(self._request(stream=True, size=self._chance.choice(SIZES)))

    async def leave_before_head(self) -> None:
        size = self._chance.choice((100, 70_000, 100_000, 1_000_000))
        async with self._connected() as (_, writer):
            writer.write(self._request(stream=True, size=size))
            await writer.drain()
            await asyncio.sleep(self._chance.uniform(0, 0.05))
            self._leave(writer)

    async def leave_in_body(self) -> None:
        async with self._connected() as (_, writer):
            whole = self._request(stream=True, size=self._chance.choice(SIZES))
            writer.write(whole[: self._chance.randrange(200, len(whole))])
            await asyncio.sleep(self._chance.uniform(0, 0.2))
            self._leave(writer)

    async def leave_between_events(self) -> None:
        async with self._connected() as (reader, writer):
            writer.write(self._request(stream=True))
            for _ in range(self._chance.randrange(1, 6)):
                await reader.read(2_000)
            self._leave(writer)

    async def leave_after_second_request(self) -> None:
        async with self._connected() as (reader, writer):
            writer.write(self._request(stream=True, closes=False) + self._request(stream=True))
            await reader.read(500)
            self._leave(writer)

    async def read_slowly(self) -> None:
        async with self._connected(receive_buffer=4096) as (reader, writer):
            writer.write(self._request(stream=True))
            for _ in range(200):
                if not await reader.read(2_000):
                    return
                await asyncio.sleep(0.05)
            self._leave(writer)

    async def send_large_head(self) -> None:
        await self._converse(self._request(stream=False, head=HEAD))

    async def count_tokens(self) -> None:
        await self._converse(self._request(stream=False, size=20_000, path="/v1/messages/count_tokens"))

    async def watch_console(self) -> None:
        for path in CONSOLE:
            await self._converse(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())

    async def follow_requests(self) -> None:
        async with self._connected() as (reader, writer):
            writer.write(b"GET /v2/requests/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._chance.uniform(0.5, 3)):
                    while await reader.read(10_000):
                        pass
            self._leave(writer)

    async def keep_connections(self, ends: float) -> None:
        """Connections that stay open, each with a large head now and then."""
        async with contextlib.AsyncExitStack() as stack:
            kept = [await stack.enter_async_context(self._connected()) for _ in range(KEPT_CONNECTIONS)]
            while time.monotonic() < ends:
                for number, (reader, writer) in enumerate(kept):
                    try:
                        writer.write(self._large_get())
                        head = await reader.readuntil(b"\r\n\r\n")
                        await reader.readexactly(_length(head))
                    except (OSError, asyncio.IncompleteReadError, IndexError):
                        writer.close()
                        kept[number] = await stack.enter_async_context(self._connected())
                    self._done["kept_head"] += 1
                await asyncio.sleep(self._chance.uniform(1, 10))

    # -- inside

    @contextlib.asynccontextmanager
    async def _connected(
        self, receive_buffer: int = 0
    ) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        connection = socket.socket()
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self._port))
        reader, writer = await asyncio.open_connection(sock=connection, limit=8_192 if receive_buffer else 65_536)
        try:
            yield reader, writer
        finally:
            writer.close()

    def _leave(self, writer: asyncio.StreamWriter) -> None:
        """With a reset or a plain end."""
        if self._chance.random() < 0.5:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _converse(self, request: bytes) -> None:
        async with self._connected() as (reader, writer):
            writer.write(request)
            while await reader.read(65_536):
                pass

    def _large_get(self) -> bytes:
        return f"GET /livez HTTP/1.1\r\nhost: localhost\r\n{self._headers(HEAD)}\r\n".encode()

    def _headers(self, size: int) -> str:
        """Headers that a cache may be keyed by, each time other ones."""
        names = ("user-agent", "x-padding", "cookie", "origin", "x-forwarded-for", f"x-{self._letters(20)}")
        return "".join(f"{name}: {self._letters(size // len(names))}\r\n" for name in names)

    def _letters(self, size: int) -> str:
        return base64.b32encode(self._chance.randbytes(size * 5 // 8 + 5)).decode()[:size]

    def _request(
        self, *, stream: bool, size: int = 200, head: int = 0, closes: bool = True, path: str | None = None
    ) -> bytes:
        path = path or self._chance.choice(PATHS)
        body = json.dumps({"model": "claude-sonnet-4.5", "stream": stream, **self._conversation(path, size)}).encode()
        lines = [
            f"POST {path}{f'?beta={self._letters(head // 4)}' if head else ''} HTTP/1.1",
            "host: localhost",
            "content-type: application/json",
            f"content-length: {len(body)}",
            f"connection: {'close' if closes else 'keep-alive'}",
        ]
        return ("\r\n".join(lines) + "\r\n" + (self._headers(head // 2) if head else "") + "\r\n").encode() + body

    def _conversation(self, path: str, size: int) -> dict[str, Any]:
        """About `size` bytes of an agent's turns; past what the service takes as text, of screenshots."""
        texts = [" ".join(self._letters(9).lower() for _ in range(400)) for _ in range(min(size, 900_000) // 4_000)]
        turns = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]
        pictures = max(0, size - 900_000) // 500_000
        data = base64.b64encode(png(100, 100) + self._chance.randbytes(375_000)).decode() if pictures else ""
        last: Any = f"Say something. {self._letters(12)}"
        if path == "/v1/responses":
            images = [{"type": "input_image", "image_url": f"data:image/png;base64,{data}"}] * pictures
            content = [*images, {"type": "input_text", "text": last}]
            return {"input": [*turns, {"role": "user", "content": content}], "store": self._chance.random() < 0.7}
        if path == "/v1/chat/completions":
            images = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}] * pictures
        else:
            source = {"type": "base64", "media_type": "image/png", "data": data}
            images = [{"type": "image", "source": source}] * pictures
        content = [*images, {"type": "text", "text": last}]
        return {"max_tokens": 1000, "messages": [*turns, {"role": "user", "content": content}]}


# --- what is looked at ------------------------------------------------------------------------------------------------


async def get(port: int, path: str, data: bytes = b"", method: str = "GET") -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(data)}\r\nconnection: close\r\n"
        writer.write(head.encode() + b"content-type: application/json\r\n\r\n" + data)
        async with asyncio.timeout(30):
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(_length(head))
    finally:
        writer.close()
    if head.split()[1] != b"200":
        raise Broken(f"{method} {path}: {head!r} {body[:500]!r}")
    return body.decode()


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].split()[0])


async def level(gateway: Gateway) -> Level:
    figures = await get(gateway.port, "/metrics")
    named = {name: value for name, _, value in (line.rpartition(" ") for line in figures.splitlines())}
    requests = sum(float(value) for name, value in named.items() if name.startswith("qrelay_requests_total"))
    place = Path(f"/proc/{gateway.pid}")
    memory = dict(line.split()[:2] for line in (place / "smaps_rollup").read_text().splitlines()[1:])
    upstream = json.loads(await get(gateway.upstream, "/running"))
    return Level(
        rss=int(memory["Rss:"]) / 1024,
        pss=int(memory["Pss:"]) / 1024,
        descriptors=len(list((place / "fd").iterdir())),
        threads=len(list((place / "task").iterdir())),
        connections=int(float(named["qrelay_connections"])),
        tasks=int(float(named["qrelay_asyncio_tasks"])),
        requests=int(requests),
        running=upstream["running"],
    )


def show(began: float, now: Level) -> None:
    print(
        f"{time.monotonic() - began:7.0f} {now.rss:8.1f} {now.pss:8.1f} {now.descriptors:6} {now.threads:7} "
        f"{now.connections:6} {now.tasks:6} {now.requests:9} {now.running:8}",
        flush=True,
    )


def remaining(start: Level, now: Level) -> list[str]:
    """Return what is above the level of the start. A few more descriptors are allowed for files opened late."""
    allowed = Level(0, 0, start.descriptors + 8, 0, start.connections, start.tasks + 2, 0, start.running)
    names = ("descriptors", "connections", "tasks", "running")
    return [
        f"{name}: {getattr(now, name)}, at the start {getattr(start, name)}"
        for name in names
        if getattr(now, name) > getattr(allowed, name)
    ]


async def soak(gateway: Gateway, asked: argparse.Namespace) -> list[str]:
    """Return the faults at the end of the run."""
    for n in range(ACCOUNTS):
        account = {"clientId": "c", "clientSecret": "s", "refreshToken": f"r{n}", "accessToken": f"a{n}"}
        await get(gateway.port, "/v2/accounts", json.dumps(account).encode(), "POST")
    done = Counter[str]()
    print("seconds      RSS      PSS    fds threads  conns  tasks  requests upstream")
    began = time.monotonic()
    start = await level(gateway)
    show(began, start)
    ends = began + asked.minutes * 60
    clients = [Client(gateway.port, n, done, frozenset(asked.only)) for n in range(asked.clients)]
    living = [asyncio.create_task(client.live(ends)) for client in clients]
    if not asked.only or Client.keep_connections.__name__ in asked.only:
        living.append(asyncio.create_task(Client(gateway.port, -1, done).keep_connections(ends)))
    highest = start
    while (left := ends - time.monotonic()) > 0:
        await asyncio.wait(living, timeout=min(asked.every, left), return_when=asyncio.FIRST_EXCEPTION)
        for one in living:
            if one.done():
                one.result()
        now = await level(gateway)
        show(began, now)
        highest = max(highest, now, key=lambda each: each.rss)
    await asyncio.gather(*living)
    print("Every client has gone.")
    gone = time.monotonic()
    faults, now = [""], start
    while faults and time.monotonic() - gone < CALM_SECONDS:
        now = await level(gateway)
        faults = remaining(start, now)
        await asyncio.sleep(2)
    show(began, now)
    print(f"Level after {time.monotonic() - gone:.0f} s. What clients did: {dict(done.most_common())}")
    if highest.rss > asked.memory:
        faults.append(f"memory: {highest.rss:.0f} MB, more than {asked.memory:.0f}")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--every", type=float, default=30, help="seconds between two rows")
    parser.add_argument("--memory", type=float, default=200, help="the bound, in MB of RSS")
    parser.add_argument("--only", nargs="*", default=[], help="methods of Client, to find out what costs memory")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qrelay-soak-") as place:
        try:
            with serving(Path(place)) as gateway:
                faults = asyncio.run(soak(gateway, asked))
        except Broken as broken:
            faults = [str(broken)]
        if faults:
            log = (Path(place) / f"qrelay-{SERVER_CORE}.log").read_text(errors="replace")
            print("\n".join(line for line in log.splitlines() if '"event":"request"' not in line)[-3000:])
    for fault in faults:
        print(f"FAULT {fault}")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
