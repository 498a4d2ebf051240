"""The log of this process as text, set up as a server sets it up."""

import io
import logging
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Literal

import structlog

from qrelay import logs


@contextmanager
def captured_log(form: Literal["json", "text"], secrets: Iterable[str]) -> Generator[io.StringIO]:
    """Capture everything that is logged, from the lowest level on; set logging back at the end."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("aiosqlite", "uvicorn", "uvicorn.error")}
    stream = io.StringIO()
    logs.set_up("debug", form, secrets, stream)
    yield stream
    logs.set_up("critical", "json", [], io.StringIO())  # no line of a request goes there any more
    root.handlers[:] = before
    root.setLevel(level)
    for name, number in levels.items():
        logging.getLogger(name).setLevel(number)
    logging.getLogger("uvicorn.access").disabled = False
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
