"""`qrelay claude`, `codex` and `opencode`: a coding agent started on the gateway. Its own configuration is not touched:
what it needs goes by variables and arguments of this one process.

The gateway is the one that runs; when none does, one is started for as long as the client runs. Where processes share a
database nobody says which of them runs here, and one more does no harm: there one is always started. Where it wants a
key, the client has one of its own (`own_key`).
"""

import http.client
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from qrelay import home
from qrelay.cli.listening import listening, reached_here
from qrelay.cli.outcome import REFUSED, Failed
from qrelay.cli.own_key import own_key
from qrelay.cli.printing import say
from qrelay.core_dumps import restore_core_limit
from qrelay.settings import Settings, SettingsRefused

_MODEL: Final = "claude-sonnet-4.5"
_PATIENCE: Final = 30.0  # seconds for a gateway to start
_LOCAL: Final = "127.0.0.1,localhost,::1"
_CODEX_KEY: Final = "GATEWAY_KEY"
_SERVES_ON: Final = re.compile(r" serves on (http://\S+) ")
"""In the one line that `serve` prints when it does (`serve.ready_line`)."""


class Wiring(NamedTuple):
    """What makes a client use the gateway: variables to set and to leave out, arguments before the user's own."""

    variables: Mapping[str, str]
    without: Sequence[str] = ()
    arguments: Sequence[str] = ()


def _claude(url: str, key: str, _models: Sequence[str]) -> Wiring:
    return Wiring(
        {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_AUTH_TOKEN": key},
        ("ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX"),
    )


def _codex(url: str, key: str, models: Sequence[str]) -> Wiring:
    # Values are TOML, and JSON's texts are.
    settings = {
        "model": _preferred(models),
        "model_provider": "qrelay",
        "model_providers.qrelay.name": "qrelay",
        "model_providers.qrelay.base_url": f"{url}/v1",
        "model_providers.qrelay.env_key": _CODEX_KEY,
        "model_providers.qrelay.wire_api": "responses",
    }
    said = [word for name, value in settings.items() for word in ("-c", f"{name}={json.dumps(value)}")]
    return Wiring({_CODEX_KEY: key}, (), said)


def _opencode(url: str, key: str, models: Sequence[str]) -> Wiring:
    preferred = _preferred(models)
    provider: dict[str, Any] = {
        "npm": "@ai-sdk/anthropic",
        "name": "qrelay",
        "options": {"baseURL": f"{url}/v1", "apiKey": key},
        "models": {model: {"name": model, "tool_call": True} for model in models or [preferred]},
    }
    model = f"qrelay/{preferred}"
    content = {"provider": {"qrelay": provider}, "model": model, "small_model": model}
    return Wiring({"OPENCODE_CONFIG_CONTENT": json.dumps(content)})


CLIENTS: Final[Mapping[str, Callable[[str, str, Sequence[str]], Wiring]]] = {
    "claude": _claude,
    "codex": _codex,
    "opencode": _opencode,
}


def launch(chosen: Settings, program: str, arguments: Sequence[str], *, show: bool) -> None:
    """Run a client to its end and leave with its exit code; or print the lines that do it. Raises Failed."""
    if show:
        key = own_key(chosen)
        running = _running(chosen)
        url = running or f"http://{chosen.host}:{chosen.port}"
        _print(program, CLIENTS[program](url, key, _models(url, key) if running else ()), arguments)
        return
    found = shutil.which(program)
    if found is None:
        raise Failed(
            f"There is no program called {program} here.",
            f"Install it; or set it up by hand, with what this prints: qrelay {program} --print",
        )
    with _gateway(chosen) as url:
        key = own_key(chosen)
        wiring = CLIENTS[program](url, key, _models(url, key))
        variables = {name: value for name, value in os.environ.items() if name not in wiring.without}
        variables |= {**wiring.variables, "NO_PROXY": ",".join(filter(None, (os.environ.get("NO_PROXY"), _LOCAL)))}
        code = _run([found, *wiring.arguments, *arguments], variables)
    sys.exit(code)


@contextmanager
def _gateway(chosen: Settings) -> Generator[str]:
    """The address of a gateway that can answer. Raises Failed, SettingsRefused."""
    if url := _running(chosen):
        _check_accounts(url)
        yield url
        return
    with tempfile.TemporaryFile() as said, _started(chosen, said.fileno()) as process:
        url = _wait(process)
        if url is None:
            said.seek(0)
            last = said.read().decode("utf-8", "replace").strip().splitlines()
            ending = SettingsRefused if process.wait() == REFUSED else Failed
            raise ending("The gateway could not be started.", *last[-2:])
        _check_accounts(url)
        say(f"The gateway runs on {url} for as long as this does.", err=True)
        yield url


def _running(chosen: Settings) -> str | None:
    """Where the server of this state listens, if there is one and it is the only one there can be."""
    server = home.running(chosen.home) if chosen.database_path is not None else None
    return server.url if server else None


@contextmanager
def _started(chosen: Settings, errors: int) -> Generator["subprocess.Popen[str]"]:
    """`qrelay serve` in a session of its own: the Ctrl-C that a client is given isn't meant for it."""
    command = [sys.executable, "-m", "qrelay", "serve", "--port", str(_free_port(chosen))]
    with subprocess.Popen(  # noqa: S603 - this very program
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def _free_port(chosen: Settings) -> int:
    """The port of the settings, unless another program has it."""
    try:
        with listening(chosen.host, chosen.port):
            return chosen.port
    except Failed:
        return 0


def _wait(process: "subprocess.Popen[str]") -> str | None:
    """Where it serves, as this machine reaches it; None when it ended, or was too slow and is ended."""
    late = threading.Timer(_PATIENCE, process.terminate)
    late.start()
    try:
        for line in process.stdout or ():
            if found := _SERVES_ON.search(line):
                return reached_here(found[1])
    finally:
        late.cancel()
    return None


class _Readiness(msgspec.Struct):
    reasons: list[str] = []


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model] = []


def _check_accounts(url: str) -> None:
    """Raises Failed where every request would fail."""
    status, raw = _get(url, "/readyz", "")
    if status == http.client.SERVICE_UNAVAILABLE:
        reasons = " and ".join(msgspec.json.decode(raw, type=_Readiness).reasons)
        raise Failed(f"The gateway on {url} can't answer yet: {reasons}.", "Log in first: qrelay login")


def _models(url: str, key: str) -> list[str]:
    """The names this gateway's accounts may use; none if it can't tell."""
    status, raw = _get(url, "/v1/models", key)
    return [row.id for row in msgspec.json.decode(raw, type=_Models).data] if status == http.client.OK else []


def _get(url: str, path: str, key: str) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=15)
    try:
        connection.request("GET", path, headers={"authorization": f"Bearer {key}"} if key else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def _preferred(models: Sequence[str]) -> str:
    return next((model for model in models if model.startswith("claude-sonnet")), models[0] if models else _MODEL)


def _run(command: Sequence[str], variables: Mapping[str, str]) -> int:
    """The client's exit code. Ctrl-C is the client's business while it runs."""
    # Not SIG_IGN: a program that is started ignores what its parent ignores, but not what it handles.
    restore_core_limit()
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        with subprocess.Popen(command, env=variables) as run:  # noqa: S603 - what the user asked for
            code = run.wait()
    except OSError as error:
        raise Failed(f"{command[0]} can't be started: {error.strerror}.") from error
    finally:
        signal.signal(signal.SIGINT, before)
    return code if code >= 0 else 128 - code


def _print(program: str, wiring: Wiring, arguments: Sequence[str]) -> None:
    if sys.platform == "win32":
        lines = [f"Remove-Item Env:{name} -ErrorAction Ignore" for name in wiring.without]
        quoted = {name: value.replace("'", "''") for name, value in wiring.variables.items()}
        lines += [f"$env:{name} = '{value}'" for name, value in quoted.items()]
        lines.append(subprocess.list2cmdline([program, *wiring.arguments, *arguments]))
    else:
        lines = [f"unset {' '.join(wiring.without)}"] if wiring.without else []
        lines += [f"export {name}={shlex.quote(value)}" for name, value in wiring.variables.items()]
        lines.append(shlex.join([program, *wiring.arguments, *arguments]))
    say("\n".join(lines))
