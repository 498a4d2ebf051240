"""Every kind of change is seen by another replica in its next look at the database, whether or not it is told.

Looks are counted, not seconds: how often there is one is `database.watch`'s, and how long it all takes on a machine is
what `bench/chaos.py seen` measures.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from qrelay.accounts.account import AccountChanges, NewAccount
from qrelay.accounts.store import AccountStore, open_store
from qrelay.database import Database, open_database
from qrelay.database.watch import EVERY_SECONDS, LISTENING
from qrelay.errors import ErrorCode, RelayError
from qrelay.keys import Keys, open_keys
from qrelay.records.responses import KeptResponses
from qrelay.vault import Vault
from tests.accounts.stored import execute

pytestmark = pytest.mark.anyio

THROTTLED = RelayError(ErrorCode.account_throttled, "Too many requests.", retry_after=600)


class Process(NamedTuple):
    """What of a replica is shared; `forgotten` are the responses that it was told to forget, `gone` the accounts."""

    database: Database
    store: AccountStore
    keys: Keys
    responses: KeptResponses
    forgotten: list[str]
    gone: list[str]


class Change(NamedTuple):
    """Something done at one replica, and whether another one knows."""

    done: Awaitable[object]
    known: Callable[[], bool]


@asynccontextmanager
async def process(url: str, folder: Path) -> AsyncGenerator[Process]:
    database = await open_database(url, Vault(bytes(32)))
    forgotten: list[str] = []
    responses = KeptResponses(database, days=1, forget=lambda _, id_: forgotten.append(id_))
    store, keys = await open_store(database, spill_folder=folder), await open_keys(database)
    await responses.start()
    gone: list[str] = []
    store.when_gone.append(gone.append)
    try:
        yield Process(database, store, keys, responses, forgotten, gone)
    finally:
        await responses.close()
        await keys.close()
        await store.close()
        await database.close()


class Looks:
    """Counts another replica's looks, as the last of them."""

    def __init__(self, database: Database) -> None:
        self._rounds = 0
        self._last = 0
        self._sought: Callable[[], bool] = lambda: False
        self._found = asyncio.Event()
        database.watch.add(self._look)

    async def _look(self) -> None:
        self._rounds += 1
        if self._sought() or self._rounds == self._last:
            self._found.set()

    async def seen(self, known: Callable[[], bool]) -> bool:
        """Whether the next look sees it, or the one after: one may be under way, and have read too early."""
        self._sought, self._last = known, self._rounds + 2
        self._found.clear()
        await self._found.wait()
        return known()


async def changes(one: Process, other: Process) -> AsyncGenerator[list[Change]]:
    """In an order in which each is possible; those of one step at once."""
    names = ("first", "second", "third", "fourth")
    new = [NewAccount(label=name, client_id="c", client_secret="s", refresh_token=f"t-{name}") for name in names]
    yield [Change(one.store.add(each), lambda: len(other.store.accounts()) == len(names)) for each in new]
    first, second, third, fourth = (account.id for account in one.store.accounts())
    key, _ = await one.keys.create("somebody", None)
    one.responses.keep("", "resp_1", b"text")
    await one.responses.flush()
    await other.responses.find("", ["resp_1"])
    yield [
        Change(one.store.patch(first, AccountChanges(label="mine")), lambda: other.store.get(first).label == "mine"),
        Change(one.store.patch(second, AccountChanges(is_active=True)), lambda: other.store.get(second).is_active),
        Change(one.store.patch(third, AccountChanges(enabled=False)), lambda: not other.store.get(third).enabled),
        Change(one.store.suspend(fourth, "why"), lambda: other.store.get(fourth).state == "suspended"),
        Change(one.keys.create("somebody else", None), lambda: other.keys.count == 2),
        Change(one.store.cooldowns.failed(first, "m", THROTTLED), lambda: bool(other.store.cooldowns.of(first))),
        Change(
            one.store.quota_notes.note(first, "{}", user_id=None, email="a@example.com"),
            lambda: other.store.get(first).email == "a@example.com",
        ),
    ]
    yield [
        Change(one.store.cooldowns.forget(first), lambda: not other.store.cooldowns.of(first)),
        Change(
            one.store.patch(third, AccountChanges(refresh_token="new")), lambda: other.store.get(third).generation > 0
        ),
        Change(one.store.delete(second), lambda: other.store.find(second) is None and other.gone == [second]),
        Change(one.keys.revoke(key.id), lambda: other.keys.count == 1),
        Change(one.responses.delete("", "resp_1", known=True), lambda: other.forgotten == ["resp_1"]),
    ]


@pytest.mark.parametrize("told", [True, False])
async def test_the_next_look_sees_it(migrated_url: str, tmp_path: Path, told: bool) -> None:
    assert EVERY_SECONDS < 1
    async with process(migrated_url, tmp_path / "one") as one, process(migrated_url, tmp_path / "two") as other:
        looks = Looks(other.database)
        other.database.watch.start()
        if not told:
            listening = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = '{LISTENING}'"
            async with asyncio.timeout(30):
                while not execute(migrated_url, listening):  # noqa: ASYNC110 - it connects in its own time
                    await asyncio.sleep(0.02)
        async for step in changes(one, other):
            for change in step:
                await change.done
            await one.store.cooldowns.close()  # `failed` waits two seconds for the table at most
            assert await looks.seen(lambda step=step: all(change.known() for change in step))
