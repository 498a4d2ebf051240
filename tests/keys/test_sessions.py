"""Console sessions on both databases, and how often a secret may be guessed."""

import pytest
from sqlalchemy import select

from qrelay.database.schema import sessions as table
from qrelay.keys.attempts import Attempts
from qrelay.keys.sessions import Sessions
from tests.keys.conftest import Clock, Process

pytestmark = pytest.mark.anyio

MINUTE = 60.0
HOUR = 60 * MINUTE


async def test_it_ends_when_nobody_asks(process: Process, clock: Clock) -> None:
    async with process() as database:
        sessions = Sessions(database, "secret")
        token, _ = await sessions.open("127.0.0.1")
        for _ in range(3):
            clock.ahead += 29 * MINUTE
            assert await sessions.ends_at(token)
        clock.ahead += 31 * MINUTE
        assert await sessions.ends_at(token) is None


async def test_to_look_whether_it_is_there_is_not_to_use_it(process: Process, clock: Clock) -> None:
    async with process() as database:
        sessions = Sessions(database, "secret")
        token, _ = await sessions.open(None)
        clock.ahead += 29 * MINUTE
        assert await sessions.ends_at(token, touch=False)
        clock.ahead += 2 * MINUTE
        assert await sessions.ends_at(token) is None


async def test_it_ends_after_half_a_day_in_any_case(process: Process, clock: Clock) -> None:
    async with process() as database:
        sessions = Sessions(database, "secret")
        token, ends_at = await sessions.open(None)
        while clock.ahead < 12 * HOUR - 20 * MINUTE:
            clock.ahead += 20 * MINUTE
            assert await sessions.ends_at(token) == pytest.approx(ends_at, abs=1)
        clock.ahead += 21 * MINUTE
        assert await sessions.ends_at(token) is None


async def test_every_replica_knows_it_and_only_those_with_the_same_secret(process: Process) -> None:
    async with process() as here:
        token, _ = await Sessions(here, "secret").open(None)
        assert await Sessions(here, "secret").ends_at(token)
        assert await Sessions(here, "another secret").ends_at(token) is None
        await Sessions(here, "secret").close(token)
        assert await Sessions(here, "secret").ends_at(token) is None


async def test_a_new_one_takes_the_place_of_the_one_before(process: Process, clock: Clock) -> None:
    async with process() as database:
        sessions = Sessions(database, "secret")
        first, _ = await sessions.open(None)
        second, _ = await sessions.open(None, before=first)
        assert first != second
        assert await sessions.ends_at(first) is None
        assert await sessions.ends_at(second)
        clock.ahead = 13 * HOUR
        await sessions.open(None)
        async with database.reading() as connection:
            (row,) = (await connection.execute(select(table))).all()
        assert second not in str(row)


@pytest.mark.parametrize("token", ["", "x", "\0" * 43, "é" * 43, "a" * 43, "' OR 1=1 --" * 4])
async def test_what_is_no_session(process: Process, token: str) -> None:
    async with process() as database:
        assert await Sessions(database, "secret").ends_at(token) is None


def test_so_many_guesses_a_minute() -> None:
    attempts = Attempts(per_place=2, in_all=4)
    assert attempts.wait("10.0.0.1", 0) == 0
    attempts.failed("10.0.0.1", 0)
    attempts.failed("10.0.0.1", 10)
    assert attempts.wait("10.0.0.1", 20) == 40
    assert attempts.wait("10.0.0.2", 20) == 0
    attempts.failed("2001:db8::1", 20)
    attempts.failed("2001:db8::ffff:2", 20)
    assert attempts.wait("2001:db8::3", 30) == 50, "one network is one place"
    assert attempts.wait("10.0.0.3", 30) == 30, "there were four in all"
    assert attempts.wait("10.0.0.1", 61) == 0
    assert attempts.wait("2001:db8::3", 81) == 0


def test_who_knows_the_secret_is_not_locked_out_by_guesses_from_elsewhere() -> None:
    attempts = Attempts(per_place=2, in_all=4)
    attempts.passed("10.0.0.1")
    for place in ("10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.4"):
        attempts.failed(place, 0)
    assert attempts.wait("10.0.0.2", 1) == 59
    assert attempts.wait("10.0.0.1", 1) == 0
    attempts.failed("10.0.0.1", 1)
    attempts.failed("10.0.0.1", 1)
    assert attempts.wait("10.0.0.1", 2) == 59, "what it guesses itself counts"
    for number in range(300):
        attempts.passed(f"10.1.{number // 256}.{number % 256}")
    assert attempts.wait("10.0.0.1", 61) == 0


def test_an_address_written_as_ipv6_is_that_address() -> None:
    attempts = Attempts(per_place=1, in_all=10)
    attempts.failed("::ffff:10.0.0.1", 0)
    assert attempts.wait("10.0.0.1", 1) == 59
    assert attempts.wait("::ffff:10.0.0.2", 1) == 0
