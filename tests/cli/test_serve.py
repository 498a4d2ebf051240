"""`qrelay serve`: how it starts, what it refuses, how it ends."""

import signal
import socket
import stat
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from qrelay.cli.serve import check_doors
from qrelay.settings import Settings, SettingsRefused
from qrelay.simulator.scenario import Pause, Scenario, Silence, Tail, text
from qrelay.simulator.server import Simulator
from tests.cli.process import Command

Commands = Callable[..., Command]

ENDS = [signal.SIGINT, signal.SIGTERM]
ASKED = {"model": "claude-sonnet-4.5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize("number", ENDS)
def test_it_serves_until_it_is_told_to_stop(on_service: Command, number: signal.Signals) -> None:
    with on_service.running("serve", "--port", "0") as server:
        url = server.url()
        with httpx.Client() as client:  # keeps its connection open
            answer = client.post(f"{url}/v1/messages", json=ASKED)
            assert answer.status_code == 200, answer.text
            assert "server" not in answer.headers
            done = server.end(number)
    assert done.code == 0
    assert done.out == f"The console, in your browser: {url}/\n"
    assert "Traceback" not in done.err


@pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 2)])
def test_open_streams_do_not_keep_it(
    service: Simulator, on_service: Command, number: signal.Signals, times: int
) -> None:
    service.next(Scenario([text("Once"), Silence()]), 2)
    with on_service.running("serve", "--port", "0") as server, httpx.Client(timeout=30) as client:
        url = server.url()
        streamed = client.stream("POST", f"{url}/v1/messages", json=ASKED | {"stream": True})
        with streamed as answer:
            lines = answer.iter_lines()
            while "Once" not in next(lines):
                pass
            for _ in range(times - 1):
                server.process.send_signal(number)
                while _is_ready(url):  # two signals of a kind that come at once may be one
                    pass
            done = server.end(number)
            with pytest.raises(httpx.HTTPError):
                list(lines)
    assert done.code == 0
    assert "Traceback" not in done.err
    assert "Cancel" not in done.err


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def test_streams_that_take_too_long_end_with_an_error(service: Simulator, on_service: Command) -> None:
    service.next(Scenario([text("Once"), Silence()]), 2)
    on_service.environ["QRELAY_SHUTDOWN_SECONDS"] = "0.2"
    with on_service.running("serve", "--port", "0") as server, httpx.Client(timeout=30) as client:
        url = server.url()
        with client.stream("POST", f"{url}/v1/messages", json=ASKED | {"stream": True}) as answer:
            lines = answer.iter_lines()
            while "Once" not in next(lines):
                pass
            server.process.send_signal(signal.SIGTERM)
            rest = list(lines)
        done = server.ended()
    assert "event: error" in rest
    assert any("overloaded_error" in line and "is being stopped" in line for line in rest)
    assert done.code == 0
    assert "Traceback" not in done.err


def test_what_is_under_way_is_answered_before_it_ends(service: Simulator, on_service: Command) -> None:
    service.next(Scenario([text("Once"), Pause(1), text(" and again"), Tail()]))
    on_service.environ["QRELAY_DRAIN_SECONDS"] = "5"
    with on_service.running("serve", "--port", "0") as server, httpx.Client(timeout=30) as client:
        url = server.url()
        assert client.get(f"{url}/readyz").status_code == 200
        with client.stream("POST", f"{url}/v1/messages", json=ASKED | {"stream": True}) as answer:
            lines = answer.iter_lines()
            while "Once" not in next(lines):
                pass
            server.process.send_signal(signal.SIGTERM)
            while (ready := client.get(f"{url}/readyz?verbose")).status_code == 200:
                pass
            assert ready.headers["connection"] == "close"
            assert ready.json()["reasons"] == ["it is being stopped"]
            assert {"name": "server", "ok": False, "detail": "it is being stopped"} in ready.json()["checks"]
            assert client.post(f"{url}/v1/messages", json=ASKED).status_code == 200
            assert "event: message_stop" in list(lines)
        done = server.ended()
    assert done.code == 0
    assert done.err.count("Traceback") == 0


def test_a_second_server_on_the_same_state_is_refused(on_service: Command) -> None:
    with on_service.running("serve", "--port", "0") as server:
        url = server.url()
        second = on_service("serve", "--port", "0")
        assert second.code == 1
        assert second.err.startswith("qrelay: qrelay is already running with the state in ")
        assert f"as process {server.process.pid}, on {url}." in second.err
        assert on_service("health").out.startswith(f"The server on {url} is ready: ")


def test_a_taken_port_is_told(command: Commands) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = command()("serve", "--port", str(other.getsockname()[1]))
    assert done.code == 1
    assert "is taken by another program" in done.err
    assert "Traceback" not in done.err


def test_an_address_of_another_machine_is_told(command: Commands) -> None:
    done = command(QRELAY_API_KEYS="k", QRELAY_ADMIN_SECRET="s")("serve", "--host", "192.0.2.1", "--port", "0")
    assert done.code == 1
    assert done.err.startswith("qrelay: 192.0.2.1 is not an address of this machine.")


@pytest.mark.parametrize("word", ["serve", "demo"])
def test_other_addresses_need_a_key_and_an_admin_secret(command: Commands, word: str) -> None:
    qrelay = command()
    done = qrelay(word, "--host", "0.0.0.0")
    assert (done.code, done.out) == (78, "")
    told = [line.strip() for line in done.err.splitlines()[1:]]
    assert [line.partition("=")[0] for line in told] == ["export QRELAY_API_KEYS", "export QRELAY_ADMIN_SECRET"]
    assert not qrelay.home.exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gateway.example"])
@pytest.mark.parametrize(
    ("held", "missing"),
    [
        ({}, ["QRELAY_API_KEYS", "QRELAY_ADMIN_SECRET"]),
        ({"api_keys": "k"}, ["QRELAY_ADMIN_SECRET"]),
        ({"admin_secret": "s"}, ["QRELAY_API_KEYS"]),
    ],
)
def test_what_is_missing_is_told(host: str, held: dict[str, Any], missing: list[str]) -> None:
    with pytest.raises(SettingsRefused) as refused:
        check_doors(Settings(host=host, **held))
    assert [
        name for name in ("QRELAY_API_KEYS", "QRELAY_ADMIN_SECRET") if name in str(refused.value.remedies)
    ] == missing
    check_doors(Settings(host=host, api_keys="k", admin_secret="s"))  # pyright: ignore[reportArgumentType] - as text
    check_doors(Settings(host="::1", **held))


@pytest.mark.parametrize("held", [{"api_keys": "k,changeme"}, {"admin_secret": "Admin"}])
def test_secrets_that_everybody_knows_are_none(held: dict[str, Any]) -> None:
    both: dict[str, Any] = {"api_keys": "k", "admin_secret": "s"} | held
    with pytest.raises(SettingsRefused, match="is tried first"):
        check_doors(Settings(host="0.0.0.0", **both))
    check_doors(Settings(host="127.0.0.1", **held))


def test_with_both_it_listens_everywhere(command: Commands) -> None:
    qrelay = command(QRELAY_API_KEYS="key", QRELAY_ADMIN_SECRET="secret")
    with qrelay.running("serve", "--host", "0.0.0.0", "--port", "0") as server:
        url = server.url().replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/livez").status_code == 200
        assert httpx.post(f"{url}/v1/messages", json=ASKED).status_code == 401
        assert server.end().code == 0


def test_a_damaged_store_is_told(command: Commands) -> None:
    qrelay = command(QRELAY_MASTER_KEY="00" * 32)
    qrelay.home.mkdir()
    (qrelay.home / "qrelay.sqlite3").write_bytes(b"this is no database" * 100)
    done = qrelay("serve", "--port", "0")
    assert done.code == 1
    assert done.err.startswith("qrelay: ")
    assert "Traceback" not in done.err


def test_a_variable_that_means_nothing_is_told(command: Commands) -> None:
    with command(QRELAY_PROT="1").running("serve", "--port", "0") as server:
        server.url()
        assert "QRELAY_PROT" in server.end().err


def test_every_file_is_its_owners_alone(on_service: Command) -> None:
    with on_service.running("serve", "--port", "0") as server:
        assert httpx.post(f"{server.url()}/v1/messages", json=ASKED).status_code == 200
        server.end()
    kept = [path for path in on_service.home.rglob("*") if path.is_file()]
    assert {path.name for path in kept} >= {"qrelay.sqlite3", "master.key", "lock"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    assert stat.S_IMODE(on_service.home.stat().st_mode) == 0o700
