"""What a container of the image does, asked of a process with the image's variables and commands."""

import json
import signal
import subprocess
from pathlib import Path

from qrelay.simulator.server import Simulator
from tests.deploy.dockerfile import Stage, environ

SECRETS = {"QRELAY_API_KEYS": "a-client-key", "QRELAY_ADMIN_SECRET": "an-admin-secret"}
DEADLINE = 60
"""Seconds after which something hangs. Nothing is measured by it."""


def refusal(image: Stage, root: Path, more: dict[str, str]) -> tuple[int, str]:
    """How it ends without the two secrets: the exit code, and what it says."""
    done = subprocess.run(
        _command(image),
        env=environ(image, root) | more,
        cwd=root,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    return done.returncode, done.stderr


def life(image: Stage, root: Path, more: dict[str, str]) -> tuple[str, int]:
    """It serves a simulated account, is asked for its health, and is stopped: what HEALTHCHECK said, its exit code.

    It listens on a free port of this machine only, unlike in a container.
    """
    with Simulator.serve_in_thread() as service:
        login = service.add_account()
        account = {
            "AMAZONQ_API_ENDPOINT": service.url,
            "AMAZONQ_TOKEN_ENDPOINT": f"{service.url}/token",
            "AMAZONQ_CLIENT_ID": login.client_id,
            "AMAZONQ_CLIENT_SECRET": login.client_secret,
            "AMAZONQ_REFRESH_TOKEN": login.refresh_token,
        }
        here = {"QRELAY_HOST": "127.0.0.1", "QRELAY_PORT": "0", "QRELAY_LOG_FORMAT": "json"}
        variables = environ(image, root) | here | account | SECRETS | more
        with subprocess.Popen(
            _command(image),
            env=variables,
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            try:
                assert process.stdout
                if not any("(Ctrl-C ends it)" in line for line in process.stdout):
                    raise AssertionError("it ended before it served")
                asked = subprocess.run(
                    json.loads(image.one("HEALTHCHECK").rest.partition("CMD ")[2]),
                    env=variables,
                    cwd=root,
                    capture_output=True,
                    text=True,
                    timeout=DEADLINE,
                    check=False,
                )
                process.send_signal(signal.Signals[image.one("STOPSIGNAL").rest])
                ended = process.wait(DEADLINE)
            finally:
                process.kill()
    return asked.stdout if asked.returncode == 0 else asked.stderr, ended


def _command(image: Stage) -> list[str]:
    return image.one("ENTRYPOINT").listed + image.one("CMD").listed
