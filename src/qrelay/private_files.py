"""Files that hold secrets: their owner's only, whole or not there at all, on the disk when the call returns."""

import errno
import os
import secrets
from pathlib import Path
from typing import Final

_SET_UP: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}
    | {errno.ENAMETOOLONG}
)


def chosen_wrongly(error: OSError) -> bool:
    """Whether the path or its owner is wrong, so that only another choice mends it: not so with a full disk."""
    return error.errno in _SET_UP


def private_directory(path: Path) -> None:
    """Make a directory (0700) where there is none; one that exists keeps its mode."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_private(path: Path, data: bytes, *, replace: bool) -> None:
    """Write a file (0600) so that a crash leaves the old one or the new one.

    Raises FileExistsError when there is one and `replace` is false, OSError when the disk refuses.
    """
    private_directory(path.parent)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make names in a directory durable, where the system can."""
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
