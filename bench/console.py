"""How smoothly the console scrolls: 5,000 requests and 1,000 accounts in Debian's Chromium, as its own trace has it.

    .venv/bin/python bench/console.py [--runs 5]

A script scrolls the table by a third of its height each frame. From the browser's trace of it: the longest frame, from
its beginning to the end of its rendering, and the longest task of the page's main thread (wall clock and CPU). Each is
the worst of one run; the median of the runs is told. A machine with other work shows it in all but the CPU.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from playwright.async_api import Browser, Page, async_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.console.conftest import CHROMIUM, FLAGS
from tests.console.rows import ended, write
from tests.gateway.conftest import Bench, bench

ROWS = 5000
ACCOUNTS = 1000
FRAMES = 240
_SCROLL = """(frames) => new Promise((resolve) => {
    const box = document.querySelector(".table-box");
    const step = box.clientHeight / 3;
    box.scrollTop = 0;
    const next = () => {
        if (frames-- === 0) return resolve();
        const end = box.scrollTop + box.clientHeight >= box.scrollHeight - 1;
        box.scrollTop = end ? 0 : box.scrollTop + step;
        requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
})"""


class Scrolled(NamedTuple):
    """The worst of one run, in milliseconds, and the most rows that stood in the page."""

    frame: float
    task: float
    task_cpu: float
    rows: int


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs: int = parser.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="qrelay-console-") as folder:
        home = Path(folder)
        async with async_playwright() as playwright, bench(home, refresh_check_seconds=86_400) as relay:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            await write(home, *(ended(number) for number in range(ROWS)))
            _tell("requests", ROWS, [await _requests(browser, relay) for _ in range(runs)])
            await _add_accounts(relay)
            _tell("accounts", ACCOUNTS, [await _accounts(browser, relay) for _ in range(runs)])
            await browser.close()


async def _requests(browser: Browser, relay: Bench) -> Scrolled:
    page = await browser.new_page()
    await page.goto(f"{relay.url}/console/requests")
    await page.locator(".table-box").wait_for()
    while int(await page.locator("table").get_attribute("aria-rowcount") or 0) <= ROWS:
        await page.locator(".table-box").evaluate("(box) => box.scrollTo(0, box.scrollHeight)")
        await page.wait_for_timeout(50)
    return await _scrolled(browser, page)


async def _accounts(browser: Browser, relay: Bench) -> Scrolled:
    page = await browser.new_page()
    await page.goto(f"{relay.url}/console/accounts?view=table")
    await page.wait_for_function("(rows) => Number(document.querySelector('table')?.ariaRowCount) > rows", arg=ACCOUNTS)
    return await _scrolled(browser, page)


async def _add_accounts(relay: Bench) -> None:
    for number in range(ACCOUNTS):
        body = {"label": f"account {number:04}", "clientId": "c", "clientSecret": "s", "refreshToken": f"r{number}"}
        (await relay.http.post("/v2/accounts", json=body | {"enabled": False})).raise_for_status()


async def _scrolled(browser: Browser, page: Page) -> Scrolled:
    await page.wait_for_timeout(500)
    await browser.start_tracing(page=page, categories=["devtools.timeline", "disabled-by-default-devtools.timeline"])
    await page.evaluate(_SCROLL, FRAMES)
    trace = json.loads(await browser.stop_tracing())["traceEvents"]
    rows = await page.locator("tbody tr:not(.gap)").count()
    await page.close()
    return _worst(trace, rows)


def _worst(trace: list[dict[str, Any]], rows: int) -> Scrolled:
    mains = {
        (event["pid"], event["tid"])
        for event in trace
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    began: dict[str, float] = {}
    frames: list[float] = []
    for event in sorted((event for event in trace if event["name"] == "AnimationFrame"), key=lambda event: event["ts"]):
        name = json.dumps(event.get("id2", event.get("id")))
        if event["ph"] == "b":
            began[name] = event["ts"]
        elif event["ph"] == "e" and name in began:
            frames.append(event["ts"] - began.pop(name))
    tasks = [event for event in trace if event["name"] == "RunTask" and (event["pid"], event["tid"]) in mains]
    if len(frames) < FRAMES - 1:
        raise SystemExit(f"The trace has {len(frames)} frames of {FRAMES}.")
    return Scrolled(
        max(frames) / 1000,
        max(event.get("dur", 0) for event in tasks) / 1000,
        max(event.get("tdur", 0) for event in tasks) / 1000,
        rows,
    )


def _tell(what: str, rows: int, runs: list[Scrolled]) -> None:
    frame, task, cpu = (median(run[place] for run in runs) for place in range(3))
    print(
        f"{rows:,} {what}: longest frame {frame:.1f} ms, longest task {task:.1f} ms ({cpu:.1f} ms CPU), "
        f"at most {max(run.rows for run in runs)} rows in the page; median of {len(runs)} runs",
        flush=True,
    )
    print("   " + ", ".join(f"{run.frame:.0f}/{run.task:.0f}/{run.task_cpu:.0f}" for run in runs))


if __name__ == "__main__":
    asyncio.run(main())
