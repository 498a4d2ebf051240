"""Tokens that were received while the database would not take them: sealed files, until it does. Not the retrying.

spill/<digest of the account's id>    {account_id, generation (the one they replace), received_at, renewal}
"""

import hashlib
from pathlib import Path

import msgspec
import structlog

from qrelay.accounts.account import Renewal
from qrelay.errors import RelayError
from qrelay.json_errors import JSON_ERRORS
from qrelay.private_files import sync_directory, write_private
from qrelay.vault import Vault

log = structlog.get_logger()


class Spilled(msgspec.Struct, frozen=True, kw_only=True):
    """One renewal not yet in the database; it replaces the tokens of `generation`."""

    account_id: str
    generation: int
    received_at: float
    renewal: Renewal


class Spill:
    """The folder. Methods block (they wait for the disk): call them in a thread."""

    def __init__(self, folder: Path, vault: Vault) -> None:
        self._folder = folder
        self._vault = vault

    def write(self, spilled: Spilled) -> None:
        """On the disk when it returns. Raises OSError."""
        path = self._path(spilled.account_id)
        text = msgspec.json.encode(spilled).decode()
        record = self._vault.seal(text, table="spill", row=path.name, column="tokens")
        write_private(path, record, replace=True)

    def remove(self, account_id: str) -> None:
        """Raises OSError, but not when there is nothing to remove."""
        self._path(account_id).unlink(missing_ok=True)
        if self._folder.is_dir():
            sync_directory(self._folder)

    def read_all(self) -> list[Spilled]:
        """What a process before this one left. A file that can't be read stays where it is and is told in the log."""
        found: list[Spilled] = []
        if not self._folder.is_dir():
            return found
        for path in sorted(self._folder.iterdir()):
            if path.name.startswith("."):
                continue  # a draft a crash left: never whole
            try:
                text = self._vault.open(path.read_bytes(), table="spill", row=path.name, column="tokens")
                found.append(msgspec.json.decode(text, type=Spilled))
            except (RelayError, OSError, *JSON_ERRORS) as error:
                log.warning("spilled tokens can't be read", file=path.name, reason=type(error).__name__)
        return found

    def _path(self, account_id: str) -> Path:
        # An id may be anything (some were imported), a file's name may not.
        return self._folder / hashlib.sha256(account_id.encode()).hexdigest()[:32]
