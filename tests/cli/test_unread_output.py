"""A server whose standard error and standard output nobody reads, or are closed, goes on serving."""

import http.client
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from qrelay import home
from qrelay.simulator.server import Simulator
from tests.cli.process import DEADLINE, Command

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes are filled by their descriptor")

ASKED = {"model": "claude-sonnet-4.5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


REFUSED = ASKED | {"messages": 3}
"""A request that is answered early and has its line in the log like any other."""


def _ask(client: http.client.HTTPConnection, method: str, path: str, body: object = None) -> tuple[int, str]:
    """An answer; `http.client` is the quickest client for thousands of requests."""
    client.request(method, path, json.dumps(body), {"content-type": "application/json"})
    answer = client.getresponse()
    return answer.status, answer.read().decode()


def _dropped(figures: str) -> float:
    samples = {
        sample.name: sample.value for family in text_string_to_metric_families(figures) for sample in family.samples
    }
    return samples["qrelay_log_lines_dropped_total"]


def test_unread_standard_error_stops_no_request(service: Simulator, on_service: Command) -> None:
    on_service.environ["QRELAY_REQUEST_LOG_ROWS"] = "0"
    readable, writable = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-m", "qrelay", "serve", "--port", "0"],
        cwd=on_service.folder,
        env=on_service.environ,
        stdout=subprocess.PIPE,
        stderr=writable,
        text=True,
    ) as process:
        os.close(writable)
        try:
            assert process.stdout
            url = next(word for line in process.stdout for word in line.split() if word.startswith("http://"))
            client = http.client.HTTPConnection(url.removeprefix("http://"), timeout=DEADLINE)
            for number in range(2_000):
                status, body = _ask(client, "POST", "/v1/messages", REFUSED if number % 20 else ASKED)
                assert status == (400 if number % 20 else 200), body
            dropped = _dropped(_ask(client, "GET", "/metrics")[1])
            client.close()
            lines: list[str] = []
            with os.fdopen(readable, encoding="utf-8") as reader:
                reading = threading.Thread(target=lambda: lines.extend(reader))
                reading.start()
                process.terminate()
                assert process.wait(DEADLINE) == 0
                reading.join(DEADLINE)
        finally:
            process.kill()
    events = [json.loads(line) for line in lines]
    assert dropped > 0
    assert sum(event.get("lines", 0) for event in events if event["event"] == "log.lines_dropped") >= dropped
    written = sum(event["event"] == "request" for event in events)
    assert 0 < written < 2_000


@pytest.mark.parametrize("closed", [(2,), (1, 2), (0, 1, 2)])
def test_closed_standard_streams_stop_no_request(
    service: Simulator, on_service: Command, closed: tuple[int, ...]
) -> None:
    shell = " ".join(f"{number}<&-" for number in closed)
    command = ["sh", "-c", f'exec "$0" -m qrelay serve --port 0 {shell}', sys.executable]
    with subprocess.Popen(command, cwd=on_service.folder, env=on_service.environ, stdout=subprocess.DEVNULL) as process:
        try:
            url = _announced(on_service.home, process)
            assert httpx.post(f"{url}/v1/messages", json=ASKED, timeout=DEADLINE).status_code == 200
            process.terminate()
            assert process.wait(DEADLINE) == 0
        finally:
            process.kill()
    assert (on_service.home / "qrelay.sqlite3").read_bytes().startswith(b"SQLite format 3\0")


def _announced(folder: Path, process: "subprocess.Popen[bytes]") -> str:
    while process.poll() is None:
        server = home.running(folder)
        if server is not None and server.url is not None:
            return server.url
    raise AssertionError(f"it ended with {process.returncode}")
