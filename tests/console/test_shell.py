"""The frame around the pages: where one is, the two languages, the themes, small screens, the keyboard."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.console.axe import violations
from tests.console.conftest import Desk, opened
from tests.console.rows import ended, write
from tests.console.states import every_state
from tests.console.test_files import PAGES
from tests.gateway.conftest import bench

pytestmark = pytest.mark.anyio

MISSING = """(select) => {
    const given = select.offsetWidth;
    select.style.maxWidth = "none";
    return select.offsetWidth - given;
}"""
"""How much wider a choice would be if it were let."""


async def test_the_url_is_where_one_is(desk: Desk) -> None:
    await desk.open("/console/accounts")
    page = desk.page
    rail = page.get_by_role("navigation")
    await expect(rail.get_by_role("link", name="Accounts")).to_have_attribute("aria-current", "page")
    await rail.get_by_role("link", name="Overview").click()
    await expect(page).to_have_url(f"{desk.relay.url}/")
    await expect(page.locator("h1")).to_be_focused()
    await page.go_back()
    await expect(rail.get_by_role("link", name="Accounts")).to_have_attribute("aria-current", "page")
    await page.reload()
    await expect(rail.get_by_role("link", name="Accounts")).to_have_attribute("aria-current", "page")


async def test_older_names_and_wrong_ones(desk: Desk) -> None:
    await desk.open("/admin")
    await expect(desk.page.get_by_role("link", name="Overview")).to_have_attribute("aria-current", "page")
    await desk.open("/console/no-such-page")
    await expect(desk.page.locator("h1")).to_have_text("There is no such page")


async def test_a_language_is_chosen_and_stays(desk: Desk) -> None:
    await desk.open()
    page = desk.page
    await page.get_by_label("Language").select_option("zh")
    await expect(page.get_by_role("navigation").get_by_role("link", name="账号")).to_be_visible()
    await expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    await page.reload()
    await expect(page.get_by_label("语言")).to_have_value("zh")
    await page.get_by_label("主题").select_option("dark")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 19, 22)"
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")


async def test_the_browser_says_which_language(browser: Browser, tmp_path: Path) -> None:
    async with bench(tmp_path / "home") as relay, opened(browser, relay, locale="zh-CN") as desk:
        await desk.open()
        await expect(desk.page.locator("html")).to_have_attribute("lang", "zh-CN")


async def test_by_keyboard_past_the_rail(desk: Desk) -> None:
    await desk.open()
    await desk.page.keyboard.press("Tab")
    await expect(desk.page.get_by_text("Skip to the page")).to_be_focused()
    await desk.page.keyboard.press("Enter")
    await expect(desk.page.locator("main")).to_be_focused()


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
async def test_nothing_is_cut_off(browser: Browser, tmp_path: Path, language: str) -> None:
    """On a phone, a tablet and a desk: dialogs hold what is in them, and a table's cells what they came for."""
    async with bench(tmp_path / "home") as relay, opened(browser, relay, locale=language) as desk:
        page = desk.page
        await write(tmp_path / "home", *(ended(number, client="codex_cli_rs/0.169.0") for number in range(100)))
        for width in (360, 768, 1024, 1180, 1440):
            await page.set_viewport_size({"width": width, "height": 740})
            await desk.open("/console/requests")
            await expect(page.locator("tbody tr").first).to_be_visible()
            cut = "(cells) => cells.filter((cell) => cell.scrollWidth > cell.clientWidth).map((cell) => cell.innerText)"
            assert await page.locator("tbody tr:first-child :is(td, .open)").evaluate_all(cut) == [], width
            assert await page.locator("tbody tr:first-child").get_by_text("claude-sonnet-4.5").is_visible(), width
        await page.set_viewport_size({"width": 360, "height": 740})
        for dialog in ("accounts?login=new", "accounts?import=1", f"requests?id=req_{1:032x}"):
            await desk.open(f"/console/{dialog}")
            await expect(page.locator("dialog[open] h2")).to_be_visible()
            assert await page.locator("dialog").evaluate("(box) => box.scrollWidth - box.clientWidth") <= 0, dialog
        await every_state(relay)
        for width in (360, 768):
            await page.set_viewport_size({"width": width, "height": 740})
            await desk.open("/console/audit")
            await expect(page.locator("tbody tr").first).to_be_visible()
            assert await page.locator(".table-box").evaluate("(box) => box.scrollWidth - box.clientWidth") <= 0, width
            for choice in await page.locator(".foot select").all():
                assert await choice.evaluate(MISSING) <= 0
        await page.set_viewport_size({"width": 360, "height": 740})
        await desk.open("/console/keys")
        await page.locator("main .primary").click()
        await expect(page.locator("dialog input")).to_be_focused()  # a dialog that isn't open yet takes no key
        await page.keyboard.press("Enter")
        await expect(page.locator("dialog pre")).to_be_visible()
        assert await page.locator("dialog").evaluate("(box) => box.scrollWidth - box.clientWidth") <= 0


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
@pytest.mark.parametrize("page", PAGES)
async def test_pages_are_for_everybody(browser: Browser, tmp_path: Path, page: str, language: str) -> None:
    """axe finds nothing, in both themes; nothing hangs over the edge of a small screen."""
    async with bench(tmp_path / "home") as relay, opened(browser, relay, locale=language) as desk:
        await desk.open("/" if page == "overview" else f"/console/{page}")
        await desk.page.wait_for_load_state("networkidle")
        for theme in ("light", "dark"):
            await desk.page.emulate_media(color_scheme=theme)
            assert await violations(desk.page) == []
        await desk.page.set_viewport_size({"width": 360, "height": 740})
        assert await desk.page.evaluate("document.documentElement.scrollWidth") <= 360
        assert await violations(desk.page) == []
