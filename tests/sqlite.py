"""SQLite files with the newest schema and nothing in them: much sooner copied than made.

How the schema is made is what tests/database is about, and every process that tests start makes its own.
"""

import asyncio
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from qrelay.database import connect, migrate
from qrelay.private_files import private_directory


def new_database(path: Path) -> None:
    """A file there, if there is none."""
    if not path.exists():
        private_directory(path.parent)
        path.write_bytes(_migrated())


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory(prefix="qrelay-") as folder, ThreadPoolExecutor(1) as aside:
        made = Path(folder, "database")
        aside.submit(asyncio.run, _make(made)).result()  # who asks may have a loop that runs
        return made.read_bytes()


async def _make(path: Path) -> None:
    engine = connect(f"sqlite:///{path}", busy_seconds=5)
    await migrate(engine)
    await engine.dispose()
