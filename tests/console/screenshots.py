"""Pictures of every page, light and dark, for the documentation: `make screenshots`.

A gateway that has been used for a day, on a simulated service. What it shows is made up; how it shows it is not.
"""

import asyncio
import random
import shutil
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Page, async_playwright

from tests.console.conftest import CHROMIUM, FLAGS
from tests.console.rows import ended, write
from tests.console.states import add
from tests.gateway.conftest import Bench, bench
from tests.house.repository import ROOT

FOLDER = ROOT / "docs" / "screenshots"
LOOKS: tuple[tuple[Literal["light", "dark"], str], ...] = (("light", "en-US"), ("dark", "en-US"), ("light", "zh-CN"))
PAGES = ("overview", "accounts", "playground", "requests", "request", "usage", "keys", "settings", "health", "audit")
CLIENTS = ("claude-cli/2.1.3", "codex_cli_rs/0.169.0", "opencode/1.18.2", "OpenAI/Python")
MODELS = ("claude-sonnet-4.5", "claude-sonnet-4.5", "claude-haiku-4.5", "claude-opus-4.5")


async def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="qrelay-screenshots-") as folder:
        async with async_playwright() as playwright, bench(Path(folder), {"word_delay": 0.01}) as relay:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            await _a_day(relay, Path(folder))
            shots: list[tuple[Literal["light", "dark"], str, str]] = [
                (theme, language, name)
                for theme, language in LOOKS
                for name in (PAGES[:4] if language == "zh-CN" else PAGES)
            ]
            shots.sort(key=lambda shot: shot[2] == "keys")  # with one, the playground would need one too
            for theme, language, name in shots:
                if name == "keys":
                    await _some_keys(relay)
                page = await browser.new_page(
                    viewport={"width": 1180, "height": 760},
                    color_scheme=theme,
                    locale=language,
                    reduced_motion="reduce",
                )
                await _show(page, relay, name)
                await page.screenshot(path=FOLDER / f"{name}-{'zh' if language == 'zh-CN' else theme}.png")
                await page.close()
            await browser.close()


async def _some_keys(relay: Bench) -> None:
    if (await relay.http.get("/v2/keys")).json()["keys"]:
        return
    month = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    asked: list[dict[str, str]] = [{"name": "laptop"}, {"name": "build server", "expires_at": month}, {"name": "Anna"}]
    for key in asked:
        await relay.http.post("/v2/keys", json=key)


async def _show(page: Page, relay: Bench, name: str) -> None:
    await page.goto(relay.url + {"overview": "/", "request": "/console/requests"}.get(name, f"/console/{name}"))
    await page.locator("h1").wait_for()
    if name == "playground":
        await page.locator(".composer textarea").fill("What's the weather like in Lisbon? Please think first.")
        await page.keyboard.press("Enter")
        await page.locator(".said.model .told").wait_for()
    if name == "request":
        await page.locator("tbody tr", has_text=" → ").first.click()
    await page.wait_for_timeout(1500)  # what is asked again and again has come, and the chart is drawn


async def _a_day(relay: Bench, home: Path) -> None:
    (work,) = (await relay.http.get("/v2/accounts")).json()
    await relay.http.patch(f"/v2/accounts/{work['id']}", json={"label": "work"})
    names = {label: await add(relay, label) for label in ("team", "laptop", "spare")}
    for number, account in enumerate(relay.sim.service.accounts.values()):
        account.credits_used = (412.0, 1000.0)[number % 2]
    relay.sim.service.accounts["team"].refusal = "monthly_402"
    await relay.http.post(f"/v2/accounts/{names['team']}/test")
    await relay.http.patch(f"/v2/accounts/{names['laptop']}", json={"refreshToken": "aor-of-a-log-in-that-has-ended"})
    await relay.http.post(f"/v2/accounts/{names['laptop']}/refresh")
    await relay.http.patch(f"/v2/accounts/{names['spare']}", json={"enabled": False})
    for account in (work["id"], names["team"]):
        await relay.http.get(f"/v2/accounts/{account}/quota")
    await write(home, *(_request(number, work["id"], names["team"]) for number in range(400)))


def _request(number: int, first: str, second: str) -> Any:
    chance = random.Random(number)
    at = time.time() - 86_000 * (1 - number / 400) ** 1.4
    account = chance.choice((first, first, second))
    attempts = f'[["{account}","q","ok",200,{chance.randint(300, 900)}.5]]'
    if number % 37 == 0:
        attempts = f'[["{second}","q","account_throttled",429,85.5],["{first}","q","ok",200,612.0]]'
        account = first
    wait = chance.uniform(380, 1400)
    given: dict[str, Any] = {
        "at": at,
        "client": chance.choice(CLIENTS),
        "model": chance.choice(MODELS),
        "account_id": account,
        "attempts": attempts,
        "first_event_ms": wait,
        "first_byte_ms": wait + 24,
        "duration_ms": wait + chance.uniform(900, 9000),
        "input_tokens": chance.randint(40, 9000),
        "output_tokens": chance.randint(20, 1200),
        "credits": round(chance.uniform(0.02, 0.6), 3),
    }
    if number % 41 == 5:
        given |= {
            "outcome": "upstream_protocol",
            "status": 200,
            "error": "The upstream's answer was cut.",
            "credits": None,
        }
    return ended(number, **given)


if __name__ == "__main__":
    asyncio.run(main())
