"""The service's stand-in of `soak.py`. It answers chat calls well, slowly, badly or never, by chance; prints its port.

`GET /running` answers with the number of chat calls that came, and of those that still run.
"""

import asyncio
import contextlib
import json
import random
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

from qrelay.simulator.fault_scripts import FAULTS, frames, status, tail
from qrelay.simulator.faults import End, Exchange, FaultServer, Head, Script, Send, Stall
from qrelay.simulator.player import event_frame

WORDS = frames(*(f"word {n} " for n in range(20)))
PACED = frames(*(f"word {n:03} " for n in range(100)))
LARGE = frames(*("some words of a long answer " * 70 for _ in range(1_000)))
FRAME = len(PACED) // 100
TOOL = event_frame("toolUseEvent", {"toolUseId": "tooluse_soak", "name": "tool", "input": "{}", "stop": True})
OVERLOADED = status(500, b'{"__type": "InternalServerException", "message": "try again"}')
THROTTLED = status(429, b'{"message": "Too many requests", "reason": null}', {"retry-after": "1"})

CHAT: list[tuple[int, Script]] = [
    (40, [Head(), Send(WORDS + tail()), End()]),
    (15, [Head(), Send(PACED, per_write=FRAME, every=0.02), Send(tail()), End()]),
    (10, [Head(), Send(PACED, per_write=FRAME, every=0.2), Send(tail()), End()]),
    (8, [Head(), Send(LARGE + tail(), per_write=16_384), End()]),
    (5, [Head(), Send(WORDS + TOOL + tail("TOOL_USE")), End()]),
    (3, [Head(), Stall()]),
    (3, OVERLOADED),
    (1, THROTTLED),
    *((1, script) for name, script in FAULTS.items() if name != "retry_after"),
]
"""Scripts and their weights."""


async def main() -> None:
    chance = random.Random(11)
    calls = 0
    running: list[Exchange] = []

    def choose(exchange: Exchange) -> Script:
        nonlocal calls
        faults.exchanges.clear()  # the stand-in must not grow itself
        exchange.body = b""
        running[:] = [held for held in running if not held.over.is_set()]
        if exchange.path == "/running":
            return status(200, json.dumps({"calls": calls, "running": len(running)}).encode())
        if exchange.path.startswith("/token"):
            return status(200, b'{"accessToken": "soak-access", "refreshToken": "soak-refresh", "expiresIn": 86400}')
        operation = exchange.headers.get("x-amz-target", exchange.path)
        if operation.endswith("ListAvailableModels"):
            return status(200, b'{"models": [{"modelId": "claude-sonnet-4.5"}]}')
        if not operation.lower().endswith("generateassistantresponse"):
            return status(200, b"{}")
        calls += 1
        running.append(exchange)
        return chance.choices([script for _, script in CHAT], [weight for weight, _ in CHAT])[0]

    async with FaultServer.serve([]) as faults:
        faults.choose = choose
        print(faults.url.rpartition(":")[2], flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
