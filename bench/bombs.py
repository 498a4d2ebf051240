"""Large hostile bodies: what each costs the gateway, and how long other clients wait meanwhile.

    PYTHONPATH=src python bench/bombs.py [NAME ...]

The gateway is a process of its own in front of a simulator. For each body of about 30 MB: the answer's status, how long
it took, the gateway's peak memory above what it had before (in sizes of the body), and what a second client saw
meanwhile: `/livez` every 5 ms on a kept connection, and how late the pieces of a stream came that has one every 20 ms.
"""

import asyncio
import json
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from processes import free_port

from qrelay.simulator.scenario import Pause, Scenario, Step, text
from qrelay.simulator.server import Simulator

SIZE = 30_000_000
PACE = 0.02
ROOT = Path(__file__).parent.parent
MESSAGES, CHAT, RESPONSES = "/v1/messages", "/v1/chat/completions", "/v1/responses"
COUNT, COMPACT, IMPORT, CREATE = "/v1/messages/count_tokens", "/v1/responses/compact", "/v2/import", "/v2/accounts"


def repeated(unit: bytes, path: str, before: bytes, after: bytes, join: bytes = b",") -> tuple[str, bytes]:
    """A body of about SIZE bytes: `unit` again and again."""
    return path, before + join.join([unit] * (SIZE // (len(unit) + len(join)))) + after


def parts(unit: bytes, path: str = MESSAGES) -> tuple[str, bytes]:
    return repeated(
        unit, path, b'{"model":"claude-sonnet-4.5","max_tokens":9,"messages":[{"role":"user","content":[', b"]}]}"
    )


def entries(unit: bytes, path: str = MESSAGES) -> tuple[str, bytes]:
    start = b'{"model":"claude-sonnet-4.5","max_tokens":9,"messages":[{"role":"user","content":"a"},'
    return repeated(unit, path, start, b"]}")


def items(unit: bytes, path: str = RESPONSES) -> tuple[str, bytes]:
    return repeated(unit, path, b'{"model":"claude-sonnet-4.5","input":[', b"]}")


def string(unit: bytes, path: str = MESSAGES) -> tuple[str, bytes]:
    start = b'{"model":"claude-sonnet-4.5","max_tokens":9,"messages":[{"role":"user","content":"'
    return repeated(unit, path, start, b'"}]}', b"")


def beside(unit: bytes, path: str, field: bytes) -> tuple[str, bytes]:
    start = b'{"model":"claude-sonnet-4.5","max_tokens":9,"messages":[{"role":"user","content":"a"}],"input":"a","%b":['
    return repeated(unit, path, start % field, b"]}")


def nested(path: str) -> tuple[str, bytes]:
    half = SIZE // 2
    return path, b'{"model":"m","max_tokens":9,"messages":[],"x":' + b"[" * half + b"]" * half + b"}"


def within(values: int, unit: bytes) -> Callable[[], tuple[str, bytes]]:
    """A body just within the limits."""
    start = b'{"model":"claude-sonnet-4.5","max_tokens":9,"messages":[{"role":"user","content":['
    return lambda: (MESSAGES, start + b",".join([unit] * values) + b"]}]}")


TEXT, UNKNOWN = b'{"type":"text","text":"a"}', b'{"type":"new","a":[1]}'
IMAGE = b'{"type":"image","source":{"type":"base64","media_type":"image/png","data":"%b"}}' % (
    b"iVBORw0KGgoA" * 300_000
)
BOMBS: dict[str, Callable[[], tuple[str, bytes]]] = {
    "system entries": lambda: entries(b'{"role":"system","content":"a"}'),
    "tiny text parts": lambda: parts(TEXT),
    "unknown parts": lambda: parts(UNKNOWN),
    "results without uses": lambda: parts(b'{"type":"tool_result","tool_use_id":"a"}'),
    "stop sequences": lambda: beside(b'"abc"', MESSAGES, b"stop_sequences"),
    "tools": lambda: beside(b'{"name":"a","input_schema":{}}', MESSAGES, b"tools"),
    "lone surrogates": lambda: string(b"\\ud800"),
    "backslashes": lambda: string(b"\\\\"),
    "emoji": lambda: string("😀a".encode()),
    "one emoji at the end": lambda: (MESSAGES, string(b"a")[1][:-4] + '😀"}]}'.encode()),
    "letters": lambda: string(b"a"),
    "brackets": lambda: nested(MESSAGES),
    "images": lambda: parts(IMAGE),
    "chat: unknown parts": lambda: parts(UNKNOWN, CHAT),
    "chat: calls": lambda: entries(b'{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f"}}]}', CHAT),
    "chat: stop": lambda: beside(b'"abc"', CHAT, b"stop"),
    "responses: items": lambda: items(b'{"type":"function_call_output","output":"a"}'),
    "responses: unknown items": lambda: items(b'{"type":"new","a":[1]}'),
    "compact: items": lambda: items(b'{"role":"user","content":"a"}', COMPACT),
    "count: parts": lambda: parts(TEXT, COUNT),
    "count: letters": lambda: string(b"a", COUNT),
    "import: rows": lambda: repeated(b"{}", IMPORT, b'{"accounts":[', b"]}"),
    "create: a long string": lambda: repeated(b"a", CREATE, b'{"label":"', b'"}', b""),
    "within: text parts": within(99_000, TEXT),
    "within: unknown parts": within(75_000, UNKNOWN),
    "within: values of one part": within(1, b'{"type":"new","a":[%b]}' % b",".join([b"[]"] * 199_000)),
    "within: 11 MB of escapes": lambda: (MESSAGES, string(b"\\n")[1][:11_000_000] + b'"}]}'),
}


def post(port: int, path: str, body: bytes, answers: "multiprocessing.Queue[tuple[str, float]]") -> None:
    """Send a body and say how it was answered; run in a process of its own, so that it disturbs no measurement."""
    began = time.perf_counter()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    head += f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    answer = b""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        with suppress(OSError):  # it may be answered before its end
            connection.sendall(head.encode() + body)
        while data := connection.recv(65_536):
            answer += data
    answers.put((answer[9:12].decode() or "closed", time.perf_counter() - began))


def memory(pid: int, name: str) -> int:
    """Bytes of resident memory, `VmRSS` now or `VmHWM` at most since it was reset."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0


def forget_peak(pid: int) -> None:
    """Reset `VmHWM`."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


async def probe(port: int, waits: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        began = time.perf_counter()
        writer.write(b"GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().splitlines() if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        waits.append(time.perf_counter() - began)
        await asyncio.sleep(0.005)


async def listen(port: int, late: list[float]) -> None:
    body = json.dumps({"model": "claude-sonnet-4.5", "stream": True, "messages": [{"role": "user", "content": "Hi"}]})
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    head += f"content-length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    await reader.readuntil(b"data: ")
    last = time.perf_counter()
    while await reader.read(65_536):
        now = time.perf_counter()
        late.append(max(0.0, now - last - PACE))
        last = now


def told(waits: list[float]) -> str:
    if len(waits) < 2:
        return "-"
    hundredths = statistics.quantiles(waits, n=100, method="inclusive")
    return "/".join(f"{value * 1000:.0f}" for value in (statistics.median(waits), hundredths[98], max(waits)))


async def bomb(name: str, port: int, pid: int, sim: Simulator) -> str:
    path, body = await asyncio.to_thread(BOMBS[name])
    steps: list[Step] = [step for _ in range(3000) for step in (text("piece "), Pause(PACE))]
    sim.next(Scenario(steps))
    waits: list[float] = []
    late: list[float] = []
    watching = [asyncio.create_task(probe(port, waits)), asyncio.create_task(listen(port, late))]
    await asyncio.sleep(1)
    waits.clear()
    late.clear()
    before = memory(pid, "VmRSS")
    forget_peak(pid)
    answers: multiprocessing.Queue[tuple[str, float]] = multiprocessing.Queue()
    sender = multiprocessing.Process(target=post, args=(port, path, body, answers))
    sender.start()
    status, seconds = await asyncio.to_thread(answers.get)
    await asyncio.to_thread(sender.join)
    await asyncio.sleep(0.2)
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    peak = (memory(pid, "VmHWM") - before) / len(body)
    mb = len(body) / 1e6
    return f"{name:30} {mb:5.1f} {status:>6} {seconds:7.2f} {peak:7.1f}   {told(waits):>12}   {told(late):>12}"


async def main() -> None:
    names = sys.argv[1:] or list(BOMBS)
    with tempfile.TemporaryDirectory() as folder:
        async with Simulator.serve() as sim:
            login = sim.add_account()
            port = free_port()
            environment = os.environ | {
                "PYTHONPATH": str(ROOT / "src"),
                "QRELAY_HOME": folder,
                "QRELAY_API_ENDPOINT": sim.url,
                "QRELAY_TOKEN_ENDPOINT": f"{sim.url}/token",
                "AMAZONQ_REFRESH_TOKEN": login.refresh_token,
                "AMAZONQ_CLIENT_ID": login.client_id,
                "AMAZONQ_CLIENT_SECRET": login.client_secret,
                "QRELAY_LOG_LEVEL": "error",
            }
            serve = [sys.executable, "-m", "qrelay", "serve", "--port", str(port)]
            gateway = await asyncio.create_subprocess_exec(
                *serve, env=environment, cwd=folder, stdout=asyncio.subprocess.DEVNULL
            )
            try:
                while True:
                    try:
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                        writer.close()
                        break
                    except OSError:
                        await asyncio.sleep(0.1)
                heads = f"{'/livez ms':>12}   {'stream ms':>12}"
                print(f"{'body':30} {'MB':>5} {'status':>6} {'seconds':>7} {'memory':>7}   {heads}")
                print(f"{'':30} {'':5} {'':6} {'':7} {'x body':>7}   {'p50/p99/max':>12}   {'p50/p99/max':>12}")
                for name in names:
                    print(await bomb(name, port, gateway.pid, sim), flush=True)
            finally:
                gateway.terminate()
                await gateway.wait()


if __name__ == "__main__":
    asyncio.run(main())
