"""How qrelay and the libraries under it log, and what never gets into a log. Not what is worth logging.

Everything ends on standard error through one pair of renderers, structlog's own events and those of the standard
library alike. A secret is taken out twice: by the name of the key it stands under, and, in the finished line, by what
it looks like or by being one of the values `set_up` was told of. Request lines lose their query.
"""

import asyncio
import atexit
import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, Final, Literal, TextIO, cast

import msgspec
import structlog
from msgspec import Struct
from structlog.types import EventDict, Processor, WrappedLogger

from qrelay.control_characters import escape_controls
from qrelay.log_output import LineOutput
from qrelay.redaction import MASK, Redactor

# What a secret stands under. Counts such as input_tokens are no secrets: hence the end of the word.
_SECRET_KEY = re.compile(
    r"(token|secret|password|passwd|authorization|cookie|api[-_]?key|master[-_]?key|credentials?)$", re.IGNORECASE
)
# Libraries that log what they are given, tokens and prompts included, or a line for each statement.
_QUIET = ("aiosqlite", "sqlalchemy", "alembic", "asyncio", "hpack", "httpcore", "httpx", "urllib3")


class RequestLine(Struct, kw_only=True, omit_defaults=True):
    """What every request leaves in the log: who, what, how long; no text of anybody's.

    It has a form of its own because it is written for every request: through structlog's processors it would cost as
    much as all the rest of a short request (docs/performance.md).
    """

    request_id: str
    dialect: str
    outcome: str
    duration_ms: float
    stream: bool | None = None
    model: str | None = None
    account: str | None = None
    attempts: int | None = None
    upstream_request_id: str | None = None
    first_byte_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    credits: float | None = None


class _RequestLines:
    """Lines of requests on their way out: those of a twentieth of a second leave in one write, before any other line.

    A write for each would be the largest part of what the log costs. Without a loop they leave at once.
    """

    def __init__(self, out: TextIO, redactor: Redactor, *, text: bool) -> None:
        self._out = out
        self._form = _as_text if text else _as_json
        self._redactor = redactor
        self._waiting: list[str] = []

    def add(self, line: RequestLine) -> None:
        redacted = self._redactor.word
        for name in ("model", "account", "upstream_request_id"):  # the words that come from elsewhere
            if word := getattr(line, name):
                setattr(line, name, redacted(word))
        self._waiting.append(self._form(line))
        if len(self._waiting) == 1:
            try:
                asyncio.get_running_loop().call_later(_GATHERED_SECONDS, self.flush)
            except RuntimeError:
                self.flush()

    def flush(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._out.write("".join(waiting))

    def first(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """The processor that keeps lines in their order."""
        self.flush()
        return event


_GATHERED_SECONDS = 0.05
_requests: _RequestLines | None = None
"""Where they go; None while logs aren't set up, or where their level doesn't let them through."""
_output: LineOutput | None = None


def log_request(line: RequestLine) -> None:
    """Write a request's line, if logs are set up and their level lets it through."""
    if _requests is not None:
        _requests.add(line)


def flush() -> None:
    """Hand over the request lines that are still gathered: at the end of the process."""
    if _requests is not None:
        _requests.flush()


def dropped_lines() -> int:
    """Return the lines of the log dropped since it was set up."""
    return 0 if _output is None else _output.dropped


class _Redaction:
    """The processors that keep secrets out of the log."""

    def __init__(self, redactor: Redactor) -> None:
        self._mask = redactor.mask

    def event(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """The processor that goes by key names, at any depth."""
        return {key: self._value(key, value) for key, value in event.items()}

    def line(self, _logger: WrappedLogger, _method: str, line: str) -> str:
        """The last processor: the whole line, tracebacks included."""
        return self._mask(line)

    def _value(self, key: str, value: object) -> Any:
        match value:
            case None | bool() | int() | float():
                return value
            case _ if _SECRET_KEY.search(key):
                return MASK
            case str():
                return self._mask(value)
            case bytes():
                return self._mask(value.decode("utf-8", "replace"))
            case Mapping():
                held = cast("Mapping[object, object]", value)
                return {str(name): self._value(str(name), item) for name, item in held.items()}
            case list() | tuple():
                items = cast("Iterable[object]", value)
                return [self._value("", item) for item in items]
            case _:
                return value


_encode = msgspec.json.Encoder().encode


def _as_text(line: RequestLine) -> str:
    said = " ".join(f"{name}={_on_one_line(str(value))}" for name, value in msgspec.to_builtins(line).items())
    return f"{datetime.now(UTC).astimezone():%H:%M:%S} [info     ] request {said}\n"


def _as_json(line: RequestLine) -> str:
    fields = escape_controls(_encode(line)[1:].decode())
    return f'{{"event":"request","level":"info","timestamp":"{_timestamp()}",{fields}\n'


def _timestamp() -> str:
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{_second(seconds)}.{nanoseconds // 1000:06d}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


atexit.register(flush)


def _on_one_line(text: str) -> str:
    """Return a word from elsewhere with its line feeds and control characters escaped."""
    return escape_controls(text).replace("\n", "\\n")


def _on_one_line_each(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The processor that keeps words from elsewhere from looking like lines of their own. Tracebacks have several."""
    return {
        key: _on_one_line(value) if isinstance(value, str) and key not in _OF_SEVERAL_LINES else value
        for key, value in event.items()
    }


def _without_controls(colors: bool) -> Callable[[WrappedLogger, str, str], str]:
    """Return the processor that escapes control characters in the finished line, but for its own colours."""

    def escaped(_logger: WrappedLogger, _method: str, line: str) -> str:
        if not colors:
            return escape_controls(line)
        parts = _COLOR.split(line)
        return "".join(part if at % 2 else escape_controls(part) for at, part in enumerate(parts))

    return escaped


_OF_SEVERAL_LINES: Final = frozenset({"exception", "stack"})
_COLOR: Final = re.compile(r"(\x1b\[[0-9;]*m)")


def _loss_line(lines: int, *, text: bool) -> str:
    """The line that says how many were dropped."""
    if text:
        return f"{datetime.now(UTC).astimezone():%H:%M:%S} [warning  ] log.lines_dropped lines={lines}\n"
    return f'{{"event":"log.lines_dropped","level":"warning","timestamp":"{_timestamp()}","lines":{lines}}}\n'


class _Handler(logging.StreamHandler[TextIO]):
    """The standard library's records. A record that can't be formatted is named in the log."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's own name
        """Log what the library would write to standard error itself, where it could block."""
        structlog.get_logger().error("log.record_broken", logger=record.name, message=str(record.msg), exc_info=True)


def log_uncaught() -> None:
    """Send errors of threads and finalizers to the log: Python itself would write them to standard error and wait."""

    def in_thread(failed: threading.ExceptHookArgs) -> None:
        _log_uncaught("thread.failed", failed.exc_value, getattr(failed.thread, "name", None))

    def unraisable(failed: "sys.UnraisableHookArgs") -> None:
        _log_uncaught("finalizer.failed", failed.exc_value, failed.err_msg)

    threading.excepthook = in_thread
    sys.unraisablehook = unraisable


def _log_uncaught(event: str, error: BaseException | None, where: str | None) -> None:
    if not isinstance(error, SystemExit):
        structlog.get_logger().error(event, where=where, exc_info=error)


def _for_people(colors: bool) -> list[Processor]:
    traceback = structlog.dev.plain_traceback
    return [_on_one_line_each, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=traceback)]


def _for_machines() -> list[Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]


def set_up(
    level: str = "info",
    form: Literal["auto", "text", "json"] = "auto",
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Send every log of this process, from `level` on, to `stream` (standard error). Called once, in `cli/`."""
    given = stream or sys.stderr
    text = form == "text" or (form == "auto" and given.isatty())
    output = LineOutput(given, partial(_loss_line, text=text))
    out = cast("TextIO", output)
    redactor = Redactor(secrets)
    redaction = _Redaction(redactor)
    number = logging.getLevelNamesMapping()[level.upper()]
    flush()
    global _requests, _output  # noqa: PLW0603 - logging is the process's own, as structlog's configuration is
    if _output is not None:
        _output.close()
    _output = output
    requests = _RequestLines(out, redactor, text=text)
    _requests = requests if number <= logging.INFO else None
    shared: list[Processor] = [
        requests.first,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if text else "iso", utc=not text),
    ]
    finish: list[Processor] = [
        redaction.event,
        *(_for_people(given.isatty()) if text else _for_machines()),
        cast("Processor", redaction.line),  # the ones that take the line and not the event
        cast("Processor", _without_controls(colors=text and given.isatty())),
    ]
    structlog.configure(
        processors=[*shared, *finish],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = _Handler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    logging.captureWarnings(True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error"):  # its start and stop are told by `serve` itself, in one line
        logging.getLogger(name).setLevel(number if number <= logging.DEBUG else logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True
