"""A process that runs the accounts' room and nothing else, so that it can be killed, stopped and multiplied.

    replica = await Replica.start({"url": …, "home": …, "token_url": …})
    await replica.ask("storm", callers=500)    one line of JSON there and back

What it does is at the end of this file. It is told in its first argument, as JSON; `ahead` moves its wall clock.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any, Self


class Replica:
    """The other end: it runs until it is ended, by itself or from here."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, told: dict[str, Any]) -> Self:
        """It has opened everything when this returns."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.accounts.replica",
            json.dumps(told),
            cwd=Path(__file__).parents[2],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        replica = cls(process)
        assert await replica.answer() == {"ready": True}
        return replica

    async def say(self, what: str, **more: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"what": what, **more}).encode() + b"\n")
        await self._process.stdin.drain()

    async def answer(self) -> Any:
        """What it says next; None when it is gone."""
        assert self._process.stdout
        async with asyncio.timeout(120):
            line = await self._process.stdout.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    async def ask(self, what: str, **more: Any) -> Any:
        await self.say(what, **more)
        return await self.answer()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; minus the signal that ended it."""
        async with asyncio.timeout(60):
            return await self._process.wait()

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self.ended()


async def main(told: dict[str, Any]) -> None:
    import structlog

    from qrelay import failpoints
    from qrelay.accounts.oidc import TokenClient
    from qrelay.accounts.refresher import Refresher
    from qrelay.accounts.store import open_store
    from qrelay.database import open_database
    from qrelay.errors import RelayError
    from qrelay.outward.http1 import Connections
    from qrelay.vault import open_vault

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    failpoints.arm(told.get("failpoint", ""))
    home = Path(told["home"])
    database = await open_database(told["url"], open_vault(home), busy_seconds=0.05)
    store = await open_store(database, spill_folder=home / "spill", lease_seconds=told.get("lease_seconds", 30))
    tokens = TokenClient(
        Connections(), token_endpoint=told["token_url"], timeout_seconds=told.get("timeout_seconds", 10)
    )
    refresher = Refresher(store, tokens)
    database.watch.start()

    async def credential(account_id: str) -> str:
        try:
            return (await refresher.credential(account_id)).access_token
        except RelayError as error:
            return f"failed: {error}"

    say({"ready": True})
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        ids = [account.id for account in store.accounts()]
        match asked["what"]:
            case "storm":  # so many callers, spread over all accounts
                callers = range(asked["callers"])
                got = await asyncio.gather(*(credential(ids[n % len(ids)]) for n in callers))
                say(
                    {
                        "answered": sum(not text.startswith("failed") for text in got),
                        "tokens": sorted(set(got)),
                    }
                )
            case "refresh":  # each account once
                for account_id in ids:
                    await refresher.refresh(account_id)
                say({"refreshed": len(ids)})
            case "spin":  # until it is killed
                say({"spinning": True})
                while True:
                    await asyncio.gather(*map(refresher.refresh, random.choices(ids, k=4)), return_exceptions=True)
            case other:
                raise ValueError(other)
    os._exit(0)


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    if shift := given.get("ahead"):
        real = time.time
        time.time = lambda: real() + shift
    asyncio.run(main(given))
