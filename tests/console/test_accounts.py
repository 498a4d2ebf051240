"""The accounts' page: what it says of each, and everything that can be done, by pointer and by keyboard."""

import json
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.async_api import Browser, Locator, expect

from tests.accounts.importing import foreign
from tests.console.axe import violations
from tests.console.conftest import Desk, opened
from tests.console.states import HOSTILE, add, every_state, states
from tests.gateway.conftest import bench

pytestmark = pytest.mark.anyio

STATES = {
    "ready": "Ready",
    "cooling": "Cooling",
    "needs_login": "Log-in needed",
    "suspended": "Suspended by AWS",
    "disabled": "Off",
}


@pytest.fixture
async def full(browser: Browser, tmp_path: Path) -> AsyncGenerator[Desk]:
    """A gateway with an account in every state."""
    async with bench(tmp_path / "home") as relay:
        await every_state(relay)
        async with opened(browser, relay, accept_downloads=False) as desk:
            yield desk


def card(desk: Desk, label: str) -> Locator:
    return desk.page.get_by_role("article", name=label, exact=True)


async def account(desk: Desk, label: str) -> dict[str, Any]:
    rows = (await desk.relay.http.get("/v2/accounts")).json()
    return next(row for row in rows if row["label"] == label)


async def gone(desk: Desk, label: str) -> None:
    """Wait until the gateway has it no more."""
    with anyio.fail_after(15):
        while label in await states(desk.relay.http):  # noqa: ASYNC110 - the gateway is another program
            await anyio.sleep(0.05)


async def test_states_are_words_and_bad_ones_have_their_button(full: Desk) -> None:
    await full.open("/console/accounts")
    said = await states(full.relay.http)
    ready = sum(state == "ready" for state in said.values())
    await expect(full.page.locator("h1")).to_have_text(re.compile(rf"^{ready} of {len(said)} accounts"))
    for label, state in said.items():
        await expect(card(full, label).locator(".state")).to_contain_text(STATES[state])
    lost = card(full, "needs_login")
    await expect(lost).to_contain_text("invalid_grant")
    await expect(lost).to_contain_text("settings and history stay")
    await expect(lost.get_by_role("link", name="Log in again: needs_login", exact=True)).to_be_visible()
    assert {"ready", "cooling", "needs_login", "suspended", "disabled"} == set(said.values())
    await expect(card(full, "cooling")).to_contain_text("You have reached the limit.")
    await card(full, "disabled").get_by_role("button", name="Switch on: disabled", exact=True).click()
    await expect(card(full, "disabled").locator(".state")).to_have_text("Ready")
    await card(full, "suspended").get_by_role("button", name="Use it again").click()
    await expect(card(full, "suspended").locator(".state")).to_have_text("Ready")


async def test_everything_is_readable_by_everybody(full: Desk) -> None:
    for path in (
        "?view=cards",
        "?view=table",
        "?login=new",
        "?import=1",
        f"?account={(await account(full, 'ready'))['id']}",
    ):
        await full.open(f"/console/accounts{path}")
        await full.page.wait_for_load_state("networkidle")
        for theme in ("light", "dark"):
            await full.page.emulate_media(color_scheme=theme)
            assert await violations(full.page) == [], path


async def test_a_log_in_by_keyboard_through_the_services_page(desk: Desk) -> None:
    """Add an account: Tab and Enter here, a press on the service's own page, and it is there."""
    await desk.open("/console/accounts")
    page, keys = desk.page, desk.page.keyboard
    await page.get_by_role("button", name="Add an account").focus()
    await keys.press("Enter")
    dialog = page.get_by_role("dialog", name="Add an account")
    await expect(dialog.get_by_role("button", name="Builder ID")).to_be_focused()
    for _ in range(4):
        await keys.press("Tab")
    await keys.type("my laptop")
    await keys.press("Enter")
    link = dialog.get_by_role("link", name="Open the page")
    code = await dialog.locator(".code").inner_text()
    picture = dialog.get_by_role("img", name="QR code")
    await expect(picture).to_have_js_property("complete", True)
    assert await picture.evaluate("image => image.naturalWidth") > 50
    assert await violations(page) == []
    # The code lives for ten minutes, and the gateway waits for five: those count.
    await expect(dialog.get_by_role("status").locator("time")).to_have_text(re.compile(r"[45]\smin"))
    address = await link.get_attribute("href")
    assert address is not None
    assert address.startswith(desk.relay.sim.url)
    service = await page.context.new_page()
    await service.goto(address)
    await expect(service.locator("code")).to_have_text(code)
    await service.get_by_role("button", name="Approve").press("Enter")
    await service.close()
    await expect(dialog.get_by_role("status")).to_contain_text("Logged in")
    await dialog.get_by_role("button", name="Close").first.press("Enter")
    await expect(dialog).to_be_hidden()
    await expect(card(desk, "my laptop").locator(".state")).to_have_text("Ready")
    assert page.url.endswith("/console/accounts")


async def test_who_comes_with_tokens_types_them_in(desk: Desk) -> None:
    """As q2api's and amq2api's pages took them; refused ones stay typed, with what is wrong."""
    login = desk.relay.sim.add_account("moved")
    await desk.open("/console/accounts?login=new")
    dialog = desk.page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Tokens").click()
    await dialog.get_by_label("Name").fill("moved")
    await dialog.get_by_label("Client id").fill(login.client_id)
    await dialog.get_by_label("Refresh token").fill(f" {login.refresh_token} ")
    desk.watch.expected.add((400, "/v2/accounts"))
    await dialog.get_by_role("button", name="Add an account").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("clientSecret")
    await dialog.get_by_label("Client secret").fill(login.client_secret)
    await desk.page.keyboard.press("Enter")
    await expect(dialog).to_be_hidden()
    await expect(card(desk, "moved").locator(".state")).to_have_text("Ready")
    assert login.refresh_token not in await desk.page.content()


async def test_one_that_lost_its_log_in_gets_it_back_and_stays_itself(full: Desk) -> None:
    before = await account(full, "needs_login")
    await full.open("/console/accounts")
    await card(full, "needs_login").get_by_role("link", name="Log in again").click()
    dialog = full.page.get_by_role("dialog")
    await expect(dialog).to_have_accessible_name("Log needs_login in again")
    await dialog.get_by_role("button", name="Get a code").click()
    address = await dialog.get_by_role("link", name="Open the page").get_attribute("href")
    assert address is not None
    service = await full.page.context.new_page()
    await service.goto(address)
    await service.get_by_role("button", name="Approve").click()
    await service.close()
    await expect(dialog.get_by_role("status")).to_contain_text("Logged in")
    after = await account(full, "needs_login")
    assert (after["id"], after["state"]) == (before["id"], "ready")


async def test_a_log_in_that_is_denied_says_so(desk: Desk) -> None:
    await desk.open("/console/accounts?login=new")
    dialog = desk.page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Get a code").click()
    address = await dialog.get_by_role("link", name="Open the page").get_attribute("href")
    assert address is not None
    service = await desk.page.context.new_page()
    await service.goto(address)
    await service.get_by_role("button", name="Deny").click()
    await service.close()
    await expect(dialog.get_by_role("alert")).to_be_visible()
    await dialog.get_by_role("button", name="Start again").click()
    await expect(dialog.get_by_role("button", name="Get a code")).to_be_visible()


async def test_by_keyboard_refreshed_and_switched_off(desk: Desk) -> None:
    await desk.open("/console/accounts")
    page, keys = desk.page, desk.page.keyboard
    await page.get_by_role("link", name="environment").press("Enter")
    drawer = page.get_by_role("dialog", name="environment")
    before = desk.relay.sim.token_calls((await account(desk, "environment"))["clientId"])
    await drawer.get_by_role("button", name="Refresh its token").press("Enter")
    await expect(page.get_by_role("status").filter(has_text="has a new token")).to_be_visible()
    assert desk.relay.sim.token_calls((await account(desk, "environment"))["clientId"]) == before + 1
    await drawer.get_by_role("button", name="Switch off").press("Enter")
    await expect(drawer.get_by_role("button", name="Switch on")).to_be_visible()
    assert await states(desk.relay.http) == {"environment": "disabled"}
    await keys.press("Escape")
    await expect(drawer).to_be_hidden()
    await expect(page.get_by_role("link", name="environment")).to_be_focused()
    await expect(page.locator("h1")).to_have_text("The only account can't answer")


async def test_tested_edited_made_active(full: Desk) -> None:
    await full.open(f"/console/accounts?account={(await account(full, 'ready'))['id']}")
    drawer = full.page.get_by_role("dialog")
    await drawer.get_by_role("button", name="Test").click()
    await expect(drawer.get_by_text(re.compile(r"\S+ answered in"))).to_be_visible()
    await drawer.get_by_role("button", name="Make it the active one").click()
    await expect(drawer.get_by_role("button", name="Make it the active one")).to_be_hidden()
    assert (await account(full, "ready"))["is_active"]
    await drawer.get_by_role("button", name="Edit", exact=True).click()
    await drawer.get_by_label("Name", exact=True).fill("renamed")
    await drawer.get_by_label("Name", exact=True).press("Enter")
    await expect(full.page.get_by_role("dialog", name="renamed")).to_be_visible()
    await drawer.get_by_role("button", name="Update its credits").click()
    await expect(drawer.get_by_text(re.compile(r"of [\d,]+ credits left"))).to_be_visible()
    assert (await account(full, "renamed"))["label"] == "renamed"


async def test_a_test_that_fails_tells_why(full: Desk) -> None:
    suspended = (await account(full, "suspended"))["id"]
    for status in (400, 502):
        full.watch.expected.add((status, f"/v2/accounts/{suspended}/test"))
    await full.open(f"/console/accounts?account={suspended}")
    drawer = full.page.get_by_role("dialog")
    await drawer.get_by_role("button", name="Test").click()
    await expect(drawer.get_by_role("alert")).to_contain_text("suspended")


async def test_a_delete_can_be_taken_back(full: Desk) -> None:
    await full.open(f"/console/accounts?account={(await account(full, 'ready'))['id']}")
    await full.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    notice = full.page.get_by_role("status").filter(has_text="will be deleted")
    await expect(notice).to_be_visible()
    await expect(card(full, "ready")).to_be_hidden()
    assert (await states(full.relay.http))["ready"] == "disabled"  # it serves nobody any more
    await notice.get_by_role("button", name="Undo").click()
    await expect(card(full, "ready").locator(".state")).to_have_text("Ready")
    await full.page.get_by_role("link", name="ready", exact=True).click()
    await full.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await notice.get_by_role("button", name="Close").click()
    await gone(full, "ready")
    await expect(card(full, "ready")).to_be_hidden()


async def test_leaving_the_page_deletes_what_was_to_go(full: Desk) -> None:
    await full.open(f"/console/accounts?account={(await account(full, 'ready'))['id']}")
    await full.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(full.page.get_by_role("status").filter(has_text="will be deleted")).to_be_visible()
    await full.page.goto("about:blank")
    await gone(full, "ready")


async def test_an_import_is_shown_first(desk: Desk, tmp_path: Path) -> None:
    database = foreign.q2api(tmp_path / "data.sqlite3")
    await desk.open("/console/accounts?import=1")
    dialog = desk.page.get_by_role("dialog", name="Import")
    await dialog.get_by_label("Choose a file or drop it here").set_input_files(database)
    await expect(dialog.get_by_role("row")).to_have_count(3)
    await expect(dialog.get_by_role("row").nth(1)).to_contain_text("New")
    assert set(await states(desk.relay.http)) == {"environment"}
    assert await violations(desk.page) == []
    await dialog.get_by_role("button", name="Import 2 accounts").click()
    await expect(dialog).to_be_hidden()
    assert set(await states(desk.relay.http)) == {"environment", "one", "two"}
    await expect(card(desk, "two")).to_be_visible()
    await desk.page.get_by_role("button", name="Import", exact=True).click()
    text = json.loads(foreign.amq2api(tmp_path / "account.json").read_text())
    again = {"name": "one", "client_id": "client-one", "client_secret": foreign.canary("secret-one")}
    text.append(again | {"refresh_token": foreign.canary("refresh-one")})
    await dialog.get_by_label("Or paste JSON").fill(json.dumps([*text, {"name": "broken"}]))
    await dialog.get_by_role("button", name="Show what would happen").click()
    await expect(dialog).to_contain_text("Here already")
    await expect(dialog).to_contain_text("has no refresh token")
    await dialog.get_by_role("button", name="Import 1 account").click()
    await expect(card(desk, "work")).to_be_visible()


async def test_what_is_no_file_of_accounts_says_so(desk: Desk) -> None:
    desk.watch.expected.add((400, "/v2/import/file"))
    await desk.open("/console/accounts?import=1")
    dialog = desk.page.get_by_role("dialog", name="Import")
    await dialog.get_by_label("Or paste JSON").fill("{nothing")
    await dialog.get_by_role("button", name="Show what would happen").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("Nothing was imported")


async def test_a_hostile_name_is_a_text(desk: Desk) -> None:
    await add(desk.relay, HOSTILE)
    for path in ("/", "/console/accounts", "/console/accounts?view=table"):
        await desk.open(path)
        await expect(desk.page.get_by_text(HOSTILE).first).to_be_visible()
        assert await desk.page.locator("img[src=x], a[href^=javascript]").count() == 0


async def test_a_thousand_accounts_are_a_few_rows(desk: Desk) -> None:
    rows = [
        {
            "label": f"seat {number:04}",
            "clientId": f"c{number}",
            "clientSecret": "s" * 20,
            "refreshToken": f"r{number}" * 4,
        }
        for number in range(999)
    ]
    made = await desk.relay.http.post("/v2/accounts/batch", json={"accounts": rows}, timeout=60)
    assert made.json()["failed"] == 0
    await desk.open("/console/accounts")
    await expect(desk.page.locator("h1")).to_contain_text("1,000 accounts")
    assert await desk.page.locator("tbody tr").count() <= 200
    box = desk.page.get_by_role("region", name="Accounts")
    await box.evaluate("box => box.scrollTo(0, box.scrollHeight)")
    await expect(desk.page.get_by_text("seat 0998")).to_be_visible()
    assert await desk.page.locator("tbody tr").count() <= 200
    await desk.page.get_by_label("Search").fill("environment")
    await expect(desk.page.locator("tbody tr")).to_have_count(1)
    await desk.page.get_by_label("Search").fill("")
    await expect(desk.page.get_by_text("seat 0003")).to_be_visible()
    await desk.page.get_by_role("button", name="Cards").click()
    await desk.page.get_by_label("Search").fill("")
    await expect(desk.page.get_by_role("article")).to_have_count(48)
    await expect(desk.page).to_have_url(re.compile(r"view=cards"))


async def test_an_empty_gateway_teaches(browser: Browser, tmp_path: Path) -> None:
    none: dict[str, Any] = {"amazonq_refresh_token": None, "amazonq_client_id": None, "amazonq_client_secret": None}
    async with bench(tmp_path / "home", **none) as relay, opened(browser, relay) as desk:
        await desk.open("/console/accounts")
        await expect(desk.page.locator("h1")).to_have_text("No account yet")
        await desk.page.get_by_role("button", name="Add an account").click()
        await expect(desk.page.get_by_role("dialog", name="Add an account")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "there"),
    [("accounts", "Add an account"), ("keys", "Make a key"), ("playground", "Send"), ("requests", "Pause")],
)
async def test_no_two_buttons_of_a_page_have_one_name(browser: Browser, tmp_path: Path, path: str, there: str) -> None:
    """Who goes by names, with a voice or a script, must not be asked which of them is meant."""
    none: dict[str, Any] = {"amazonq_refresh_token": None, "amazonq_client_id": None, "amazonq_client_secret": None}
    async with bench(tmp_path / "home", **none) as relay, opened(browser, relay) as desk:
        await desk.open(f"/console/{path}")
        await expect(desk.page.get_by_role("button", name=there)).to_be_visible()
        buttons = await desk.page.get_by_role("button").all()
        names = [await button.get_attribute("aria-label") or await button.inner_text() for button in buttons]
        assert len(names) == len(set(names))
        assert all(names)


async def test_what_the_gateway_does_not_answer_is_told(desk: Desk) -> None:
    await desk.open("/console/accounts")
    await desk.page.route("**/v2/accounts/refresh", lambda route: route.abort())
    await desk.page.get_by_role("button", name="Refresh all").click()
    await expect(desk.page.get_by_role("alert")).to_contain_text("The gateway does not answer.")
    await expect(desk.page.get_by_role("alert")).to_contain_text("See whether it still runs")
