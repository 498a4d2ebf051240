"""From an empty gateway to an answer that is accounted for: by keyboard alone, in both languages, no terminal."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.console.conftest import opened
from tests.console.test_files import words
from tests.gateway.conftest import bench

pytestmark = pytest.mark.anyio

NO_ACCOUNT: dict[str, Any] = {
    "amazonq_refresh_token": None,
    "amazonq_client_id": None,
    "amazonq_client_secret": None,
}


async def reach(page: Page, target: Locator) -> None:
    """Tab until the focus is there: no pointer, and no script that puts it there."""
    await expect(target).to_be_visible()
    for _ in range(100):
        if await target.evaluate("(element) => element === document.activeElement"):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not get to {target}")


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
async def test_the_whole_way(browser: Browser, tmp_path: Path, language: str) -> None:
    said = {key: text.strip('"') for key, text in words(language[:2]).items()}
    async with (
        bench(tmp_path / "home", **NO_ACCOUNT) as relay,
        opened(browser, relay, locale=language) as desk,
    ):
        page, keys = desk.page, desk.page.keyboard

        async def press(target: Locator) -> None:
            await reach(page, target)
            await keys.press("Enter")

        def link(name: str) -> Locator:
            return page.get_by_role("navigation").get_by_role("link", name=said[name], exact=True)

        await desk.open("/")
        await press(link("page.accounts"))
        await press(page.get_by_role("button", name=said["account.add"]))
        dialog = page.get_by_role("dialog")
        await reach(page, dialog.get_by_label(said["accounts.label"]))
        await keys.type("my laptop")
        await keys.press("Enter")
        approve = dialog.get_by_role("link", name=said["accounts.login.open"])
        async with page.expect_popup() as opening:
            await press(approve)
        service = await opening.value
        await reach(service, service.get_by_role("button", name="Approve"))
        await service.keyboard.press("Enter")
        await expect(service.get_by_role("button", name="Approve")).to_have_count(0)
        await service.close()
        await expect(dialog.get_by_role("status")).to_contain_text(said["accounts.login.done"])
        await keys.press("Escape")
        await expect(dialog).to_be_hidden()

        await press(link("page.playground"))
        await reach(page, page.get_by_label(said["playground.message"], exact=True))
        await keys.type("Hello from the console")
        await keys.press("Enter")
        await expect(page.locator(".said.model")).to_contain_text('You said: "Hello from the console"')

        await press(link("page.requests"))
        await press(page.locator("tbody .open"))
        await expect(dialog).to_contain_text("my laptop")
        await expect(dialog).to_contain_text("Messages")
        await keys.press("Escape")
        await expect(dialog).to_be_hidden()

        await press(link("page.usage"))
        await expect(page.locator("tbody tr")).to_have_count(1)
        await expect(page.locator("tbody tr")).to_contain_text("auto")

        await press(link("page.keys"))
        await press(page.get_by_role("button", name=said["keys.make"]))
        await reach(page, dialog.get_by_label(said["keys.name"]))
        await keys.type("laptop")
        await keys.press("Enter")
        await expect(dialog.locator("pre")).to_contain_text("qr_")
        await keys.press("Escape")
        await expect(page.locator("tbody tr")).to_contain_text("laptop")

        await press(link("page.accounts"))
        await press(page.get_by_role("link", name="my laptop"))
        await press(dialog.get_by_role("button", name=said["accounts.refresh"]))
        await press(
            dialog.get_by_role("button", name=said["account.off"]).first
        )  # in Chinese "off" and "close" are one word
        await expect(dialog.get_by_role("button", name=said["account.on"])).to_be_visible()
