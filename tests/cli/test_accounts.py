"""`qrelay accounts …` and the socket it uses: the same beside a running server and without one."""

import contextlib
import json
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from qrelay.cli.private_socket import private_socket
from qrelay.home import HomeBusy, open_home, running
from qrelay.simulator.server import Simulator
from tests.cli.process import Command

Commands = Callable[..., Command]

needs_sockets = pytest.mark.skipif(sys.platform == "win32", reason="no such sockets there")


@pytest.fixture(params=["without a server", "beside a server"])
def qrelay(request: pytest.FixtureRequest, command: Commands, service: Simulator) -> Iterator[Command]:
    """A `Command` on a state of its own, as every test here must find it: with a server or without."""
    made = command(
        AMAZONQ_API_ENDPOINT=service.url,
        AMAZONQ_TOKEN_ENDPOINT=f"{service.url}/token",
        # Neither counts for the owner of the state.
        OPENAI_KEYS="canary-client-key",
        QRELAY_ADMIN_SECRET="canary-admin-secret",
        QRELAY_CONSOLE="false",
    )
    with contextlib.ExitStack() as stack:
        if request.param == "beside a server":
            server = stack.enter_context(made.running("serve", "--port", "0"))
            server.url()
            for name in ("OPENAI_KEYS", "QRELAY_ADMIN_SECRET"):
                del made.environ[name]
        yield made


def good(qrelay: Command, *words: str) -> Any:
    """What a command prints as JSON when it goes well."""
    done = qrelay(*words, "--json")
    assert (done.code, done.err) == (0, ""), done
    return json.loads(done.out)


def add(qrelay: Command, service: Simulator, label: str) -> dict[str, Any]:
    login = service.add_account(label)
    body = {"clientId": login.client_id, "clientSecret": login.client_secret, "refreshToken": login.refresh_token}
    path = qrelay.folder / f"{label}.json"
    path.write_text(json.dumps(body))
    account = good(qrelay, "accounts", "add", "--label", label, "--file", str(path))
    assert login.refresh_token not in json.dumps(account)
    assert login.client_secret not in json.dumps(account)
    return account


def test_an_account_from_its_first_to_its_last_day(qrelay: Command, service: Simulator) -> None:
    assert "No account is stored" in qrelay("accounts", "list").out
    first = add(qrelay, service, "first")
    add(qrelay, service, "second")
    third = add(qrelay, service, "third")
    assert (first["is_active"], third["is_active"]) == (True, False)
    assert [row["label"] for row in good(qrelay, "accounts", "list")] == ["first", "second", "third"]
    for name in (first["id"], first["id"][:18], "first"):
        assert good(qrelay, "accounts", "show", name)["id"] == first["id"]
    assert good(qrelay, "accounts", "edit", "first", "--label", "renamed")[0]["label"] == "renamed"
    assert good(qrelay, "accounts", "disable", "renamed", "second")[1]["state"] == "disabled"
    assert good(qrelay, "accounts", "reset")[0]["state"] == "ready"
    assert good(qrelay, "accounts", "activate", "second")[0]["is_active"] is True
    assert good(qrelay, "accounts", "show", "renamed")["is_active"] is False
    refreshed = good(qrelay, "accounts", "refresh", "--all")
    assert [row["success"] for row in refreshed] == [True, True, True]
    assert good(qrelay, "accounts", "show", "second")["last_refresh_status"] == "success"
    assert good(qrelay, "accounts", "delete", "renamed", "third") == [
        {"deleted": first["id"]},
        {"deleted": third["id"]},
    ]
    assert [row["label"] for row in good(qrelay, "accounts", "list")] == ["second"]


def test_a_refresh_that_fails_is_told_and_can_be_tried_again(qrelay: Command, service: Simulator) -> None:
    account = add(qrelay, service, "mine")
    add(qrelay, service, "other")
    service.next_token_errors("invalid_grant")
    done = qrelay("accounts", "refresh", "mine")
    assert done.code == 1
    assert "Traceback" not in done.err
    assert done.err.splitlines()[-2].startswith("qrelay: 1 of 1 could not be refreshed.")
    sums = good(qrelay, "accounts", "stats")
    assert {name: sums[name] for name in ("accounts", "enabled", "refresh_failed", "needs_login", "successes")} == {
        "accounts": 2,
        "enabled": 2,
        "refresh_failed": 1,
        "needs_login": 1,
        "successes": 0,
    }
    good(qrelay, "accounts", "disable", "mine")
    assert [row["id"] for row in good(qrelay, "accounts", "retry-failed")] == [account["id"]]
    again = good(qrelay, "accounts", "show", "mine")
    assert (again["enabled"], again["state"], again["last_refresh_status"]) == (True, "ready", "success")
    assert good(qrelay, "accounts", "retry-failed") == []


def test_names_that_mean_nobody_or_several(qrelay: Command, service: Simulator) -> None:
    add(qrelay, service, "one")
    nobody = qrelay("accounts", "show", "nobody")
    assert (nobody.code, nobody.out) == (1, "")
    assert nobody.err.startswith("qrelay: No account is called 'nobody'.\n")
    add(qrelay, service, "two")
    good(qrelay, "accounts", "edit", "two", "--label", "one")
    several = qrelay("accounts", "delete", "one")
    assert several.code == 1
    assert several.err.startswith("qrelay: 2 accounts are called 'one'.\n")
    assert len(good(qrelay, "accounts", "list")) == 2


def test_what_is_missing_is_told(qrelay: Command) -> None:
    done = qrelay("accounts", "add", "--refresh-token", "canary-refresh-token")
    assert done.code == 1
    assert done.err.startswith("qrelay: clientId: it is missing.")
    assert "canary" not in done.err + done.out
    assert qrelay("accounts", "add").code == 1
    assert qrelay("accounts", "refresh").code == 2
    assert qrelay("accounts", "edit", "x").code == 1


@needs_sockets
def test_the_socket_is_the_owners(on_service: Command) -> None:
    with on_service.running("serve", "--port", "0") as server:
        url = server.url()
        path = on_service.home / "socket"
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        found = running(on_service.home)
        assert found
        assert (found.url, found.socket) == (url, str(path))
        assert server.end().code == 0
    assert not path.exists()


@needs_sockets
def test_a_dead_servers_socket_is_in_nobodys_way(on_service: Command) -> None:
    with on_service.running("serve", "--port", "0") as server:
        server.url()
        server.process.kill()
        server.process.wait()
    assert (on_service.home / "socket").exists()
    assert len(good(on_service, "accounts", "list")) == 1
    with on_service.running("serve", "--port", "0") as server:
        server.url()
        assert len(good(on_service, "accounts", "list")) == 1


@needs_sockets
def test_only_the_socket_opens_doors(on_service: Command) -> None:
    """What a caller sends never makes an owner of one: not on the address, whatever it claims."""
    on_service.environ["QRELAY_ADMIN_SECRET"] = "canary-admin-secret"
    claims = {"x-forwarded-for": "", "host": "localhost", "qrelay.owner": "true", "x-qrelay-owner": "true"}
    with on_service.running("serve", "--port", "0") as server:
        url = server.url()
        assert httpx.get(f"{url}/v2/accounts", headers=claims).status_code == 401
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(on_service.home / "socket"))) as owner:
            assert owner.get("http://anything/v2/accounts").status_code == 200


@needs_sockets
def test_a_peer_that_is_gone_is_not_the_owner(on_service: Command) -> None:
    """Its address can't be told any more; that doesn't make it one of a socket without addresses."""
    with on_service.running("serve", "--port", "0") as server:
        url = httpx.URL(server.url())
        for _ in range(20):
            with socket.create_connection((url.host, url.port or 80)) as peer:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, at once
                peer.sendall(
                    b"POST /v2/accounts HTTP/1.1\r\nhost: evil.example\r\ncontent-length: 66\r\n\r\n"
                    b'{"clientId":"c","clientSecret":"secret-secret","refreshToken":"r"}'
                )
        assert len(good(on_service, "accounts", "list")) == 1


@needs_sockets
def test_a_long_path_has_its_socket_elsewhere(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30)
    home.mkdir()
    with private_socket(home) as private:
        assert private
        assert len(os.fsencode(private.path)) <= 100
        assert stat.S_IMODE(private.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(private.path.parent.stat().st_mode) == 0o700
        held = private.path
    assert not held.parent.exists()


def test_one_command_waits_for_another(command: Commands) -> None:
    qrelay = command()
    with open_home(qrelay.home):
        done = qrelay("accounts", "list")
    assert done.code == 1
    assert f"is in use by process {os.getpid()}" in done.err
    with pytest.raises(HomeBusy), open_home(qrelay.home), open_home(qrelay.home):
        pass
    assert qrelay("accounts", "list").code == 0


def test_the_master_key_is_changed_beside_a_server_too(qrelay: Command, service: Simulator) -> None:
    account = add(qrelay, service, "mine")
    old = (qrelay.home / "master.key").read_text()
    done = qrelay("master-key", "rotate")
    assert (done.code, done.err) == (0, "")
    (kept,) = (qrelay.home / "backups").glob("master-*.key")
    assert str(kept) in done.out
    assert kept.read_text() == old
    assert old not in (qrelay.home / "master.key").read_text()
    (refreshed,) = good(qrelay, "accounts", "refresh", account["id"])
    assert refreshed["success"] is True


def test_a_master_key_of_the_settings_is_changed_there(command: Commands) -> None:
    qrelay = command(QRELAY_MASTER_KEY="00" * 32)
    refused = qrelay("master-key", "rotate")
    assert refused.code == 1
    assert "comma before the old one" in refused.err
    qrelay.environ["QRELAY_MASTER_KEY"] = f"{'01' * 32},{'00' * 32}"
    assert good(qrelay, "master-key", "rotate")["old_key"] is None
    qrelay.environ["QRELAY_MASTER_KEY"] = "01" * 32
    assert qrelay("accounts", "list").code == 0
