"""`POST /v2/master-key/rotate`: another master key, while everything goes on. For the owner alone, as exporting is.

    master.key in QRELAY_HOME     a new key is put before the old one, all records are sealed anew, the old one goes to
                                  backups/, where older copies of the database need it
    given by the settings         whoever gave it puts a new one before it and starts qrelay; this then seals all anew

Several processes on PostgreSQL with a master.key each could not follow: there the key comes from the settings.
"""

from datetime import UTC, datetime
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from qrelay.accounts.store import AccountStore
from qrelay.database import Database
from qrelay.database.resealing import reseal
from qrelay.errors import ErrorCode, RelayError
from qrelay.http.doors import from_owner
from qrelay.http.management import told


def routes(database: Database, store: AccountStore, home: Path) -> list[Route]:
    async def rotated(request: Request) -> JSONResponse:
        if not from_owner(request.scope):
            raise RelayError(
                ErrorCode.client_forbidden,
                "The master key isn't changed by an address.",
                remedy="Run 'qrelay master-key rotate' on this machine, as the user who runs the server.",
            )
        vault = database.vault
        if vault.file is None or database.shared:
            _demand_two(vault.keys)
        await store.flush()
        if store.safekeeping.waiting:
            raise RelayError(ErrorCode.store_failed, "Tokens that the database would not take wait in spill/.")
        if vault.file is not None and vault.keys == 1:
            vault.add_key()
        done = await reseal(database)
        kept = vault.drop_old_keys(home / "backups", datetime.now(UTC)) if vault.file is not None else None
        return JSONResponse(
            {"records": done.sealed, "unreadable": done.unreadable, "old_key": None if kept is None else str(kept)}
        )

    return [Route("/v2/master-key/rotate", told(rotated), methods=["POST"])]


def _demand_two(keys: int) -> None:
    if keys == 1:
        raise RelayError(
            ErrorCode.request_invalid,
            "The master key isn't this process's alone to change.",
            remedy="Make a new one with 'openssl rand -base64 32', put it and a comma before the old one in "
            "QRELAY_MASTER_KEY (or on a line before it in QRELAY_MASTER_KEY_FILE) everywhere, start qrelay with that, "
            "and run this again; then take the old one out.",
        )
