"""What is written down of each request, and how it is read: whatever became of it, one row, and nobody's text."""

import asyncio
import csv
import io
from pathlib import Path
from typing import Any

import pytest
from msgspec import json
from pydantic import SecretStr

from qrelay.database import open_database
from qrelay.records import requests
from qrelay.records.journal import Journal
from qrelay.vault import open_vault
from tests.gateway.conftest import Bench, bench
from tests.records.conftest import ended

pytestmark = pytest.mark.anyio

MODEL = "claude-sonnet-4.5"
FIGURES = ("requests", "errors", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "credits")


async def rows(relay: Bench, query: str = "") -> list[dict[str, Any]]:
    answer = await relay.http.get(f"/v2/requests?{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["requests"]


async def newest(relay: Bench) -> dict[str, Any]:
    return (await rows(relay, "limit=1"))[0]


async def another_account(relay: Bench) -> None:
    login = relay.sim.add_account()
    account = {
        "label": "the other",
        "clientId": login.client_id,
        "clientSecret": login.client_secret,
        "refreshToken": login.refresh_token,
        "accessToken": login.access_token,
    }
    assert (await relay.http.post("/v2/accounts", json=account)).status_code == 200


async def test_a_page_of_ours_is_told_from_other_browsers(relay: Bench) -> None:
    browser = "Mozilla/5.0 (X11; Linux x86_64)"
    for agent, page in ((browser, "playground"), (browser, "docs"), (browser, "elsewhere"), ("curl/8.5", "docs")):
        relay.http.headers.update({"user-agent": agent, "x-qrelay-client": page})
        await relay.chat()
    told = [row["client"] for row in await rows(relay)]
    assert told == ["curl/8.5", "Mozilla/5.0", "qrelay docs", "qrelay playground"]


async def test_a_good_request_whole_and_streamed(relay: Bench) -> None:
    relay.http.headers["user-agent"] = "claude-cli/2.1.3 (external, cli)"
    whole = await relay.messages("A secret recipe", seed=7)
    streamed = await relay.messages("A secret recipe", stream=True)
    second, first = await rows(relay)
    (account,) = (await relay.http.get("/v2/accounts")).json()
    assert first["id"] == whole.headers["request-id"]
    assert second["id"] == streamed.headers["request-id"]
    assert (await relay.http.get(f"/v2/requests/{first['id']}")).json() == first
    assert (first["stream"], second["stream"]) == (False, True)
    for row in (first, second):
        assert (row["status"], row["outcome"], row["error"], row["dialect"]) == (200, "ok", None, "messages")
        assert (row["client"], row["model_asked"], row["model"]) == ("claude-cli/2.1.3", "claude-sonnet-4-5", MODEL)
        assert (row["account_id"], row["account"]) == (account["id"], account["label"])
        assert (row["key_id"], row["key"]) == (None, None)
        (attempt,) = row["attempts"]
        assert (attempt["account"], attempt["outcome"], attempt["status"]) == (account["label"], "ok", 200)
        timings = row["timings"]
        assert 0 < timings["first_event_ms"] <= timings["first_byte_ms"] <= timings["duration_ms"]
        assert attempt["ms"] <= timings["first_event_ms"]
        assert row["upstream_request_id"]
    assert first["tokens"] == second["tokens"]
    assert first["credits"] == second["credits"] > 0
    assert first["tokens"]["output"] == whole.json()["usage"]["output_tokens"] > 0
    assert first["timings"]["refresh_ms"] > second["timings"]["refresh_ms"]  # the first one waited for its token
    assert whole.headers["x-qrelay-attempts"] == "1"
    assert "x-qrelay-account" not in whole.headers
    assert "recipe" not in json.encode([first, second]).decode()


async def test_requests_that_fail(relay: Bench) -> None:
    relay.sim.next("monthly_402", times=3)
    refused = await relay.chat()
    row = await newest(relay)
    assert row["id"] == refused.headers["x-request-id"]
    assert (row["status"], row["outcome"], row["model"]) == (429, "quota_exhausted", None)
    assert row["error"]
    assert [(attempt["outcome"], attempt["status"]) for attempt in row["attempts"]] == [("quota_exhausted", 402)]
    assert row["tokens"]["output"] is None
    assert row["timings"]["first_event_ms"] is None
    assert refused.headers["x-qrelay-attempts"] == "1"

    unread = await relay.http.post("/v1/chat/completions", content=b"{")
    assert unread.status_code == 400
    row = await newest(relay)
    assert (row["outcome"], row["stream"], row["model_asked"], row["attempts"]) == ("request_invalid", None, None, [])
    assert "x-qrelay-attempts" not in unread.headers

    assert len(await rows(relay, "status=error")) == 2
    assert await rows(relay, "status=ok") == []
    assert [row["outcome"] for row in await rows(relay, "status=request_invalid")] == ["request_invalid"]


async def test_a_stream_that_breaks(relay: Bench) -> None:
    relay.sim.next("cut_text")
    assert (await relay.chat(stream=True)).status_code == 200
    row = await newest(relay)
    assert (row["status"], row["outcome"], row["stream"]) == (502, "upstream_protocol", True)
    assert [(attempt["outcome"], attempt["status"]) for attempt in row["attempts"]] == [("ok", 200)]
    usage = (await relay.http.get("/v2/usage")).json()["totals"]
    assert (usage["requests"], usage["errors"], usage["output_tokens"]) == (1, 1, 0)


async def test_a_client_that_leaves(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", {"word_delay": 0.05}) as relay:
        body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "long " * 90}]}
        async with relay.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            await anext(answer.aiter_bytes())
        while not (found := await rows(relay)):  # noqa: ASYNC110 - only the log says so
            await asyncio.sleep(0.01)
        (row,) = found
        assert (row["status"], row["outcome"], row["error"]) == (499, "client_left", None)
        assert (await relay.http.get("/v2/usage")).json()["totals"]["errors"] == 0


async def test_another_account_takes_over(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", show_account=True) as relay:
        await another_account(relay)
        relay.sim.next("monthly_402")
        answer = await relay.chat()
        assert answer.status_code == 200
        row = await newest(relay)
        assert [attempt["outcome"] for attempt in row["attempts"]] == ["quota_exhausted", "ok"]
        assert [attempt["status"] for attempt in row["attempts"]] == [402, 200]
        assert len({attempt["account_id"] for attempt in row["attempts"]}) == 2
        assert row["account_id"] == row["attempts"][1]["account_id"]
        assert answer.headers["x-qrelay-attempts"] == "2"
        assert answer.headers["x-qrelay-account"] == row["account"]
        assert await rows(relay, f"account={row['account_id']}") == [row]
        assert await rows(relay, f"account={row['attempts'][0]['account_id']}") == []


async def test_keys(tmp_path: Path) -> None:
    async with bench(tmp_path / "home") as relay:
        made = (await relay.http.post("/v2/keys", json={"name": "laptop"})).json()
        assert (await relay.chat()).status_code == 401
        row = await newest(relay)
        assert (row["status"], row["outcome"]) == (401, "client_unauthorized")
        assert (row["account_id"], row["key_id"], row["attempts"]) == (None, None, [])
        answer = await relay.http.post(
            "/v1/chat/completions",
            json={"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]},
            headers={"authorization": f"Bearer {made['key']}"},
        )
        assert answer.status_code == 200
        (row,) = await rows(relay, f"key={made['id']}")
        assert (row["key_id"], row["key"]) == (made["id"], "laptop")
        groups = (await relay.http.get("/v2/usage?by=key")).json()["groups"]
        assert {(group["group"], group["name"], group["requests"]) for group in groups} == {
            (made["id"], "laptop", 1),
            ("", None, 1),
        }


async def test_what_can_be_asked_of_it(relay: Bench) -> None:
    for _ in range(5):
        await relay.chat()
    first = (await relay.http.get("/v2/requests?limit=2")).json()
    second = (await relay.http.get(f"/v2/requests?limit=2&before={first['next']}")).json()
    third = (await relay.http.get(f"/v2/requests?limit=2&before={second['next']}")).json()
    seqs = [row["seq"] for page in (first, second, third) for row in page["requests"]]
    assert seqs == sorted(seqs, reverse=True)
    assert (len(seqs), third["next"]) == (5, None)
    assert len(await rows(relay, f"model={MODEL}&dialect=chat&since=2026-01-01T00:00:00+00:00")) == 5
    assert await rows(relay, "since=2999-01-01") == []
    await relay.http.post("/v1/chat/completions", json={})
    [account] = (await relay.http.get("/v2/accounts")).json()
    for query, count in (
        ("status=200", 5),
        ("status=400", 1),
        ("status=ok", 5),
        ("status=error", 1),
        ("status=404", 0),
    ):
        assert len(await rows(relay, query)) == count, query
    for called in (account["id"], account["label"]):
        assert len(await rows(relay, f"account={called}")) == 5
    assert await rows(relay, "account=nobody") == []
    for query in ("limit=0", "limit=x", "limit=1001", "before=-1", f"before={10**30}", "since=yesterday", "model=%00"):
        answer = await relay.http.get(f"/v2/requests?{query}")
        assert answer.status_code == 400, query
        assert answer.json()["error"]["code"] == "request_invalid"
        assert answer.json()["error"]["param"] == query.partition("=")[0]
    for unknown in ("req_none", "%00", "a" * 500):
        answer = await relay.http.get(f"/v2/requests/{unknown}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "request_unknown")


async def test_usage_by_steps_and_groups(relay: Bench) -> None:
    for _ in range(2):
        await relay.chat()
    await relay.messages(stream=True)
    logged = await rows(relay)
    body = (await relay.http.get("/v2/usage")).json()
    (series,) = body["series"]
    assert (body["step"], body["by"], series["group"]) == ("hour", "model", MODEL)
    assert len(series["points"]) == 24
    assert [point["requests"] for point in series["points"]].count(0) >= 22
    assert body["totals"]["requests"] == 3
    assert body["totals"]["output_tokens"] == sum(row["tokens"]["output"] for row in logged)
    assert body["totals"]["credits"] == pytest.approx(sum(row["credits"] for row in logged))
    assert body["totals"]["estimated"] == sum(row["tokens"]["estimated"] for row in logged)
    for name in FIGURES:
        assert body["totals"][name] == pytest.approx(sum(point[name] for point in series["points"]))
        assert body["totals"][name] == pytest.approx(sum(group[name] for group in body["groups"]))
    by_dialect = (await relay.http.get("/v2/usage?by=dialect&step=day")).json()
    assert {group["group"]: group["requests"] for group in by_dialect["groups"]} == {"chat": 2, "messages": 1}
    assert all(len(series["points"]) == 30 for series in by_dialect["series"])
    by_account = (await relay.http.get("/v2/usage?by=account")).json()
    assert by_account["groups"][0]["name"] == logged[0]["account"]
    nothing = (await relay.http.get("/v2/usage?from=2026-01-01T00:00:00Z&to=2026-01-02&by=none")).json()
    assert (nothing["from"], nothing["to"]) == ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
    assert (nothing["series"], nothing["totals"]["requests"]) == ([], 0)
    for query in (
        "step=year",
        "by=colour",
        "format=xml",
        "from=2026-02-01&to=2026-01-01",
        "from=0001-01-01",
        "to=9999-12-31",
    ):
        answer = await relay.http.get(f"/v2/usage?{query}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "request_invalid"), query


async def test_usage_as_csv(relay: Bench) -> None:
    (account,) = (await relay.http.get("/v2/accounts")).json()
    label = '=cmd|"x",1'
    assert (await relay.http.patch(f"/v2/accounts/{account['id']}", json={"label": label})).status_code == 200
    await relay.chat()
    answer = await relay.http.get("/v2/usage?by=account&format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert ".csv" in answer.headers["content-disposition"]
    read = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert len(read) == 24
    assert sum(int(row["requests"]) for row in read) == 1
    assert sum(float(row["credits"]) for row in read) > 0
    assert {row["group"] for row in read} == {account["id"]}
    assert all(row["name"].startswith("'=cmd") for row in read)


async def test_the_live_log_shows_what_other_replicas_serve(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with bench(home) as relay:
        await relay.chat()
        before = (await newest(relay))["seq"]
        other = await open_database(f"sqlite:///{home}/qrelay.sqlite3", open_vault(home))
        journal = Journal(other, rows=100, days=1)
        headers = {"last-event-id": str(before - 1)}
        async with asyncio.timeout(20), relay.http.stream("GET", "/v2/requests/live", headers=headers) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.aiter_lines()

            async def event() -> dict[str, Any]:
                async for line in lines:
                    if line.startswith("data: "):
                        return json.decode(line.removeprefix("data: "))
                raise AssertionError("the stream ended")

            assert (await event())["seq"] == before
            journal.note(ended(7))
            await journal.flush()
            shown = await event()
            assert (shown["id"], shown["account"], shown["credits"]) == (ended(7).id, None, 0.125)
            answered = await relay.messages()
            assert (await event())["id"] == answered.headers["request-id"]
        await other.close()


async def test_the_live_log_is_behind_the_door(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", admin_secret=SecretStr("the-secret")) as relay:
        for path in ("/v2/requests", "/v2/requests/live", "/v2/requests/x", "/v2/usage", "/v2/overview", "/v2/health"):
            assert (await relay.http.get(path)).status_code == 401, path
        answer = await relay.http.get(
            "/v2/requests/live", headers={"last-event-id": "x", "authorization": "Bearer the-secret"}
        )
        assert answer.status_code == 400


async def test_without_a_log(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", request_log_rows=0) as relay:
        await relay.chat()
        assert await rows(relay) == []
        assert (await relay.http.get("/v2/usage")).json()["totals"]["requests"] == 1
        assert (await relay.http.get("/v2/overview")).json()["requests"]["last_hour"] == 1


async def test_the_overview_and_health(relay: Bench) -> None:
    health = (await relay.http.get("/v2/health")).json()
    assert (health["ready"], health["reasons"]) == (True, [])
    assert {check["name"]: check["ok"] for check in health["checks"]} == {
        "accounts": True,
        "database": True,
        "request log": True,
    }
    assert health["versions"]["sqlite"].startswith("3.")
    await relay.chat()
    relay.sim.next("cut_text")
    await relay.chat(stream=True)
    body = (await relay.http.get("/v2/overview")).json()
    assert body["requests"] == {"last_hour": 2, "last_24h": 2, "errors_last_24h": 1}
    assert 0 < body["first_byte_ms"]["p50"] <= body["first_byte_ms"]["p95"]
    assert body["accounts"]["total"] == body["accounts"]["ready"] == 1
    assert (body["in_flight"], body["queued"], body["replicas"], body["keys"]) == (0, 0, 1, 0)
    assert (body["database"], body["development_mode"], body["base_url"]) == ("sqlite", True, relay.url)


async def test_what_was_written_down_outlives_the_process(tmp_path: Path) -> None:
    async with bench(tmp_path / "home") as relay:
        answer = await relay.chat()
    async with bench(tmp_path / "home") as relay:
        assert (await newest(relay))["id"] == answer.headers["x-request-id"]
        await relay.chat()
        assert (await relay.http.get("/v2/usage")).json()["totals"]["requests"] == 2


async def test_a_route_that_breaks_says_so_in_its_own_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken_page(*_: object) -> None:
        raise ValueError("a fault nobody thought of")

    async with bench(tmp_path) as relay:
        monkeypatch.setattr(requests, "page", broken_page)
        broken = await relay.http.get("/v2/requests")
    assert broken.status_code == 500
    told = broken.json()["error"]
    assert told["code"] == "internal"
    assert told["message"].startswith("The gateway itself failed (request req_")
    assert told["remedy"]
