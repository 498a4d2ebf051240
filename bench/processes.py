"""The processes of a benchmark run: started pinned to a core, watched through /proc, stopped by their own pid."""

import os
import socket
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")

SERVER_CORE = 0
"""Where the server under test runs."""

KIT_CORE = 1
"""Where the load generator and the pretend upstream run."""


class Broken(Exception):  # noqa: N818 - what the run ends with, not an error of one call
    """The run can't go on; the message says why."""


@contextmanager
def running(
    command: Sequence[str | Path],
    core: int,
    folder: Path,
    env: Mapping[str, str] | None = None,
    *,
    announces: bool = False,
) -> Generator[subprocess.Popen[bytes]]:
    """A process for as long as the block lasts. Its output goes to a file in `folder`.

    With `announces` its standard output is a pipe, for `announced_port`.
    """
    with (folder / f"{Path(command[0]).name}-{core}.log").open("ab") as log:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if announces else log,
            stderr=log,
            cwd=folder,
            env=env,
            preexec_fn=lambda: _pin(core),  # noqa: PLW1509 - no threads here
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


def announced_port(process: subprocess.Popen[bytes]) -> int:
    """The port a process prints as its first line."""
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise Broken(f"{process.args!r} ended before it listened")
    return int(line)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_listening(port: int, process: subprocess.Popen[bytes], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Broken(f"{process.args!r} ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise Broken(f"{process.args!r} did not listen on port {port} within {seconds:.0f} s")


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and everything below it, from the scheduler; of living threads only."""
    return sum(_cpu_of_one(one) for one in _tree(pid))


def memory_mb(pid: int) -> float:
    """Proportional set size of the process tree, in MB."""
    kilobytes = 0
    for one in _tree(pid):
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kilobytes += int(line.split()[1])
    return kilobytes / 1024


def _pin(core: int) -> None:
    available = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {available[core % len(available)]})


def _tree(root: int) -> list[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended while we looked
    tree = [root]
    for pid in tree:  # grows while it is walked
        tree.extend(child for child, parent in parents.items() if parent == pid)
    return tree


def _cpu_of_one(pid: int) -> float:
    schedstats = list(Path(f"/proc/{pid}/task").glob("*/schedstat"))
    if schedstats:
        return sum(int(path.read_text().split()[0]) for path in schedstats) / 1e9
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / _TICKS
