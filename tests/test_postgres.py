"""The PostgreSQL of the tests is one: it can be stopped, and what was committed is there when it comes back."""

import psycopg
import pytest

from tests.postgres import Postgres


def test_what_was_committed_outlives_a_crash_of_the_server(postgres: Postgres) -> None:
    name = postgres.new_database()
    postgres.execute("CREATE TABLE kept AS SELECT 1 AS one", name)
    postgres.stop("immediate")
    try:
        with pytest.raises(psycopg.OperationalError):
            postgres.execute("SELECT 1", name)
    finally:
        postgres.start()
    assert postgres.execute("SELECT one FROM kept", name) == [(1,)]
    postgres.execute(f"DROP DATABASE {name}")
