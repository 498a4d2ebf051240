"""Requests: what ended and what ends, thousands of them, one of them whole, and what narrows them down."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from tests.console.axe import violations
from tests.console.conftest import Desk
from tests.console.rows import ended, write

pytestmark = pytest.mark.anyio


async def test_a_request_is_found_by_keyboard(desk: Desk) -> None:
    """From the page's title with Tab and Enter alone: the row, its drawer, and back."""
    await desk.relay.messages("Hello")
    desk.relay.sim.next("cut_text")
    await desk.relay.chat("Hello", stream=True)
    await desk.open("/console/requests")
    page = desk.page
    await expect(page.locator("tbody tr")).to_have_count(2)
    await page.get_by_label("Result", exact=True).focus()
    await page.keyboard.press("End")  # the last choice: failed
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page).to_have_url(f"{desk.relay.url}/console/requests?status=error")
    opener = page.locator("tbody .open")
    for _ in range(12):
        if await opener.evaluate("(element) => element === document.activeElement"):
            break
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    drawer = page.get_by_role("dialog")
    await expect(drawer).to_contain_text("upstream_protocol")
    await expect(drawer).to_contain_text("The upstream's answer was cut")
    await expect(drawer).to_contain_text("1 attempt")
    await expect(drawer).to_contain_text("No text of the question or the answer is kept.")
    assert await violations(page) == []
    shown = page.url
    await page.keyboard.press("Escape")
    await expect(drawer).to_have_count(0)
    await expect(opener).to_be_focused()
    await desk.open(shown.removeprefix(desk.relay.url))
    await expect(page.get_by_role("dialog")).to_contain_text("upstream_protocol")


async def test_rows_for_an_earlier_filter_come_too_late(desk: Desk) -> None:
    await desk.relay.messages("Hello")
    desk.relay.sim.next("cut_text")
    await desk.relay.chat("Hello", stream=True)
    page, asked, filtered = desk.page, asyncio.Event(), asyncio.Event()

    async def after_that(route: Route) -> None:
        asked.set()
        await filtered.wait()
        await route.continue_()

    await page.route(lambda url: url.endswith("/v2/requests?&limit=200"), after_that)
    await desk.open("/console/requests")
    await expect(page.locator("tbody tr")).to_have_count(2)
    await asyncio.wait_for(asked.wait(), 20)  # once the live stream is open
    await page.get_by_label("Result", exact=True).select_option("error")
    await expect(page.locator("tbody tr")).to_have_count(1)
    async with page.expect_response("**/v2/requests?&limit=200") as late:
        filtered.set()
    await (await late.value).finished()
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    await expect(page.locator("tbody tr")).to_have_count(1)


async def test_requests_appear_as_they_end_and_wait_while_it_is_paused(desk: Desk) -> None:
    await desk.open("/console/requests")
    page = desk.page
    await expect(page.get_by_text("Nothing was asked yet")).to_be_visible()
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await desk.relay.messages("Hello")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.get_by_role("button", name="Pause").click()
    await desk.relay.messages("Hello")
    news = page.get_by_role("button", name="1 new request, show it")
    await expect(news).to_be_visible()
    await expect(page.locator("tbody tr")).to_have_count(1)
    await news.click()
    await expect(page.locator("tbody tr")).to_have_count(2)


async def test_thousands_of_rows_are_a_few_in_the_page(desk: Desk, tmp_path: Path) -> None:
    """5,000 that ended before and 400 that end now; at most 200 are drawn, and those one reads don't move."""
    await write(tmp_path / "home", *(ended(number) for number in range(5000)))
    await desk.open("/console/requests")
    page = desk.page
    box = page.locator(".table-box")
    rows = page.locator("tbody tr:not(.gap)")
    for _ in range(40):
        before = int(await page.locator("table").get_attribute("aria-rowcount") or 0)
        if before > 5000:
            break
        await box.evaluate("(element) => element.scrollTo(0, element.scrollHeight)")
        await page.wait_for_function(
            "(count) => Number(document.querySelector('table').ariaRowCount) > count", arg=before
        )
        assert await rows.count() <= 200
    await box.evaluate("(element) => element.scrollTo(0, 50000)")
    await expect(page.locator("tr[aria-rowindex='1150']")).to_be_visible()
    seen = await page.locator("tr[aria-rowindex='1150']").inner_text()
    await write(tmp_path / "home", *(ended(number, client="new/1") for number in range(6000, 6400)))
    news = page.get_by_role("button", name="400 new requests, show them")
    await expect(news).to_be_visible()
    assert await page.locator("tr[aria-rowindex='1150']").inner_text() == seen
    await news.click()
    await expect(rows.first).to_contain_text("new/1")
    assert await rows.count() <= 200


async def test_hostile_words_are_words(desk: Desk, tmp_path: Path) -> None:
    hostile = '<img src=x onerror="document.title=1">\u202e'
    row = ended(1, client=hostile, model=hostile, outcome="upstream_failed", status=502, error=hostile)
    await write(tmp_path / "home", row)
    await desk.open(f"/console/requests?id={row.id}")
    await expect(desk.page.get_by_role("dialog")).to_contain_text("onerror")
    assert await desk.page.locator("main img").count() == 0
    assert await desk.page.title() != "1"
