"""A database of each kind, and requests that have ended."""

import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from qrelay.database import Database, open_database
from qrelay.records.ended import Ended
from qrelay.vault import open_vault


@pytest.fixture
async def database(either_url: str, tmp_path: Path) -> AsyncGenerator[Database]:
    opened = await open_database(either_url, open_vault(tmp_path))
    yield opened
    await opened.close()


def ended(number: int = 0, **more: Any) -> Ended:
    """One that went well."""
    given: dict[str, Any] = {
        "id": f"req_{number:032x}",
        "at": time.time(),
        "dialect": "chat",
        "client": "test/1",
        "stream": True,
        "status": 200,
        "outcome": "ok",
        "model_asked": "some-model",
        "model": "some-model",
        "account_id": "account-1",
        "key_id": "key-1",
        "attempts": '[["account-1","q","ok",200,12.5]]',
        "duration_ms": 40.0,
        "first_byte_ms": 20.0,
        "input_tokens": 10,
        "cache_read_tokens": 20,
        "cache_write_tokens": 30,
        "output_tokens": 40,
        "estimated": True,
        "credits": 0.125,
    }
    return Ended(**(given | more))
