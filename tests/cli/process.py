"""`qrelay` as people run it: a process of its own, in an empty folder, with an environment of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

DEADLINE = 30
"""Seconds after which something hangs. Nothing is measured by it."""


class Done(NamedTuple):
    code: int
    out: str
    err: str


class Command:
    """How to call `qrelay` in `folder`, with these variables and a state of its own."""

    def __init__(self, folder: Path, variables: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.home = folder / "state"
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "SYSTEMROOT", "LANG") if name in os.environ}
        self.environ = {**kept, "HOME": str(folder), "QRELAY_HOME": str(self.home), **(variables or {})}

    def __call__(self, *words: str) -> Done:
        """Run it to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "qrelay", *words],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def running(self, *words: str) -> Generator["Running"]:
        """Run it for the length of a block; what is still running then is killed."""
        errors = self.folder / "stderr"
        with (
            errors.open("w", encoding="utf-8") as stderr,
            subprocess.Popen(
                [sys.executable, "-m", "qrelay", *words],
                cwd=self.folder,
                env=self.environ,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            ) as process,
        ):
            try:
                yield Running(process, errors)
            finally:
                process.kill()


class Running:
    def __init__(self, process: "subprocess.Popen[str]", errors: Path) -> None:
        self.process = process
        self._errors = errors

    def read_until(self, words: str) -> str:
        """What it prints, up to the line with these words."""
        assert self.process.stdout
        said = ""
        for line in self.process.stdout:
            said += line
            if words in line:
                return said
        raise AssertionError(f"it ended before it said {words!r}: {said}{self.stderr()}")

    def url(self) -> str:
        """Where it listens, once it does."""
        line = self.read_until("(Ctrl-C ends it)").splitlines()[-1]
        return next(word for word in line.split() if word.startswith("http://"))

    def end(self, number: signal.Signals = signal.SIGINT) -> Done:
        """Signal it and wait for its end."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> Done:
        """Wait for its end."""
        out, _ = self.process.communicate(timeout=DEADLINE)
        return Done(self.process.returncode, out, self.stderr())

    def stderr(self) -> str:
        return self._errors.read_text(encoding="utf-8")
