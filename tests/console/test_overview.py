"""The overview: whether it can answer, what needs doing, and lines that work in the clients they are for."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect
from pydantic import SecretStr

from tests.console.conftest import Desk, opened
from tests.console.states import add, every_state
from tests.gateway.conftest import bench
from tests.house.repository import ROOT

pytestmark = pytest.mark.anyio

HERE = "http://127.0.0.1:8000"


async def test_the_title_is_the_answer(browser: Browser, tmp_path: Path) -> None:
    async with bench(tmp_path / "home") as relay, opened(browser, relay) as desk:
        await desk.open()
        await expect(desk.page.locator("h1")).to_have_text("The account is ready")
        await every_state(relay)
        await desk.page.reload()
        await expect(desk.page.locator("h1")).to_have_text(re.compile(r"^\d of 6 accounts"))
        waiting = desk.page.locator(".callout").filter(has_text="needs_login")
        await waiting.get_by_role("link", name="Log in again").click()
        await expect(desk.page.get_by_role("dialog")).to_have_accessible_name("Log needs_login in again")


async def test_the_lines_are_those_of_the_guide(desk: Desk) -> None:
    """Word for word, but for the address, which is this gateway's."""
    guide = (ROOT / "docs" / "guide" / "first-clients.md").read_text(encoding="utf-8")
    indented = re.sub(r"^    ", "", guide, flags=re.MULTILINE)
    await desk.open()
    tabs = desk.page.get_by_role("tablist", name="Connect a client").get_by_role("tab")
    names = await tabs.all_inner_texts()
    assert {f"## {name}" for name in names} - {"## SDK"} <= set(guide.splitlines())
    for name in names:
        await tabs.filter(has_text=re.compile(f"^{name}$")).click()
        texts = await desk.page.get_by_role("tabpanel").locator("pre").all_inner_texts()
        assert texts
        for text in texts:
            here = text.replace(desk.relay.url, HERE).replace("YOUR_KEY", "any").strip()
            assert here in guide or here in indented, text


async def test_tabs_go_by_arrows_and_are_in_the_url(desk: Desk) -> None:
    await desk.open("/?client=codex")
    tabs = desk.page.get_by_role("tablist", name="Connect a client")
    chosen = tabs.get_by_role("tab", selected=True)
    await expect(chosen).to_have_text("Codex")
    await chosen.press("ArrowRight")
    await expect(chosen).to_have_text("opencode")
    await expect(chosen).to_be_focused()
    await expect(desk.page).to_have_url(re.compile("client=opencode"))


async def test_a_line_is_copied_and_says_so(desk: Desk) -> None:
    await desk.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await desk.open()
    button = desk.page.get_by_role("button", name=re.compile("Copy: Claude Code")).first
    await button.click()
    await expect(desk.page.get_by_role("button", name="Copied")).to_be_visible()
    assert await desk.page.evaluate("navigator.clipboard.readText()") == "qrelay claude"


async def test_a_key_is_made_where_its_lines_are(desk: Desk) -> None:
    """Where programs need one; where they don't, any word does, and nothing offers to change that."""
    await desk.open("/?client=codex")
    panel = desk.page.get_by_role("tabpanel")
    await expect(panel).to_contain_text("GATEWAY_KEY=any codex")
    make = desk.page.get_by_role("button", name="Make one and put it in")
    await expect(make).to_have_count(0)
    await desk.relay.http.post("/v2/keys", json={"name": "other"})
    await desk.page.reload()
    await expect(panel).to_contain_text("GATEWAY_KEY=YOUR_KEY codex")
    await make.click()
    await expect(panel).to_contain_text(re.compile(r"GATEWAY_KEY=qr_\w{20,} codex"))
    names = [key["name"] for key in (await desk.relay.http.get("/v2/keys")).json()["keys"]]
    assert sorted(names) == ["Codex", "other"]


async def test_of_many_accounts_a_few_are_asked_for(browser: Browser, tmp_path: Path) -> None:
    """Those that wait for somebody and some that serve; never all of them."""
    async with bench(tmp_path / "home") as relay, opened(browser, relay) as desk:
        ids = await every_state(relay)
        for number in range(4):
            await add(relay, f"more {number}", enabled=False)
        asked: list[str] = []
        desk.page.on("request", lambda request: asked.append(request.url.removeprefix(relay.url)))
        await desk.open()
        await expect(desk.page.locator(".callout")).to_have_count(2)
        await expect(desk.page.locator(".account")).to_have_count(3)
        await expect(desk.page.get_by_role("link", name=f"All {len(ids) + 5} accounts")).to_be_visible()
        assert "/v2/accounts" not in asked


async def test_the_last_requests_lead_to_theirs(desk: Desk) -> None:
    await desk.relay.messages("Hello")
    await desk.open()
    await desk.page.locator(".log tbody .open").first.click()
    drawer = desk.page.get_by_role("dialog")
    await expect(drawer).to_contain_text("Where the time went")
    for step in ("Waited for an account", "Refreshed its token", "Connected", "Waited for the first event", "Whole"):
        await expect(drawer.locator(".timeline")).to_contain_text(step)


async def test_a_console_that_is_locked_is_opened_by_the_secret(browser: Browser, tmp_path: Path) -> None:
    secret = SecretStr("an-admin-secret-of-some-length")
    async with bench(tmp_path / "home", admin_secret=secret) as relay, opened(browser, relay) as desk:
        await desk.open("/console/accounts")
        page = desk.page
        await expect(page.locator("h1")).to_have_text("This console is locked")
        desk.watch.expected |= {(401, "/v2/session"), (403, "/v2/session")}
        await page.get_by_label("Admin secret").fill("something else")
        await page.keyboard.press("Enter")
        await expect(page.locator(".wrong")).to_be_visible()
        await page.get_by_label("Admin secret").fill(secret.get_secret_value())
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("The account is ready")
        await page.get_by_role("button", name="Refresh all").click()
        await expect(page.get_by_role("status").filter(has_text="new token")).to_be_visible()
        await page.reload()
        await expect(page.locator("h1")).to_have_text("The account is ready")
        await page.get_by_role("button", name="Log out").click()
        await expect(page.locator("h1")).to_have_text("This console is locked")
        assert await page.evaluate("JSON.stringify([localStorage, sessionStorage])") == "[{},{}]"
