"""`qrelay keys`, `qrelay audit`, the key that started clients get, and what a stored key lets `serve` do."""

import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from qrelay.cli.keys import moment
from tests.cli.process import Command

Commands = Callable[..., Command]


def test_beside_a_server(on_service: Command) -> None:
    with on_service.running("serve", "--port", "0") as server:
        url = server.url()
        done = on_service("keys", "create", "laptop", "--expires", "30d")
        key = done.out.strip()
        assert (done.code, key[:3], len(key)) == (0, "qr_", 52)
        assert key not in done.err
        assert httpx.get(f"{url}/v1/models").status_code == 401
        assert httpx.get(f"{url}/v1/models", headers={"x-api-key": key}).status_code == 200
        listed = on_service("keys", "list").out
        assert "laptop" in listed
        assert key not in listed
        printed = on_service("claude", "--print").out
        own = next(line.partition("=")[2] for line in printed.splitlines() if "ANTHROPIC_AUTH_TOKEN" in line)
        assert own != key
        assert httpx.get(f"{url}/v1/models", headers={"authorization": f"Bearer {own}"}).status_code == 200
        file = on_service.home / "launch.key"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert own in on_service("claude", "--print").out, "it is kept"
        assert on_service("keys", "revoke", "laptop", "launch").code == 0
        assert httpx.get(f"{url}/v1/models").status_code == 200
        assert "ANTHROPIC_AUTH_TOKEN=qrelay" in on_service("claude", "--print").out
        log = json.loads(on_service("audit", "--json").out)
        assert [row["action"] for row in log] == ["key.create", "key.create", "key.delete", "key.delete"]
        assert {row["actor"] for row in log} == {"owner"}
        done = server.end()
    for secret in (key, own):
        body = secret[3:-4].encode()
        files = [path for path in on_service.home.rglob("*") if path.is_file() and path != file]
        assert not [path for path in files if body in path.read_bytes()]
        assert secret not in done.out + done.err


def test_a_key_that_is_not_there(command: Commands) -> None:
    qrelay = command()
    done = qrelay("keys", "revoke", "nobody")
    assert (done.code, done.err.splitlines()[0]) == (1, "qrelay: There is no key 'nobody'.")
    assert qrelay("keys", "create", "--expires", "soon").code == 2
    assert qrelay("keys", "list").out.startswith("No key was made here.")


def test_a_stored_key_is_one_that_serve_may_listen_elsewhere_with(command: Commands) -> None:
    qrelay = command(QRELAY_ADMIN_SECRET="an-admin-secret-0123456789")
    done = qrelay("serve", "--host", "0.0.0.0", "--port", "0")
    assert done.code == 78
    assert "a client key" in done.err
    assert qrelay("keys", "create").code == 0
    with qrelay.running("serve", "--host", "0.0.0.0", "--port", "0") as server:
        server.url()
        assert server.end().code == 0


@pytest.mark.parametrize("said", ["", "d", "0d", "30", "-1d", "2020-01-31", "30 days", "tomorrow"])
def test_what_is_no_moment_to_come(said: str) -> None:
    assert moment(said) is None


def test_moments() -> None:
    for said, ahead in (("30d", timedelta(days=30)), ("12h", timedelta(hours=12)), ("4w", timedelta(weeks=4))):
        found = moment(said)
        assert found is not None
        assert abs(found - datetime.now(UTC) - ahead) < timedelta(minutes=1)
    assert moment("2999-01-31") == datetime(2999, 1, 31, tzinfo=UTC)
