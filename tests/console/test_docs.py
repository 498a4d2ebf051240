"""`/docs` is Swagger UI under a strict policy: what is tried on it is done, by a key, the secret or a session."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, expect
from pydantic import SecretStr

from tests.console.conftest import Desk, opened
from tests.gateway.conftest import bench

pytestmark = pytest.mark.anyio

SECRET = "s" * 40
KEY = "k" * 40


async def tried(desk: Desk, operation: str, **parameters: str) -> Locator:
    """The answer to one operation, called with these parameters and with the body that the page suggests."""
    block = desk.page.locator(f"[id^=operations-][id$=-{operation}]")
    if not await block.get_by_role("button", name="Cancel").is_visible():
        await block.locator(".opblock-summary-control").click()
        await block.get_by_role("button", name="Try it out").click()
    for name, value in parameters.items():
        await block.locator(f"[data-param-name={name}] input").fill(value)
    await block.get_by_role("button", name="Execute").click()
    return block.locator(".live-responses-table tbody")


async def authorize(desk: Desk, scheme: str, value: str) -> None:
    page = desk.page
    await page.locator(".auth-wrapper > .authorize").click()
    form = page.locator(".auth-container", has=page.get_by_text(scheme, exact=True))
    await form.get_by_role("textbox").fill(value)
    await form.get_by_role("button", name="Apply credentials").click()
    await expect(form.get_by_role("button", name="Remove authorization")).to_be_visible()
    await form.get_by_role("button", name="Close").click()


async def test_what_is_tried_is_done(desk: Desk) -> None:
    await desk.page.goto(f"{desk.relay.url}/docs")
    answer = await tried(desk, "post_v1_chat_completions")
    await expect(answer).to_contain_text('You said: \\"Hello\\"')
    answer = await tried(desk, "get_v2_requests", limit="1")
    await expect(answer).to_contain_text('"client": "qrelay docs"')
    await expect(answer.locator(".response-col_status").first).to_contain_text("200")


async def test_a_stream_that_never_ends_is_not_tried(desk: Desk) -> None:
    await desk.page.goto(f"{desk.relay.url}/docs")
    block = desk.page.locator("[id$=-get_v2_requests_live]")
    await block.locator(".opblock-summary-control").click()
    await expect(block).to_contain_text("text/event-stream")
    await expect(block.get_by_role("button", name="Try it out")).to_have_count(0)


async def test_each_way_in(browser: Browser, tmp_path: Path) -> None:
    async with (
        bench(tmp_path / "home", admin_secret=SecretStr(SECRET), api_keys=(SecretStr(KEY),)) as relay,
        opened(browser, relay) as desk,
    ):
        page = desk.page
        desk.watch.expected |= {(401, "/v1/messages"), (401, "/v2/keys")}
        logged_in = await page.request.post(f"{relay.url}/v2/session", data={"secret": SECRET})
        assert logged_in.ok
        await page.goto(f"{relay.url}/docs")

        await expect(await tried(desk, "post_v1_messages")).to_contain_text("This gateway needs a key")
        await authorize(desk, "key", KEY)
        await expect(await tried(desk, "post_v1_messages")).to_contain_text('You said: \\"Hello\\"')

        # The session lets in, also for what changes something.
        made = await tried(desk, "post_v2_keys")
        await expect(made).to_contain_text('"key": "qr_')
        await page.locator(".auth-wrapper > .authorize").click()
        await expect(page.locator(".modal-ux")).to_contain_text("The console's session")
        await page.get_by_role("button", name="Close").first.click()

        # Without it the secret does.
        await page.context.clear_cookies()
        await expect(await tried(desk, "get_v2_keys")).to_contain_text("This route needs the admin secret")
        await authorize(desk, "admin", SECRET)
        await expect(await tried(desk, "get_v2_keys")).to_contain_text('"keys": [')
        assert await page.evaluate("Object.keys(localStorage).concat(Object.keys(sessionStorage))") == []
