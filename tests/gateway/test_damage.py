"""One damaged cell never stops the start, a list or other people's requests."""

import sqlite3
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx
import pytest
from pydantic import SecretStr

from qrelay.cli.management import Management, management
from qrelay.database import open_database
from qrelay.errors import ErrorCode, RelayError
from qrelay.settings import Settings
from qrelay.simulator.server import Simulator
from qrelay.vault import Vault, open_vault
from tests.gateway.conftest import serving, settings_for
from tests.gateway.damage import FLIPPED, damage

pytestmark = pytest.mark.anyio

ASKED: Final = {"model": "claude-sonnet-4.5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
LISTS: Final = (
    "/v2/accounts",
    "/api/accounts",
    "/credentials",
    "/v2/keys",
    "/v2/audit?limit=1000",
    "/v2/requests?limit=1000",
    "/v2/requests?limit=1000&status=error",
    *(f"/v2/usage?by={by}&step=hour" for by in ("model", "account", "key", "dialect", "none")),
    "/v2/usage?by=model&step=day",
    "/v2/usage?by=key&format=csv",
    "/v2/overview",
    "/v2/health",
    "/v2/settings",
    "/v1/models",
    "/readyz?verbose",
    "/metrics",
    "/v2/auth/status/login-1",
)  # fmt: skip


async def _fill(url: str, home: Path) -> str:
    """At least one row in every table; a key."""
    admin = {"authorization": "Bearer secret"}
    async with httpx.AsyncClient(base_url=url, verify=False, timeout=30) as http:
        key = (await http.post("/v2/keys", json={"name": "mine"}, headers=admin)).json()["key"]
        mine = {"authorization": f"Bearer {key}"}
        assert (await http.post("/v1/messages", json=ASKED, headers=mine)).status_code == 200
        kept = {"model": "claude-sonnet-4.5", "input": "Hi"}
        assert (await http.post("/v1/responses", json=kept, headers=mine)).status_code == 200
        assert (await http.post("/v2/session", json={"secret": "secret"})).status_code < 300
        assert (await http.get("/v2/requests", headers=admin)).status_code == 200
    return key


def _add_rows(home: Path) -> None:
    """Rows of the tables that nothing has filled yet."""
    later = time.time() + 3600
    with closing(sqlite3.connect(home / "qrelay.sqlite3")) as database, database:
        ((account,),) = database.execute("SELECT id FROM accounts")
        row = (account, "claude-opus", later, "throttled", "It said so.", 1)
        code = next(iter(ErrorCode)).value
        database.execute("INSERT INTO cooldowns VALUES (?, ?, ?, ?, ?, ?)", (*row[:3], code, *row[4:]))
        database.execute(
            "INSERT INTO logins VALUES ('login', 'pending', '{}', NULL, ?, ?)", (time.time(), later)
        )  # fmt: skip


@asynccontextmanager
async def _damaged(home: Path) -> AsyncGenerator[tuple[Settings, str, dict[str, tuple[str, str]]]]:
    async with Simulator.serve() as sim:
        settings = settings_for(sim, home, admin_secret=SecretStr("secret"), strategy="active")
        async with serving(settings) as url:
            key = await _fill(url, home)
        _add_rows(home)
        yield settings, key, damage(home)


async def test_damaged_cells_stop_no_start_and_no_list(tmp_path: Path) -> None:
    async with _damaged(tmp_path) as (settings, key, broken), serving(settings) as url:
        admin = {"authorization": "Bearer secret"}
        async with httpx.AsyncClient(base_url=url, verify=False, timeout=60) as http:
            for path in LISTS:
                answer = await http.get(
                    path, headers={"authorization": f"Bearer {key}"} if path[:4] == "/v1/" else admin
                )
                assert answer.status_code in {200, 404}, (path, answer.text)
            for _ in range(3):
                answer = await http.post("/v1/messages", json=ASKED, headers={"authorization": f"Bearer {key}"})
                assert answer.status_code == 200, answer.text
            accounts = {row["id"]: row for row in (await http.get("/v2/accounts", headers=admin)).json()}
            logins = [f"login-{number}" for number in range(1, 3000)]
            known = _texts(tmp_path, "SELECT id FROM logins")
            for path in [
                *(f"/v2/accounts/{quote(id_)}" for id_ in list(accounts)[:50]),
                *(f"/v2/auth/status/{id_}" for id_ in logins if id_ in known),
            ]:
                answer = await http.get(path, headers=admin)
                assert answer.status_code < 500, (path, answer.text)
    assert len(accounts) > 300
    for id_, (column, part) in broken.items():
        state, reason = accounts[id_]["state"], accounts[id_]["state_reason"]
        if column in {"refresh_token", "client_secret"}:
            assert state == "needs_login", (column, part)
            assert f"cannot be decrypted ({column})" in reason
        elif column != "access_token":  # nothing else is needed to log in
            assert state == "ready", (column, part)


@pytest.mark.parametrize("part", FLIPPED)
async def test_damaged_access_token_is_refreshed(tmp_path: Path, part: str) -> None:
    async with Simulator.serve() as sim:
        settings = settings_for(sim, tmp_path)
        for _ in range(2):
            async with serving(settings) as url, httpx.AsyncClient(base_url=url, verify=False, timeout=30) as http:
                assert (await http.post("/v1/messages", json=ASKED)).status_code == 200
                assert (await http.get("/v2/accounts")).json()[0]["state"] == "ready"
            _flip(tmp_path, "accounts", "access_token", FLIPPED[part])


def _texts(home: Path, statement: str) -> set[str]:
    with closing(sqlite3.connect(home / "qrelay.sqlite3")) as database:
        database.text_factory = bytes
        return {value.decode("utf-8", "replace") for (value,) in database.execute(statement) if value is not None}


async def test_owner_can_export_and_change_the_master_key_beside_damage(tmp_path: Path) -> None:
    async with _damaged(tmp_path) as (settings, _, broken):
        api: Management
        async with management(settings) as api:
            exported = await api.ask("POST", "/v2/export", {})
            done = await api.ask("POST", "/v2/master-key/rotate", {})
        async with management(settings) as api:
            again = await api.ask("POST", "/v2/export", {})
    whole = {row["id"]: row["refreshToken"] for row in exported["accounts"]}
    assert done["records"] > 1_000
    assert done["unreadable"] >= len(broken)
    assert {row["id"]: row["refreshToken"] for row in again["accounts"]} == whole
    assert whole[next(id_ for id_, (column, _) in broken.items() if column == "refresh_token")] is None
    assert whole[next(id_ for id_, (column, _) in broken.items() if column == "email")] == "text"


async def test_account_that_is_damaged_is_mended_by_a_new_login(tmp_path: Path) -> None:
    async with _damaged(tmp_path) as (settings, _, broken):
        id_ = next(id_ for id_, (column, _) in broken.items() if column == "refresh_token")
        async with management(settings) as api:
            answer = await api.ask("PATCH", f"/v2/accounts/{id_}", {"refreshToken": "another"})
            assert answer["state"] == "ready"
        async with management(settings) as api:
            assert (await api.ask("GET", f"/v2/accounts/{id_}"))["state"] == "ready"


@pytest.mark.parametrize("part", FLIPPED)
@pytest.mark.parametrize("copy", ["pepper", "pepper_copy"])
async def test_damaged_pepper_is_read_from_its_copy(tmp_path: Path, part: str, copy: str) -> None:
    url, vault = f"sqlite:///{tmp_path}/qrelay.sqlite3", open_vault(tmp_path)
    database = await open_database(url, vault)
    pepper = database.pepper
    await database.close()
    _flip_secret(tmp_path, copy, FLIPPED[part])
    for _ in range(2):
        database = await open_database(url, vault)
        assert database.pepper == pepper
        await database.close()
        _flip_secret(tmp_path, "pepper" if copy == "pepper_copy" else "pepper_copy", FLIPPED[part])
    with pytest.raises(RelayError) as refused:
        await open_database(url, Vault(bytes(32)))
    assert refused.value.code is ErrorCode.configuration_refused


async def test_two_damaged_peppers_are_not_taken_for_a_wrong_key(tmp_path: Path) -> None:
    url, vault = f"sqlite:///{tmp_path}/qrelay.sqlite3", open_vault(tmp_path)
    await (await open_database(url, vault)).close()
    for name in ("pepper", "pepper_copy"):
        _flip_secret(tmp_path, name, -1)
    with pytest.raises(RelayError, match="damaged") as refused:
        await open_database(url, vault)
    assert refused.value.code is ErrorCode.store_failed


def _flip(home: Path, table: str, column: str, at: int, where: str = "1") -> None:
    with closing(sqlite3.connect(home / "qrelay.sqlite3")) as database, database:
        ((value,),) = database.execute(f"SELECT {column} FROM {table} WHERE {where}")
        changed = bytearray(value)
        changed[at] ^= 1
        database.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (bytes(changed),))


def _flip_secret(home: Path, name: str, at: int) -> None:
    _flip(home, "secrets", "value", at, f"name = '{name}'")
