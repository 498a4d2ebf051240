"""The console in a real browser: Debian's Chromium, one for each module and worker, in front of a real gateway.

    desk         a gateway with one account, and a page of it: `await desk.open("/console/accounts")`
    Desk.watch   what went wrong on the page; every test ends with `watch.check()`, which finds nothing

`states.py` has a gateway with an account in every state.
"""

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, Response, async_playwright, expect

from tests.gateway.conftest import Bench, bench

expect.set_options(timeout=30_000)  # a wait, not a promise: two cores run four workers, each with its browser

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_TELL_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`Policy ${event.effectiveDirective} stopped ${event.blockedURI} at ${event.sourceFile}`));
"""


class Watch:
    """What a page does that no page of ours may: errors on its console, calls to elsewhere, refused requests."""

    def __init__(self, page: Page, origin: str) -> None:
        self.problems: list[str] = []
        self.expected: set[tuple[int, str]] = set()
        """Refusals a test provokes: status and path."""
        self._origin = origin
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("request", self._asked)
        page.on("response", self._answered)

    def check(self) -> None:
        assert self.problems == []

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith("Failed to load resource"):
            self.problems.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https", "ws"} and f"{parts.scheme}://{parts.netloc}" != self._origin:
            self.problems.append(f"elsewhere: {request.url}")

    def _answered(self, response: Response) -> None:
        asked = (response.status, urlsplit(response.url).path)
        if response.status >= 400 and asked not in self.expected:
            self.problems.append(f"{response.status}: {response.request.method} {asked[1]}")


class Desk(NamedTuple):
    """A gateway with its simulator, and a page of its console."""

    relay: Bench
    page: Page
    watch: Watch

    async def open(self, path: str = "/") -> None:
        """Go there, and wait until the page has said its title."""
        await self.page.goto(self.relay.url + path)
        await self.page.locator("h1").wait_for()
        await expect(self.page).not_to_have_title("qrelay")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """For the whole module: its tests share a browser, and with it the event loop."""
    return "asyncio"


@pytest.fixture(scope="module")
async def browser() -> AsyncGenerator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (Debian: chromium, fonts-noto-cjk)")
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        await launched.close()


@asynccontextmanager
async def opened(browser: Browser, relay: Bench, **context: Any) -> AsyncGenerator[Desk]:
    """A page of its own, in English and at 1280 px unless `context` says otherwise; what went wrong fails the test."""
    given: dict[str, Any] = {"locale": "en-US", "viewport": {"width": 1280, "height": 900}}
    async with await browser.new_context(**(given | context)) as own:
        own.set_default_timeout(30_000)
        await own.add_init_script(_TELL_VIOLATIONS)
        page = await own.new_page()
        watch = Watch(page, relay.url)
        yield Desk(relay, page, watch)
        watch.check()


@pytest.fixture
async def desk(browser: Browser, tmp_path: Path) -> AsyncGenerator[Desk]:
    async with bench(tmp_path / "home") as relay, opened(browser, relay) as running:
        yield running
