"""The file under an open SQLite database: is it still the one that was opened, and back in its place if it was deleted.

A deleted file lives on for who has it open, and goes when they end: whatever is written to it is lost then. So its
place is looked at before each write, which costs microseconds. Nothing there: what this process has open is copied
there again. Another file there: that is somebody's decision, and nothing is written until qrelay starts anew.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from qrelay.errors import ErrorCode, RelayError
from qrelay.private_files import sync_directory


class OpenFile:
    """The file of an engine that has one connection, which is open."""

    def __init__(self, engine: AsyncEngine, path: Path) -> None:
        self._engine = engine
        self._path = path
        self._opened = _identity(path)

    def wrong(self) -> RelayError | None:
        """What is wrong with it, if anything is: store_failed."""
        there = _identity(self._path)
        if there == self._opened:
            return None
        if there is None:
            return RelayError(ErrorCode.store_failed, f"The account store can't be used: {self._path} is gone.")
        return RelayError(
            ErrorCode.store_failed,
            f"The account store can't be used: {self._path} isn't the file that was opened.",
            remedy="Stop qrelay before a database is put there, and start it afterwards: now, that is.",
        )

    async def put_back(self) -> bool:
        """Whether it was gone, and is there again with all that was in it. Raises OSError, sqlite3.Error."""
        if self._path.exists() or not self._path.parent.is_dir():
            return False
        draft = self._path.with_name(f".{self._path.name}.draft")
        draft.unlink(missing_ok=True)
        async with self._engine.connect() as connection:  # the only one: nobody opens the place meanwhile
            opened = (await connection.get_raw_connection()).driver_connection
            assert opened is not None
            try:
                os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                with closing(sqlite3.connect(draft, check_same_thread=False)) as copy:
                    await opened.backup(copy)
                for ending in ("-wal", "-shm"):  # they are of the file that is gone
                    self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
                self._path.hardlink_to(draft)  # unless there is something by now
            finally:
                draft.unlink(missing_ok=True)
            sync_directory(self._path.parent)
            self._opened = _identity(self._path)
            await connection.invalidate()
        return True


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
