"""Logging in to the console: the cookie, what it opens and from where, guesses, and the audit log of it."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.gateway.conftest import Bench, bench

pytestmark = pytest.mark.anyio

SECRET = "canary-admin-secret-0123456789"
ADMIN = {"authorization": f"Bearer {SECRET}"}


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncGenerator[Bench]:
    async with bench(tmp_path / "home", admin_secret=SecretStr(SECRET)) as relay:
        yield relay


async def log_in(relay: Bench, secret: str = SECRET, **headers: str) -> httpx.Response:
    return await relay.http.post("/v2/session", json={"secret": secret}, headers=headers)


def page(relay: Bench) -> dict[str, str]:
    """What a browser and the console's own script send with a change."""
    return {"origin": relay.url, "sec-fetch-site": "same-origin", "x-qrelay-csrf": "1"}


async def test_a_session_from_beginning_to_end(guarded: Bench) -> None:
    http = guarded.http
    before = (await http.get("/v2/session")).json()
    assert (before["required"], before["open"], before["csrf"]) == (True, False, "x-qrelay-csrf")
    answer = await log_in(guarded)
    assert answer.status_code == 200
    assert answer.json()["expires_at"].endswith("Z")
    said = answer.headers["set-cookie"].lower()
    assert "qrelay_session=" in said
    for word in ("httponly", "samesite=strict", "path=/", "max-age=43200"):
        assert word in said
    assert "secure" not in said, "a browser would not send it back by http"
    assert "domain" not in said
    assert (await http.get("/v2/session")).json()["open"] is True
    assert (await http.get("/v2/accounts")).status_code == 200
    assert (await http.get("/docs")).status_code == 200
    made = await http.post("/v2/keys", json={"name": "laptop"}, headers=page(guarded))
    assert made.status_code == 200
    assert made.headers["cache-control"] == "no-store"
    assert (await http.delete("/v2/session", headers=page(guarded))).json()["open"] is False
    assert (await http.get("/v2/accounts")).status_code == 401
    rows = (await http.get("/v2/audit", headers=ADMIN)).json()["entries"]
    assert [(row["action"], row["actor"], row["status"]) for row in rows] == [
        ("session.close", "session", 200),
        ("key.create", "session", 200),
        ("session.open", "session", 200),
    ]


async def test_behind_https_the_cookie_is_for_that_host_alone(guarded: Bench) -> None:
    host = guarded.http.base_url.netloc.decode()
    for headers in ({"origin": f"https://{host}"}, {"x-forwarded-proto": "https"}):
        cookie = SimpleCookie((await log_in(guarded, **headers)).headers["set-cookie"])["__Host-qrelay_session"]
        assert cookie["secure"]
        assert cookie["path"] == "/"
        assert not cookie["domain"]
        sent = {"cookie": f"other=1; __Host-qrelay_session={cookie.value}"}
        assert (await guarded.http.get("/v2/accounts", headers=sent)).status_code == 200


async def test_a_change_needs_the_consoles_own_page(guarded: Bench) -> None:
    await log_in(guarded)
    good = page(guarded)
    for headers in (
        {},
        {"x-qrelay-csrf": "1"},
        {"origin": guarded.url},
        {"sec-fetch-site": "same-origin"},
        good | {"x-qrelay-csrf": "yes"},
        good | {"origin": "https://evil.example"},
        good | {"origin": "null"},
        good | {"origin": "http://127.0.0.1:1"},
        good | {"sec-fetch-site": "same-site"},
        good | {"sec-fetch-site": "cross-site"},
        {"x-qrelay-csrf": "1", "sec-fetch-site": "none"},
    ):
        answer = await guarded.http.post("/v2/keys", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "client_forbidden"), headers
    for headers in (good, {"origin": guarded.url, "x-qrelay-csrf": "1"}):
        assert (await guarded.http.post("/v2/keys", headers=headers)).status_code == 200, headers
    for method in ("GET", "HEAD"):
        for headers in ({"sec-fetch-site": "same-site"}, {}):
            answer = await guarded.http.request(method, "/test/token", headers=headers)
            assert answer.status_code == 403, "a page on another port sends the cookie, and may not say that it is one"
    assert len((await guarded.http.get("/v2/keys")).json()["keys"]) == 2


async def test_a_session_opens_no_client_route_and_a_key_no_session(guarded: Bench) -> None:
    await log_in(guarded)
    key = (await guarded.http.post("/v2/keys", headers=page(guarded))).json()["key"]
    assert (await guarded.http.get("/v1/models")).status_code == 401
    guarded.http.cookies.clear()
    assert (await log_in(guarded, key)).status_code == 401
    assert (await guarded.http.get("/v2/accounts", headers={"authorization": f"Bearer {key}"})).status_code == 403


async def test_a_new_log_in_has_a_new_cookie_and_ends_the_old_session(guarded: Bench) -> None:
    await log_in(guarded)
    first = guarded.http.cookies["qrelay_session"]
    await log_in(guarded)
    second = guarded.http.cookies["qrelay_session"]
    assert first != second
    guarded.http.cookies.clear()
    for token, status in ((first, 401), (second, 200), ("", 401), (second[:-1], 401), (SECRET, 401)):
        sent = {"cookie": f"qrelay_session={token}"}
        assert (await guarded.http.get("/v2/accounts", headers=sent)).status_code == status


async def test_logging_out_ends_what_was_opened_by_http_and_by_https(guarded: Bench) -> None:
    by_http = (await log_in(guarded)).cookies["qrelay_session"]
    guarded.http.cookies.clear()
    by_https = (await log_in(guarded, **{"x-forwarded-proto": "https"})).cookies["__Host-qrelay_session"]
    guarded.http.cookies.clear()
    sent = {"cookie": f"qrelay_session={by_http}; __Host-qrelay_session={by_https}"}
    secure = {"x-forwarded-proto": "https"} | page(guarded) | sent
    assert (await guarded.http.delete("/v2/session", headers=secure)).json()["open"] is False
    for token in (by_http, by_https):
        sent = {"cookie": f"qrelay_session={token}"}
        assert (await guarded.http.get("/v2/accounts", headers=sent)).status_code == 401


async def test_what_a_page_asks_by_itself_keeps_nobody_logged_in(guarded: Bench, tmp_path: Path) -> None:
    await log_in(guarded)

    def seen() -> float:
        with closing(sqlite3.connect(tmp_path / "home" / "qrelay.sqlite3")) as database:
            return database.execute("SELECT seen_at FROM sessions").fetchone()[0]

    with closing(sqlite3.connect(tmp_path / "home" / "qrelay.sqlite3", isolation_level=None)) as database:
        database.execute("UPDATE sessions SET seen_at = seen_at - 600")
    before = seen()
    for headers in ({"x-qrelay-background": "1"}, {"accept": "text/event-stream"}):
        assert (await guarded.http.get("/v2/overview", headers=headers)).status_code == 200
        assert seen() == before
    assert (await guarded.http.get("/v2/overview")).status_code == 200
    assert seen() > before


async def test_the_live_log_ends_with_the_session(guarded: Bench) -> None:
    await log_in(guarded)
    async with guarded.http.stream("GET", "/v2/requests/live") as live:
        coming = live.aiter_bytes()
        assert await anext(coming)
        await guarded.http.delete("/v2/session", headers=page(guarded))
        async with asyncio.timeout(20):
            assert [chunk async for chunk in coming if not chunk.startswith(b":")] == []


async def test_a_session_outlives_a_restart_but_not_its_secret(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", admin_secret=SecretStr(SECRET)) as relay:
        await log_in(relay)
        sent = {"cookie": f"qrelay_session={relay.http.cookies['qrelay_session']}"}
    for secret, status in ((SECRET, 200), ("another-admin-secret-012345", 401)):
        async with bench(tmp_path / "home", admin_secret=SecretStr(secret)) as relay:
            assert (await relay.http.get("/v2/settings", headers=sent)).status_code == status


async def test_five_wrong_secrets_a_minute(guarded: Bench) -> None:
    for _ in range(5):
        answer = await log_in(guarded, "wrong")
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "client_unauthorized")
        assert "set-cookie" not in answer.headers
    for secret in ("wrong", SECRET):
        answer = await log_in(guarded, secret)
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_attempts")
        assert 0 < int(answer.headers["retry-after"]) <= 60
    assert (await guarded.http.get("/v2/accounts", headers=ADMIN)).status_code == 200, "programs are not locked out"
    rows = (await guarded.http.get("/v2/audit", headers=ADMIN)).json()["entries"]
    assert [(row["action"], row["status"]) for row in rows] == [("session.refuse", 401)] * 5


async def test_a_bearer_is_not_guessed_without_end_either(guarded: Bench) -> None:
    wrong = {"authorization": "Bearer wrong"}
    answers = [(await guarded.http.get("/v2/settings", headers=wrong)).status_code for _ in range(301)]
    assert answers == [403] * 300 + [429]
    assert (await guarded.http.get("/v2/settings", headers=ADMIN)).status_code == 429


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"secret": 3}', b'{"secret": ""}', b'{"secret": null}', b"\xff", b"x" * 20_000]
)
async def test_nonsense_is_no_guess(guarded: Bench, body: bytes) -> None:
    for _ in range(6):
        answer = await guarded.http.post("/v2/session", content=body)
        assert answer.status_code in {400, 413}
        assert answer.json()["error"]["remedy"]


@pytest.mark.parametrize(("settings", "limit", "named"), [({}, 16_384, False), ({"max_body_bytes": 1024}, 1024, True)])
async def test_a_stranger_is_told_his_own_limit(
    tmp_path: Path, settings: dict[str, Any], limit: int, named: bool
) -> None:
    async with bench(tmp_path, admin_secret=SecretStr(SECRET), **settings) as relay:
        refused = await relay.http.post("/v2/session", content=b"x" * (limit + 1))
        assert refused.status_code == 413
        message = refused.json()["error"]["message"]
        assert f"{limit} bytes" in message
        assert ("QRELAY_MAX_BODY_BYTES" in message) is named


async def test_a_foreign_page_can_not_log_in(guarded: Bench) -> None:
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert (await log_in(guarded, **headers)).status_code == 403


async def test_without_a_secret_there_is_nothing_to_log_in_to(relay: Bench) -> None:
    standing = (await relay.http.get("/v2/session")).json()
    assert (standing["required"], standing["open"]) == (False, True)
    answer = await log_in(relay)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "request_invalid")
    assert (await relay.http.get("/v2/session", headers={"x-forwarded-for": "10.0.0.1"})).status_code == 403


async def test_without_the_console_there_is_no_log_in(tmp_path: Path) -> None:
    more: dict[str, Any] = {"admin_secret": SecretStr(SECRET), "console": False}
    async with bench(tmp_path / "home", **more) as relay:
        assert (await log_in(relay)).status_code == 404
