"""Work that one process does for all that share a database: whose turn it is. Not the work.

    if await jobs.mine("prune", seconds=120):    # take it, or keep it
        ...                                      # shorter than that, or ask again

A lease by the database's clock. Whoever has it keeps it by asking again before it ends; when its process is gone, the
next one that asks has it. The work must do no harm when it is done twice: a process that was stopped for longer than
its lease goes on where it was.
"""

import secrets

from sqlalchemy import delete, or_
from sqlalchemy.dialects import postgresql, sqlite

from qrelay.database.opened import Database
from qrelay.database.schema import database_now
from qrelay.database.schema import jobs as table


class Jobs:
    """Of one process. `owner` names it."""

    def __init__(self, database: Database, *, owner: str | None = None) -> None:
        self._database = database
        self._owner = owner or secrets.token_hex(8)

    async def mine(self, name: str, *, seconds: float) -> bool:
        """Whether this process is to do it for the next `seconds`. Raises RelayError(store_failed)."""
        insert = postgresql.insert if self._database.shared else sqlite.insert
        statement = insert(table).values(name=name, owner=self._owner, until=database_now() + seconds)
        free = or_(table.c.owner == self._owner, table.c.until < database_now())
        values = {"owner": statement.excluded.owner, "until": statement.excluded.until}
        statement = statement.on_conflict_do_update(index_elements=["name"], set_=values, where=free)
        async with self._database.writing() as connection:
            taken = await connection.execute(statement.returning(table.c.name))
            return taken.one_or_none() is not None

    async def give_back(self) -> None:
        """Let the others have what is this process's: at its end. Raises RelayError(store_failed)."""
        async with self._database.writing() as connection:
            await connection.execute(delete(table).where(table.c.owner == self._owner))
