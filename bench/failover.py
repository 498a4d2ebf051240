"""What one bad account of three costs, for every way of being bad: `bench/failover.py [requests]`, 3000 unless given.

It writes its table into docs/reliability.md. Everything is real but the service (tests/gateway/fates.py): the store is
on the disk, and every call goes over a socket of this machine.
"""

import asyncio
import logging
import statistics
import sys
import tempfile
from pathlib import Path

import structlog

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.gateway.fates import FATES, GOOD, Run, rig

from qrelay.upstream.client import Timeouts

PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- failover: bench/failover.py writes this -->", "<!-- /failover -->"
HEAD = """
| One of three accounts answers | Requests | Succeeded | Calls to it | Extra calls, median | at most | p99, ms |
|---|---|---|---|---|---|---|
"""


async def measured(fate: str | None, requests: int) -> tuple[Run, int]:
    fates = {"bad": FATES[fate] if fate else GOOD, "good": GOOD, "better": GOOD}
    with tempfile.TemporaryDirectory() as folder:
        async with rig(Path(folder), fates, timeouts=Timeouts(first_event=2.0)) as rigged:
            run = await rigged.run(requests)
            return run, rigged.calls["bad"]


def row(name: str, run: Run, calls: int) -> str:
    extra = [number - 1 for number in run.attempts]
    p99 = statistics.quantiles(run.seconds, n=100)[98] * 1000
    share = 100 * run.succeeded / len(run.attempts)
    return (
        f"| {name} | {len(run.attempts)} | {share:.2f} % | {calls} | {statistics.median(extra):g} | {max(extra)} "
        f"| {p99:.0f} |\n"
    )


def written(table: str) -> None:
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else "# Reliability\n"
    if BEGIN not in page:
        page += f"\n## One bad account\n\n{BEGIN}\n{END}\n"
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(before + BEGIN + "\n" + table + "\n" + END + after, encoding="utf-8")


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    table = HEAD
    for fate in (None, *FATES):
        run, calls = asyncio.run(measured(fate, requests))
        table += row(fate or "as the others do", run, calls)
        print(table.splitlines()[-1], flush=True)
    table += """
Eight requests at a time, each of a session of its own; the time-out to the first event is 2 s here, and 120 s unless it
is set. What a silent account holds up are only requests of its own sessions, until its circuit opens after five; a
request that has waited its whole time for one account isn't tried with another.
"""
    written(table)


if __name__ == "__main__":
    main()
