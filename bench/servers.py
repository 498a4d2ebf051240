"""What is measured: the gateway and the floor beside it, both in front of one pretend upstream."""

import json
import os
import shutil
import string
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from processes import KIT_CORE, SERVER_CORE, Broken, announced_port, free_port, running, wait_until_listening

HERE = Path(__file__).parent
ROOT = HERE.parent


@dataclass(frozen=True)
class Server:
    name: str
    pid: int
    port: int


@dataclass(frozen=True)
class Kit:
    """The two C programs, built."""

    upstream: Path
    load: Path


def build_kit() -> Kit:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        raise Broken("The load generator and the pretend upstream are C: install gcc and libc6-dev (or cc) first.")
    folder = ROOT / ".cache" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("upstream", "load"):
        command = [compiler, "-O2", "-Wall", "-o", str(folder / name), str(HERE / "native" / f"{name}.c")]
        built = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if built.returncode:
            raise Broken(f"{' '.join(command)} failed:\n{built.stderr}")
    return Kit(folder / "upstream", folder / "load")


class Upstream:
    """The pretend service: how it answers can be switched while it runs."""

    def __init__(self, port: int) -> None:
        self.port = port

    def answer_with(self, frames: int, every_ms: int) -> None:
        """`every_ms` 0 = all frames at once."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/mode/{frames}/{every_ms}", timeout=10):
            pass


@contextmanager
def upstream(kit: Kit, folder: Path) -> Generator[Upstream]:
    with running([kit.upstream], KIT_CORE, folder, announces=True) as process:
        yield Upstream(announced_port(process))


def floor_name() -> str:
    return "nginx" if _nginx() else "own pass-through"


@contextmanager
def floor(name: str, behind: Upstream, folder: Path) -> Generator[Server]:
    """A pass-through of the upstream's bytes: nginx, or our own."""
    if name == "nginx":
        nginx, port = _nginx(), free_port()
        if not nginx:
            raise Broken("nginx is not installed (Debian: nginx-light)")
        template = string.Template((HERE / "nginx.conf").read_text())
        config = folder / "nginx.conf"
        config.write_text(template.safe_substitute(upstream=behind.port, port=port))
        with running([nginx, "-p", folder, "-c", config], SERVER_CORE, folder) as process:
            wait_until_listening(port, process)
            yield Server(name, process.pid, port)
    else:
        command = [sys.executable, HERE / "passthrough.py", str(behind.port)]
        with running(command, SERVER_CORE, folder, announces=True) as process:
            yield Server(name, process.pid, announced_port(process))


@contextmanager
def gateway(behind: Upstream, folder: Path) -> Generator[Server]:
    """`qrelay serve` as a user starts it, with one account, its state in `folder`."""
    port = free_port()
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT / "src"),  # this tree, whichever one is installed
        "QRELAY_HOME": str(folder / "state"),
        "AMAZONQ_API_ENDPOINT": f"http://127.0.0.1:{behind.port}/",
        "AMAZONQ_TOKEN_ENDPOINT": f"http://127.0.0.1:{behind.port}/token",
    }
    command = [ROOT / ".venv" / "bin" / "qrelay", "serve", "--port", str(port)]
    with running(command, SERVER_CORE, folder, env) as process:
        try:
            wait_until_listening(port, process)
            _add_account(port)
        except Broken as broken:
            log = (folder / f"qrelay-{SERVER_CORE}.log").read_text(errors="replace")
            raise Broken(f"{broken}\n{log[-2000:]}") from None
        yield Server("gateway", process.pid, port)


def _nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


def _add_account(port: int) -> None:
    account = {
        "clientId": "bench-client",
        "clientSecret": "bench-secret",
        "refreshToken": "bench-refresh",
        "accessToken": "bench-access",
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v2/accounts",
        json.dumps(account).encode(),
        {"Content-Type": "application/json"},
    )
    deadline = time.monotonic() + 15
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10):
                return
        except urllib.error.HTTPError as error:
            with error:
                raise Broken(f"POST /v2/accounts: {error.code} {error.read(500)!r}") from None
        except OSError as error:
            if time.monotonic() > deadline:
                raise Broken(f"POST /v2/accounts: {error}") from None
            time.sleep(0.1)
