"""The pool under a working day of many people, on a clock of its own: what each strategy costs and how fair it is.

    bench/pool.py [--accounts 10000] [--conversations 1000000] [--hours 10] [--strategy sticky …]

The pool, its cool-downs and their table are the gateway's own; only the service is made up. Successes aren't counted:
a day in minutes would store them all the time. What is simulated:

    plans           Kiro's published ones: 50, 1,000, 2,000 and 10,000 credits a month, for 60, 30, 8 and 2 % of the
                    accounts; each has some of its month behind it, so that the small ones run out during the day
    throttle        a bucket for each account: so many requests at once, then one in so many seconds; every other
                    refusal names a `retry-after`. What the service really allows isn't published: these are guesses
    conversations   arrive evenly over the hours of a day; turns come some seconds after the answer before; one credit
                    for each

It prints a table of docs/reliability.md. A call is *wasted* that the service refused. *Refused here*: nobody could
serve, and the service wasn't asked. *Moved*: turns that another account answered than the turn before (its prompt
cache is cold). *Spread*: standard deviation of the turns of accounts with 2,000 credits or more, as parts of the mean.
*Waited*: what refused calls and the client's own retries cost.
"""

import argparse
import asyncio
import heapq
import math
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import fmean, pstdev
from time import process_time
from typing import Any, cast, get_args

from qrelay import logs
from qrelay.accounts.account import NewAccount
from qrelay.accounts.consequences import consequence
from qrelay.accounts.oidc import TokenClient
from qrelay.accounts.pool import Lease, Pool, Wanted
from qrelay.accounts.refresher import Refresher
from qrelay.accounts.store import AccountStore, open_store
from qrelay.accounts.strategies import Strategy
from qrelay.database import open_database
from qrelay.errors import RelayError
from qrelay.outward.http1 import Connections
from qrelay.upstream.errors import from_http
from qrelay.vault import Vault

PLANS = ((0.60, 50), (0.30, 1000), (0.08, 2000), (0.02, 10000))
HOURS = 10.0
BURST, EVERY = 4, 6.0
"""An account's throttle: four at once, then one in six seconds."""
TURNS = 2.5
THINKING, ANSWERING, REFUSING = 20.0, 8.0, 0.3
"""Seconds, on the average: between an answer and the next turn, of an answer, of a refusal."""
MODEL = "claude-sonnet-4.5"
PATIENCE = 600.0
"""Seconds of a client's retries for one turn."""
START = 1_800_000_000.0


def at_every_account(_: str) -> str:
    return MODEL


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Service:
    """What the accounts may do, and what they have done."""

    def __init__(self, plans: dict[str, int], chance: random.Random) -> None:
        self._left = {id_: plan - int(plan * chance.uniform(0, 0.9)) for id_, plan in plans.items()}
        self._tokens = dict.fromkeys(plans, float(BURST))
        self._filled = dict.fromkeys(plans, START)
        self._refusals = count()
        self.served: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def ask(self, account_id: str, now: float) -> RelayError | None:
        """A refusal, or None: it answers."""
        if self._left[account_id] <= 0:
            self.refused["used up"] += 1
            body = b'{"__type":"ServiceQuotaExceededException","reason":"MONTHLY_REQUEST_COUNT","message":"x"}'
            return from_http(402, {}, body)
        tokens = min(BURST, self._tokens[account_id] + (now - self._filled[account_id]) / EVERY)
        self._filled[account_id] = now
        if tokens < 1:
            self._tokens[account_id] = tokens
            self.refused["throttled"] += 1
            exact = {"retry-after": str(math.ceil((1 - tokens) * EVERY))} if next(self._refusals) % 2 else {}
            return from_http(429, exact, b'{"__type":"ThrottlingException","message":"Too many requests"}')
        self._tokens[account_id] = tokens - 1
        self._left[account_id] -= 1
        self.served[account_id] += 1
        return None


@dataclass
class Day:
    """What happened in it."""

    turns: int = 0
    calls: int = 0
    refused_here: int = 0
    given_up: int = 0
    moved: int = 0
    continued: int = 0
    waited: list[float] = field(default_factory=list[float])


@dataclass(order=True)
class Turn:
    at: float
    number: int
    session: str = field(compare=False)
    left: int = field(compare=False)
    account: str | None = field(compare=False, default=None)
    waited: float = field(compare=False, default=0.0)
    lease: Lease | None = field(compare=False, default=None)


class World:
    """The pool, the service and the people, through one day."""

    def __init__(self, pool: Pool, service: Service, clock: Clock, chance: random.Random) -> None:
        self._pool = pool
        self._service = service
        self._clock = clock
        self._chance = chance
        self.day = Day()

    async def live(self, conversations: int, hours: float) -> None:
        """A day of so many conversations."""
        chance, clock = self._chance, self._clock
        numbers = count()
        coming: list[Turn] = []
        begun = 0
        while begun < conversations or coming:
            next_begin = START + hours * 3600 * begun / conversations
            if begun < conversations and (not coming or next_begin <= coming[0].at):
                left = 1 + min(50, int(chance.expovariate(1 / (TURNS - 1)) + 0.5))
                turn = Turn(next_begin, next(numbers), f"session-{begun}", left)
                begun += 1
            else:
                turn = heapq.heappop(coming)
            clock.now = max(clock.now, turn.at)
            if turn.lease is not None:  # its answer ends
                turn.lease.release()
                turn.lease = None
                if turn.left:
                    turn.at = clock.now + chance.expovariate(1 / THINKING)
                    heapq.heappush(coming, turn)
            elif await self._ask(turn):
                heapq.heappush(coming, turn)

    async def _ask(self, turn: Turn) -> bool:
        """One turn, as the gateway does it. Whether it comes up again: its answer's end, or the client's retry."""
        day, clock = self.day, self._clock
        failed: set[str] = set()
        while True:
            try:
                lease = await self._pool.lease(turn.session, Wanted(MODEL, at_every_account), avoid=failed)
            except RelayError as error:
                day.refused_here += 1
                return self._try_later(turn, error)
            day.calls += 1
            error = self._service.ask(lease.account_id, clock.now)
            if error is None:
                lease.answered()
                break
            await lease.failed(error)
            lease.release()
            failed.add(lease.account_id)
            turn.waited += REFUSING
            means = consequence(error)
            if not means.another or len(failed) >= means.most_calls:
                return self._try_later(turn, error)
        day.turns += 1
        day.waited.append(turn.waited)
        if turn.account is not None:
            day.continued += 1
            day.moved += turn.account != lease.account_id
        turn.account, turn.lease, turn.waited = lease.account_id, lease, 0.0
        turn.left -= 1
        turn.at = clock.now + self._chance.lognormvariate(math.log(ANSWERING), 0.5)
        return True

    def _try_later(self, turn: Turn, error: RelayError) -> bool:
        pause = error.retry_after or 3.0
        turn.waited += pause
        turn.at = self._clock.now + pause
        if turn.waited > PATIENCE:
            self.day.given_up += 1
            return False
        return True


@asynccontextmanager
async def opened(folder: Path, clock: Clock) -> AsyncGenerator[AccountStore]:
    database = await open_database(f"sqlite:///{folder}/qrelay.sqlite3", Vault(bytes(32)), clock=clock)
    store = await open_store(database)
    try:
        yield store
    finally:
        await store.close()
        await database.close()


async def fill(folder: Path, accounts: int) -> None:
    async with opened(folder, Clock()) as store:
        for number in range(accounts):
            token = f"token-{number}"
            await store.add(NewAccount(access_token=token, refresh_token=f"refresh-{number}", expires_at=START * 2))


async def run(strategy: Strategy, folder: Path, conversations: int, hours: float) -> str:
    """One line of the table."""
    chance = random.Random(1)
    clock = Clock()
    async with opened(folder, clock) as store:
        ids = [account.id for account in store.accounts()]
        plans = dict(zip(ids, chance.choices([p for _, p in PLANS], [w for w, _ in PLANS], k=len(ids)), strict=True))
        service = Service(plans, chance)
        refresher = Refresher(store, TokenClient(Connections()))
        pool = Pool(store, refresher, strategy=strategy, max_error_count=sys.maxsize, chance=chance.random)
        began = process_time()
        world = World(pool, service, clock, chance)
        await world.live(conversations, hours)
        spent = process_time() - began
        await refresher.close()
    day, wasted = world.day, service.refused.total()
    # Those that never ran out are all there for everybody: their shares should be the same.
    shares = [service.served[id_] for id_, plan in plans.items() if plan >= 2000] or [1]
    waited = sorted(day.waited)
    cells = (
        strategy,
        f"{day.turns:,}",
        f"{100 * wasted / day.calls:.2f} %",
        f"{100 * service.refused['throttled'] / day.calls:.2f} %",
        f"{100 * service.refused['used up'] / day.calls:.2f} %",
        f"{day.refused_here:,}",
        f"{day.given_up:,}",
        f"{100 * day.moved / max(1, day.continued):.1f} %",
        f"{100 * pstdev(shares) / fmean(shares):.0f} %",
        f"{fmean(waited):.3f} s",
        f"{waited[len(waited) * 99 // 100]:.1f} s",
        f"{1e6 * spent / (day.calls + day.refused_here):.0f} µs",
    )
    return _row(*cells)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


COLUMNS = (
    *("strategy", "turns", "wasted calls", "throttled", "used up", "refused here", "given up", "moved", "spread"),
    *("waited, mean", "p99", "CPU a choice"),
)


async def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--accounts", type=int, default=10_000)
    asked.add_argument("--conversations", type=int, default=1_000_000)
    asked.add_argument("--hours", type=float, default=HOURS)
    asked.add_argument("--strategy", action="append", choices=get_args(Strategy))
    options = asked.parse_args()
    logs.set_up("error")
    print(_row(*COLUMNS))
    print("|---" * len(COLUMNS) + "|", flush=True)
    chosen: list[Any] = options.strategy or ["sticky", "least_busy", "random"]
    with tempfile.TemporaryDirectory() as name:
        made = Path(name) / "made"
        await fill(made, options.accounts)
        for strategy in chosen:
            folder = Path(name) / strategy
            shutil.copytree(made, folder)
            print(await run(cast("Strategy", strategy), folder, options.conversations, options.hours), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
