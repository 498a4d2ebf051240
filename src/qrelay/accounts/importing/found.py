"""Accounts of older gateways that lie in the folder the server is started in: taken once (SWITCHING.md).

Which files were taken is kept in `imported.json` of the state, so that what somebody writes into them later has no
effect. An account that is known keeps its tokens, and one that was deleted stays deleted.
"""

import time
from pathlib import Path
from typing import Final

import msgspec
import structlog

from qrelay.accounts.importing import amq2api, aq2api
from qrelay.accounts.store import AccountStore
from qrelay.errors import ErrorCode, RelayError
from qrelay.json_errors import JSON_ERRORS
from qrelay.private_files import write_private

log: structlog.stdlib.BoundLogger = structlog.get_logger()

RECORD: Final = "imported.json"
_READERS: Final = {"account.json": amq2api.read, "amazonq_credentials.json": aq2api.read}


async def take_found(store: AccountStore, folder: Path, home: Path) -> None:
    """Take the accounts of `folder`'s files that were not taken before. A file that can't be read is told in the log.

    Raises RelayError(store_failed).
    """
    record = home / RECORD
    taken = _read(record)
    for name, read in _READERS.items():
        path = (folder / name).resolve()
        if str(path) in taken or not path.is_file():
            continue
        try:
            reading = read(path)
        except RelayError as error:
            log.warning("a file of an older gateway was found and not taken", file=str(path), reason=error.message)
            continue
        adopted = [account for new in reading.accounts if (account := await store.adopt(new)) is not None]
        log.info(
            "a file of an older gateway was taken, once: later changes of it have no effect",
            file=str(path),
            accounts=len(adopted),
            skipped=len(reading.skipped),
        )
        taken[str(path)] = time.time()
        _write(record, taken)


def _read(record: Path) -> dict[str, float]:
    try:
        return msgspec.json.decode(record.read_bytes(), type=dict[str, float])
    except FileNotFoundError:
        return {}
    except (OSError, *JSON_ERRORS) as error:
        raise RelayError(ErrorCode.store_failed, f"{record} can't be read: {error}.") from None


def _write(record: Path, taken: dict[str, float]) -> None:
    try:
        write_private(record, msgspec.json.encode(taken), replace=True)
    except OSError as error:
        raise RelayError(ErrorCode.store_failed, f"{record} can't be written: {error.strerror}.") from None
