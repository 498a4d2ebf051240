"""A few of many accounts: by their state, and no more than are shown."""

import pytest

from tests.console.states import add
from tests.gateway.conftest import Bench

pytestmark = pytest.mark.anyio


async def test_a_few_of_them_by_state(relay: Bench) -> None:
    ids = [await add(relay, f"account {number}", enabled=number != 1) for number in range(3)]

    async def labels(query: str) -> list[str]:
        return [account["label"] for account in (await relay.http.get(f"/v2/accounts?{query}")).json()]

    assert await labels("state=disabled") == ["account 1"]
    assert len(await labels("state=ready,disabled")) == len(ids) + 1
    assert len(await labels("state=ready&limit=2")) == 2
    assert len(await labels("")) == len(ids) + 1
    refused = await relay.http.get("/v2/accounts?state=asleep")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "state")
    assert (await relay.http.get("/v2/overview")).json()["strategy"] == "sticky"
