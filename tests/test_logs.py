"""Logs: one form for all, and no secret in any."""

import errno
import gc
import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from qrelay import logs
from qrelay.logs import RequestLine, log_request

KNOWN = 'kn0wn "by\\heart'


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("aiosqlite", "uvicorn", "uvicorn.error")}
    yield
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, number in levels.items():
        logging.getLogger(name).setLevel(number)
    logging.getLogger("uvicorn.access").disabled = False


@pytest.fixture(params=["json", "text"])
def out(request: pytest.FixtureRequest) -> io.StringIO:
    stream = io.StringIO()
    logs.set_up("debug", request.param, [KNOWN, "abc"], stream)
    return stream


CANARIES = [
    "Authorization: Bearer canary-0123456789",
    "'authorization': 'bearer canary:0123456789'",
    "[(b'authorization', b'Bearer canary-0123456789')]",
    '{"refreshToken":"canary-0123","clientSecret": "canary-0124"}',
    '{\\"accessToken\\": \\"canary-0123\\"}',
    "refresh_token=canary-0123&client_secret=canary-4567",
    "x-api-key: canary-0123",
    "a key qr_canary0123456789 of ours",
    "ksk_canary0123456789",
    "aorAAAAAGcanary0123456789:MGUCcanary",
    "aoaAAAAAGcanary0123456789",
    "eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOiJjYW5hcnkifQ.canary",
    "POST /v1/messages?beta=canary HTTP/1.1",
    "https://oidc.example/authorize?code=canary&state=canary",
    f"said {KNOWN}",
]


@pytest.mark.parametrize("line", CANARIES)
def test_what_looks_like_a_secret_is_taken_out(out: io.StringIO, line: str) -> None:
    structlog.get_logger().info(line)
    structlog.get_logger().debug("said", what=line, deep={"a": [line, {"b": line}]}, raw=line.encode())
    logging.getLogger("somebody").debug("%s and %s", line, {"k": line})
    try:
        raise ValueError(line)  # noqa: TRY301 - a traceback is what is looked at
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("uvicorn.error").exception("failed")
    said = out.getvalue()
    assert said.count("\n") >= 5
    assert "canary" not in said
    assert "kn0wn" not in said


def test_what_stands_under_a_secret_name_is_taken_out(out: io.StringIO) -> None:
    structlog.get_logger().info(
        "kept", refreshToken="canary", headers={"x-api-key": "canary", "Cookie": "canary"}, password=["canary"]
    )
    assert "canary" not in out.getvalue()


def test_what_is_no_secret_stays(out: io.StringIO) -> None:
    structlog.get_logger().info(
        "The bearer token included in the request is invalid.", input_tokens=1234, has_token=True, path="/v1/messages"
    )
    said = out.getvalue()
    assert "The bearer token included in the request is invalid." in said
    assert "1234" in said
    assert "/v1/messages" in said
    assert "redacted" not in said


def test_each_line_is_one_object() -> None:
    stream = io.StringIO()
    logs.set_up("info", "auto", [], stream)
    structlog.get_logger().info("one", n=1, words="你好")
    logging.getLogger("library").warning("two %d", 2)
    structlog.get_logger().debug("too little to be said")
    one, two = map(json.loads, stream.getvalue().splitlines())
    assert (one["event"], one["n"], one["level"], one["words"]) == ("one", 1, "info", "你好")
    assert (two["event"], two["logger"], two["level"]) == ("two 2", "library", "warning")


def test_libraries_that_tell_all_are_quiet_even_at_debug(out: io.StringIO) -> None:
    for name in ("aiosqlite", "sqlalchemy.engine.Engine", "asyncio", "uvicorn.access"):
        logging.getLogger(name).info("INSERT INTO accounts VALUES ('canary')")
    assert out.getvalue() == ""


def test_a_requests_line_is_redacted_like_any_other(out: io.StringIO) -> None:
    logs.log_request(
        logs.RequestLine(
            request_id="req_1",
            dialect="chat",
            outcome="ok",
            duration_ms=1.5,
            model="ksk_canary0123456789",
            account=f"label {KNOWN}",
            upstream_request_id="Bearer canary-0123456789",
            output_tokens=0,
        )
    )
    said = out.getvalue()
    assert said.count("\n") == 1
    assert "canary" not in said
    assert "kn0wn" not in said
    if said.startswith("{"):
        line = json.loads(said)
        assert (line["event"], line["request_id"], line["output_tokens"]) == ("request", "req_1", 0)
        assert "credits" not in line
    else:
        assert "request_id=req_1" in said


def test_a_requests_line_keeps_to_the_level() -> None:
    stream = io.StringIO()
    logs.set_up("warning", "json", (), stream)
    logs.log_request(logs.RequestLine(request_id="req_1", dialect="chat", outcome="ok", duration_ms=1.5))
    assert not stream.getvalue()


class Full(io.StringIO):
    """A stream on a disk that may be full."""

    full = False

    def write(self, text: str, /) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_full_disk_costs_lines_and_nothing_else(form: Literal["text", "json"]) -> None:
    out = Full()
    logs.set_up("info", form, stream=out)
    request = RequestLine(request_id="req_1", dialect="chat", outcome="ok", duration_ms=1.0)
    out.full = True
    structlog.get_logger().info("not this")
    logging.getLogger("some").warning("nor this")
    log_request(request)
    assert out.getvalue() == ""
    out.full = False
    log_request(request)
    written, told = out.getvalue().splitlines()
    assert "log.lines_dropped" in told
    assert "3" in told.partition("lines")[2].partition("lines")[2]
    assert logs.dropped_lines() == 3
    assert "req_1" in written


def test_record_that_cannot_be_formatted_is_named(out: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.LogRecord("library", logging.WARNING, "", 0, "%d lines", ("three",), None)
    next(handler for handler in logging.getLogger().handlers if type(handler).__module__ == "qrelay.logs").handle(
        record
    )
    assert "log.record_broken" in out.getvalue()
    assert "%d lines" in out.getvalue()
    assert capsys.readouterr().err == ""


def test_errors_of_threads_and_finalizers_are_logged(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    logs.log_uncaught()

    def fail() -> None:
        raise ValueError("Bearer canary-0123456789")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()

    class Finalized:
        def __del__(self) -> None:
            fail()

    Finalized()
    gc.collect()
    assert "thread.failed" in out.getvalue()
    assert "finalizer.failed" in out.getvalue()
    assert "canary" not in out.getvalue()


HOSTILE = "a\x1b[2J\x9b31m\u202eb\u200b\x85c\nfake"


def test_control_characters_of_others_are_escaped(out: io.StringIO) -> None:
    structlog.get_logger().info("said", what=HOSTILE)
    logging.getLogger("library").warning("said %s", HOSTILE)
    log_request(RequestLine(request_id="req_1", dialect="chat", outcome="ok", duration_ms=1.0, model=HOSTILE))
    lines = out.getvalue().splitlines()
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    assert all("\\u202e" in line for line in lines)
    if lines[0].startswith("{"):
        assert json.loads(lines[0])["what"] == HOSTILE
        assert json.loads(lines[2])["model"] == HOSTILE


def test_control_characters_in_a_traceback_are_escaped(out: io.StringIO) -> None:
    try:
        raise ValueError(HOSTILE)  # noqa: TRY301 - its traceback is looked at
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "\\u202e" in out.getvalue()
    assert all(line.isprintable() for line in out.getvalue().split("\n"))


def test_colours_of_a_terminal_stay() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    logs.set_up("info", "text", stream=out)
    structlog.get_logger().info("said", what="\x1b[2Jx\x9b")
    assert "\x1b[0m" in out.getvalue()
    assert "\x1b[2J" not in out.getvalue()
    assert "\x9b" not in out.getvalue()
