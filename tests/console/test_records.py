"""Usage, keys, settings, health and the audit log, each with something in it."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from qrelay.http.console import site
from tests.console.axe import violations
from tests.console.conftest import Desk, opened
from tests.console.rows import ended, write
from tests.gateway.conftest import bench

pytestmark = pytest.mark.anyio


async def test_usage_is_drawn_and_told(desk: Desk, tmp_path: Path) -> None:
    models = [f"model-{number}" for number in range(12)]
    await write(tmp_path / "home", *(ended(number, model=models[number % 12]) for number in range(240)))
    await desk.open("/console/usage")
    page = desk.page
    await expect(page.locator("h1")).to_contain_text("74.4 credits and ≈")
    await expect(page.locator(".chart canvas")).to_be_visible()
    await expect(page.locator(".legend li")).to_have_count(8)
    await expect(page.locator(".legend")).to_contain_text("All others")
    await expect(page.locator("tbody tr")).to_have_count(12)
    assert await violations(page) == []
    await page.get_by_role("button", name="30 days").click()
    await page.get_by_label("For each", exact=True).select_option("dialect")
    await expect(page).to_have_url(re.compile(r"\?range=30d&by=dialect$"))
    await expect(page.locator("tbody tr")).to_have_count(3)
    async with page.expect_download() as downloading:
        await page.get_by_role("link", name="Download as CSV").click()
    await page.get_by_role("button", name="Tokens").click()
    await expect(page.locator(".legend li").first).to_contain_text("≈")
    rows = list(csv.DictReader((await (await downloading.value).path()).read_text().splitlines()))
    assert sum(int(row["requests"]) for row in rows) == 240


async def test_figures_are_told_as_one_would_say_them(desk: Desk) -> None:
    await desk.open("/console/usage")
    asked = """async (path) => {
        const { amount, relative, span } = await import(path);
        const day = 86_400_000;
        return [amount(28.434999999999995), amount(0.004), relative(30 * day - 1000), relative(-1.5 * day),
            relative(-1), span(3_599_000), span(3_500_000)];
    }"""
    told: list[str] = await desk.page.evaluate(asked, f"{site().root}/format.js")
    told = [text.replace("\xa0", " ") for text in told]
    assert told == ["28.44", "< 0.01", "in 30 days", "yesterday", "now", "1 hr", "58 min"]


async def test_a_key_is_made_by_keyboard_seen_once_and_revoked(desk: Desk) -> None:
    await desk.open("/console/keys")
    page = desk.page
    await page.get_by_role("button", name="Make a key").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog").get_by_label("Name")).to_be_focused()
    await page.keyboard.type("<b>laptop</b>")
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    await expect(dialog.locator("pre")).to_have_text(re.compile("^qr_"))
    key = await dialog.locator("pre").inner_text()
    assert await violations(page) == []
    await page.keyboard.press("Escape")
    row = page.locator("tbody tr")
    await expect(row).to_contain_text("<b>laptop</b>")
    await expect(page.locator("h1")).to_have_text("1 key lets programs in")
    assert key not in await page.content()
    body: dict[str, Any] = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": f"Bearer {key}"}
    assert (await desk.relay.http.post("/v1/chat/completions", json=body, headers=headers)).status_code == 200
    await row.get_by_role("button", name="Revoke").click()
    await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    await expect(row).to_have_count(0)
    assert (await desk.relay.http.get("/v2/keys")).json() == {"keys": []}
    await desk.open("/console/audit")
    await expect(page.locator("tbody tr").first).to_contain_text("Key revoked")
    await expect(page.locator("tbody tr").nth(1)).to_contain_text("Key made")
    assert await violations(page) == []


async def test_the_playground_makes_itself_a_key(desk: Desk) -> None:
    await desk.relay.http.post("/v2/keys", json={"name": "other"})
    desk.watch.expected |= {(401, "/v1/models")}
    await desk.open("/console/playground")
    await desk.page.get_by_role("button", name="Make a key for 12 hours").click()
    await expect(desk.page.get_by_label("Message")).to_be_visible()
    names = [key["name"] for key in (await desk.relay.http.get("/v2/keys")).json()["keys"]]
    assert sorted(names) == ["other", "playground"]


async def test_settings_are_searched(desk: Desk) -> None:
    await desk.open("/console/settings")
    page = desk.page
    await page.get_by_label("Search").fill("openai_keys")
    await expect(page.locator(".settings li")).to_have_count(1)
    await expect(page.locator(".settings li")).to_contain_text("QRELAY_API_KEYS")
    await desk.open("/console/settings?q=no-such-setting")
    await expect(page.get_by_text("No setting fits")).to_be_visible()


async def test_what_the_gateway_says_is_chinese_too(browser: Browser, tmp_path: Path) -> None:
    async with bench(tmp_path / "home") as relay, opened(browser, relay, locale="zh-CN") as desk:
        await desk.open("/console/settings?q=端口")
        await expect(desk.page.locator(".settings li").first).to_contain_text("监听端口")
        await write(tmp_path / "home", ended(1, outcome="upstream_protocol", error="It was cut.", status=502))
        await desk.open(f"/console/requests?id={ended(1).id}")
        drawer = desk.page.get_by_role("dialog")
        await expect(drawer).to_contain_text("回答中断")
        await expect(drawer).to_contain_text("请重试；上游的回答损坏或中断。")
        account = (await relay.http.get("/v2/accounts")).json()[0]["id"]
        await relay.http.delete(f"/v2/accounts/{account}")
        await desk.open("/console/health")
        await expect(desk.page.locator(".callout")).to_contain_text("还没有账号")


async def test_health_says_why_not(desk: Desk) -> None:
    await desk.open("/console/health")
    page = desk.page
    await expect(page.locator("h1")).to_have_text("Requests can be served")
    account = (await desk.relay.http.get("/v2/accounts")).json()[0]["id"]
    await desk.relay.http.patch(f"/v2/accounts/{account}", json={"enabled": False})
    await expect(page.locator("h1")).to_have_text("Requests can't be served now")
    await expect(page.get_by_text("Not ready")).to_be_visible()
    assert await violations(page) == []


async def test_what_a_page_asks_by_itself_says_so(desk: Desk) -> None:
    """A session doesn't stay open for it (tests/gateway/test_sessions.py)."""
    asked = desk.page.expect_request(lambda request: request.url.endswith("/v2/health"))
    again = desk.page.expect_request(lambda request: request.headers.get("x-qrelay-background") == "1")
    async with asked as first, again as later:
        await desk.open("/console/health")
    assert "x-qrelay-background" not in (await first.value).headers
    assert (await later.value).method == "GET"
