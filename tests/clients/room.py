"""Where a client runs: a home and a folder of its own, a server, a time limit. And what it left there."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEY = "qr-clients"
MARKER = "marker.txt"
MARKER_TEXT = "qrelay was here"
"""What the simulated model writes when it is asked for the marker file."""


class Failure(Exception):  # noqa: N818 - an outcome of a case
    """The client did not do what it should."""


class Skip(Exception):  # noqa: N818 - an outcome of a case
    """There is nothing to try yet."""


SUITES_MODELS = ("gpt-6-astra", "model_id")
"""What the SDKs' own tests call a model."""


@dataclass(frozen=True)
class Server:
    """A running `qrelay demo` or `qrelay simulate`."""

    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def has(self, path: str) -> bool:
        """Whether this route exists: an empty object is then a bad request, not an unknown page."""
        request = urllib.request.Request(f"{self.url}{path}", b"{}", {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10):
                return True
        except urllib.error.HTTPError as error:
            with error:
                return error.code not in (404, 405, 501)


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Room:
    server: Server
    home: Path
    work: Path

    def run(
        self, command: Sequence[str | Path], env: Mapping[str, str], seconds: float = 90, *, folder: Path | None = None
    ) -> Outcome:
        """Run a client to its end with nothing but this environment. Raises Failure after `seconds`, or if it fails."""
        outcome = self.attempt(command, env, seconds, folder=folder)
        if outcome.code:
            raise Failure(f"exit {outcome.code}\n{_end(outcome.out)}\n{_end(outcome.err)}")
        return outcome

    def attempt(
        self, command: Sequence[str | Path], env: Mapping[str, str], seconds: float = 90, *, folder: Path | None = None
    ) -> Outcome:
        """As `run`, with any exit code."""
        node = shutil.which("node") or "node"
        path = [str(Path(command[0]).parent), str(Path(node).parent), "/usr/bin", "/bin"]
        base = {
            "PATH": ":".join(path),
            "HOME": str(self.home),
            "TERM": "dumb",
            "LANG": "C.UTF-8",
            "NO_PROXY": "127.0.0.1",
        }
        with subprocess.Popen(
            [str(word) for word in command],
            env={**base, **env},
            cwd=folder or self.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                out, err = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                _kill_group(process)
                out, err = process.communicate()
                raise Failure(f"not done after {seconds:.0f} s\n{_end(out)}\n{_end(err)}") from None
            finally:
                _kill_group(process)
        return Outcome(process.returncode, out, err)

    def expect_marker(self, outcome: Outcome) -> None:
        """Raises Failure unless the client's own tools have written the file."""
        file = self.work / MARKER
        if not file.exists():
            left = sorted(path.name for path in self.work.iterdir())
            raise Failure(f"{MARKER} was not written; there is {left}\n{_end(outcome.out)}\n{_end(outcome.err)}")
        if file.read_text().strip() != MARKER_TEXT:
            raise Failure(f"{MARKER} holds {file.read_text()[:200]!r}")


@contextmanager
def demo() -> Generator[Server]:
    with _qrelay("demo", "/readyz") as server:
        yield server


@contextmanager
def simulator() -> Generator[Server]:
    with _qrelay("simulate", None) as server:
        yield server


@contextmanager
def _qrelay(command: str, probe: str | None) -> Generator[Server]:
    """`qrelay demo` or `qrelay simulate` on a free port, with a state of its own."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="qrelay-clients-") as name:
        log = Path(name) / "log"
        env = {
            "PATH": os.environ["PATH"],
            "HOME": name,
            "LANG": "C.UTF-8",
            "QRELAY_HOME": str(Path(name) / "state"),
            "QRELAY_MODEL_ALIASES": ",".join(f"{model}=claude-sonnet-5" for model in SUITES_MODELS),
        }
        with log.open("wb") as out:
            process = subprocess.Popen(
                [ROOT / ".venv" / "bin" / "qrelay", command, "--port", str(port)],
                env=env,
                cwd=name,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        try:
            server = Server(port, log)
            _wait(process, server, probe)
            yield server
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], server: Server, probe: str | None) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failure(f"ended with {process.returncode}\n{_end(server.log.read_text(errors='replace'))}")
        try:
            if probe is None:
                socket.create_connection(("127.0.0.1", server.port), 5).close()
                return
            with urllib.request.urlopen(f"{server.url}{probe}", timeout=5):
                return
        except OSError:  # not listening, or (as HTTPError) not ready
            time.sleep(0.1)
    raise Failure(f"not ready after 60 s\n{_end(server.log.read_text(errors='replace'))}")


def _kill_group(process: subprocess.Popen[str]) -> None:
    """The client and what it started: it leads a session of its own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _end(text: str) -> str:
    return text if len(text) <= 2000 else "…" + text[-2000:]
