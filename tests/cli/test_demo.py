"""`qrelay demo`, `run` and `simulate`."""

import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from qrelay.simulator.server import Simulator
from tests.cli.process import Command

Commands = Callable[..., Command]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_shows_an_answer_through_each_api_and_goes_on(
    command: Commands, tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "tmp").mkdir()
    qrelay = command(TMPDIR=str(tmp_path / "tmp"), AMAZONQ_REFRESH_TOKEN="mine", DATABASE_URL="sqlite:///mine.sqlite3")
    with qrelay.running("demo", "--port", "0") as demo:
        url = demo.url()
        said = demo.read_until("From then on")
        for route in ("/v1/messages", "/v1/chat/completions"):
            answer = said.partition(f"POST {route} -> 200\n")[2].splitlines()[0]
            assert "This is the simulated service." in answer
        assert f"ANTHROPIC_BASE_URL={url}" in said
        assert f"The console, in your browser: {url}/\n" in said
        assert httpx.get(f"{url}/readyz").status_code == 200
        done = demo.end(number)
    assert (done.code, done.err) == (0, "")
    assert not qrelay.home.exists()
    assert not (tmp_path / "mine.sqlite3").exists()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_it_ends_in_the_middle_of_an_answer(command: Commands) -> None:
    with command().running("demo", "--port", "0") as demo:
        demo.read_until("POST /v1/messages")
        done = demo.end()
    assert (done.code, done.err) == (0, "")


def test_run_is_the_demo_until_there_is_an_account(service: Simulator, command: Commands) -> None:
    qrelay = command(AMAZONQ_API_ENDPOINT=service.url, AMAZONQ_TOKEN_ENDPOINT=f"{service.url}/token")
    with qrelay.running("run", "--port", "0") as either:
        assert "This is a demonstration" in either.read_until("(Ctrl-C ends it)")
        either.end()
    with qrelay.running("serve", "--port", "0") as server:
        url = server.url()
        login = service.add_account()
        body = {"clientId": login.client_id, "clientSecret": login.client_secret, "refreshToken": login.refresh_token}
        account = httpx.post(f"{url}/v2/accounts", json=body).json()
        server.end()
    with qrelay.running("run", "--port", "0") as either:
        url = either.url()
        assert [row["id"] for row in httpx.get(f"{url}/v2/accounts").json()] == [account["id"]]
        either.end()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_service_alone(command: Commands, number: signal.Signals) -> None:
    with command().running("simulate", "--port", "0") as simulated:
        line = simulated.read_until("(Ctrl-C ends it)")
        url = next(word for word in line.split() if word.startswith("http://"))
        assert httpx.get(f"{url}/_sim/requests").status_code == 200
        taken = command()("simulate", "--port", url.rpartition(":")[2])
        assert taken.code == 1
        assert "Choose another port" in taken.err
        simulated.read_until("qrelay serve")
        done = simulated.end(number)
    assert (done.code, done.err) == (0, "")
