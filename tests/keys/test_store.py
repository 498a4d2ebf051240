"""Keys on both databases: made, used, ended; seen by other processes; nothing readable is stored."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import insert, select, text

from qrelay.database.schema import keys as table
from qrelay.errors import ErrorCode, RelayError
from qrelay.keys import Keys, open_keys
from qrelay.keys.text import new_key, with_check
from tests.keys.conftest import Clock, Process

pytestmark = pytest.mark.anyio


def refusal(keys: Keys, key: str) -> str:
    with pytest.raises(RelayError) as caught:
        keys.check(key)
    assert caught.value.code is ErrorCode.client_unauthorized
    assert key not in caught.value.message + caught.value.remedy
    return caught.value.message


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - it becomes true in another process
            await asyncio.sleep(0.01)


async def test_a_key_from_its_making_to_its_end(process: Process, clock: Clock) -> None:
    async with process() as database:
        keys = await open_keys(database)
        assert not keys.needed
        key, secret = await keys.create("laptop", None)
        short, expiring = await keys.create("", clock() + 60)
        assert keys.needed
        assert keys.check(secret) == key.id
        assert keys.check(expiring) == short.id
        assert secret.endswith(key.ending)
        assert "does not know" in refusal(keys, new_key())
        assert "mistyped" in refusal(keys, secret[:-1] + ("a" if secret[-1] != "a" else "b"))
        assert "mistyped" in refusal(keys, secret[:-2])
        clock.ahead = 61
        assert "expired" in refusal(keys, expiring)
        assert [keys.is_active(row) for row in await keys.listed()] == [True, False]
        await keys.revoke(key.id)
        assert "revoked" in refusal(keys, secret)
        assert keys.needed, "an expired key keeps the doors shut"
        await keys.revoke(short.id)
        assert not keys.needed
        assert await keys.listed() == []
        assert keys.name_of(key.id) == "laptop"
        for unknown in (key.id, "key_0", "", "\0", "é", "x" * 10_000):
            with pytest.raises(RelayError) as caught:
                await keys.revoke(unknown)
            assert caught.value.code is ErrorCode.key_unknown
        await keys.close()


async def test_it_outlives_the_process(process: Process) -> None:
    async with process() as database:
        keys = await open_keys(database)
        key, secret = await keys.create("laptop", None)
        gone, ended = await keys.create("phone", None)
        await keys.revoke(gone.id)
        keys.check(secret)
        await keys.close()
    async with process() as database:
        keys = await open_keys(database)
        assert keys.check(secret) == key.id
        assert "revoked" in refusal(keys, ended)
        (row,) = await keys.listed()
        assert row.last_used_at is not None
        await keys.close()


async def test_keys_of_the_settings_stand_beside_them(process: Process) -> None:
    async with process() as database:
        keys = await open_keys(database, ["a-word", "qr_looks-like-ours"])
        assert keys.needed
        ids = {keys.check("a-word"), keys.check("qr_looks-like-ours")}
        assert len(ids) == 2
        assert all(keys.name_of(key_id) == "a key of QRELAY_API_KEYS" for key_id in ids)
        assert "a-word" not in str(ids)
        assert await keys.listed() == []
        again = await open_keys(database, ["a-word"])
        assert again.check("a-word") in ids, "the same after a restart, and on other replicas"
        await keys.flush()
        for held in (keys, again):
            await held.close()


async def test_what_is_stored_is_no_key(process: Process) -> None:
    async with process() as database:
        keys = await open_keys(database)
        _, secret = await keys.create("laptop", None)
        async with database.reading() as connection:
            (row,) = (await connection.execute(select(table))).all()
        assert row.digest != secret
        assert secret[3:-4] not in str(row)
        await keys.close()


async def test_a_key_put_into_the_table_by_hand_opens_nothing(process: Process) -> None:
    """A digest is keyed: who can write rows, but doesn't have the installation's pepper, can't make a key."""
    secret = with_check("qr_" + "0" * 43)
    async with process() as database:
        async with database.writing() as connection:
            values = {"id": "key_1", "digest": secret, "ending": secret[-4:], "created_at": 0.0}
            await connection.execute(insert(table).values(**values))
        keys = await open_keys(database)
        assert "does not know" in refusal(keys, secret)
        await keys.close()


@pytest.mark.parametrize("process", ["postgresql"], indirect=True)  # SQLite has one process at a time
async def test_other_processes_see_it_soon(process: Process) -> None:
    async with process() as here, process() as there:
        ours, theirs = await open_keys(here), await open_keys(there)
        here.watch.start()
        there.watch.start()
        key, secret = await ours.create("laptop", None)
        await until(lambda: theirs.needed)
        assert theirs.check(secret) == key.id
        await theirs.flush()
        assert (await ours.listed())[0].last_used_at is not None
        await theirs.revoke(key.id)
        await until(lambda: not ours.needed)
        assert "revoked" in refusal(ours, secret)
        for keys in (ours, theirs):
            await keys.close()


async def test_known_keys_serve_while_the_database_is_away(process: Process) -> None:
    async with process() as database:
        keys = await open_keys(database)
        key, secret = await keys.create("laptop", None)
        async with database.writing() as connection:
            await connection.execute(text("ALTER TABLE keys RENAME TO elsewhere"))
        assert keys.check(secret) == key.id
        with pytest.raises(RelayError):
            await keys.revoke(key.id)
        assert keys.check(secret) == key.id, "what could not be stored did not happen"
        with pytest.raises(RelayError):
            await keys.flush()
        async with database.writing() as connection:
            await connection.execute(text("ALTER TABLE elsewhere RENAME TO keys"))
        await keys.flush()
        assert (await keys.listed())[0].last_used_at is not None
        await keys.close()


async def test_a_key_that_ended_is_forgotten_with_its_figures(process: Process, clock: Clock) -> None:
    day = 86_400
    async with process() as database:
        keys = await open_keys(database, days=30)
        used, secret = await keys.create("revoked", None)
        _, expiring = await keys.create("expired", clock() + day)
        await keys.revoke(used.id)
        clock.ahead = 29 * day
        await keys.prune()
        assert "revoked" in refusal(keys, secret)
        assert "expired" in refusal(keys, expiring)
        clock.ahead = 32 * day
        await keys.prune()
        assert "does not know" in refusal(keys, secret)
        assert keys.name_of(used.id) is None
        assert "expired" in refusal(keys, expiring)
        assert keys.needed, "there is no other key to keep the doors shut"
        other, _ = await keys.create("other", None)
        await keys.prune()
        assert "does not know" in refusal(keys, expiring)
        assert [row.id for row in await keys.listed()] == [other.id]
        await keys.close()
        async with database.reading() as connection:
            assert (await connection.execute(select(table.c.id))).scalars().all() == [other.id]


async def test_what_one_forgets_the_others_forget(process: Process, clock: Clock) -> None:
    async with process() as database:
        one, other = await open_keys(database, days=1), await open_keys(database, days=1)
        made, secret = await one.create("", None)
        await one.revoke(made.id)
        await other._look()  # pyright: ignore[reportPrivateUsage] -- what the watch does
        assert "revoked" in refusal(other, secret)
        clock.ahead = 2 * 86_400
        await one.prune()
        kept, _ = await one.create("", None)
        await one.revoke(kept.id)  # as many as before, and as many revoked
        await other._look()  # pyright: ignore[reportPrivateUsage]
        assert other.name_of(kept.id) == ""
        assert "does not know" in refusal(other, secret)
        await one.close()
        await other.close()
