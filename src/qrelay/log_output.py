"""Text output that never blocks its caller: lines wait in a bounded queue, and one thread writes them.

A pipe that is full, a stopped terminal, a full disk and a closed descriptor cost lines, which are counted, and nothing
else. Used for the log (standard error) and for what servers print (standard output).
"""

import atexit
import io
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final, TextIO

MOST_WAITING: Final = 256 * 1024
"""Bytes that may wait in one queue. Text beyond them is dropped."""
FLUSH_SECONDS: Final = 1.0
"""Time for writing what waits when the process ends."""
_RETRY_SECONDS: Final = 0.05
"""Pause before another try on a full descriptor that another program made non-blocking."""
_AT_ONCE: Final = 64 * 1024

_outputs: "weakref.WeakSet[LineOutput]" = weakref.WeakSet()


class LineOutput:
    """A text stream. `write` returns at once; what it gets is written whole and in order, or dropped and counted.

    `loss_line` makes the line that tells of dropped lines from their number; it is written after what waited. A stream
    without a descriptor (a `StringIO`) is written directly.
    """

    def __init__(self, stream: TextIO, loss_line: Callable[[int], str] | None = None) -> None:
        self.dropped = 0
        """Lines dropped so far."""
        self._stream = stream
        self._loss_line = loss_line
        self._raw = _raw_file(stream)
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._untold = 0
        self._rest = b""  # of a line that an error has cut: it is finished before anything else is written
        self._failed = False  # then only new text makes it try again
        self._writing = False
        self._closed = False
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        _outputs.add(self)

    def write(self, text: str) -> int:
        """Queue text, or drop it if the queue is full."""
        data = text.encode(self._encoding, "backslashreplace")
        with self._changed:
            if self._waiting_bytes + len(data) > MOST_WAITING:
                self._drop(data)
                return len(text)
            self._waiting.append(data)
            self._waiting_bytes += len(data)
            self._failed = False
            if self._raw is None:
                self._write_while_any()
            elif self._thread is None:
                self._start()
            else:
                self._changed.notify_all()
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread writes as fast as the descriptor takes it. `drain` waits for it."""

    def drain(self, deadline: float) -> None:
        """Wait until everything is written or dropped, but no longer than until `deadline` (`time.monotonic`)."""
        with self._changed:
            while self._thread is not None and (self._writing or self._has_work()):
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def close(self) -> None:
        """End the thread as soon as everything is written."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def restart(self) -> None:
        """Drop the queue and the thread in a child process: they are the parent's."""
        self._changed = threading.Condition()
        self._waiting, self._waiting_bytes, self._rest, self._untold = [], 0, b"", 0
        self._writing = False
        self._thread = None

    def _drop(self, data: bytes) -> None:
        lines = data.count(b"\n")
        self.dropped += lines
        self._untold += lines

    def _has_work(self) -> bool:
        return bool(self._waiting) or (self._untold > 0 and not self._failed)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="qrelay-output", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is ending, or the system has no thread left
            self._thread = None
            self._drop(b"".join(self._waiting))
            self._waiting, self._waiting_bytes = [], 0

    def _run(self) -> None:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are for the main thread
        while True:
            with self._changed:
                while not self._has_work():
                    if self._closed:
                        self._thread = None
                        return
                    self._changed.wait()
            self._write_while_any()

    def _write_while_any(self) -> None:
        while True:
            with self._changed:
                if not self._has_work():
                    return
                untold = 0 if self._waiting else self._untold
                loss = self._loss_line(untold).encode(self._encoding) if untold and self._loss_line else b""
                data, taken = b"".join([self._rest, *self._waiting, loss]), self._waiting_bytes
                self._waiting = []
                self._writing = True
            written = self._write(data)
            with self._changed:
                self._writing = False
                self._waiting_bytes -= taken
                self._failed = written < len(data)
                if self._failed:
                    self._keep_rest(data, written, told=bool(untold))
                else:
                    self._rest = b""
                    self._untold -= untold
                self._changed.notify_all()

    def _write(self, data: bytes) -> int:
        """Write all of it, or as much as can be; return how much."""
        written = 0
        try:
            if self._raw is None:
                self._stream.write(data.decode(self._encoding))
                return len(data)
            while written < len(data):
                count = self._raw.write(data[written : written + _AT_ONCE])
                if count is None:
                    time.sleep(_RETRY_SECONDS)
                else:
                    written += count
        except (OSError, ValueError):  # ValueError: the stream was closed
            pass
        return written

    def _keep_rest(self, data: bytes, written: int, *, told: bool) -> None:
        """Count what a failed write has lost, but for the line that it has cut."""
        cut = data[written - 1 : written] != b"\n" if written else bool(self._rest)
        end = data.find(b"\n", written) + 1 or len(data)
        self._rest = data[written:end] if cut else b""
        if not told:
            self._drop(data[end if cut else written :])


def drain() -> None:
    """Wait until all outputs have written what waits, but for `FLUSH_SECONDS` at most."""
    deadline = time.monotonic() + FLUSH_SECONDS
    for output in list(_outputs):
        output.drain(deadline)


def _raw_file(stream: TextIO) -> io.RawIOBase | None:
    """The unbuffered file under a text stream, if it has one."""
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    return raw if isinstance(raw, io.RawIOBase) else None


def _restart_all() -> None:
    for output in list(_outputs):
        output.restart()


atexit.register(drain)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restart_all)
