"""The playground: the three APIs as a program sees them, what breaks, and text that would like to be more."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, expect
from pydantic import SecretStr

from qrelay.simulator.scenario import Scenario, Tail, text
from tests.console.axe import violations
from tests.console.conftest import Desk, opened
from tests.gateway.conftest import bench

pytestmark = pytest.mark.anyio

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
HOSTILE = (
    '<img src="/v2/accounts" onerror="document.title=1"><script>document.title = 2</script>'
    "[a link](javascript:alert(1)) \u202etxet eht nrut\u202c \u2067\u05d0\u05d1\u05d2\n"
)


def answer(desk: Desk) -> Locator:
    return desk.page.locator(".said.model").last


async def say(desk: Desk, words: str) -> None:
    """By keyboard alone, from wherever the focus is. Returns when the page shows what was said."""
    message = desk.page.get_by_label("Message")
    await message.focus()
    await desk.page.keyboard.type(words)
    await expect(message).to_have_value(words)
    await desk.page.keyboard.press("Enter")
    await expect(desk.page.locator(".said.user").last).to_contain_text(words)


@pytest.mark.parametrize("api", ["messages", "chat", "responses"])
async def test_a_talk_through_each_api(desk: Desk, api: str) -> None:
    await desk.open(f"/console/playground?api={api}")
    await say(desk, "please think about tea")
    await expect(answer(desk)).to_contain_text('You said: "please think about tea"')
    await expect(answer(desk)).to_contain_text("The user asks me to think.")
    await expect(answer(desk)).to_contain_text("tokens in")
    await say(desk, "and milk")
    await expect(answer(desk)).to_contain_text('You said: "and milk"')
    await answer(desk).get_by_role("button", name="Raw").click()
    await expect(answer(desk).get_by_role("region", name="Raw")).to_contain_text("data: {")
    assert await violations(desk.page) == []


async def test_a_whole_answer(desk: Desk) -> None:
    await desk.open("/console/playground?api=chat")
    await desk.page.get_by_label("Stream the answer").uncheck()
    await desk.page.get_by_text("Length and effort").click()
    await desk.page.get_by_label("Effort").select_option("high")
    await say(desk, "Hello")
    await expect(answer(desk)).to_contain_text('You said: "Hello"')
    await expect(answer(desk)).to_contain_text("Not understood by the service: effort")
    await answer(desk).get_by_role("button", name="Raw").click()
    await expect(answer(desk).get_by_role("region", name="Raw")).to_contain_text('"object":"chat.completion"')
    await desk.open("/console/requests")
    await desk.page.locator("tbody .open").click()
    await expect(desk.page.get_by_role("dialog")).to_contain_text("ClientPlayground")


@pytest.mark.parametrize("api", ["messages", "chat", "responses"])
async def test_an_answer_that_is_cut_stays_with_the_error_under_it(desk: Desk, api: str) -> None:
    await desk.open(f"/console/playground?api={api}")
    desk.relay.sim.next("cut_text")
    await say(desk, "Hello")
    await expect(answer(desk).get_by_role("alert")).to_contain_text("The upstream's answer was cut")
    await expect(answer(desk).get_by_role("alert")).to_contain_text("Try again")
    await expect(answer(desk).locator(".plain")).to_have_text("Hello, world")
    assert await violations(desk.page) == []
    await answer(desk).get_by_role("button", name="Ask again").click()
    await expect(answer(desk)).to_contain_text('You said: "Hello"')
    await expect(desk.page.get_by_role("alert")).to_have_count(0)


async def test_a_refusal_says_what_to_do(desk: Desk) -> None:
    desk.watch.expected |= {(429, "/v1/messages")}
    await desk.open("/console/playground")
    desk.relay.sim.next("monthly_402", times=3)
    await say(desk, "Hello")
    await expect(answer(desk).get_by_role("alert")).to_contain_text("rate_limit_error")


async def test_stop_ends_it_upstream_too(desk: Desk) -> None:
    await desk.open("/console/playground")
    desk.relay.sim.next("silence")
    await say(desk, "Hello")
    await expect(answer(desk).locator(".plain")).to_have_text("Hello, world")
    await desk.page.get_by_role("button", name="Stop").click()
    await expect(answer(desk).get_by_role("status")).to_contain_text("Stopped")
    await expect(answer(desk).locator(".plain")).to_have_text("Hello, world")
    async with desk.relay.http.stream("GET", "/metrics") as figures:
        told = (await figures.aread()).decode()
    assert "qrelay_client_disconnects_total 1.0" in told


@pytest.mark.parametrize("api", ["messages", "responses"])
async def test_a_tool_is_called_and_answered_by_hand(desk: Desk, api: str) -> None:
    await desk.open(f"/console/playground?api={api}")
    page = desk.page
    await page.get_by_text("Tools", exact=True).click()
    await page.get_by_label("Tools as a JSON list").fill("{}")
    await expect(page.get_by_text("It has to be a list")).to_be_visible()
    await page.get_by_role("button", name="Put in an example").click()
    await say(desk, "use the tool get_weather")
    await expect(answer(desk).locator(".tool")).to_contain_text('"city": "city"')
    await page.get_by_label("Answer of the tool get_weather").fill("22 degrees")
    assert await violations(page) == []
    await page.get_by_role("button", name="Send").click()
    await expect(answer(desk)).to_contain_text("Done. The tool answered: 22 degrees")


async def test_pictures_are_chosen_pasted_and_dropped(desk: Desk) -> None:
    await desk.open("/console/playground")
    page = desk.page
    picture: Any = {"name": "dot.png", "mimeType": "image/png", "buffer": PIXEL}
    await page.locator("input[type=file]").set_input_files(
        [picture, {"name": "a.txt", "mimeType": "text/plain", "buffer": b"x"}]
    )
    await expect(page.get_by_role("img", name="dot.png")).to_be_visible()
    await expect(page.get_by_text("a.txt is no PNG")).to_be_visible()
    await page.get_by_label("Message").evaluate(
        """(area, data) => {
            const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
            const carried = new DataTransfer();
            carried.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
            const usual = { bubbles: true, cancelable: true };
            area.dispatchEvent(new ClipboardEvent("paste", { clipboardData: carried, ...usual }));
            area.dispatchEvent(new DragEvent("drop", { dataTransfer: carried, ...usual }));
        }""",
        base64.b64encode(PIXEL).decode(),
    )
    await expect(page.get_by_role("img", name="pasted.png")).to_have_count(2)
    await page.get_by_role("button", name="Remove pasted.png").first.click()
    await say(desk, "What is it?")
    await expect(answer(desk)).to_contain_text("I can see that you sent an image.")


async def test_text_that_would_like_to_be_more(desk: Desk) -> None:
    """HTML, scripts, links and marks that turn text around are shown as they are; a line of a megabyte too."""
    await desk.open("/console/playground")
    long = "0123456789\u202e" * 95_000
    await desk.page.get_by_text("Length and effort").click()
    await desk.page.get_by_label("Most tokens of an answer").fill("9999999")
    desk.relay.sim.next(Scenario([text(HOSTILE), text(long), Tail()]))
    await say(desk, "Hello")
    await expect(answer(desk)).to_contain_text("tokens in")
    shown = answer(desk).locator(".plain")
    assert await shown.evaluate("(element) => element.textContent") == HOSTILE + long
    assert await shown.locator("*:not(div)").count() == 0
    assert await shown.locator("div").count() > 100
    assert await desk.page.title() == "20 models can be asked · qrelay"
    assert await desk.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await answer(desk).get_by_role("button", name="Raw").click()
    await expect(answer(desk).get_by_role("region", name="Raw")).to_contain_text("onerror")


async def test_keys_are_asked_for_where_there_are_some(browser: Browser, tmp_path: Path) -> None:
    async with bench(tmp_path / "home", api_keys=[SecretStr("a-key")]) as relay, opened(browser, relay) as desk:
        desk.watch.expected |= {(401, "/v1/models")}
        await desk.open("/console/playground")
        page = desk.page
        await expect(page.locator("h1")).to_have_text("The playground needs a client key")
        await page.get_by_label("Client key").fill("wrong")
        await page.get_by_role("button", name="Use this key").click()
        await expect(page.get_by_role("alert")).to_contain_text("does not know the key")
        assert await violations(page) == []
        await page.get_by_label("Client key").fill("a-key")
        await page.get_by_role("button", name="Use this key").click()
        await say(desk, "Hello")
        await expect(answer(desk)).to_contain_text('You said: "Hello"')
        assert await page.evaluate("document.cookie + JSON.stringify(localStorage)") == "{}"


async def test_the_line_for_curl_asks_the_same(browser: Browser, tmp_path: Path) -> None:
    async with (
        bench(tmp_path / "home") as relay,
        opened(browser, relay, permissions=["clipboard-read", "clipboard-write"]) as desk,
    ):
        await desk.open("/console/playground")
        await say(desk, "it's")
        await expect(answer(desk)).to_contain_text("tokens in")
        await desk.page.get_by_role("button", name="Copy as curl").click()
        line: str = await desk.page.evaluate("navigator.clipboard.readText()")
        assert line.startswith(f"curl -N '{relay.url}/v1/messages'")
        assert '-H "x-api-key: $QRELAY_KEY"' in line
        body = json.loads(line[line.index("-d '") + 4 : -1].replace("'\\''", "'"))
        assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "it's"}]}]


async def test_a_talk_goes_on_while_another_page_is_looked_at(desk: Desk) -> None:
    await desk.open("/console/playground")
    await say(desk, "Hello")
    await desk.page.get_by_role("navigation").get_by_role("link", name="Accounts").click()
    await desk.page.get_by_role("navigation").get_by_role("link", name="Playground").click()
    await expect(answer(desk)).to_contain_text('You said: "Hello"')
