"""Requests that have ended, put into the log of a gateway that runs: as many as wanted, without asking for them."""

import time
from functools import partial
from pathlib import Path
from typing import Any

from qrelay.database import open_database
from qrelay.records.ended import Ended
from qrelay.records.journal import Journal
from qrelay.vault import open_vault


def ended(number: int, **more: Any) -> Ended:
    """One that went well, a second after the one before it."""
    given: dict[str, Any] = {
        "id": f"req_{number:032x}",
        "at": time.time() - 10_000 + number,
        "dialect": ("messages", "chat", "responses")[number % 3],
        "client": "claude-cli/2.1.3",
        "stream": True,
        "status": 200,
        "outcome": "ok",
        "model_asked": "claude-sonnet-4-5",
        "model": "claude-sonnet-4.5",
        "account_id": "an-account",
        "attempts": '[["an-account","q","ok",200,12.5]]',
        "duration_ms": 1300.0,
        "queue_ms": 0.1,
        "connect_ms": 20.0,
        "first_event_ms": 640.0,
        "first_byte_ms": 661.0,
        "input_tokens": 1200 + number,
        "cache_read_tokens": 600,
        "cache_write_tokens": 0,
        "output_tokens": 340,
        "estimated": number % 2 == 0,
        "credits": 0.31,
    }
    return Ended(**(given | more))


async def write(home: Path, *rows: Ended) -> None:
    """Into the log and the usage of the gateway whose state is in `home`, as another replica would; by rising `at`."""
    database = await open_database(f"sqlite:///{home}/qrelay.sqlite3", open_vault(home))
    try:
        journal = Journal(database, rows=20_000, days=400)
        for at in range(0, len(rows), 4000):
            for row in rows[at : at + 4000]:
                journal.clock = partial(float, row.at)  # its usage counts for the hour it began in
                journal.note(row)
            await journal.flush()
        await journal.close()
    finally:
        await database.close()
