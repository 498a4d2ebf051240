"""Files of others: opened for reading, regular ones of a sane size only. Not what they hold.

Every failure is a RelayError(request_invalid) that names the file, and nothing of its content.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import msgspec

from qrelay.accounts.account import NewAccount
from qrelay.errors import ErrorCode, RelayError
from qrelay.json_errors import JSON_ERRORS

LARGEST: Final = 64 << 20
"""Bytes. A hundred thousand accounts are less."""


class Reading(NamedTuple):
    """What a source holds: accounts, and a sentence for each entry that is none."""

    accounts: Sequence[NewAccount]
    skipped: Sequence[str] = ()


def as_object(value: object) -> dict[str, Any] | None:
    """A JSON object; None for everything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def as_list(value: object) -> list[Any] | None:
    """A JSON list; None for everything else."""
    return cast("list[Any]", value) if isinstance(value, list) else None


def unreadable(message: str, remedy: str = "Nothing was imported from it.") -> RelayError:
    """Why a source can't be read."""
    return RelayError(ErrorCode.request_invalid, message, remedy=remedy)


def check_regular(path: Path, *, largest: int | None = None) -> os.stat_result:
    """A file, whatever links lead to it; no folder, no pipe, no device. Raises RelayError."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no path"
        raise unreadable(f"{path} can't be read: {reason}.", "Name the file: qrelay import SOURCE PATH.") from error
    if not stat.S_ISREG(found.st_mode):
        raise unreadable(f"{path} is not a file.", "Name the file: qrelay import SOURCE PATH.")
    if largest is not None and found.st_size > largest:
        raise unreadable(f"{path} has {found.st_size >> 20} MiB: that is no file of accounts.")
    return found


def read_file(path: Path, *, largest: int = LARGEST) -> bytes:
    """The bytes of a file. Raises RelayError."""
    check_regular(path, largest=largest)
    try:
        with path.open("rb") as file:
            raw = file.read(largest + 1)
    except OSError as error:
        raise unreadable(f"{path} can't be read: {error.strerror}.") from error
    if len(raw) > largest:  # it has grown since it was looked at
        raise unreadable(f"{path} is larger than {largest >> 20} MiB: that is no file of accounts.")
    return raw


def read_json(path: Path, *, largest: int = LARGEST) -> Any:
    """The JSON of a file. Raises RelayError."""
    return decode(read_file(path, largest=largest), path)


def decode(raw: bytes, path: Path) -> Any:
    """The JSON in `raw`, which came from `path`. Raises RelayError."""
    try:
        return msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"))
    except JSON_ERRORS as error:  # their words may quote what is there
        raise unreadable(f"{path} doesn't hold JSON: it is damaged, or something else.") from error
