"""The audit log: each change leaves one row with its end; no change without one; no value in it."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from qrelay.database import open_database
from qrelay.database.schema import audit as table
from qrelay.http import audited
from qrelay.http.app import build_app
from qrelay.records.audit import AuditLog
from qrelay.settings import Settings
from qrelay.vault import open_vault
from tests.gateway.conftest import Bench, bench
from tests.gateway.test_log_in import approve

pytestmark = pytest.mark.anyio

SECRET = "canary-refresh-token-0123456789"


async def entries(relay: Bench, query: str = "") -> list[dict[str, Any]]:
    return (await relay.http.get(f"/v2/audit{query}")).json()["entries"]


def by_hand(tmp_path: Path, statement: str) -> None:
    """Change the running gateway's database; the lock is taken first, for a later one would not be waited for."""
    other = sqlite3.connect(tmp_path / "home" / "qrelay.sqlite3", isolation_level=None)
    for part in ("BEGIN IMMEDIATE", statement, "COMMIT"):
        other.execute(part)
    other.close()


async def test_each_change_leaves_a_row(relay: Bench) -> None:
    body = {"label": "mine", "clientId": "c", "clientSecret": SECRET, "refreshToken": SECRET, SECRET: 1}
    account = (await relay.http.post("/v2/accounts", json=body)).json()["id"]
    await relay.http.patch(f"/v2/accounts/{account}", json={"enabled": False})
    await relay.http.delete(f"/v2/accounts/{account}")
    await relay.http.delete(f"/v2/accounts/{account}")
    key = (await relay.http.post("/v2/keys", json={"name": "laptop"})).json()["id"]
    await relay.http.post("/v2/keys", json={"name": 3})
    await relay.http.get("/v2/accounts")
    await relay.http.post("/v2/no/such/route", json={})
    await relay.http.post("/v2/export", json={})
    await relay.http.get("/test/token")
    rows = (await entries(relay))[::-1]
    assert [(row["action"], row["target"], row["status"], row["detail"]) for row in rows] == [
        ("account.create", account, 200, {"members": ["clientId", "clientSecret", "label", "refreshToken"]}),
        ("account.update", account, 200, {"members": ["enabled"]}),
        ("account.delete", account, 200, {}),
        ("account.delete", account, 404, {"error": "account_unknown"}),
        ("key.create", key, 200, {"members": ["name"]}),
        ("key.create", None, 400, {"members": ["name"], "error": "request_invalid"}),
        ("account.export", None, 403, {"error": "client_forbidden"}),
        ("account.refresh", None, 200, {}),
    ]
    assert {(row["actor"], row["peer"]) for row in rows} == {("loopback", "127.0.0.1")}
    assert all(row["at"].endswith("Z") for row in rows)
    assert SECRET not in str(rows)


async def test_it_is_read_in_pages(relay: Bench) -> None:
    for _ in range(5):
        await relay.http.delete("/v2/accounts/nobody")
    first = (await relay.http.get("/v2/audit?limit=2")).json()
    second = (await relay.http.get(f"/v2/audit?limit=2&before={first['next']}")).json()
    third = (await relay.http.get(f"/v2/audit?limit=2&before={second['next']}")).json()
    seqs = [row["seq"] for page in (first, second, third) for row in page["entries"]]
    assert len(seqs) == 5
    assert seqs == sorted(seqs, reverse=True)
    assert third["next"] is None
    assert (await relay.http.get("/v2/audit?limit=99999&before=9223372036854775807")).status_code == 200
    for query in ("limit=0", "limit=x", "limit=-1", "before=9223372036854775808", "before=²", "limit=1e3"):
        answer = await relay.http.get(f"/v2/audit?{query}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "request_invalid"), query


async def test_who_it_was(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", admin_secret=SecretStr("the-admin-secret")) as relay:
        relay.http.headers["authorization"] = "Bearer the-admin-secret"
        await relay.http.delete("/v2/accounts/nobody")
        assert [row["actor"] for row in await entries(relay)] == ["admin"]


async def test_a_client_key_that_wants_to_manage_is_told_of_once(tmp_path: Path) -> None:
    more: dict[str, Any] = {"admin_secret": SecretStr("the-admin-secret"), "api_keys": (SecretStr("a-client-key"),)}
    async with bench(tmp_path / "home", **more) as relay:
        admin = {"authorization": "Bearer the-admin-secret"}
        key = (await relay.http.post("/v2/keys", headers=admin)).json()
        for text, status in ((key["key"], 403), ("a-client-key", 403), ("of nobody", 403)):
            for _ in range(3):
                headers = {"authorization": f"Bearer {text}"}
                assert (await relay.http.delete("/v2/accounts/nobody", headers=headers)).status_code == status
        assert (await relay.http.get("/v2/keys", headers={"x-api-key": key["key"]})).status_code == 401
        given, made, _ = (await relay.http.get("/v2/audit", headers=admin)).json()["entries"]
        assert (made["action"], made["actor"], made["target"], made["status"]) == (
            "key.refuse",
            "system",
            key["id"],
            403,
        )
        assert made["detail"] == {"route": "DELETE /v2/accounts/{id}"}
        assert given["target"].startswith("settings_")


async def test_what_is_asked_for_without_its_body_is_a_change_too(relay: Bench) -> None:
    await relay.http.head("/test/token")
    assert [row["action"] for row in await entries(relay)] == ["account.refresh"]


async def test_a_secret_in_an_ids_place_is_not_kept(relay: Bench) -> None:
    key = (await relay.http.post("/v2/keys")).json()["key"]
    for wrong in (key, "%00", "x" * 500):
        assert (await relay.http.delete(f"/v2/keys/{wrong}")).status_code == 404
    targets = [row["target"] for row in await entries(relay)]
    assert targets[:3] == ["x" * 100, None, "[redacted]"]


async def test_a_log_in_is_told_by_its_end(relay: Bench) -> None:
    started = (await relay.http.post("/v2/auth/start", json={})).json()
    approve(relay, started)
    claimed = (await relay.http.post(f"/v2/auth/claim/{started['authId']}")).json()
    finished, begun = await entries(relay)
    assert (begun["action"], begun["target"], begun["actor"]) == ("login.start", started["authId"], "loopback")
    assert (finished["action"], finished["actor"]) == ("login.finish", "system")
    assert finished["target"] == claimed["account"]["id"]
    assert finished["detail"] == {"login": started["authId"]}


async def test_without_a_row_nothing_is_changed(relay: Bench, tmp_path: Path) -> None:
    await relay.http.post("/v2/accounts/refresh")
    (account,) = (await relay.http.get("/v2/accounts")).json()
    by_hand(tmp_path, "ALTER TABLE audit RENAME TO elsewhere")
    for method, path in (("DELETE", f"/v2/accounts/{account['id']}"), ("POST", "/v2/keys"), ("GET", "/test/token")):
        answer = await relay.http.request(method, path)
        assert answer.status_code == 503, path
    by_hand(tmp_path, "ALTER TABLE elsewhere RENAME TO audit")
    assert (await relay.http.get("/v2/accounts")).json() == [account]
    assert (await relay.http.get("/v2/keys")).json() == {"keys": []}
    assert [row["action"] for row in await entries(relay)] == ["account.refresh"]


async def test_a_change_nobody_knows_the_end_of(relay: Bench, tmp_path: Path) -> None:
    await relay.http.delete("/v2/accounts/nobody")
    by_hand(tmp_path, "UPDATE audit SET status = 0")
    (row,) = await entries(relay)
    assert row["status"] is None


async def test_the_oldest_make_room(tmp_path: Path) -> None:
    database = await open_database(f"sqlite:///{tmp_path}/qrelay.sqlite3", open_vault(tmp_path))
    log = AuditLog(database, kept=10)
    for _ in range(500):
        await log.note("system", "login.fail", status=400)
    async with database.reading() as connection:
        assert await connection.scalar(select(func.count()).select_from(table)) == 10
    await database.close()


async def test_refusals_push_nothing_out(tmp_path: Path) -> None:
    database = await open_database(f"sqlite:///{tmp_path}/qrelay.sqlite3", open_vault(tmp_path))
    log = AuditLog(database, kept=20)
    for _ in range(5):
        await log.note("admin", "account.delete")
    for _ in range(495):
        await log.note("session", "session.refuse", status=401)
    actions = [entry.action for entry in (await log.page(100, None))[0]]
    assert actions == ["session.refuse"] * 2 + ["account.delete"] * 5
    await database.close()


async def test_every_change_there_is_has_a_name(tmp_path: Path) -> None:
    """A route that is new has one too; those that have none are known by heart."""
    app = build_app(Settings(home=tmp_path), background=False)
    async with app.opened():
        routes = [(method, path) for method, path in app.routes if path.startswith(("/v2", "/api/", "/credentials"))]
    changes = [(method, path) for method, path in routes if method != "GET"]
    named = {(method, path): audited.action(method, path) for method, path in changes}
    unnamed = {change for change, name in named.items() if name is None}
    assert unnamed == {("POST", "/v2/auth/claim/{id}"), ("POST", "/v2/session")}
    assert all(name is None or name.count(".") == 1 for name in named.values())
    assert named["POST", "/v2/accounts/{id}/refresh"] == "account.refresh"
    assert named["POST", "/api/accounts/{id}/activate"] == "account.activate"
    assert named["DELETE", "/v2/keys/{id}"] == "key.delete"
