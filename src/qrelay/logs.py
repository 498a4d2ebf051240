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
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, TextIO, cast

import msgspec
import structlog
from msgspec import Struct
from structlog.types import EventDict, Processor, WrappedLogger

MASK = "[redacted]"

# What a secret stands under. Counts such as input_tokens are no secrets: hence the end of the word.
_SECRET_KEY = re.compile(
    r"(token|secret|password|passwd|authorization|cookie|api[-_]?key|master[-_]?key|credentials?)$", re.IGNORECASE
)
_SECRET_LOOKS = re.compile(
    r"""
    (?P<bearer> \b bearer [\s"']+ ) (?! tokens? \b ) [\w.~+/=:-]{4,}
    | \b (?: qr_ | ksk_ | ao[ar] ) [\w.~+/=:-]{8,}                  # our keys, Kiro's keys, AWS's tokens
    | \b eyJ [\w-]{8,} \. [\w-]{4,} (?: \. [\w-]* )*                        # JSON web tokens
    | (?P<named>                                                            # refreshToken=…, "client_secret": "…"
        \b (?: (?:access|refresh|id|session)[-_]?token | client[-_]?secret | x-api-key | api[-_]?key | password
             | authorization ) \\* ["']? \s* [:=] \s* (?: [bBuU]? \\* ["'] )? (?: bearer \s )?
      ) (?! \[redacted | bearer \b ) [^\s"'\\,;&}\])]{4,}
    | (?P<address> \b https?://[^\s"'?<>]+ | (?<=\s)/[\w./-]* ) \? [^\s"'<>]+   # the query of an address
    """,
    re.VERBOSE | re.IGNORECASE,
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

    def __init__(self, out: TextIO, redactor: "Redactor", *, text: bool) -> None:
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


def log_request(line: RequestLine) -> None:
    """Write a request's line, if logs are set up and their level lets it through."""
    if _requests is not None:
        _requests.add(line)


def flush() -> None:
    """Write what still waits: at the end of the process."""
    if _requests is not None:
        _requests.flush()


class Redactor:
    """Takes out of text what must not be read. `values` are secrets that are known by heart."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        known = sorted({value for value in values if len(value) >= 4}, key=len, reverse=True)
        self._known = re.compile("|".join(_however_quoted(value) for value in known)) if known else None

        self.word = lru_cache(maxsize=1024)(self.text)
        """`text`, remembered: for names that come again and again."""

    def text(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return _SECRET_LOOKS.sub(_keep_name, text)

    def event(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """The processor that goes by key names, at any depth."""
        return {key: self._value(key, value) for key, value in event.items()}

    def line(self, _logger: WrappedLogger, _method: str, line: str) -> str:
        """The last processor: the whole line, tracebacks included."""
        return self.text(line)

    def _value(self, key: str, value: object) -> Any:
        match value:
            case None | bool() | int() | float():
                return value
            case _ if _SECRET_KEY.search(key):
                return MASK
            case str():
                return self.text(value)
            case bytes():
                return self.text(value.decode("utf-8", "replace"))
            case Mapping():
                held = cast("Mapping[object, object]", value)
                return {str(name): self._value(str(name), item) for name, item in held.items()}
            case list() | tuple():
                items = cast("Iterable[object]", value)
                return [self._value("", item) for item in items]
            case _:
                return value


def _however_quoted(value: str) -> str:
    """A pattern for the value as it is, and as JSON or `repr` write it, once or several times over."""
    loose = {'"': r'\\*"', "'": r"\\*'", "\\": r"\\+"}
    return "".join(loose.get(character) or re.escape(character) for character in value)


def _keep_name(found: re.Match[str]) -> str:
    if found["address"]:
        return found["address"]
    return (found["bearer"] or found["named"] or "") + MASK


_encode = msgspec.json.Encoder().encode


def _as_text(line: RequestLine) -> str:
    said = " ".join(f"{name}={value}" for name, value in msgspec.to_builtins(line).items())
    return f"{datetime.now(UTC).astimezone():%H:%M:%S} [info     ] request {said}\n"


def _as_json(line: RequestLine) -> str:
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    now = f"{_second(seconds)}.{nanoseconds // 1000:06d}Z"
    return f'{{"event":"request","level":"info","timestamp":"{now}",{_encode(line)[1:].decode()}\n'


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


atexit.register(flush)


class _Outlet:
    """Where lines go. A full disk costs lines, of which it is told how many at most, and fails nobody's request."""

    def __init__(self, out: TextIO, *, text: bool) -> None:
        self._out = out
        self._text = text
        self._lost = 0

    def write(self, text: str) -> int:
        try:
            self._out.write(text)
            if self._lost and text.endswith("\n"):  # told afterwards, or it would be told again and again
                event = {"event": "the log could not be written for a while", "level": "warning", "lost": self._lost}
                said = " ".join(f"{name}={value}" for name, value in event.items())
                self._out.write(f"{said if self._text else msgspec.json.encode(event).decode()}\n")
                self._lost = 0
        except OSError:
            self._lost += text.count("\n")
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):  # what it held back is counted when it is written
            self._out.flush()


def _for_people(colors: bool) -> list[Processor]:
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]


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
    out = cast("TextIO", _Outlet(given, text=text))
    redactor = Redactor(secrets)
    number = logging.getLevelNamesMapping()[level.upper()]
    flush()
    global _requests  # noqa: PLW0603 - logging is the process's own, as structlog's configuration is
    requests = _RequestLines(out, redactor, text=text)
    _requests = requests if number <= logging.INFO else None
    shared: list[Processor] = [
        requests.first,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if text else "iso", utc=not text),
    ]
    finish: list[Processor] = [
        redactor.event,
        *(_for_people(given.isatty()) if text else _for_machines()),
        cast("Processor", redactor.line),  # the one that takes the line and not the event
    ]
    structlog.configure(
        processors=[*shared, *finish],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
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
