"""Output that never blocks: pipes nobody reads, errors in the middle of a line, child processes."""

import io
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from typing import TextIO

import pytest

from qrelay.log_output import MOST_WAITING, LineOutput

DEADLINE = 30


def _loss(lines: int) -> str:
    return f"lost {lines}\n"


@pytest.fixture
def pipe() -> Iterator[tuple[TextIO, TextIO]]:
    """Both ends of a pipe: to read, to write."""
    readable, writable = os.pipe()
    with os.fdopen(readable, encoding="utf-8") as reader, os.fdopen(writable, "w", encoding="utf-8") as writer:
        yield reader, writer


def _drain(output: LineOutput) -> None:
    output.drain(time.monotonic() + DEADLINE)


def test_lines_arrive_in_order_and_whole(pipe: tuple[TextIO, TextIO]) -> None:
    reader, writer = pipe
    output = LineOutput(writer, _loss)
    lines = [f"{number} {'ü' * (number % 97)}\n" for number in range(2_000)]
    read: list[str] = []
    reading = threading.Thread(target=lambda: read.extend(reader))
    reading.start()
    for line in lines:
        output.write(line)
        if line.startswith("1000 "):
            _drain(output)
    _drain(output)
    output.close()
    writer.close()
    reading.join(DEADLINE)
    assert read == lines
    assert output.dropped == 0


def test_full_pipe_drops_and_counts_lines(pipe: tuple[TextIO, TextIO]) -> None:
    reader, writer = pipe
    output = LineOutput(writer, _loss)
    line = "x" * 999 + "\n"
    total = 3 * MOST_WAITING // len(line)
    for number in range(total):
        output.write(f"{number:06d}{line[6:]}")
    assert output.dropped > 0
    read: list[str] = []
    reading = threading.Thread(target=lambda: read.extend(reader))
    reading.start()
    _drain(output)
    output.write("after\n")
    _drain(output)
    writer.close()
    reading.join(DEADLINE)
    assert read[-2:] == [f"lost {output.dropped}\n", "after\n"]
    written = read[:-2]
    assert all(len(each) == len(line) for each in written)
    assert [int(each[:6]) for each in written] == list(range(total - output.dropped))


class Disk(io.RawIOBase):
    """A file on a disk with room for so many bytes."""

    room = 1 << 30

    def __init__(self) -> None:
        self.held = b""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # pyright: ignore[reportIncompatibleMethodOverride] - bytes are what comes
        fits = data[: self.room]
        if not fits:
            raise OSError(28, "No space left on device")
        self.room -= len(fits)
        self.held += fits
        return len(fits)


class Named:
    """A text stream as far as a `LineOutput` looks at it."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self.buffer = raw
        self.encoding = "utf-8"


@pytest.mark.parametrize("room", range(25))
def test_line_that_an_error_cuts_is_finished_first(room: int) -> None:
    disk = Disk()
    output = LineOutput(Named(disk), _loss)  # pyright: ignore[reportArgumentType] - see there
    disk.room = room
    for number in range(3):
        output.write(f"line {number}\n")
        _drain(output)
    disk.room = 1 << 30
    output.write("after\n")
    _drain(output)
    output.close()
    lines = disk.held.decode().splitlines()
    kept = min(3, -(-room // len("line 0\n")))
    assert lines == [f"line {number}" for number in range(kept)] + ["after"] + [f"lost {3 - kept}"] * (kept < 3)
    assert output.dropped == 3 - kept


@pytest.mark.parametrize("broken", ["reader_gone", "closed"])
def test_broken_stream_costs_lines_only(broken: str, pipe: tuple[TextIO, TextIO]) -> None:
    reader, writer = pipe
    output = LineOutput(writer, _loss)
    if broken == "reader_gone":
        reader.close()
    else:
        writer.close()
    for _ in range(10):
        output.write("gone\n")
        _drain(output)
    assert output.dropped == 10


def test_nonblocking_pipe_of_another_program_loses_nothing(pipe: tuple[TextIO, TextIO]) -> None:
    reader, writer = pipe
    os.set_blocking(writer.fileno(), False)
    output = LineOutput(writer, _loss)
    for _ in range(200):
        output.write("x" * 999 + "\n")
    read: list[str] = []
    reading = threading.Thread(target=lambda: read.extend(reader))
    reading.start()
    _drain(output)
    writer.close()
    reading.join(DEADLINE)
    assert len(read) == 200


def test_stream_without_descriptor_is_written_directly() -> None:
    stream = io.StringIO()
    output = LineOutput(stream, _loss)
    output.write("ü\n")
    assert stream.getvalue() == "ü\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forked_child_writes_its_own_lines_only() -> None:
    script = """
        import os, sys
        from qrelay.log_output import LineOutput
        output = LineOutput(sys.stderr)
        for number in range(1000):
            output.write(f"parent {number}\\n")
        if os.fork() == 0:
            output.write("child\\n")
            sys.exit()
        os.wait()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=DEADLINE, check=True
    )
    lines = done.stderr.splitlines()
    assert lines.count("child") == 1
    assert [line for line in lines if line != "child"] == [f"parent {number}" for number in range(1000)]


@pytest.mark.parametrize("unread", [False, True])
def test_exit_writes_what_waits_but_does_not_hang(unread: bool) -> None:
    script = """
        import sys
        from qrelay.log_output import LineOutput
        output = LineOutput(sys.stderr)
        for number in range(200):
            output.write(f"{number} {'x' * 1000}\\n")
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        if unread:
            assert process.wait(DEADLINE) == 0
        else:
            assert len(process.stderr.readlines()) == 200
            assert process.wait(DEADLINE) == 0
