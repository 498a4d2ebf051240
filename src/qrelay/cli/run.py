"""`qrelay run`, what `make run` calls: `serve` when there is an account to serve, else `demo`."""

from contextlib import suppress

from sqlalchemy import exists, select

from qrelay import database
from qrelay.cli.demo import demo
from qrelay.cli.loop import run_loop
from qrelay.cli.serve import serve
from qrelay.database.schema import accounts
from qrelay.errors import RelayError
from qrelay.home import share_home
from qrelay.settings import Settings
from qrelay.vault import open_vault


def run(chosen: Settings) -> None:
    if has_account(chosen):
        serve(chosen)
        return
    _check_choices(chosen)
    demo(chosen)


def _check_choices(chosen: Settings) -> None:
    """What somebody chose for accounts to come is refused now: a demonstration uses none of it, and would hide it."""
    if "home" in chosen.model_fields_set:
        share_home(chosen.home)
    key = chosen.master_key.get_secret_value() if chosen.master_key is not None else None
    if key is not None or chosen.master_key_file is not None:
        open_vault(chosen.home, key_file=chosen.master_key_file, key=key)


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
