"""Responses outlive the process that gave them, on both engines: for their owner, sealed, until they are deleted."""

import asyncio
import re
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from qrelay.database import connect, open_database
from qrelay.database.resealing import reseal
from qrelay.database.schema import responses
from qrelay.http.shelf import Shelf
from qrelay.records import responses as records
from qrelay.records.responses import KeptResponses
from qrelay.simulator.server import Simulator
from qrelay.vault import Vault, open_vault
from tests.gateway.conftest import serving, settings_for
from tests.postgres import Postgres

pytestmark = pytest.mark.anyio

WORD = "canary-of-a-prompt"
KEYS = {name: {"authorization": f"Bearer {name}-key"} for name in ("first", "second")}
MASTER = "c2FtZSBmb3IgZXZlcnlib2R5LCBhbmQgMzIgYnl0ZXM="

Gateway = Callable[..., Any]


@pytest.fixture
async def gateway(tmp_path: Path, either_url: str) -> AsyncGenerator[Gateway]:
    """Starts one on the test's database, with two keys; a client of it."""
    async with Simulator.serve() as sim:
        given = {"api_keys": tuple(SecretStr(f"{name}-key") for name in KEYS), "database_url": either_url}
        settings = settings_for(sim, tmp_path / "home", master_key=SecretStr(MASTER), **given)

        @asynccontextmanager
        async def start(**more: Any) -> AsyncGenerator[httpx.AsyncClient]:
            chosen = settings.model_copy(update=more)
            async with serving(chosen) as address, httpx.AsyncClient(base_url=address, timeout=30) as http:
                yield http

        yield start


@pytest.fixture
def folders(request: pytest.FixtureRequest, tmp_path: Path, either_url: str) -> list[Path]:
    """Where the database's bytes are."""
    if either_url.startswith("sqlite"):
        return [tmp_path]
    server: Postgres = request.getfixturevalue("postgres")
    return [tmp_path, server.folder / "data" / "base", server.folder / "data" / "pg_wal"]


async def cells(url: str) -> dict[str, bytes]:
    """What the table has, by id."""
    engine = connect(url, busy_seconds=5)
    async with engine.connect() as connection:
        rows = (await connection.execute(select(responses.c.id, responses.c.text))).all()
    await engine.dispose()
    return {row.id: row.text for row in rows}


def response_id_of(streamed: str) -> str:
    found = re.search(r"resp_\w+", streamed)
    assert found
    return found[0]


async def ask(http: httpx.AsyncClient, text: Any, *, of: str = "first", **more: Any) -> httpx.Response:
    body = {"model": "claude-sonnet-4.5", "input": text, **more}
    return await http.post("/v1/responses", json=body, headers=KEYS[of])


async def kept(http: httpx.AsyncClient, response_id: str, *, of: str = "first", method: str = "GET") -> int:
    return (await http.request(method, f"/v1/responses/{response_id}", headers=KEYS[of])).status_code


async def test_a_restart_keeps_them_for_their_owner(gateway: Gateway, either_url: str, folders: list[Path]) -> None:
    async with gateway() as http:
        first = (await ask(http, f"The word is {WORD}.")).json()
        second = (await ask(http, "Go on.", previous_response_id=first["id"], stream=True)).text
        assert "response.completed" in second
        other = (await ask(http, "Mine", of="second")).json()
        silent = (await ask(http, "Not this", store=False)).json()
    assert set(await cells(either_url)) == {first["id"], other["id"], response_id_of(second)}
    assert not any(WORD.encode() in cell for cell in (await cells(either_url)).values())
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert any(first["id"].encode() in path.read_bytes() for path in files)
    assert not any(WORD.encode() in path.read_bytes() for path in files)
    async with gateway() as http:
        assert (await ask(http, "Which?", previous_response_id=silent["id"])).status_code == 400
        for owner, mine, theirs in (("first", first, other), ("second", other, first)):
            told = await ask(http, "Which?", of=owner, previous_response_id=theirs["id"])
            assert told.json()["error"]["code"] == "previous_response_not_found"
            item = [{"type": "item_reference", "id": theirs["output"][-1]["id"]}, {"role": "user", "content": "Which?"}]
            assert (await ask(http, item, of=owner)).status_code == 400
            assert await kept(http, theirs["id"], of=owner) == 404
            assert await kept(http, theirs["id"], of=owner, method="DELETE") == 404
            told = await ask(http, "Which?", of=owner, previous_response_id=mine["id"])
            assert told.status_code == 200, told.text
    async with gateway() as http:
        item = [{"type": "item_reference", "id": first["output"][-1]["id"]}, {"role": "user", "content": "Which?"}]
        by_item = (await ask(http, item)).json()
        assert by_item["status"] == "completed", by_item
    async with gateway() as http:  # that one is of an item of another one, which memory has not either
        told = await ask(http, "And?", previous_response_id=by_item["id"])
        assert told.status_code == 200, told.text
        answer = await http.get(f"/v1/responses/{first['id']}", headers=KEYS["first"])
        assert answer.json() == first
        assert first["completed_at"] >= first["created_at"]
        assert await kept(http, first["id"], method="DELETE") == 200
        assert await kept(http, first["id"]) == 404
    async with gateway() as http:
        assert await kept(http, first["id"]) == 404
        assert await kept(http, first["id"], method="DELETE") == 404
        assert await kept(http, other["id"], of="second") == 200
    async with gateway(response_days=0) as http:
        assert await kept(http, other["id"], of="second") == 404


@pytest.mark.parametrize("either_url", ["postgresql"], indirect=True)
async def test_another_replica_finds_them_and_forgets_what_is_deleted(gateway: Gateway, tmp_path: Path) -> None:
    async with gateway() as one, gateway(home=tmp_path / "other") as other:
        first = (await ask(one, f"The word is {WORD}.")).json()
        told = await ask(other, "Which?", previous_response_id=first["id"])  # at once
        assert told.status_code == 200, told.text
        for nonsense in ("\0", "é", "x" * 10_000):
            told = await ask(other, "Which?", previous_response_id=nonsense)
            assert told.json()["error"]["code"] == "previous_response_not_found"
            assert await kept(other, quote(nonsense, safe="")) == 404
            assert await kept(other, quote(nonsense, safe=""), method="DELETE") == 404
        assert (await other.get("/readyz")).json()["status"] == "ready"
        assert await kept(other, first["id"], of="second") == 404
        assert await kept(one, first["id"], method="DELETE") == 200
        await until(other, first["id"], 404)
        told = await ask(other, "Which?", previous_response_id=first["id"])
        assert told.json()["error"]["code"] == "previous_response_not_found"


async def until(http: httpx.AsyncClient, response_id: str, status: int) -> None:
    async with asyncio.timeout(30):
        while await kept(http, response_id) != status:  # noqa: ASYNC110 - no event comes from over there
            await asyncio.sleep(0.05)


async def test_what_waits_is_written_once_and_found_by_others(either_url: str) -> None:
    """Two on one database, as replicas are; on SQLite one after the other."""
    vault, heard = Vault(bytes(range(32))), list[tuple[str, str]]()
    async with AsyncExitStack() as stack:
        database = await open_database(either_url, vault)
        stack.push_async_callback(database.close)
        one = KeptResponses(database, days=1, forget=lambda _owner, _id: None)
        other = KeptResponses(database, days=1, forget=lambda owner, id_: heard.append((owner, id_)))
        for each in (one, other):
            await each.start()
            stack.push_async_callback(each.close)
        for number in range(250):
            one.keep("me", f"resp_{number}", f'"{WORD} {number}"'.encode())
        one.keep("me", "resp_large", b"x" * 5 * 1024 * 1024)
        one.keep("me", "resp_large", "字".encode() * 2 * 1024 * 1024)
        await one.flush()
        ids = ["resp_0", "resp_249", "resp_large"]
        assert await other.find("me", ids) == {f"resp_{n}": f'"{WORD} {n}"' for n in (0, 249)}
        assert await other.find("you", ids) == {}
        one.keep("me", "resp_late", b"late")
        assert await one.delete("me", "resp_late", known=True)
        assert not await other.delete("you", "resp_0", known=False)
        assert await one.delete("me", "resp_0", known=True)
        await one.flush()
        assert await other.find("me", ["resp_0", "resp_late"]) == {}
        await other._look()  # pyright: ignore[reportPrivateUsage] -- what the watch does
        assert sorted(heard) == [("me", "resp_0"), ("me", "resp_late")]
        database.vault = Vault(bytes(32), bytes(range(32)))
        assert (await reseal(database)).sealed == 251  # 249, and two copies of the pepper
        assert await other.find("me", ["resp_9"]) == {"resp_9": f'"{WORD} 9"'}


class SlowVault(Vault):
    """Opens a record when it is let."""

    opening = threading.Event()
    may = threading.Event()

    def open(self, record: bytes, *, table: str, row: str, column: str) -> str:
        if table == responses.name:
            self.opening.set()
            assert self.may.wait(30)
        return super().open(record, table=table, row=row, column=column)


async def test_one_that_is_deleted_while_it_is_read_stays_deleted(either_url: str) -> None:
    SlowVault.opening.clear()
    SlowVault.may.clear()
    database = await open_database(either_url, SlowVault(bytes(32)))
    before = Shelf(database, days=1)
    await before.start()
    before.memory.scoped("me").keep("resp_1", b"{}", (), {})
    await before.close()
    shelf = Shelf(database, days=1)
    await shelf.start()
    reading = asyncio.create_task(shelf.get("me", "resp_1"))
    assert await asyncio.to_thread(SlowVault.opening.wait, 30)
    assert await shelf.delete("me", "resp_1")
    SlowVault.may.set()
    assert await reading is None
    assert await shelf.get("me", "resp_1") is None
    await shelf.close()
    await database.close()


@pytest.mark.parametrize("either_url", ["sqlite"], indirect=True)
async def test_a_change_of_the_master_key_loses_none(either_url: str, tmp_path: Path) -> None:
    vault = open_vault(tmp_path / "home")
    database = await open_database(either_url, vault)
    kept_ = KeptResponses(database, days=1, forget=lambda _owner, _id: None)
    await kept_.start()
    ids = [f"resp_{number}" for number in range(60)]

    async def writing() -> None:
        for id_ in ids:
            kept_.keep("me", id_, b"x" * 200_000)
            await kept_.flush()

    writer, changes = asyncio.create_task(writing()), 0
    while not writer.done():
        vault.add_key()
        await reseal(database)
        vault.drop_old_keys(tmp_path / "backups", datetime.fromtimestamp(changes, UTC))
        changes += 1
    await writer
    await kept_.close()
    database.vault = open_vault(tmp_path / "home")
    assert set(await kept_.find("me", ids)) == set(ids)
    await database.close()


async def test_what_is_over_or_too_much_goes(either_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_MOST_BYTES", 3500)
    monkeypatch.setattr(records, "_PRUNE_AFTER_BYTES", 5000)
    monkeypatch.setattr(records, "_MOST_FOUND_BYTES", 2500)
    ahead = 0.0
    database = await open_database(either_url, Vault(bytes(32)), clock=lambda: time.time() + ahead)
    kept_ = KeptResponses(database, days=1, forget=lambda _owner, _id: None)
    await kept_.start()
    for number in range(6):
        ahead += 1
        kept_.keep("me", f"resp_{number}", b"x" * 1000)
        await kept_.flush()
    assert set(await cells(either_url)) == {"resp_3", "resp_4", "resp_5"}
    assert set(await kept_.find("me", ["resp_5", "resp_4", "resp_3"])) == {"resp_5", "resp_4"}
    async with database.writing() as connection:  # one that nobody can read, as after a master key that was lost
        await connection.execute(update(responses).where(responses.c.id == "resp_5").values(text=b"\1damaged"))
    assert set(await kept_.find("me", ["resp_5", "resp_4"])) == {"resp_4"}
    database.vault = Vault(bytes(range(32)), bytes(32))
    await reseal(database)
    assert set(await kept_.find("me", ["resp_4"])) == {"resp_4"}
    ahead += 2 * 86_400
    await kept_.flush()
    assert await cells(either_url) == {}
    await kept_.close()
    await database.close()
