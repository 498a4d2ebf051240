"""No secret is anywhere but where it has to be: not in a log, not in the state folder, not in an answer.

Each secret is one that is found again by its bytes. Every one of them is used as it should be and as it should not.
"""

import io
import logging
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from qrelay.simulator.server import Simulator
from tests.captured_log import captured_log
from tests.gateway.conftest import serving, settings_for

pytestmark = pytest.mark.anyio

ADMIN = "canary+admin/secret\"with'signs-0001"
GIVEN = "canary-key-of-the-settings-0002"
ACCOUNT = {
    "label": "second",
    "clientId": "canary-id-is-no-secret",
    "clientSecret": "canary-client-secret-0003",
    "refreshToken": "canary-refresh-token-0004",
    "accessToken": "canary-access-token-0005",
}
CHAT: dict[str, Any] = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def written() -> Generator[io.StringIO]:
    """All that is logged, from the lowest level on."""
    with captured_log("json", [ADMIN, GIVEN]) as stream:
        yield stream


def found(secret: str, held: bytes) -> bool:
    """As it is, and as JSON has it."""
    return any(form in held for form in (secret.encode(), secret.replace('"', '\\"').encode()))


class Watched:
    """A client that keeps all it was answered, headers too."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.answers: list[tuple[str, bytes]] = []
        self._http = http

    async def __call__(self, method: str, path: str, headers: dict[str, str], **more: Any) -> httpx.Response:
        answer = await self._http.request(method, path, headers=headers, **more)
        self._http.cookies.clear()
        self.answers.append((f"{method} {path}", repr(answer.headers.raw).encode() + answer.content))
        return answer


async def test_no_secret_is_anywhere_else(tmp_path: Path, written: io.StringIO) -> None:
    async with Simulator.serve() as sim:
        more: dict[str, Any] = {"admin_secret": SecretStr(ADMIN), "api_keys": (SecretStr(GIVEN),)}
        settings = settings_for(sim, tmp_path / "home", **more)
        logging.getLogger("somebody's library").debug("the lowest level")
        async with serving(settings) as url, httpx.AsyncClient(base_url=url, timeout=20) as http:
            ask = Watched(http)
            secrets = {name: value for name, value in ACCOUNT.items() if name in {"clientSecret", "refreshToken"}}
            secrets |= {"accessToken": ACCOUNT["accessToken"], "admin": ADMIN, "given": GIVEN}
            assert settings.amazonq_refresh_token is not None
            assert settings.amazonq_client_secret is not None
            secrets["environment"] = settings.amazonq_refresh_token.get_secret_value()
            secrets["environment's client"] = settings.amazonq_client_secret.get_secret_value()
            admin = {"authorization": f"Bearer {ADMIN}"}
            page = {"origin": url, "sec-fetch-site": "same-origin", "x-qrelay-csrf": "1"}

            opened = await ask("POST", "/v2/session", {}, json={"secret": ADMIN})
            shown_cookie = ask.answers.pop()
            secrets["session"] = opened.cookies["qrelay_session"]
            session = page | {"cookie": f"qrelay_session={secrets['session']}"}
            made = [(await ask("POST", "/v2/keys", who, json={"name": "k"})).json() for who in (admin, session)]
            shown_keys = [ask.answers.pop() for _ in made]
            secrets |= {f"key {number}": key["key"] for number, key in enumerate(made)}
            assert found(secrets["session"], shown_cookie[1])
            assert all(any(found(key["key"], shown) for _, shown in shown_keys) for key in made)

            account = (await ask("POST", "/v2/accounts", session, json=ACCOUNT)).json()["id"]
            await ask("PATCH", f"/v2/accounts/{account}", admin, json={"refreshToken": ACCOUNT["refreshToken"]})
            await ask("POST", "/v2/accounts", admin, json=ACCOUNT | {"refreshToken": [ACCOUNT["refreshToken"]]})
            await ask("POST", f"/v2/accounts/{account}/refresh", admin)
            await ask("POST", f"/v2/accounts/{account}/test", admin)
            await ask("POST", "/credentials", admin, content=f"{{{ACCOUNT['refreshToken']}".encode())
            for who in ({"x-api-key": GIVEN}, *({"authorization": f"Bearer {key['key']}"} for key in made), session):
                await ask("POST", "/v1/chat/completions", who, json=CHAT)
                await ask("POST", "/v1/messages", who, content=b"{")
                await ask("GET", "/v2/accounts", who)
                await ask("GET", "/v1/nothing", who)
            for key in ADMIN, made[0]["key"][:-1], secrets["session"]:
                await ask("GET", "/v1/models", {"x-api-key": key})
                await ask("GET", "/v2/accounts", {"authorization": f"Bearer {key}x"})
            await ask("POST", "/v2/session", {}, json={"secret": made[0]["key"]})
            await ask("DELETE", f"/v2/keys/{made[1]['id']}", session)
            await ask("DELETE", f"/v2/keys/{made[1]['id']}", session)
            for path in ("accounts", "settings", "keys", "audit", "requests", "usage", "overview", "health", "session"):
                await ask("GET", f"/v2/{path}", session)
            for path in ("/api/accounts", "/credentials", "/test/token", "/metrics", "/openapi.json", "/docs", "/"):
                await ask("GET", path, admin)
            held = [(str(path), path.read_bytes()) for path in (tmp_path / "home").rglob("*") if path.is_file()]
            await ask("DELETE", f"/v2/accounts/{account}", admin)
            await ask("DELETE", "/v2/session", session)
    held += [(str(path), path.read_bytes()) for path in (tmp_path / "home").rglob("*") if path.is_file()]
    lines = written.getvalue()
    assert '"event":"request"' in lines
    assert "the lowest level" in lines
    assert len([name for name, _ in held if "qrelay.sqlite3" in name]) >= 2
    for name, secret in secrets.items():
        for where, what in [("the log", lines.encode()), *held, *ask.answers]:
            assert not found(secret, what), f"{name} is in {where}"
