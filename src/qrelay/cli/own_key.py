"""The key that clients started here use, where the gateway wants one and the settings name none.

It is made once, called `launch`, and kept in `QRELAY_HOME/launch.key` (0600) as a client keeps its own. Who revokes it
gets another one at the next start: whoever may run these commands may make keys.
"""

from pathlib import Path
from typing import Any, Final

import msgspec

from qrelay.cli.management import Management, work
from qrelay.cli.outcome import Failed
from qrelay.json_errors import JSON_ERRORS
from qrelay.private_files import write_private
from qrelay.settings import Settings

NAME: Final = "launch"
_ANY: Final = "qrelay"  # where no key is needed, clients want to send one all the same


class _Kept(msgspec.Struct):
    id: str
    key: str


def own_key(chosen: Settings) -> str:
    """A key that the gateway of this state takes. Raises Failed, HomeUnusable, RelayError."""
    if chosen.api_keys:
        return chosen.api_keys[0].get_secret_value()
    if chosen.database_path is not None and not chosen.database_path.is_file():
        return _ANY
    file = chosen.home / "launch.key"
    found = _ANY

    async def task(api: Management) -> None:
        nonlocal found
        rows: list[dict[str, Any]] = (await api.ask("GET", "/v2/keys"))["keys"]
        if not rows:
            return
        kept = _read(file)
        if kept is None or not any(row["id"] == kept.id and row["state"] == "active" for row in rows):
            kept = msgspec.convert(await api.ask("POST", "/v2/keys", {"name": NAME}), _Kept)
            _write(file, kept)
        found = kept.key

    work(chosen, task)
    return found


def _read(file: Path) -> _Kept | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Kept)
    except (OSError, *JSON_ERRORS):
        return None  # a new one is made, and the file written anew


def _write(file: Path, kept: _Kept) -> None:
    try:
        write_private(file, msgspec.json.encode(kept), replace=True)
    except OSError as error:
        raise Failed(f"{file} can't be written: {error.strerror}.") from error
