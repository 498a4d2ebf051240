"""Client keys against the running gateway: what they open, when they stop, and what is said of one that doesn't."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.gateway.conftest import Bench, bench

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "hi"}]}


async def made(relay: Bench, **body: Any) -> dict[str, Any]:
    answer = await relay.http.post("/v2/keys", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def asked(relay: Bench, key: str | None) -> httpx.Response:
    return await relay.http.post(CHAT, json=BODY, headers={"authorization": f"Bearer {key}"} if key else {})


async def test_from_development_mode_to_keys_and_back(relay: Bench) -> None:
    assert (await asked(relay, None)).status_code == 200
    key = await made(relay, name="laptop", owner="ignored")
    assert set(key) == {"id", "name", "key", "ending", "created_at", "expires_at"}
    assert key["key"].startswith("qr_")
    assert key["key"].endswith(key["ending"])
    assert (await asked(relay, None)).status_code == 401
    assert (await asked(relay, key["key"])).status_code == 200
    assert (await relay.http.get("/v1/models", headers={"x-api-key": key["key"]})).status_code == 200
    both = {"x-api-key": key["key"], "authorization": "Bearer another"}
    assert (await relay.http.get("/v1/models", headers=both)).status_code == 401
    (row,) = (await relay.http.get("/v2/keys")).json()["keys"]
    assert (row["id"], row["name"], row["state"], row["expires_at"]) == (key["id"], "laptop", "active", None)
    assert row["last_used_at"] is not None
    assert key["key"] not in str(row)
    assert (await relay.http.delete(f"/v2/keys/{key['id']}")).json() == {"deleted": key["id"]}
    assert (await relay.http.get("/v2/keys")).json() == {"keys": []}
    assert (await asked(relay, None)).status_code == 200
    answer = await relay.http.delete(f"/v2/keys/{key['id']}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "key_unknown")


def let_expire(home: Path, key: dict[str, Any]) -> None:
    """Between two runs of the gateway: the key ended on the last of January 2020."""
    with closing(sqlite3.connect(home / "qrelay.sqlite3")) as database, database:
        database.execute("UPDATE keys SET expires_at = 1580428800 WHERE id = ?", (key["id"],))


async def test_each_kind_of_wrong_key_is_told_apart(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with bench(home) as relay:
        kept, gone, over = await made(relay), await made(relay), await made(relay, expires_at="2999-01-31")
        assert over["expires_at"] == "2999-01-31T00:00:00Z"
        await relay.http.delete(f"/v2/keys/{gone['id']}")
    let_expire(home, over)
    async with bench(home) as relay:
        for key, said in (
            (gone["key"], "revoked"),
            (over["key"], "expired on 2020-01-31"),
            (kept["key"][:-1] + "!", "mistyped"),
            (kept["key"].swapcase(), "does not know"),
            ("sk-of-somebody-else", "does not know"),
            (None, "has none"),
        ):
            answer = await asked(relay, key)
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (401, "invalid_api_key"), key
            assert said in error["message"], key
            assert key is None or key not in answer.text
        assert not relay.sim.chats
        states = [row["state"] for row in (await relay.http.get("/v2/keys")).json()["keys"]]
        assert states == ["active", "expired"]


async def test_an_expired_key_keeps_the_doors_shut(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with bench(home) as relay:
        over = await made(relay, expires_at=4_000_000_000)
    let_expire(home, over)
    async with bench(home) as relay:
        path = "/v1/messages/count_tokens"
        assert (await relay.http.post(path, json=BODY)).status_code == 401
        await relay.http.delete(f"/v2/keys/{over['id']}")
        assert (await relay.http.post(path, json=BODY)).status_code == 200


async def test_what_a_key_has_begun_is_answered_to_its_end(relay: Bench) -> None:
    key = await made(relay)
    headers = {"authorization": f"Bearer {key['key']}"}
    async with relay.http.stream("POST", CHAT, json=BODY | {"stream": True}, headers=headers) as answer:
        assert answer.status_code == 200
        await relay.http.delete(f"/v2/keys/{key['id']}")
        assert (await answer.aread()).endswith(b"data: [DONE]\n\n")
    await made(relay)
    assert "revoked" in (await asked(relay, key["key"])).text


async def test_on_another_bind_no_key_is_no_way_in(tmp_path: Path) -> None:
    more: dict[str, Any] = {"host": "0.0.0.0", "admin_secret": SecretStr("the-admin-secret")}
    async with bench(tmp_path / "home", **more) as relay:
        assert (await asked(relay, None)).status_code == 401
        relay.http.headers["authorization"] = "Bearer the-admin-secret"
        key = await made(relay)
        assert (await asked(relay, key["key"])).status_code == 200
        await relay.http.delete(f"/v2/keys/{key['id']}")
        del relay.http.headers["authorization"]
        assert (await asked(relay, None)).status_code == 401


async def test_what_one_key_keeps_another_does_not_see(relay: Bench) -> None:
    mine, other = await made(relay), await made(relay)
    headers = [{"authorization": f"Bearer {key['key']}"} for key in (mine, other)]
    body = {"model": "claude-sonnet-4-5", "input": "hi"}
    response = (await relay.http.post("/v1/responses", json=body, headers=headers[0])).json()
    path = f"/v1/responses/{response['id']}"
    assert [(await relay.http.get(path, headers=held)).status_code for held in headers] == [200, 404]


async def test_a_key_outlives_a_restart(tmp_path: Path) -> None:
    async with bench(tmp_path / "home") as relay:
        key = await made(relay)
    async with bench(tmp_path / "home") as relay:
        path, body = "/v1/messages/count_tokens", BODY
        assert (await relay.http.post(path, json=body, headers={"x-api-key": key["key"]})).status_code == 200
        assert (await relay.http.post(path, json=body)).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"x"',
        b"\xff",
        b'{"name": 3}',
        b'{"name": "\\u0000"}',
        b'{"name": "' + b"x" * 300 + b'"}',
        b'{"expires_at": "soon"}',
        b'{"expires_at": 1e300}',
        b'{"expires_at": []}',
        b'{"expires_at": 0}',
        b'{"expires_at": "2020-01-31"}',
        b'{"expires_at": "0001-01-01T00:00:00+23:59"}',
    ],
)
async def test_nonsense_makes_no_key(relay: Bench, body: bytes) -> None:
    answer = await relay.http.post("/v2/keys", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "request_invalid")
    assert (await relay.http.get("/v2/keys")).json() == {"keys": []}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"name": "two\nlines"}, "name: it should be one line of text."),
        ({"name": 3}, "name: it should be a valid string."),
        ({"name": "x" * 300}, "name: it should have at most 256 characters."),
    ],
)
async def test_what_is_wrong_is_said_in_words(relay: Bench, body: dict[str, Any], said: str) -> None:
    assert (await relay.http.post("/v2/keys", json=body)).json()["error"]["message"] == said


async def test_a_key_may_live_as_long_as_calendars_do(relay: Bench) -> None:
    assert (await made(relay, expires_at="9999-12-31T23:59:59Z"))["expires_at"] == "9999-12-31T23:59:59Z"


async def test_nothing_need_be_said(relay: Bench) -> None:
    assert (await relay.http.post("/v2/keys")).json()["name"] == ""
    assert (await made(relay, name=" ", expires_at=""))["expires_at"] is None
