"""What is written down of requests, on both engines: all of it, once, up to a bound, and never in anybody's way."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import astuple
from psycopg import waiting
from sqlalchemy import func, select

from qrelay.database import Database, open_database
from qrelay.database.schema import usage as usage_table
from qrelay.records import journal as journals
from qrelay.records import requests, usage
from qrelay.records.ended import Ended, attempts_of, attempts_text, sentence, word, words
from qrelay.records.journal import Journal
from qrelay.records.requests import Wanted
from qrelay.records.tail import Tail
from qrelay.records.usage import Counts, Figures
from qrelay.trace import Attempt
from qrelay.vault import open_vault
from tests.postgres import Postgres
from tests.records.conftest import ended

pytestmark = pytest.mark.anyio


async def logged(database: Database, **wanted: Any) -> list[str]:
    async with database.reading() as connection:
        rows, _ = await requests.page(connection, Wanted(**wanted), 100_000)
    return [row.id for row in rows]


async def used(database: Database) -> dict[str, Any]:
    """Everything in the usage table, as one."""
    async with database.reading() as connection:
        sums = [func.sum(usage_table.c[name]) for name in Figures.__struct_fields__]
        row = (await connection.execute(select(*sums))).one()
    return dict(zip(Figures.__struct_fields__, (float(value or 0) for value in row), strict=True))


def test_fields_are_the_columns() -> None:
    assert ("seq", *Ended.__struct_fields__) == requests.COLUMNS


async def test_a_row_comes_back_as_it_went_in(database: Database) -> None:
    journal = Journal(database, rows=10, days=1)
    one = ended(1, error="broke", ignored='["seed"]', adjusted='["a"]', queue_ms=1.5, upstream_request_id="up-1")
    journal.note(one)
    refused: dict[str, Any] = {"status": 401, "outcome": "client_unauthorized", "duration_ms": 1.0}
    journal.note(Ended(id="req_2", at=1.0, dialect="messages", **refused))
    await journal.flush()
    async with database.reading() as connection:
        first = await requests.find(connection, one.id)
        second = await requests.find(connection, "req_2")
    assert first is not None
    assert {name: getattr(first, name) for name in Ended.__struct_fields__} == {
        name: getattr(one, name) for name in Ended.__struct_fields__
    }
    assert second is not None
    assert (second.stream, second.account_id, second.input_tokens, second.estimated) == (None, None, None, False)
    figures = await used(database)
    assert (figures["requests"], figures["errors"], figures["estimated"], figures["credits"]) == (2, 1, 1, 0.125)


async def test_the_oldest_make_room(database: Database) -> None:
    journal = Journal(database, rows=100, days=1)
    for start in range(0, 1300, 130):
        for number in range(start, start + 130):
            journal.note(ended(number))
        await journal.flush()
        assert len(await logged(database)) <= 100
    assert (await logged(database))[0] == ended(1299).id
    assert journal.dropped == 0
    assert (await used(database))["requests"] == 1300


async def test_without_a_log_there_is_still_usage(database: Database) -> None:
    async with database.writing() as connection:
        await requests.insert(connection, [astuple(ended(7))])
    journal = Journal(database, rows=0, days=1)
    journal.note(ended())
    await journal.flush()
    assert await logged(database) == []
    assert (await used(database))["output_tokens"] == 40


async def test_ten_thousand_at_once_from_many(database: Database) -> None:
    journals_ = [Journal(database, rows=10_000, days=1) for _ in range(3)]
    for journal in journals_:
        journal.start()

    async def asks(which: int) -> None:
        for number in range(400):
            journals_[which % 3].note(ended(which * 1000 + number))
            if number % 50 == 0:
                await asyncio.sleep(0)

    await asyncio.gather(*(asks(which) for which in range(30)))
    for journal in journals_:
        await journal.close()
        assert journal.dropped == 0
    assert 9_000 <= len(await logged(database)) <= 10_000
    figures = await used(database)
    assert (figures["requests"], figures["input_tokens"], figures["credits"]) == (12_000, 120_000, 1500)


async def test_writing_twice_is_writing_once(database: Database) -> None:
    """As after a commit whose answer was lost."""
    counts = Counts()
    counts.add(ended(1), database.clock())
    rows = counts.changed()
    row = astuple(ended(1))
    for _ in range(2):
        async with database.writing() as connection:
            await requests.insert(connection, [row])
            await usage.store(connection, rows)
    assert len(await logged(database)) == 1
    assert (await used(database))["requests"] == 1
    counts.add(ended(2), database.clock())
    async with database.writing() as connection:
        await usage.store(connection, counts.changed())
    assert (await used(database))["requests"] == 2


async def test_two_writers_add_up_and_old_hours_go(database: Database) -> None:
    now = database.clock()
    for hours_ago in (0, 0, 30, 50):
        counts = Counts()
        counts.add(ended(), now - hours_ago * 3600)
        async with database.writing() as connection:
            await usage.store(connection, counts.changed())
    hour = int(now // 3600)
    async with database.reading() as connection:
        rows = await usage.read(connection, hour - 100, hour + 1, "account", 1)
    assert sorted((step - hour, figures.requests) for _, step, figures in rows) == [(-50, 1), (-30, 1), (0, 2)]
    async with database.reading() as connection:
        by_day = await usage.read(connection, 0, hour + 1, "none", 24)
    assert sum(figures.requests for _, _, figures in by_day) == 4
    assert {step for _, step, _ in by_day} <= {(hour - ago) // 24 for ago in (0, 30, 50)}
    journal = Journal(database, rows=10, days=2)
    await journal.flush()
    assert (await used(database))["requests"] == 3


async def test_what_can_be_asked_for(database: Database) -> None:
    journal = Journal(database, rows=100, days=1)
    rows = {
        "a": ended(1, at=100.0),
        "b": ended(2, at=200.0, account_id="account-2", outcome="upstream_failed", status=502),
        "c": ended(3, at=300.0, dialect="messages", key_id="key-2", model="other", model_asked="alias"),
        "d": ended(4, at=400.0, outcome="client_left", status=499),
    }
    for row in rows.values():
        journal.note(row)
    await journal.flush()
    ids = {row.id: name for name, row in rows.items()}
    for wanted, found in (
        ({}, "dcba"),
        ({"account": "account-2"}, "b"),
        ({"key": "key-2"}, "c"),
        ({"model": "alias"}, "c"),
        ({"model": "other"}, "c"),
        ({"dialect": "messages"}, "c"),
        ({"status": "ok"}, "ca"),
        ({"status": "error"}, "b"),
        ({"status": "client_left"}, "d"),
        ({"since": 300.0}, "dc"),
        ({"since": 150.0, "status": "ok"}, "c"),
    ):
        assert "".join(ids[id_] for id_ in await logged(database, **wanted)) == found, wanted
    async with database.reading() as connection:
        first, following = await requests.page(connection, Wanted(), 3)
        rest, end = await requests.page(connection, Wanted(before=following), 3)
        assert await requests.count_since(connection, 250.0) == 2
        assert await requests.first_bytes(connection, 0.0) == [20.0, 20.0]
    assert [ids[row.id] for row in (*first, *rest)] == ["d", "c", "b", "a"]
    assert end is None


async def test_a_tail_shows_each_row_once_also_those_that_commit_late(database: Database) -> None:
    journal = Journal(database, rows=1000, days=1)
    journal.note(ended(1))
    await journal.flush()
    tail, resumed = Tail(database), Tail(database, 0)
    assert list(await tail.next()) == []
    assert [row.id for row in await resumed.next()] == [ended(1).id]
    journal.note(ended(2))
    await journal.flush()
    if database.shared:
        async with database.writing() as late:
            await requests.insert(late, [astuple(ended(3))])
            journal.note(ended(4))
            await journal.flush()
            assert [row.id for row in await tail.next()] == [ended(2).id, ended(4).id]
        assert [row.id for row in await tail.next()] == [ended(3).id]
    else:
        assert [row.id for row in await tail.next()] == [ended(2).id]
    assert list(await tail.next()) == []


async def test_a_row_that_no_database_takes_does_not_stop_the_others(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "_EVERY_SECONDS", 0.01)
    journal = Journal(database, rows=100, days=1)
    journal.start()
    journal.note(ended(1, status=None))
    while not journal.dropped:  # noqa: ASYNC110 - the count is what says so
        await asyncio.sleep(0.01)
    journal.note(ended(2))
    await journal.flush()
    await journal.close()
    assert await logged(database) == [ended(2).id]
    assert (await used(database))["requests"] == 2


async def test_closed_at_any_moment_it_loses_nothing(
    either_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write under way ends first: PostgreSQL's driver, cancelled between two steps, leaves a broken connection."""
    monkeypatch.setattr(journals, "_EVERY_SECONDS", 0)
    monkeypatch.setattr(waiting, "MAX_BUSY_TIME", 0)  # it can be cancelled where else it can on a busy machine only
    database = await open_database(either_url, open_vault(tmp_path))
    moments = range(100)
    for moment in moments:
        journal = Journal(database, rows=10_000, days=1)
        journal.start()
        for number in range(20):
            journal.note(ended(20 * moment + number))
        await asyncio.sleep(moment / 10_000)
        await journal.close()
    assert len(await logged(database)) == 20 * len(moments)
    await database.close()


async def test_a_database_that_is_away_costs_the_oldest_rows_only(
    postgres: Postgres, migrated_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "_MOST_WAITING", 50)
    monkeypatch.setattr(journals, "_EVERY_SECONDS", 0.01)
    database = await open_database(migrated_url, open_vault(tmp_path))
    journal = Journal(database, rows=1000, days=1)
    journal.start()
    postgres.stop("immediate")
    try:
        for number in range(80):
            journal.note(ended(number))
        assert journal.dropped == 30
    finally:
        postgres.start()
    while journal.waiting:  # noqa: ASYNC110 - nothing else says that it has caught up
        await asyncio.sleep(0.01)
    await journal.close()
    assert sorted(await logged(database)) == [ended(number).id for number in range(30, 80)]
    assert (await used(database))["requests"] == 80
    await database.close()


def test_words_from_elsewhere_can_be_stored() -> None:
    assert word(None) is None
    assert word("m" * 1000) == "m" * 200
    assert sentence("a\0b\ud800c") == "a�b?c"
    assert words(()) is None
    assert words(("seed", "seed", "\ud800")) == '["seed","?"]'
    attempts = [Attempt("a", "label", "q", "account_throttled", 429, 1.26), Attempt("b", "other", "q", "ok", 200, 2.0)]
    assert attempts_of(attempts_text(attempts)) == [
        {"account_id": "a", "endpoint": "q", "outcome": "account_throttled", "status": 429, "ms": 1.3},
        {"account_id": "b", "endpoint": "q", "outcome": "ok", "status": 200, "ms": 2.0},
    ]
    assert attempts_of(attempts_text([])) == []


def test_there_is_an_end_to_what_is_held_in_memory() -> None:
    counts = Counts()
    for number in range(1000):
        counts.add(ended(model=f"m{number}"), 3600.0)
    rows = counts.changed()
    assert len(rows) == 201
    assert sum(row["requests"] for row in rows) == 1000
    counts.add(ended(), 1.0)  # a clock that was set back
    assert {row["hour"] for row in counts.changed()} == {1}
    counts.add(ended(), 7200.0)
    counts.forget()
    assert [row["hour"] for row in counts.changed()] == [2]
