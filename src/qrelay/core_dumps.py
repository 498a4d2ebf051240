"""Core dumps of this process: forbidden, because its memory holds keys, tokens and prompts.

RLIMIT_CORE 0 keeps core files away (POSIX). PR_SET_DUMPABLE 0 (Linux) keeps them from handlers such as
systemd-coredump too, and keeps other processes of the same user from attaching and reading (py-spy, strace, gdb).
"""

import sys
from contextlib import suppress
from typing import Final

_PR_SET_DUMPABLE: Final = 4

_former_limit: tuple[int, int] | None = None


def forbid_core_dumps() -> None:
    """Forbid core dumps of this process. Where the system has no such switch, nothing happens."""
    global _former_limit  # noqa: PLW0603 - the limit is the process's own
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not on Windows

    with suppress(OSError, ValueError):  # a sandbox may forbid it; the next switch is another system call
        limit = resource.getrlimit(resource.RLIMIT_CORE)
        # The soft limit only: programs that this one starts may raise it again.
        resource.setrlimit(resource.RLIMIT_CORE, (0, limit[1]))
        _former_limit = _former_limit or limit
    if sys.platform == "linux":
        # Some builds of Python can't load ctypes where memory may not be writable and executable (MemoryError).
        with suppress(ImportError, OSError, AttributeError, MemoryError):
            import ctypes  # noqa: PLC0415 - see above

            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def restore_core_limit() -> None:
    """Restore the limit of before, for programs that are started from here. Memory of this process stays closed."""
    if _former_limit is not None and sys.platform != "win32":
        import resource  # noqa: PLC0415 - not on Windows

        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, _former_limit)
