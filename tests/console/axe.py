"""axe-core on a page: what WCAG 2.2 AA finds wrong with it."""

from pathlib import Path
from typing import Any

from playwright.async_api import Page

_SOURCE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


async def violations(page: Page) -> list[str]:
    """A line for each element that breaks a rule."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(_SOURCE)
    found: list[dict[str, Any]] = await page.evaluate(
        "async (values) => (await axe.run(document, { runOnly: { type: 'tag', values } })).violations", _TAGS
    )
    return [f"{rule['id']}: {node['target']} {node['failureSummary']}" for rule in found for node in rule["nodes"]]
