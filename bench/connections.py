"""A new client beside thousands of silent connections and hundreds of slow requests.

    .venv/bin/python bench/connections.py [--silent 5000] [--slow 200]

A gateway with the default limits is started. Silent connections send nothing. Slow ones drip a head or a body, a byte a
second. Meanwhile a new connection for each request asks for /livez and for a chat answer. Printed are their times.
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path

import httpx
from servers import build_kit, gateway, upstream

HEAD = b"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\n"
CHAT = {"model": "claude-sonnet-4-5", "max_tokens": 99, "messages": [{"role": "user", "content": "Hi"}]}


async def _silent(port: int) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    return writer


async def _slow(port: int, number: int) -> None:
    """Drip a request, and begin again when the gateway closes the connection."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD if number % 2 else HEAD + b"content-length: 100000\r\n\r\n")
            while not writer.transport.is_closing():
                writer.write(b"x")
                await asyncio.sleep(1)
        except OSError:
            await asyncio.sleep(1)


async def _times(url: str, path: str, rounds: int) -> list[float]:
    times: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        async with httpx.AsyncClient(base_url=url, timeout=30, verify=False) as client:
            connected = time.perf_counter()  # making a client takes longer than the request
            answer = await (client.get(path) if path == "/livez" else client.post(path, json=CHAT))
            answer.raise_for_status()
        times.append((time.perf_counter() - max(began, connected)) * 1000)
    return sorted(times)


async def measure(port: int, silent: int, slow: int) -> bool:
    """Print the table; return whether every new client was served within 100 ms."""
    url = f"http://127.0.0.1:{port}"
    print(f"{'':28}{'p50':>8}{'p99':>8}{'max':>8}  ms")
    held: list[asyncio.StreamWriter] = []
    within = True
    for name, count in (("alone", 0), (f"{silent} silent, {slow} slow", silent)):
        held += [await _silent(port) for _ in range(count)]
        dripping = [asyncio.create_task(_slow(port, number)) for number in range(slow if count else 0)]
        await asyncio.sleep(3 if count else 0)
        for path in ("/livez", "/v1/messages"):
            times = await _times(url, path, 200)
            print(f"{name + ' ' + path:28}{times[100]:8.1f}{times[198]:8.1f}{times[-1]:8.1f}")
            within &= times[198] < 100
        for task in dripping:
            task.cancel()
    for writer in held:
        writer.transport.abort()
    return within


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--silent", type=int, default=5000)
    parser.add_argument("--slow", type=int, default=200)
    chosen = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with upstream(build_kit(), folder) as behind, gateway(behind, folder) as server:
            behind.answer_with(1, 0)
            within = asyncio.run(measure(server.port, chosen.silent, chosen.slow))
    sys.exit(0 if within else 1)


if __name__ == "__main__":
    main()
