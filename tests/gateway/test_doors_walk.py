"""Every route there is by whoever may come by: the tables here say who is let in, and no route may be missing in them.

ROUTES    what kind of route each one is
CALLERS   what each of those who may come by sends
WITH_…    kind by caller -> "in", or how they are refused
"""

import sqlite3
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import pytest
from pydantic import SecretStr

from qrelay.http.app import App, build_app
from qrelay.http.doors import for_owner
from qrelay.settings import Settings
from qrelay.simulator.server import Simulator
from tests.gateway.conftest import serving, settings_for

pytestmark = pytest.mark.anyio

SECRET: Final = "walking-admin-secret-0123456789"
GIVEN: Final = "walking-key-of-the-settings"

OPEN, CLIENT, MANAGING, SESSION, METRICS, FOR_OWNER = "open", "client", "managing", "session", "metrics", "owner"
PAGE: Final = "page"

ROUTES: Final[Mapping[str, str]] = {
    OPEN: """
        GET /                     GET /api/hello             GET /livez                 GET /healthz
        GET /readyz               GET /health
    """,
    PAGE: """
        GET /admin                GET /console               GET /console/{page}
        GET /console/files/{digest}/{path:path}
    """,
    CLIENT: """
        POST /v1/messages         POST /v1/chat/completions  POST /v1/responses         POST /v1/responses/compact
        GET /v1/models            GET /v1/models/{id:path}   GET /models                GET /models/{id:path}
        GET /v1/v1/models         GET /v1/v1/models/{id:path}
        POST /v1/messages/count_tokens                       POST /messages/count_tokens
        POST /v1/v1/messages/count_tokens
        GET /v1/responses/{id}    DELETE /v1/responses/{id}  GET /responses/{id}        DELETE /responses/{id}
    """,
    METRICS: "GET /metrics",
    MANAGING: """
        GET /v2/accounts          POST /v2/accounts          POST /v2/accounts/batch    POST /v2/accounts/refresh
        GET /v2/accounts/{id}     PATCH /v2/accounts/{id}    DELETE /v2/accounts/{id}
        POST /v2/accounts/{id}/refresh                       POST /v2/accounts/{id}/test
        GET /v2/accounts/{id}/quota
        GET /v2/settings          GET /v2/keys               POST /v2/keys              DELETE /v2/keys/{id}
        DELETE /v2/session        GET /v2/audit              GET /v2/requests           GET /v2/requests/live
        GET /v2/requests/{id}     GET /v2/usage              GET /v2/overview           GET /v2/health
        POST /v2/import           POST /v2/import/file       POST /v2/auth/start        GET /v2/auth/qr/{id}
        GET /v2/auth/status/{id}  POST /v2/auth/claim/{id}
        GET /api/accounts         POST /api/accounts         DELETE /api/accounts/{id}
        POST /api/accounts/{id}/activate
        GET /credentials          POST /credentials          GET /test/token            GET /openapi.json
        GET /docs                 GET /docs/docs.js          GET /docs/docs.css
        GET /docs/swagger-ui-5.35.0/swagger-ui-bundle.js     GET /docs/swagger-ui-5.35.0/swagger-ui.css
    """,
    SESSION: "GET /v2/session POST /v2/session",
    FOR_OWNER: "POST /v2/export POST /v2/master-key/rotate",
}
OF_THE_CONSOLE: Final = {
    ("GET", path) for path in ("/admin", "/console", "/console/{page}", "/console/files/{digest}/{path:path}")
}
"""Those that are not even there without it; for the rest of managing, the gate says so."""

CHANGES_BY_GET: Final = {("GET", "/test/token")}

PROXY: Final = {"x-forwarded-for": "127.0.0.1"}


class Keys(NamedTuple):
    live: str
    expired: str
    revoked: str


def callers(url: str, keys: Keys | None, session: str) -> dict[str, dict[str, str]]:
    """What they send. `session` is a cookie that is good where there is an admin secret."""
    cookie = {"cookie": f"qrelay_session={session}"}
    page = {"origin": url, "sec-fetch-site": "same-origin"}
    held = {
        "nobody": {},
        "a wrong bearer": bearer("wrong"),
        "the admin": bearer(SECRET),
        "the admin by x-api-key": {"x-api-key": SECRET},
        "a session": cookie | page | {"x-qrelay-csrf": "1"},
        "a session without the header": cookie | page,
        "a session of no page": cookie | {"x-qrelay-csrf": "1", "sec-fetch-site": "none"},
        "a session from a foreign page": cookie | {"x-qrelay-csrf": "1", "origin": "https://evil.example"},
        "a session that is none": {"cookie": f"qrelay_session={session[::-1]}"} | page | {"x-qrelay-csrf": "1"},
        "a foreign page": {"origin": "https://evil.example"},
        "a foreign page's picture": {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
        "a foreign name": {"host": "evil.example"},
        "a proxy": PROXY,
    }
    if keys is not None:
        held |= {
            "a key": bearer(keys.live),
            "a key by x-api-key": {"x-api-key": keys.live},
            "a key of the settings": bearer(GIVEN),
            "an expired key": bearer(keys.expired),
            "a revoked key": bearer(keys.revoked),
            "two keys": bearer(keys.live) | {"x-api-key": GIVEN},
            "a key from a foreign page": bearer(keys.live) | {"origin": "https://evil.example"},
            "a key through a proxy": bearer(keys.live) | PROXY,
        }
    return held


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


KEYS: Final = dict.fromkeys(
    ("a key", "a key by x-api-key", "a key of the settings", "a key from a foreign page", "a key through a proxy"), "in"
)
FAR: Final = (
    "a foreign page",
    "a session from a foreign page",
    "a foreign page's picture",
    "a foreign name",
    "a proxy",
)

WITH_A_SECRET: Final[Mapping[str, Mapping[str, str]]] = {
    OPEN: {"*": "in"},
    PAGE: {"*": "in"},
    CLIENT: {"*": "401", "the owner": "in"} | KEYS,
    MANAGING: {
        "*": "401",
        "the owner": "in",
        "the admin": "in",
        "a session": "in",
        "a session without the header": "reads",
        "a session of no page": "reads",
        "a session from a foreign page": "403",
        "a wrong bearer": "403",
        "a key": "403",
        "a key of the settings": "403",
        "a key from a foreign page": "403",
        "a key through a proxy": "403",
        "an expired key": "403",
        "a revoked key": "403",
        "two keys": "403",
    },
    SESSION: {
        "*": "in",
        "a foreign page": "reads",
        "a session from a foreign page": "reads",
        "a foreign page's picture": "reads",
        "a key from a foreign page": "reads",
    },
    METRICS: {"*": "in"}
    | dict.fromkeys(FAR, "401")
    | {"a session from a foreign page": "403", "a key from a foreign page": "403", "a key through a proxy": "403"},
}

FROM_HERE: Final = {"*": "in"} | dict.fromkeys((*FAR, "a key from a foreign page", "a key through a proxy"), "403")
WITHOUT_A_SECRET: Final[Mapping[str, Mapping[str, str]]] = {
    OPEN: {"*": "in"},
    PAGE: FROM_HERE,
    CLIENT: {"*": "401", "the owner": "in"} | KEYS,
    MANAGING: FROM_HERE,
    SESSION: FROM_HERE,
    METRICS: FROM_HERE,
}
WITHOUT_ANY_KEY: Final[Mapping[str, Mapping[str, str]]] = WITHOUT_A_SECRET | {
    CLIENT: {"*": "in"} | dict.fromkeys(("a foreign page", "a session from a foreign page", "a foreign name"), "403"),
}
WITHOUT_CONSOLE: Final[Mapping[str, Mapping[str, str]]] = WITH_A_SECRET | {
    MANAGING: {"*": "404", "the owner": "in"},
    SESSION: {"*": "404", "the owner": "in"},
}


def kinds() -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for kind, listed in ROUTES.items():
        words = listed.split()
        found |= dict.fromkeys(zip(words[::2], words[1::2], strict=True), kind)
    return found


def expected(table: Mapping[str, Mapping[str, str]], route: tuple[str, str], kind: str, caller: str) -> str:
    """What the tables say."""
    row = table[MANAGING if kind == FOR_OWNER else kind]
    said = row.get(caller, row["*"])
    if said == "reads":
        said = "in" if route[0] == "GET" and route not in CHANGES_BY_GET else "403"
    return "403" if kind == FOR_OWNER and said == "in" and caller != "the owner" else said


async def outcome(http: httpx.AsyncClient, route: tuple[str, str], headers: dict[str, str]) -> str:
    """What it comes to. What is sent is no good body of any route, so that nothing is changed."""
    method, path = route
    path = path.replace(":path}", "}").format(id="nobody", page="accounts", digest="0", path="app.js")
    content = None if method == "GET" else b'{"name": 3, "secret": 3}'
    async with http.stream(method, path, headers=headers, content=content) as answer:
        if answer.status_code == 200:  # the live log has no end
            return "in"
        told = (await answer.aread()).decode()
    refused = answer.status_code in {401, 403, 429} or (answer.status_code == 404 and "has no route" in told)
    assert answer.status_code < 500, (route, told)
    return str(answer.status_code) if refused else "in"


class Walked(NamedTuple):
    url: str
    app: App
    http: httpx.AsyncClient
    owner: httpx.AsyncClient


@asynccontextmanager
async def gateway(settings: Settings) -> AsyncGenerator[Walked]:
    app = build_app(settings)
    way = httpx.ASGITransport(for_owner(app))
    async with (
        serving(settings, app) as url,
        httpx.AsyncClient(base_url=url, timeout=20) as http,
        httpx.AsyncClient(base_url="http://owner", transport=way) as owner,
    ):
        yield Walked(url, app, http, owner)


async def keys_made(settings: Settings) -> Keys:
    """One of each kind. They are made before, for time passes in the database only."""
    async with gateway(settings) as relay:
        made = [(await relay.http.post("/v2/keys", json={"expires_at": "2999-01-01"})).json() for _ in range(3)]
        await relay.http.delete(f"/v2/keys/{made[2]['id']}")
    database = sqlite3.connect(settings.home / "qrelay.sqlite3")
    with database:
        database.execute("UPDATE keys SET expires_at = 1600000000 WHERE id = ?", (made[1]["id"],))
    database.close()
    return Keys(*(key["key"] for key in made))


async def walked(relay: Walked, keys: Keys | None, *, secret: bool) -> dict[tuple[str, str, str], str]:
    """What became of each caller at each route."""
    found: dict[tuple[str, str, str], str] = {}

    async def session() -> str:
        if not secret:
            return "x" * 43
        relay.http.cookies.clear()
        answer = await relay.http.post("/v2/session", json={"secret": SECRET})
        relay.http.cookies.clear()
        return answer.cookies.get("qrelay_session") or "x" * 43

    cookie = await session()
    for route in relay.app.routes:
        for caller in callers(relay.url, keys, cookie):
            if route == ("DELETE", "/v2/session"):  # the one before may have ended it
                cookie = await session()
            found[*route, caller] = await outcome(relay.http, route, callers(relay.url, keys, cookie)[caller])
        if route == ("DELETE", "/v2/session"):
            cookie = await session()
        if route != ("GET", "/v2/requests/live"):  # in one process it would have to end first
            found[*route, "the owner"] = await outcome(relay.owner, route, {})
    return found


@pytest.mark.parametrize(
    ("more", "table"),
    [
        ({"admin_secret": SecretStr(SECRET), "api_keys": (SecretStr(GIVEN),)}, WITH_A_SECRET),
        ({"api_keys": (SecretStr(GIVEN),)}, WITHOUT_A_SECRET),
        ({}, WITHOUT_ANY_KEY),
        ({"admin_secret": SecretStr(SECRET), "api_keys": (SecretStr(GIVEN),), "console": False}, WITHOUT_CONSOLE),
    ],
    ids=["secret", "no-secret", "no-key", "no-console"],
)
async def test_who_may(tmp_path: Path, more: dict[str, Any], table: Mapping[str, Mapping[str, str]]) -> None:
    console = more.get("console", True)
    async with Simulator.serve() as sim:
        plain = settings_for(sim, tmp_path / "home")
        keys = await keys_made(plain) if "api_keys" in more else None
        async with gateway(plain.model_copy(update=more)) as relay:
            kind_of = kinds()
            assert set(relay.app.routes) == set(kind_of) - (set() if console else OF_THE_CONSOLE)
            found = await walked(relay, keys, secret="admin_secret" in more and console)
    wrong = {
        (*route, caller): f"{got}, should be {wanted}"
        for (*route, caller), got in found.items()
        if got != (wanted := expected(table, (route[0], route[1]), kind_of[route[0], route[1]], caller))
    }
    assert not wrong
