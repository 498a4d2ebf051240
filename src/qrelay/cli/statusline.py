"""`qrelay statusline`: one line for Claude Code's status line, in the time between two keystrokes. Not a table.

    {"model": {…}, "context_window": {…}, …}  on stdin   ->   Opus 5.5 · context 26 % · 2 of 3 accounts ready · …

Claude Code runs the command after each message, gives it what it knows of the session, and shows the first line that
comes back; no line, or a bad end, leaves the place empty. So this ends well whatever it finds: settings that can't be
used, a gateway that is gone or silent, words that aren't JSON. It reads no settings and loads nothing of the gateway.

The gateway asked is the one Claude Code itself was pointed to, if that is on this machine; then the home folder's.
"""

import http.client
import json
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import platformdirs

from qrelay import home

_PATIENCE: Final = 0.5  # seconds for each: what stands on stdin, and what a gateway says
_MOST_BYTES: Final = 1 << 20
_LONGEST_NAME: Final = 60
_CLOSED: Final = frozenset({http.client.UNAUTHORIZED, http.client.FORBIDDEN})
_STATES: Final = {
    "cooling": "cooling",
    "needs_login": "to be logged in again",
    "suspended": "suspended",
    "disabled": "off",
}


def print_line() -> None:
    """Read the session from stdin, ask the gateway, print the line. Raises nothing, never waits long."""
    parts = [*_of_session(_session()), *_of_gateway(_overview())]
    with suppress(OSError):  # nobody reads it any more
        sys.stdout.buffer.write((" · ".join(parts) + "\n").encode())
        sys.stdout.buffer.flush()


def _session() -> Any:
    """What Claude Code tells, None where nobody tells anything."""
    try:
        return None if sys.stdin.isatty() else json.loads(_read(sys.stdin.fileno()))
    except (OSError, ValueError, RecursionError, AttributeError):  # closed, not JSON, or no stdin at all
        return None


def _read(descriptor: int) -> bytes:
    """What comes until its end or for as long as we wait: a pipe that nobody closes holds nobody up."""
    ends = time.monotonic() + _PATIENCE
    found = b""
    while len(found) < _MOST_BYTES and (left := ends - time.monotonic()) > 0:
        # Windows can only wait for sockets; there it reads to the end, which Claude Code does send.
        if sys.platform != "win32" and not select.select([descriptor], [], [], left)[0]:
            break
        some = os.read(descriptor, 65536)
        if not some:
            break
        found += some
    return found


def _of_session(told: Any) -> Iterator[str]:
    model, window = _member(told, "model"), _member(told, "context_window")
    name = _member(model, "display_name") or _member(model, "id") or model
    if isinstance(name, str) and (shown := _plain(name)):
        yield shown
    share = _member(window, "used_percentage")
    if isinstance(share, int | float) and 0 <= share <= 100:
        yield f"context {share:.0f} %"


def _of_gateway(overview: Any) -> Iterator[str]:
    """What it said, or a sentence on why it said nothing."""
    if isinstance(overview, str):
        yield overview
        return
    yield from _accounts(_member(overview, "accounts"))
    held = _member(overview, "credits")
    left, limit, resets = (_member(held, name) for name in ("left", "limit", "resets_at"))
    if isinstance(left, int | float) and isinstance(limit, int | float):
        about = "about " if _member(held, "stale") is True else ""
        yield f"{about}{_amount(left)} of {_amount(limit)} credits left"
        if isinstance(resets, str) and (when := _until(resets)):
            yield f"reset {when}"


def _accounts(counts: Any) -> Iterator[str]:
    total, ready = _member(counts, "total"), _member(counts, "ready")
    if not (isinstance(total, int) and isinstance(ready, int)):
        return
    if total == 0:
        yield "no account: qrelay login"
        return
    others = {words: count for state, words in _STATES.items() if isinstance(count := _member(counts, state), int)}
    there = {words: count for words, count in others.items() if count}
    if total > 1:
        yield ", ".join([f"{ready} of {total} accounts ready", *(f"{count} {words}" for words, count in there.items())])
    else:
        yield f"account {'ready' if ready else next(iter(there), 'not ready')}"


def _amount(held: float) -> str:
    return f"{held:,.0f}" if held >= 100 or held == int(held) else f"{held:.2f}"


def _until(when: str) -> str:
    try:
        seconds = (datetime.fromisoformat(when) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return ""
    hours = max(0, seconds) / 3600
    return f"in {hours / 24:.0f} d" if hours >= 48 else f"in {hours:.0f} h" if hours >= 1 else "within the hour"


def _overview() -> Any:
    """What the first gateway says that says anything; else a sentence, which is never JSON of ours."""
    why = "qrelay: no gateway runs here"
    for connection in _connections():
        try:
            connection.request("GET", "/v2/overview")
            answer = connection.getresponse()
            said = answer.read(_MOST_BYTES)
            if answer.status == http.client.OK:
                return json.loads(said)
            why = "qrelay: only the admin secret sees more" if answer.status in _CLOSED else why
        except TimeoutError:
            why = "qrelay: the gateway doesn't answer"
        except (OSError, http.client.HTTPException, ValueError, RecursionError):
            continue
        finally:
            connection.close()
    return why


def _connections() -> Iterator[http.client.HTTPConnection]:
    try:
        there = urlsplit(os.environ.get("ANTHROPIC_BASE_URL", ""))
        if there.scheme == "http" and there.hostname in {"127.0.0.1", "localhost", "::1"}:
            yield http.client.HTTPConnection(there.hostname, there.port or 80, timeout=_PATIENCE)
    except ValueError:  # no address at all
        pass
    server = home.running(Path(os.environ.get("QRELAY_HOME") or platformdirs.user_data_path("qrelay", appauthor=False)))
    if server is not None and server.socket is not None:
        yield _SocketConnection(server.socket)


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over the socket by which the owner's commands come."""

    def __init__(self, path: str) -> None:
        super().__init__("qrelay", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        if sys.platform == "win32":
            raise OSError("there are no such sockets here")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_PATIENCE)
        self.sock.connect(self._path)


def _member(value: Any, name: str) -> Any:
    return cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None


def _plain(text: str) -> str:
    """Without what a terminal would obey."""
    return "".join(character for character in text if character.isprintable())[:_LONGEST_NAME].strip()
