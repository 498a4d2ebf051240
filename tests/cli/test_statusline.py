"""`qrelay statusline`: one line and a good end, whatever Claude Code says and whoever answers."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable

import httpx
import pytest

from qrelay.simulator.server import Simulator
from tests.cli.process import DEADLINE, Command

SESSION = {
    "session_id": "0",
    "cwd": "/somewhere",
    "model": {"id": "claude-opus-5-5", "display_name": "Opus 5.5"},
    "workspace": {"current_dir": "/somewhere"},
    "context_window": {"context_window_size": 200_000, "used_percentage": 26.4},
    "cost": {"total_cost_usd": 0.4},
}
CALL = [sys.executable, "-m", "qrelay", "statusline"]


def line(command: Command, session: object = SESSION, **variables: str) -> str:
    """What it prints, without the end of the line: there is one line, and nothing else."""
    given = session if isinstance(session, bytes) else json.dumps(session).encode()
    environ = command.environ | variables
    done = subprocess.run(
        CALL, env=environ, cwd=command.folder, input=given, capture_output=True, timeout=DEADLINE, check=True
    )
    assert done.stderr == b""
    said = done.stdout.decode()
    assert said.endswith("\n")
    assert said.count("\n") == 1
    return said.rstrip("\n")


def test_of_the_home_folders_server(on_service: Command) -> None:
    with on_service.running("serve", "--port", "0") as server:
        url = server.url()
        account = httpx.get(f"{url}/v2/accounts").json()[0]["id"]
        assert httpx.get(f"{url}/v2/accounts/{account}/quota").status_code == 200
        said = line(on_service)
        assert said.startswith("Opus 5.5 · context 26 % · account ready · "), said
        assert " 1,000 of 1,000 credits left · reset in " in said
        httpx.patch(f"{url}/v2/accounts/{account}", json={"enabled": False})
        assert "account off" in line(on_service)
        assert line(on_service, QRELAY_PORT="nonsense") == line(on_service)


def test_of_the_gateway_claude_code_was_pointed_to(on_service: Command, command: Callable[..., Command]) -> None:
    elsewhere = command(QRELAY_HOME=str(on_service.folder / "elsewhere"))
    with on_service.running("serve", "--port", "0") as server:
        url = server.url()
        assert line(elsewhere) == "Opus 5.5 · context 26 % · qrelay: no gateway runs here"
        assert "account ready" in line(elsewhere, ANTHROPIC_BASE_URL=url)
        for count in range(2):
            login = {"clientId": "c", "clientSecret": "s", "refreshToken": f"token-{count}", "enabled": count == 0}
            httpx.post(f"{url}/v2/accounts", json=login)
        assert "2 of 3 accounts ready, 1 off" in line(elsewhere, ANTHROPIC_BASE_URL=url)


def test_behind_an_admin_secret_the_owner_sees_it(service: Simulator, command: Callable[..., Command]) -> None:
    owner = command(QRELAY_ADMIN_SECRET="s" * 40, AMAZONQ_API_ENDPOINT=service.url)
    other = command(QRELAY_HOME=str(owner.folder / "elsewhere"))
    with owner.running("serve", "--port", "0") as server:
        url = server.url()
        assert "no account: qrelay login" in line(owner, ANTHROPIC_BASE_URL=url)
        assert "only the admin secret sees more" in line(other, ANTHROPIC_BASE_URL=url)


@pytest.mark.parametrize(
    ("session", "begins"),
    [
        (b"", "qrelay: "),
        (b"no JSON", "qrelay: "),
        (b"[" * 100_000, "qrelay: "),
        ([], "qrelay: "),
        ({"model": None, "context_window": 5}, "qrelay: "),
        ({"model": {"id": "claude-x"}, "context_window": {"used_percentage": None}}, "claude-x · qrelay: "),
        ({"model": {"display_name": "\x1b[31mRed\r\nTwo"}}, "[31mRedTwo · qrelay: "),
    ],
)
def test_whatever_claude_code_says(command: Callable[..., Command], session: object, begins: str) -> None:
    assert line(command(), session).startswith(begins)


@pytest.mark.parametrize(
    "address", ["nonsense", "http://[", "https://api.example.com", "http://127.0.0.1:1", "file:///x"]
)
def test_whatever_the_address_is(command: Callable[..., Command], address: str) -> None:
    assert line(command(), ANTHROPIC_BASE_URL=address).endswith("qrelay: no gateway runs here")


def test_a_gateway_that_says_nothing_holds_nobody_up(command: Callable[..., Command]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert line(command(), ANTHROPIC_BASE_URL=address).endswith("qrelay: the gateway doesn't answer")


def test_a_caller_who_closes_nothing_holds_nobody_up(command: Callable[..., Command]) -> None:
    alone = command()
    reads, writes = os.pipe()
    try:
        os.write(writes, json.dumps(SESSION).encode())
        done = subprocess.run(CALL, env=alone.environ, stdin=reads, capture_output=True, timeout=DEADLINE, check=True)
        assert done.stdout.decode().startswith("Opus 5.5")
    finally:
        os.close(reads)
        os.close(writes)
