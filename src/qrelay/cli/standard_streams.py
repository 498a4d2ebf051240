"""Standard streams that were closed before the start."""

import os
import sys
from contextlib import suppress


def open_standard_streams() -> None:
    """Open the null device in place of closed ones. Else the database would get their number, and prints its pages."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        with suppress(OSError):
            try:
                os.fstat(number)
            except OSError:
                opened = os.open(os.devnull, os.O_RDWR)  # it gets the lowest free number, and so this one
                os.set_inheritable(opened, True)
            mode = "w" if number else "r"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - open until the end
