"""A database, SQLite's or PostgreSQL's, behind the back of who uses it: looked into, changed, made to fail."""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg

_FUNCTION = "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} END $$"
_REFUSE = "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';"
_TRIGGER = "CREATE OR REPLACE TRIGGER refuse BEFORE INSERT OR UPDATE ON accounts EXECUTE FUNCTION refuse()"


def execute(url: str, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements in one transaction; the rows of the last one."""
    rows: list[tuple[Any, ...]] = []
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(file_of(url))) as database:
            for statement in statements:
                rows = database.execute(statement).fetchall()
            database.commit()
    else:
        with psycopg.connect(url, options="-c lock_timeout=5s") as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
                rows = cursor.fetchall() if cursor.description else []
    return rows


def file_of(url: str) -> Path:
    """SQLite's."""
    return Path(url.removeprefix("sqlite:///"))


@contextmanager
def refusing_writes(url: str) -> Generator[None]:
    """While it lasts, no account can be written: another program holds SQLite's lock, or PostgreSQL's disk is full."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(file_of(url), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
        return
    execute(url, _FUNCTION.format(_REFUSE), _TRIGGER)
    try:
        yield
    finally:
        execute(url, _FUNCTION.format("RETURN NULL;"))  # to drop the trigger would wait for who reads the table now


@contextmanager
def read_only(url: str) -> Generator[None]:
    """While it lasts PostgreSQL takes no writes: connections end, as after a failover to a standby; new ones can't."""
    ((name,),) = execute(url, "SELECT current_database()")
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    execute(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    execute(url, f"{others} AND pid != pg_backend_pid()")
    try:
        yield
    finally:
        with psycopg.connect(url, options="-c default_transaction_read_only=off") as connection:
            connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only".encode())


def lose_leases(url: str) -> None:
    """As if their holders had been stopped for longer than they last."""
    execute(url, "UPDATE accounts SET lease_until = 0")
