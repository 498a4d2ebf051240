"""Runs a program beside it with little memory and time, and no files to write. It is started by its path, alone.

python confined.py NAME WORD...  runs NAME.py
"""

import runpy
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

MEMORY_BYTES: Final = 1 << 30
CPU_SECONDS: Final = 30


def confine() -> None:
    """From here on; where the system has no such limits, none."""
    with suppress(ImportError):
        import resource  # noqa: PLC0415 - not on Windows

        for limit, value in (
            (resource.RLIMIT_AS, MEMORY_BYTES),
            (resource.RLIMIT_CPU, CPU_SECONDS),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(limit, (value, value))


if __name__ == "__main__":
    confine()
    del sys.argv[0]
    runpy.run_path(str(Path(__file__).with_name(f"{sys.argv[0]}.py")), run_name="__main__")
