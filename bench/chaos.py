"""What happens to log-ins when processes are stormed, killed or stopped. `--help` says what there is.

Real processes on a real database, against a token service on loopback that says which token it has seen how often.
Each run prints rows of a table in docs/reliability.md.
"""

import argparse
import asyncio
import logging
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, asynccontextmanager
from itertools import count
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import structlog
from tests.accounts import token_server
from tests.accounts.replica import Replica
from tests.accounts.stored import execute, refusing_writes
from tests.accounts.token_server import Mode, TokenServer
from tests.postgres import Postgres, running

from qrelay.accounts.account import Account, NewAccount
from qrelay.accounts.store import AccountStore, open_store
from qrelay.database import open_database
from qrelay.vault import open_vault

MODES: dict[str, Mode] = {
    "one use, reuse ends the log-in": "strict",
    "the one before works too": "grace",
    "no rotation": "sticky",
    "one use, answer lost": "drop",
}
POINTS = (
    "refresh.lease_taken",
    "request sent",
    "refresh.response_read",
    "refresh.before_commit",
    "refresh.after_commit",
    "refresh.spill_written",
)


class Place:
    """A database, a folder, and the accounts in it."""

    def __init__(self, home: Path, url: str, tokens: TokenServer) -> None:
        self.home, self.url, self.tokens = home, url, tokens

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[AccountStore]:
        database = await open_database(self.url, open_vault(self.home))
        store = await open_store(database, spill_folder=self.home / "spill")
        yield store
        await store.close()
        await database.close()

    async def fill(self, count: int) -> None:
        async with self.opened() as store:
            for n in range(count):
                await store.add(NewAccount(client_id="c", client_secret="s", refresh_token=self.tokens.knows(f"t{n}")))

    async def replica(self, **more: object) -> Replica:
        return await Replica.start({"home": str(self.home), "url": self.url, "token_url": self.tokens.url, **more})

    async def accounts(self) -> list[Account]:
        """As a process that starts now sees them: every secret opened, what was spilled adopted."""
        async with self.opened() as store:
            return store.accounts()

    def intact(self) -> bool:
        """PostgreSQL's rows are proven by `accounts`, which opens them."""
        return not self.url.startswith("sqlite") or execute(self.url, "PRAGMA integrity_check") == [("ok",)]

    def lost(self, found: list[Account]) -> int:
        """How many log-ins the service would refuse now."""
        server = self.tokens
        lost = 0
        for account in found:
            family = (account.refresh_token or "").partition("+")[0]
            good = {server.current.get(family), server.before.get(family) if server.mode == "grace" else None}
            lost += account.refresh_token not in good
        return lost


def places(folder: Path, tokens: TokenServer, postgres: Postgres | None) -> Iterator[Place]:
    """New ones without end."""
    for n in count(1):
        home = folder / str(n)
        url = f"sqlite:///{home}/qrelay.sqlite3"
        yield Place(home, postgres.url(postgres.new_database()) if postgres else url, tokens)


async def storm(place: Place, replicas: int, callers: int, accounts: int) -> str:
    await place.fill(accounts)
    running_ = [await place.replica() for _ in range(replicas)]
    began = time.monotonic()
    answers = await asyncio.gather(*(replica.ask("storm", callers=callers) for replica in running_))
    took = time.monotonic() - began
    for replica in running_:
        await replica.kill()
    tokens = place.tokens
    reused = sum(times - 1 for times in tokens.used.values())
    answered = sum(answer["answered"] for answer in answers)
    same = len({tuple(answer["tokens"]) for answer in answers}) == 1
    return (
        f"| {replicas} x {callers} | {accounts} | {tokens.calls} | {reused} | {answered} of {replicas * callers} "
        f"| {'yes' if same else 'NO'} | {took:.1f} s |"
    )


async def kill_at(place: Place, point: str) -> tuple[int, bool]:
    """Log-ins lost (of one), and whether the database is intact."""
    tokens = place.tokens
    await place.fill(1)
    named = "." in point
    replica = await place.replica(failpoint=f"{point}:kill9" if named else "")
    with ExitStack() as stack:
        if not named:
            tokens.on_request = lambda: replica.signal(signal.SIGKILL)
        if point == "refresh.spill_written":
            tokens.hold, hold = asyncio.Event(), None
            await replica.say("refresh")
            await tokens.asked()
            stack.enter_context(refusing_writes(place.url))
            hold, tokens.hold = tokens.hold, None
            hold.set()
        else:
            await replica.say("refresh")
        if tokens.mode == "drop" and named and point != "refresh.lease_taken":
            await replica.answer()  # the answer never comes, so this point isn't reached: it fails and ends
            await replica.kill()
        await replica.ended()
    tokens.on_request = None
    return place.lost(await place.accounts()), place.intact()


async def kill_randomly(place: Place, kills: int, accounts: int, every: float, seconds: float) -> str:
    await place.fill(accounts)
    intact = lost = done = 0
    ends = time.monotonic() + seconds
    while done < kills and time.monotonic() < ends:
        done += 1
        replica = await place.replica(lease_seconds=12)
        await replica.ask("spin")
        await asyncio.sleep(random.uniform(0, every))
        await replica.kill()
        if place.url.startswith("postgresql"):
            execute(place.url, "UPDATE accounts SET lease_until = 0")  # or the next one waits for the dead one's lease
        found = await place.accounts()
        intact += place.intact() and len(found) == accounts
        lost = place.lost(found)
    return f"| {done} | {accounts} | {place.tokens.calls} | {intact} of {done} | {lost} of {accounts} |"


async def stop(place: Place, lease_seconds: float) -> str:
    await place.fill(1)
    short = {"lease_seconds": lease_seconds, "timeout_seconds": lease_seconds / 2}
    stopped = await place.replica(failpoint="refresh.lease_taken:stop", **short)
    await stopped.say("storm", callers=50)
    while execute(place.url, "SELECT lease_owner FROM accounts") == [(None,)]:  # noqa: ASYNC110 - another process's
        await asyncio.sleep(0.05)
    other = await place.replica(**short)
    got = await other.ask("storm", callers=50)
    stopped.signal(signal.SIGCONT)
    late = await stopped.answer()
    for replica in (stopped, other):
        await replica.kill()
    answered, lost = late["answered"] + got["answered"], place.lost(await place.accounts())
    return f"| {lease_seconds:g} s | {place.tokens.calls - 1} | {answered} of 100 | {lost} |"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["storm", "kill", "random", "stop"])
    parser.add_argument("--engine", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--callers", type=int, default=500, help="of each replica")
    parser.add_argument("--accounts", type=int, default=20)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--times", type=int, default=1, help="how often each point of `kill` is tried")
    parser.add_argument("--every", type=float, default=0.3, help="seconds until a random kill, at most")
    parser.add_argument("--seconds", type=float, default=3600, help="after which no more random kills follow")
    parser.add_argument("--mode", choices=sorted(MODES.values()), default="strict")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qrelay-chaos-")))
        postgres = stack.enter_context(running()) if asked.engine == "postgresql" else None
        async with token_server.serve() as tokens:
            tokens.mode = asked.mode
            room = places(folder, tokens, postgres)
            match asked.what:
                case "storm":
                    print(await storm(next(room), asked.replicas, asked.callers, asked.accounts))
                case "random":
                    print(await kill_randomly(next(room), asked.kills, asked.accounts, asked.every, asked.seconds))
                case "stop":
                    print(await stop(next(room), 4))
                case _:
                    for point in POINTS:
                        cells: list[str] = []
                        for tokens.mode in MODES.values():
                            done = Counter[str]()
                            for _ in range(asked.times):
                                lost, intact = await kill_at(next(room), point)
                                done["lost"] += lost
                                done["broken"] += not intact
                            cells.append(f"{done['lost']} of {asked.times}" + (" BROKEN" if done["broken"] else ""))
                        print(f"| {point} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
