"""Settings of glibc's allocator, so that memory of large requests goes back to the system when they end.

Large blocks have a mapping of their own. When one is freed, glibc raises the size from which they do, up to 32 MiB;
from then on bodies of several MB fragment the heap. glibc also gives each thread a heap, which hardly ever shrinks.
An environment variable such as MALLOC_ARENA_MAX overrides a setting. Other C libraries are left alone.
"""

import ctypes
import os
import sys
from typing import Final

_MMAP_THRESHOLD: Final = -3  # malloc.h
_ARENA_MAX: Final = -8
_SETTINGS: Final = {
    ("MALLOC_MMAP_THRESHOLD_", _MMAP_THRESHOLD): 256 * 1024,
    ("MALLOC_ARENA_MAX", _ARENA_MAX): 1,
}


def limit_memory() -> None:
    """Apply the settings. Call this before threads are started."""
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return
    for (variable, option), value in _SETTINGS.items():
        if variable not in os.environ:
            mallopt(option, value)
