"""What keeps a caller out of managing, what is told then, and that nobody sees a secret, at any route."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from qrelay.http.app import build_app
from qrelay.settings import Settings
from tests.gateway.conftest import Bench, bench
from tests.switching.conftest import q2api_account

pytestmark = pytest.mark.anyio

ADMIN = "admin-canary-0123456789-9876543210"
KEY = "client-canary-0123456789-9876543210"


async def walk(tmp_path: Path) -> list[tuple[str, str]]:
    """Every method and path."""
    app = build_app(Settings(home=tmp_path / "walk"), background=False)
    async with app.opened():
        routes = app.routes
    assert len(routes) > 40
    return routes


def filled(path: str, account: str) -> str:
    return re.sub(r"\{[^}]*\}", account, path)


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "127.0.0.1.gateway.example"},
        {"origin": "https://gateway.example"},
        {"origin": "http://localhost:1"},
        {"origin": "null"},
        {"x-forwarded-host": "localhost"},
        {"forwarded": "for=127.0.0.1"},
        {"x-real-ip": "127.0.0.1"},
        {"via": "1.1 proxy"},
        {"cf-ray": "1"},
    ],
    ids=str,
)
async def test_whatever_tells_of_somewhere_else_keeps_out(tmp_path: Path, headers: dict[str, str]) -> None:
    """At one route; that all of them have this door, `test_doors_walk` sees."""
    async with bench(tmp_path / "home", api_keys=(SecretStr(KEY),), cors_origins=("https://gateway.example",)) as relay:
        for more in ({}, {"authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}):
            answer = await relay.http.get("/v2/accounts", headers=headers | more)
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers


async def test_what_is_not_there_is_behind_the_door_too(relay: Bench) -> None:
    for path in ("/v2", "/v2/nothing", "/api/login", "/test", "/docs/x"):
        assert (await relay.http.get(path, headers={"host": "gateway.example"})).status_code == 403, path
        answer = await relay.http.get(path)
        assert (answer.status_code, answer.json()["error"] and "has no route" in answer.text) == (404, True), path
    wrong = await relay.http.put("/v2/accounts")
    assert wrong.status_code == 405
    for answer in (wrong, await relay.http.get("/v2/nothing"), await relay.http.delete("/openapi.json")):
        assert answer.json()["error"].keys() == {"code", "message", "remedy", "param"}


async def test_who_may_not_manage_sees_no_console_either(relay: Bench) -> None:
    """The root is there for everybody: programs look whether anybody is at home."""
    for headers in ({"host": "gateway.example"}, {"origin": "https://x.example"}, {"x-forwarded-for": "127.0.0.1"}):
        root = await relay.http.get("/", headers=headers)
        assert (root.status_code, root.json()["name"]) == (200, "qrelay")
        assert "QRELAY_ADMIN_SECRET" in root.json()["console"]
        assert (await relay.http.head("/", headers=headers)).status_code == 200
        page = await relay.http.get("/admin", headers=headers)
        assert (page.status_code, page.json()["error"]["code"]) == (403, "client_forbidden")
    assert "<html" in (await relay.http.get("/")).text
    assert "<html" in (await relay.http.get("/admin")).text


async def test_no_answer_shows_a_secret(tmp_path: Path) -> None:
    """Every route is asked in every way there is, and so are its refusals; none shows more than 10 and 4 characters."""
    more: dict[str, Any] = {"api_keys": (SecretStr(KEY),), "proxy": None, "admin_secret": SecretStr(ADMIN)}
    async with bench(tmp_path / "home", **more) as relay:
        logins = [relay.sim.add_account(name) for name in ("one", "two")]
        secrets = {KEY, ADMIN, *(login.refresh_token for login in logins), *(login.client_secret for login in logins)}
        admin = {"authorization": f"Bearer {ADMIN}"}
        client = {"authorization": f"Bearer {KEY}"}
        made: list[httpx.Response] = []
        for login in logins:
            token = login.access_token or ""
            secrets.add(token)
            body = q2api_account(login, accessToken=token, other={"idToken": token, "note": login.client_secret})
            made.append(await relay.http.post("/v2/accounts", json=body, headers=admin))
        account = made[0].json()["id"]
        wrong = [b"{", *(f'{{"clientId": ["{secret}"], "refresh_token": 3}}'.encode() for secret in sorted(secrets))]
        chat = {"model": "claude-sonnet-4.5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        for round_ in range(2):
            if round_:
                relay.sim.next_token_errors(*["invalid_grant"] * 50)
            for method, path in await walk(tmp_path):
                bodies: list[Any] = [None, *wrong] if method in {"POST", "PATCH"} else [None]
                if "auth/claim" in path or (method, path) == ("DELETE", "/v2/accounts/{id}"):
                    continue
                if path == "/v2/requests/live":  # it has no end; its rows are those of /v2/requests
                    continue
                target = filled(path, account)
                made += [await relay.http.request(method, target, content=body, headers=admin) for body in bodies]
                made += [await relay.http.request(method, target, content=body, headers=client) for body in bodies]
                made.append(await relay.http.request(method, target, json=chat, headers=client))
                if path == "/api/accounts/{id}" and method == "DELETE":
                    remade = await relay.http.post("/v2/accounts", json=q2api_account(logins[0]), headers=admin)
                    made.append(remade)
                    account = remade.json()["id"]
        issued = {request.headers.get("authorization", "").removeprefix("Bearer ") for request in relay.sim.requests}
        rotated = set(relay.sim.oidc.families._tokens)  # pyright: ignore[reportPrivateUsage] -- what nobody may see
        assert len(issued) > 2
        assert len(rotated) > 4
        for secret in secrets | issued | rotated:
            for answer in made:
                assert len(secret) < 20 or not shows(secret, answer.text), (str(answer.request.url), answer.text[:300])


def shows(secret: str, text: str) -> bool:
    """Whether more than its first 10 or last 4 characters stand in a text."""
    return secret[:11] in text or any(secret[at : at + 11] in text for at in range(10, len(secret) - 11, 7))
