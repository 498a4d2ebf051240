"""The management routes about accounts over a real socket: q2api's bodies, masks, refusals that name the field."""

import json
import socket
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from qrelay.http.account_answers import masked
from qrelay.http.accounts import routes
from tests.accounts.conftest import Process
from tests.accounts.token_server import TokenServer

pytestmark = pytest.mark.anyio

REFRESH = "aor" + "R" * 60
SECRET = "eyJ" + "S" * 200
CURL = {"label": "mine", "clientId": "client-1", "clientSecret": SECRET, "refreshToken": REFRESH, "enabled": True}


@pytest.fixture
async def web(process: Process) -> AsyncGenerator[httpx.AsyncClient]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        Starlette(routes=routes(process.store, process.refresher, process.pool)),
        log_config=None,
        lifespan="off",
        ws="none",
    )
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as group:
        group.start_soon(server.serve, [listener])
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", verify=False) as client:
            yield client
        server.should_exit = True


async def test_q2apis_curl_line_makes_an_account(web: httpx.AsyncClient, process: Process) -> None:
    answer = await web.post("/v2/accounts", json=CURL)
    assert answer.status_code == 200
    account = answer.json()
    assert {name: account[name] for name in ("label", "clientId", "enabled", "state", "is_active")} == {
        "label": "mine",
        "clientId": "client-1",
        "enabled": True,
        "state": "ready",
        "is_active": True,
    }
    assert {"other", "last_refresh_time", "last_refresh_status", "created_at", "updated_at"} <= account.keys()
    assert (account["error_count"], account["success_count"]) == (0, 0)
    stored = process.store.get(account["id"])
    assert (stored.refresh_token, stored.client_secret, stored.kind) == (REFRESH, SECRET, "builder_id")
    assert (await web.get("/v2/accounts")).json() == [account]
    assert (await web.get(f"/v2/accounts/{account['id']}")).json() == account


async def test_secrets_come_out_masked(web: httpx.AsyncClient) -> None:
    other = {"accessToken": "aoa" + "A" * 50, "nested": [{"password": "P" * 40}], "note": "kept", "token_endpoint": "e"}
    account = (await web.post("/v2/accounts", json={**CURL, "accessToken": "aoa" + "A" * 50, "other": other})).json()
    assert account["refreshToken"] == "aorRRRRRRR…RRRR"
    assert (account["other"]["note"], account["other"]["token_endpoint"]) == ("kept", "e")
    text = json.dumps(account)
    assert "A" * 11 not in text
    assert "P" * 11 not in text
    assert "S" * 11 not in text


@pytest.mark.parametrize("length", [1, 2, 8, 15, 16, 20, 28, 32, 4000])
def test_a_mask_hides_at_least_half(length: int) -> None:
    secret = "".join(chr(33 + index % 90) for index in range(length))
    shown = masked(secret)
    assert shown is not None
    head, _, tail = shown.partition("…")
    assert len(head) <= 10
    assert len(tail) <= 4
    assert len(head) + len(tail) <= length / 2
    assert secret.startswith(head)
    assert secret.endswith(tail)


@pytest.mark.parametrize("missing", ["clientId", "clientSecret", "refreshToken"])
@pytest.mark.parametrize("how", ["absent", "null", "blank", "number", "list", "line break"])
async def test_bad_credentials_are_refused_by_name(
    web: httpx.AsyncClient, process: Process, missing: str, how: str
) -> None:
    wrong: dict[str, Any] = {"null": None, "blank": " ", "number": 7, "list": ["x"], "line break": "a\r\nx-evil: b"}
    body = {**CURL, missing: wrong.get(how)}
    if how == "absent":
        del body[missing]
    answer = await web.post("/v2/accounts", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "request_invalid", missing)
    assert missing in error["message"]
    assert error["remedy"]
    assert process.store.accounts() == []


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b'"x"', b'{"label": "\\ud800"}', b'{"clientId": NaN}', b"\xff", b"[" * 100000]
)
async def test_bodies_that_are_no_account_are_refused(web: httpx.AsyncClient, process: Process, raw: bytes) -> None:
    answer = await web.post("/v2/accounts", content=raw)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "request_invalid")
    assert process.store.accounts() == []


async def test_a_refused_body_is_not_repeated(web: httpx.AsyncClient) -> None:
    answer = await web.post("/v2/accounts", json={**CURL, "clientSecret": [SECRET], "enabled": REFRESH})
    assert answer.status_code == 400
    assert "S" * 11 not in answer.text
    assert "R" * 11 not in answer.text


async def test_unknown_members_are_ignored_and_snake_case_is_understood(web: httpx.AsyncClient) -> None:
    body = {"client_id": "c", "client_secret": SECRET, "refresh_token": REFRESH, "surprise": {"x": 1}}
    answer = await web.post("/v2/accounts", json=body)
    assert (answer.status_code, answer.json()["clientId"]) == (200, "c")


@pytest.mark.parametrize(
    "body", [{"refreshToken": "ksk_" + "K" * 40}, {"apiKey": "K" * 40}, {"kind": "api_key", "accessToken": "K" * 40}]
)
async def test_an_api_key_needs_no_client(web: httpx.AsyncClient, process: Process, body: dict[str, str]) -> None:
    account = (await web.post("/v2/accounts", json=body)).json()
    assert (account["kind"], account["refreshToken"]) == ("api_key", None)
    credential = await process.refresher.credential(account["id"])
    assert (credential.kind, credential.access_token) == (
        "api_key",
        next(iter(body.values())) if len(body) == 1 else "K" * 40,
    )
    refused = await web.post(f"/v2/accounts/{account['id']}/refresh")
    assert refused.status_code == 400


async def test_a_social_log_in_needs_no_client(web: httpx.AsyncClient, tokens: TokenServer) -> None:
    body = {"kind": "social", "refreshToken": tokens.knows("social-token"), "profileArn": "arn:aws:x"}
    account = (await web.post("/v2/accounts", json=body)).json()
    answer = (await web.post(f"/v2/accounts/{account['id']}/refresh")).json()
    assert answer["last_refresh_status"] == "success"
    assert (tokens.paths, tokens.bodies) == (["/refreshToken"], [{"refreshToken": "social-token"}])


async def test_an_external_log_in_is_refreshed_by_its_own_provider(web: httpx.AsyncClient, tokens: TokenServer) -> None:
    body = {
        "kind": "external_idp",
        "clientId": "okta-client",
        "refreshToken": tokens.knows("okta-token"),
        "other": {"token_endpoint": tokens.url},
    }
    account = (await web.post("/v2/accounts", json=body)).json()
    answer = await web.post(f"/v2/accounts/{account['id']}/refresh")
    assert answer.status_code == 200
    assert tokens.bodies == [{"grant_type": "refresh_token", "refresh_token": "okta-token", "client_id": "okta-client"}]


async def test_the_same_credentials_again_are_the_same_account(web: httpx.AsyncClient, tokens: TokenServer) -> None:
    first = (await web.post("/v2/accounts", json={**CURL, "refreshToken": tokens.knows(REFRESH)})).json()
    await web.post(f"/v2/accounts/{first['id']}/refresh")
    again = (await web.post("/v2/accounts", json={**CURL, "label": "renamed"})).json()
    assert (again["id"], again["label"]) == (first["id"], "renamed")
    # The refresh token it was added with has been rotated since: the account keeps the newer one.
    assert (await web.post(f"/v2/accounts/{first['id']}/refresh")).status_code == 200
    assert len((await web.get("/v2/accounts")).json()) == 1


async def test_a_batch_keeps_the_good_rows(web: httpx.AsyncClient) -> None:
    rows = [{**CURL, "refreshToken": f"token-{n}"} for n in range(3)]
    rows[1] = {"label": "no credentials"}
    for body in (rows, {"accounts": rows}):
        answer = await web.post("/v2/accounts/batch", json=body)
        assert answer.status_code == 200
        whole = answer.json()
        assert (whole["created"], whole["failed"]) == (2, 1)
        assert [row["created"] for row in whole["results"]] == [True, False, True]
        assert whole["results"][1]["error"]["param"] == "clientId"
    assert len((await web.get("/v2/accounts")).json()) == 2
    assert (await web.post("/v2/accounts/batch", json={"accounts": 1})).status_code == 400


async def test_changes(web: httpx.AsyncClient, process: Process) -> None:
    account = (await web.post("/v2/accounts", json={**CURL, "other": '{"a": 1}'})).json()
    path = f"/v2/accounts/{account['id']}"
    off = (await web.patch(path, json={"enabled": False, "label": "off"})).json()
    assert (off["enabled"], off["state"], off["label"], off["other"]) == (False, "disabled", "off", {"a": 1})
    emptied = (await web.patch(path, json={"label": None, "other": None, "enabled": 1, "clientId": None})).json()
    assert (emptied["label"], emptied["other"], emptied["state"]) == (None, None, "ready")
    assert emptied["clientId"] == "client-1"
    # An account may be sent back as it was read: masks are not secrets.
    assert (await web.patch(path, json={**emptied, "label": "back"})).json()["label"] == "back"
    stored = process.store.get(account["id"])
    assert (stored.refresh_token, stored.client_secret, stored.generation) == (REFRESH, SECRET, 0)
    assert (await web.patch(path, json={"refreshToken": "another-token"})).status_code == 200
    assert process.store.get(account["id"]).refresh_token == "another-token"
    refused = await web.patch(path, json={"enabled": "perhaps"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "enabled")


async def test_one_account_is_active(web: httpx.AsyncClient) -> None:
    ids = [(await web.post("/v2/accounts", json={**CURL, "refreshToken": f"token-{n}"})).json()["id"] for n in range(3)]

    async def active() -> list[str]:
        return [account["id"] for account in (await web.get("/v2/accounts")).json() if account["is_active"]]

    assert await active() == [ids[0]]
    await web.patch(f"/v2/accounts/{ids[2]}", json={"is_active": True})
    assert await active() == [ids[2]]
    assert (await web.delete(f"/v2/accounts/{ids[2]}")).json() == {"deleted": ids[2]}
    assert await active() == [ids[0]]


async def test_an_unknown_account_is_a_404(web: httpx.AsyncClient) -> None:
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/refresh")):
        answer = await web.request(method, f"/v2/accounts/nobody{path}", json={})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error.keys()) == (
            404,
            "account_unknown",
            {"code", "message", "remedy", "param"},
        )


async def test_a_refresh_answers_both_older_gateways(web: httpx.AsyncClient, tokens: TokenServer) -> None:
    account = (await web.post("/v2/accounts", json={**CURL, "refreshToken": tokens.knows(REFRESH)})).json()
    answer = (await web.post(f"/v2/accounts/{account['id']}/refresh")).json()
    assert (answer["id"], answer["last_refresh_status"], answer["success"]) == (account["id"], "success", True)
    assert answer["data"] == {
        "id": account["id"],
        "name": "mine",
        "last_refresh_time": answer["last_refresh_time"],
        "last_refresh_status": "success",
    }
    assert answer["last_refresh_time"].endswith("Z")
    assert [row["success"] for row in (await web.post("/v2/accounts/refresh")).json()] == [True]


@pytest.mark.parametrize(("mode", "status"), [("down", 502), ("strict", 400)])
async def test_a_refused_refresh_says_so(web: httpx.AsyncClient, tokens: TokenServer, mode: str, status: int) -> None:
    account = (await web.post("/v2/accounts", json=CURL)).json()  # the service doesn't know its token
    tokens.mode = mode  # pyright: ignore[reportAttributeAccessIssue] - parametrised by its values
    answer = await web.post(f"/v2/accounts/{account['id']}/refresh")
    body = answer.json()
    assert (answer.status_code, body["success"]) == (status, False)
    assert body["last_refresh_status"].startswith("failed: ")
    assert body["state"] == ("ready" if mode == "down" else "needs_login")
    assert REFRESH not in answer.text
