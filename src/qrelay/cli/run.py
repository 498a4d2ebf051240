"""`qrelay run`, what `make run` calls: `serve` when there is an account to serve, else `demo`."""

from contextlib import suppress

from sqlalchemy import exists, select

from qrelay import database
from qrelay.cli.demo import demo
from qrelay.cli.loop import run_loop
from qrelay.cli.serve import serve
from qrelay.database.schema import accounts
from qrelay.errors import RelayError
from qrelay.settings import Settings


def run(chosen: Settings) -> None:
    (serve if has_account(chosen) else demo)(chosen)


def has_account(chosen: Settings) -> bool:
    """Whether an account is stored or given by variables. A database that can't be read is `serve`'s to explain."""
    if chosen.amazonq_refresh_token is not None:
        return True
    if chosen.database_path is not None and not chosen.database_path.is_file():
        return False
    found = True

    async def look() -> None:
        nonlocal found
        engine = database.connect(chosen.database_address, busy_seconds=5)
        try:
            if chosen.database_path is None and await database.version(engine) is None:
                found = False
                return
            with database.told():
                async with engine.connect() as connection:
                    reading = await connection.execution_options(**database.READING)
                    stored = select(exists().where(accounts.c.deleted_at.is_(None)))
                    found = bool(await reading.scalar(stored))
        finally:
            await engine.dispose()

    with suppress(RelayError):
        run_loop(look())
    return found
