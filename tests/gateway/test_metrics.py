"""The figures after real requests, read as Prometheus reads them."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from qrelay.http.traffic import OTHER_MODEL, Traffic
from tests.gateway.conftest import Bench, bench

pytestmark = pytest.mark.anyio


async def figures(relay: Bench, **headers: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = await relay.http.get("/metrics", headers=headers)
    assert answer.status_code == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


async def test_requests_are_counted(relay: Bench) -> None:
    await relay.messages()
    await relay.messages(stream=True)
    await relay.chat(stream=True)
    await relay.chat(messages=3)
    relay.sim.next("monthly_402", times=3)
    await relay.chat()
    counted = await figures(relay)
    model = "claude-sonnet-4.5"
    for labels, count in {
        ("messages", model, "200", "false"): 1,
        ("messages", model, "200", "true"): 1,
        ("chat", model, "200", "true"): 1,
        ("chat", "none", "400", ""): 1,
        ("chat", "none", "429", "false"): 1,
    }.items():
        named = dict(zip(("dialect", "model", "status", "stream"), labels, strict=True))
        assert counted[key("qrelay_requests_total", **named)] == count, labels
    assert counted[key("qrelay_request_duration_seconds_count", dialect="messages", stream="true")] == 1
    assert counted[key("qrelay_request_duration_seconds_bucket", dialect="chat", stream="true", le="+Inf")] == 1
    assert counted[key("qrelay_time_to_first_byte_seconds_count", dialect="messages", stream="false")] == 1
    assert counted[key("qrelay_tokens_total", direction="output", model=model)] > 0
    assert counted[key("qrelay_tokens_total", direction="input", model=model)] > 0
    assert counted[key("qrelay_token_refresh_total", outcome="ok")] == 1
    for step in ("token_refresh", "token_persist", "refresh_lease_wait"):
        assert counted[key(f"qrelay_{step}_seconds_count")] == 1
        assert counted[key(f"qrelay_{step}_seconds_sum")] > 0
    assert not [name for name, _ in counted if name.startswith("qrelay_store_errors")]
    assert counted[key("qrelay_streams_in_flight")] == 0
    (account,) = (await relay.http.get("/v2/accounts")).json()
    mine = account["id"][:8]
    assert counted[key("qrelay_upstream_attempts_total", account=mine, outcome="ok")] == 3
    assert counted[key("qrelay_upstream_attempts_total", account=mine, outcome="quota_exhausted")] == 1
    assert 0 < counted[key("qrelay_token_expiry_seconds", account=mine)] <= 3600
    assert counted[key("qrelay_overhead_seconds_count", dialect="messages", stream="true")] == 1
    spent = counted[key("qrelay_overhead_seconds_sum", dialect="messages", stream="true")]
    assert 0 <= spent <= counted[key("qrelay_time_to_first_byte_seconds_sum", dialect="messages", stream="true")]
    assert counted[key("qrelay_account_state", account=account["id"][:8], state="cooling")] == 1
    assert counted[key("qrelay_account_state", account=account["id"][:8], state="ready")] == 0
    assert counted[key("qrelay_account_cooldown_seconds", account=account["id"][:8], model="any")] > 0
    assert counted[key("qrelay_queued")] == 0
    assert counted[key("qrelay_asyncio_tasks")] > 0
    assert key("qrelay_connections") in counted
    assert counted[key("qrelay_account_state", account=account["id"][:8], state="disabled")] == 0
    assert [value for (name, _), value in counted.items() if name == "qrelay_build_info"] == [1]
    assert account["label"] not in str(counted)


async def test_streams_and_those_who_leave(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", {"word_delay": 0.05}) as relay:
        body = {"model": "claude-sonnet-4.5", "stream": True, "messages": [{"role": "user", "content": "long " * 90}]}
        async with relay.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            await anext(answer.aiter_bytes())
            assert (await figures(relay))[key("qrelay_streams_in_flight")] == 1
        while (counted := await figures(relay))[key("qrelay_streams_in_flight")]:  # noqa: ASYNC110 - only figures say so
            await asyncio.sleep(0.01)
        assert counted[key("qrelay_client_disconnects_total")] == 1
        assert counted[key("qrelay_upstream_cancel_seconds_count")] == 1
        named = {"dialect": "chat", "model": "claude-sonnet-4.5", "status": "499", "stream": "true"}
        assert counted[key("qrelay_requests_total", **named)] == 1


async def test_a_stream_that_broke_is_counted_as_its_error(relay: Bench) -> None:
    relay.sim.next("cut_text")
    answer = await relay.chat(stream=True)
    assert answer.status_code == 200
    named = {"dialect": "chat", "model": "claude-sonnet-4.5", "status": "502", "stream": "true"}
    counted = await figures(relay)
    assert counted[key("qrelay_requests_total", **named)] == 1
    (broken,) = [labels for name, labels in counted if name == "qrelay_sse_error_events_total"]
    assert broken == (("cause", "upstream_protocol"), ("dialect", "chat"))


async def test_a_store_that_fails_is_counted(relay: Bench, tmp_path: Path) -> None:
    def spoil() -> None:
        with closing(sqlite3.connect(tmp_path / "home" / "qrelay.sqlite3", timeout=60)) as other:
            other.execute("ALTER TABLE keys RENAME TO gone")

    await asyncio.to_thread(spoil)  # the gateway runs on this loop, and must get to the end of what it writes
    assert (await relay.http.post("/v2/keys", json={})).status_code == 503
    assert (await figures(relay))[key("qrelay_store_errors_total", op="write")] >= 1


async def test_who_may_read_them(tmp_path: Path) -> None:
    more: dict[str, Any] = {"admin_secret": SecretStr("the-secret"), "api_keys": (SecretStr("a-key"),)}
    async with bench(tmp_path / "home", **more) as relay:
        assert await figures(relay)
        abroad = {"host": "gateway.example"}
        assert await figures(relay, **abroad, authorization="Bearer the-secret")
        assert (await relay.http.get("/metrics", headers=abroad)).status_code == 401
        refused = await relay.http.get("/metrics", headers=abroad | {"authorization": "Bearer a-key"})
        assert refused.status_code == 403
    async with bench(tmp_path / "other") as relay:
        for headers in ({"host": "x.example"}, {"origin": "https://x.example"}, {"x-forwarded-for": "127.0.0.1"}):
            assert (await relay.http.get("/metrics", headers=headers)).status_code == 403


async def test_there_is_an_end_to_labels() -> None:
    traffic = Traffic()
    for number in range(1000):
        traffic.ended(
            dialect="chat",
            model=f"m{number}",
            status=200,
            stream=True,
            duration=1,
            first_byte=None,
            waited=None,
            tokens=(1, 1),
        )
    models = {model for _, model, _, _ in traffic.requests}
    assert len(models) == 101
    assert OTHER_MODEL in models
    assert sum(traffic.requests.values()) == 1000
