"""`qrelay` as people run it: a process of its own, in an empty folder, with an environment of its own."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Timer
from typing import Any, NamedTuple

DEADLINE = 30
"""Seconds after which something hangs. Nothing is measured by it."""


_KEPT = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "SYSTEMROOT", "LANG") if name in os.environ}


class Done(NamedTuple):
    code: int
    out: str
    err: str


class _Warm:
    """The process that `warm.py` is. It ends when this one does: nothing more can come then."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.warm"],
            cwd=Path(__file__).parents[2],
            env=_KEPT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, **asked: Any) -> int:
        """The exit code."""
        process = self._process
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        answers, _, _ = select.select([process.stdout], [], [], DEADLINE)
        if not answers:
            os.killpg(process.pid, signal.SIGKILL)
            _warm.cache_clear()
            raise TimeoutError(f"qrelay {' '.join(asked['words'])} goes on and on")
        return int(process.stdout.readline())


_warm = cache(_Warm)


class Command:
    """How to call `qrelay` in `folder`, with these variables and a state of its own."""

    def __init__(self, folder: Path, variables: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.home = folder / "state"
        # Nothing is asked of the service but what a test asks for: made-up accounts would be found out at any moment.
        still = {"QRELAY_QUOTA_CHECK_SECONDS": "0"}
        self.environ = {**_KEPT, "HOME": str(folder), "QRELAY_HOME": str(self.home), **still, **(variables or {})}

    def __call__(self, *words: str) -> Done:
        """Run it to its end, in a process that has loaded already what it loads."""
        with NamedTemporaryFile() as out, NamedTemporaryFile() as err:
            code = _warm().run(words=words, folder=str(self.folder), environ=self.environ, out=out.name, err=err.name)
            return Done(code, out.read().decode(), err.read().decode())

    def from_nothing(self, *words: str) -> Done:
        """Run it to its end as a shell does."""
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
        """Wait for its end, and what it printed since the last line that was read.

        Not `communicate`: it leaves out what came in one piece with that line.
        """
        assert self.process.stdout
        patience = Timer(DEADLINE, self.process.kill)
        patience.start()
        try:
            out = self.process.stdout.read()
            return Done(self.process.wait(), out, self.stderr())
        finally:
            patience.cancel()

    def stderr(self) -> str:
        return self._errors.read_text(encoding="utf-8")
