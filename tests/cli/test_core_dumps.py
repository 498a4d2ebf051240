"""Core dumps are forbidden, and what we do with /proc goes on working for a user who is not root."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from prometheus_client import ProcessCollector

from qrelay.core_dumps import forbid_core_dumps
from tests.cli.process import DEADLINE, Command

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")

NOBODY = 65534
FORBIDDEN = """
    import os, resource, signal, subprocess, sys
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
    from qrelay.core_dumps import forbid_core_dumps, restore_core_limit
    forbid_core_dumps()
"""


def _run(body: str) -> "subprocess.CompletedProcess[str]":
    script = textwrap.dedent(FORBIDDEN) + textwrap.dedent(body)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=DEADLINE, check=False, cwd="/"
    )


def test_crash_leaves_no_core() -> None:
    script = textwrap.dedent(FORBIDDEN) + "os.abort()"
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", script], os.environ)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGABRT
    assert not os.WCOREDUMP(status)


def test_limit_is_soft_and_restored_for_other_programs() -> None:
    done = _run(
        """
        before = resource.getrlimit(resource.RLIMIT_CORE)
        restore_core_limit()
        print(before[0], before[1] == resource.getrlimit(resource.RLIMIT_CORE)[0])
        """
    )
    assert done.stdout == "0 True\n", done.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to become another user")
def test_figures_and_child_processes_work_for_another_user() -> None:
    child = os.fork()  # by exec, that user could not read this Python everywhere
    if child == 0:
        try:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            forbid_core_dumps()
            names = {sample.name for family in ProcessCollector(registry=None).collect() for sample in family.samples}
            ended = subprocess.run(["/bin/sh", "-c", "exit 7"], check=False, cwd="/").returncode
            wanted = {"process_open_fds", "process_max_fds", "process_resident_memory_bytes"}
            os._exit(0 if ended == 7 and wanted <= names else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.parametrize(("allowed", "limit"), [(False, "0"), (True, None)])
def test_serve_forbids_them_unless_a_setting_allows_them(on_service: Command, allowed: bool, limit: str | None) -> None:
    if allowed:
        on_service.environ["QRELAY_CORE_DUMPS"] = "true"
    with on_service.running("serve", "--port", "0") as server:
        server.url()
        limits = Path(f"/proc/{server.process.pid}/limits").read_text(encoding="utf-8")
        soft = next(line for line in limits.splitlines() if line.startswith("Max core file size")).split()[4]
        own = next(
            line for line in Path("/proc/self/limits").read_text(encoding="utf-8").splitlines() if "core file" in line
        ).split()[4]
        assert soft == (limit or own)
        assert server.end().code == 0
