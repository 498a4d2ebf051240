"""`qrelay login` as a process, against the simulated log-in side: somebody approves on its page."""

import json
import re
import signal
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import segno

from qrelay.cli.log_in import qr_code
from qrelay.simulator.server import Simulator
from tests.cli.process import Command, Running

Commands = Callable[..., Command]


@pytest.fixture
def qrelay(service: Simulator, command: Commands) -> Command:
    """A `Command` without an account, whose service is the simulator."""
    return command(QRELAY_API_ENDPOINT=service.url, QRELAY_TOKEN_ENDPOINT=f"{service.url}/token")


def link_of(said: str) -> str:
    found = re.search(r"^  (http://\S+)$", said, re.MULTILINE)
    assert found, said
    return found[1]


def answer(link: str, decision: str = "approve") -> None:
    page, _, code = link.partition("?user_code=")
    assert httpx.post(page, data={"user_code": code, "decision": decision}).status_code == 200


def ended(process: Running) -> tuple[int, str, str]:
    out, _ = process.process.communicate(timeout=30)
    return process.process.returncode, out, process.stderr()


def stored(qrelay: Command) -> list[dict[str, Any]]:
    return json.loads(qrelay("accounts", "list", "--json").out)


def test_it_shows_a_link_and_a_code_and_stores_the_account(qrelay: Command) -> None:
    with qrelay.running("login", "--label", "mine") as login:
        said = login.read_until("Waiting for the approval")
        link = link_of(said)
        assert f"shows the code {link.rpartition('=')[2]}," in said
        assert qr_code(link) in said
        assert "\x1b" not in said
        answer(link)
        code, out, err = ended(login)
    assert (code, err) == (0, "")
    (account,) = stored(qrelay)
    assert out.endswith(f"Logged in: mine ({account['id']})\nNo server runs yet. Start it: qrelay serve\n")
    assert (account["state"], account["kind"]) == ("ready", "builder_id")


def test_beside_a_running_server_the_account_serves_at_once(qrelay: Command) -> None:
    with qrelay.running("serve", "--port", "0") as server:
        url = server.url()
        other = Command(qrelay.folder / "elsewhere", qrelay.environ)
        other.folder.mkdir()
        with other.running("login", "--no-qr") as login:
            said = login.read_until("Waiting for the approval")
            assert "█" not in said
            answer(link_of(said))
            code, out, _ = ended(login)
        (account,) = httpx.get(f"{url}/v2/accounts").json()
        asked = {"model": "claude-sonnet-4.5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
        assert httpx.post(f"{url}/v1/messages", json=asked).status_code == 200
        assert server.end().code == 0
    assert (code, account["id"][:8] in out) == (0, True)


def test_a_no_is_told_with_what_to_do(qrelay: Command) -> None:
    with qrelay.running("login") as login:
        answer(link_of(login.read_until("Waiting for the approval")), "deny")
        code, out, err = ended(login)
    assert (code, "Logged in" in out) == (1, False)
    assert err == "qrelay: The log-in was denied on its page.\n  Start the log-in again: `qrelay login`.\n"
    assert stored(qrelay) == []


def test_time_runs_out(qrelay: Command) -> None:
    qrelay.environ["QRELAY_LOGIN_TIMEOUT_SECONDS"] = "1"
    done = qrelay("login")
    assert done.code == 1
    assert done.err.startswith("qrelay: Nobody has approved the log-in within 1 s.\n")
    assert "QRELAY_LOGIN_TIMEOUT_SECONDS" in done.err


def test_several_one_after_another(qrelay: Command) -> None:
    with qrelay.running("login", "--count", "3", "--label", "seat", "--no-qr") as login:
        for decision in ("approve", "deny", "approve"):
            answer(link_of(login.read_until("Waiting for the approval")), decision)
        code, _, err = ended(login)
    assert code == 1
    assert "denied" in err
    assert err.endswith("qrelay: 1 of 3 log-ins were not completed.\n")
    assert [account["label"] for account in stored(qrelay)] == ["seat 1", "seat 3"]


def test_json_is_a_line_for_what_to_show_and_one_for_the_end(qrelay: Command) -> None:
    with qrelay.running("login", "--json") as login:
        started = json.loads(login.read_until("authId"))
        answer(started["verificationUriComplete"])
        code, out, err = ended(login)
    (line,) = out.splitlines()
    told = json.loads(line)
    assert (code, err, told["status"]) == (0, "", "completed")
    (listed,) = stored(qrelay)
    assert told["account"].items() <= listed.items()


def test_an_organisations_account_and_again_by_its_label(service: Simulator, qrelay: Command) -> None:
    second = "arn:aws:codewhisperer:eu-central-1:123456789012:profile/SECOND000000"
    portal = ("--start-url", "https://d-1234567890.awsapps.com/start", "--region", "eu-west-1")
    seat = service.service.account(kind="identity_center")
    seat.more_profiles = (second,)
    outs: list[str] = []
    for options in ((*portal, "--label", "seat", "--profile-arn", second), ("--account", "seat")):
        with qrelay.running("login", *options) as login:
            said = login.read_until("Waiting for the approval")
            assert service.oidc.decide(link_of(said).rpartition("=")[2], "approved", seat)
            code, out, _ = ended(login)
        assert code == 0
        assert re.search(rf"{second} .* used$", out, re.MULTILINE), out
        outs.append(out)
    (account,) = stored(qrelay)
    assert (account["label"], account["region"], account["profileArn"]) == ("seat", "eu-west-1", second)
    assert all(f"Logged in: seat ({account['id']})" in out for out in outs)
    registrations = [request for request in service.requests if request.operation == "RegisterClient"]
    assert len(registrations) == 1


@pytest.mark.parametrize("number", [signal.SIGINT])
def test_giving_up_leaves_nothing(qrelay: Command, number: signal.Signals) -> None:
    with qrelay.running("login") as login:
        login.read_until("Waiting for the approval")
        done = login.end(number)
    assert (done.code, done.err) == (130, "")
    assert stored(qrelay) == []


def test_a_server_that_ends_takes_the_log_in_with_it(qrelay: Command) -> None:
    with qrelay.running("serve", "--port", "0") as server:
        server.url()
        other = Command(qrelay.folder / "elsewhere", qrelay.environ)
        other.folder.mkdir()
        with other.running("login") as login:
            login.read_until("Waiting for the approval")
            assert server.end().code == 0
            code, _, err = ended(login)
    assert code == 1
    assert err.startswith("qrelay: ")
    assert "qrelay login" in err
    assert "Traceback" not in err


def test_no_secret_of_it_is_written_or_shown(service: Simulator, qrelay: Command) -> None:
    qrelay.environ["QRELAY_LOG_LEVEL"] = "debug"
    with qrelay.running("serve", "--port", "0") as server:
        url = server.url()
        started = httpx.post(f"{url}/v2/auth/start", json={}).json()
        answer(started["verificationUriComplete"])
        claimed = httpx.post(f"{url}/v2/auth/claim/{started['authId']}", timeout=30)
        done = server.end()
    (device,) = service.oidc.devices.values()
    (client,) = service.oidc.clients.values()
    secrets = {device.device_code, client.client_secret, *service.service.access_tokens}
    secrets |= {token.refresh_token or "" for token in service.service.access_tokens.values()}
    assert len(secrets) == 4
    assert claimed.json()["status"] == "completed"
    written = [path.read_bytes() for path in qrelay.home.rglob("*") if path.is_file()]
    assert written
    for text in (*written, claimed.content, json.dumps(started).encode(), done.out.encode(), done.err.encode()):
        assert not [secret for secret in secrets if secret.encode() in text]


def test_what_cannot_begin_is_told(command: Commands) -> None:
    qrelay = command(QRELAY_TOKEN_ENDPOINT="http://127.0.0.1:1/token")
    done = qrelay("login", "--count", "2")
    assert done.code == 1
    assert "127.0.0.1:1 can't be reached" in done.err
    assert "QRELAY_TOKEN_ENDPOINT" in done.err
    done = qrelay("login", "--start-url", "https://evil.example/start")
    assert done.code == 1
    assert done.err.startswith("qrelay: startUrl: ")


def test_an_account_is_logged_in_again_once(command: Commands) -> None:
    for words in (["--count", "2"], ["--label", "x"]):
        done = command()("login", "--account", "x", *words)
        assert done.code == 2
        assert "--account" in done.err
    assert command()("login", "--account", "nobody").code == 1


def test_the_qr_code_is_the_link() -> None:
    link = "https://view.awsapps.com/start/#/device?user_code=ABCD-EFGH"
    lines = qr_code(link).splitlines()
    light = {"█": (True, True), "▀": (True, False), "▄": (False, True), " ": (False, False)}
    rows = [[light[mark][half] for mark in line] for line in lines for half in (0, 1)]
    expected = [[not dark for dark in row] for row in segno.make(link, error="l", micro=False).matrix_iter(border=2)]
    assert rows[: len(expected)] == expected
    width = len(lines[0])
    assert qr_code(link, columns=width)
    assert qr_code(link, columns=width - 1) == ""
    assert all(
        line.startswith("\x1b[") and line.endswith("\x1b[0m") for line in qr_code(link, colours=True).split("\n")
    )
