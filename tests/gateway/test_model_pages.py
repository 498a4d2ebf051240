"""Paging through `/v1/models` as Anthropic's clients do."""

from typing import Any

import pytest

from tests.gateway.conftest import Bench

pytestmark = pytest.mark.anyio


async def page(relay: Bench, **query: Any) -> dict[str, Any]:
    answer = await relay.http.get("/v1/models", params=query, headers={"anthropic-version": "2023-06-01"})
    assert answer.status_code == 200
    return answer.json()


async def test_forwards_and_backwards(relay: Bench) -> None:
    ids = [row["id"] for row in (await page(relay))["data"]]
    first = await page(relay, limit=2)
    assert ([row["id"] for row in first["data"]], first["has_more"]) == (ids[:2], True)
    second = await page(relay, limit=2, after_id=first["last_id"])
    assert [row["id"] for row in second["data"]] == ids[2:4]
    assert (second["first_id"], second["last_id"]) == (ids[2], ids[3])
    back = await page(relay, limit=1, before_id=second["first_id"])
    assert ([row["id"] for row in back["data"]], back["has_more"]) == (ids[1:2], True)
    assert not (await page(relay, after_id=ids[-1]))["data"]


async def test_a_client_whose_base_url_ends_in_v1_finds_them(relay: Bench) -> None:
    """Anthropic's SDK adds its own `/v1`."""
    headers = {"anthropic-version": "2023-06-01"}
    there = (await relay.http.get("/v1/v1/models", headers=headers)).json()
    assert there == await page(relay)
    one = await relay.http.get(f"/v1/v1/models/{there['first_id']}", headers=headers)
    assert one.json()["id"] == there["first_id"]


@pytest.mark.parametrize("limit", ["²", "9" * 5000, "-1", "0", "", "many"])
async def test_a_limit_that_is_none_is_passed_over(relay: Bench, limit: str) -> None:
    assert (await page(relay, limit=limit))["data"]
