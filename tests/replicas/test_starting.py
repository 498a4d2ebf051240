"""Several processes begin on one database: who makes it, whose key it is, what is refused, what commands say."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from qrelay.simulator.server import Simulator
from tests.cli.process import Command, Running
from tests.postgres import Postgres
from tests.replicas.conftest import Replicas

Started = Callable[[Command], Running]

PASSWORD = "canary%40word"

ASKS = """import json, os, urllib.request
url, key = os.environ["ANTHROPIC_BASE_URL"], os.environ["ANTHROPIC_AUTH_TOKEN"]
asked = {"model": "claude-sonnet-4.5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
headers = {"content-type": "application/json", "x-api-key": key}
request = urllib.request.Request(url + "/v1/messages", json.dumps(asked).encode(), headers)
print(json.dumps(json.load(urllib.request.urlopen(request)) | {"url": url}))
"""


def new_account(service: Simulator) -> dict[str, str]:
    login = service.add_account()
    return {
        "clientId": login.client_id,
        "clientSecret": login.client_secret,
        "refreshToken": login.refresh_token,
        "label": "mine",
    }


def test_four_start_at_once_on_an_empty_database(replica: Replicas, started: Started, service: Simulator) -> None:
    home = str(replica("shared").home)  # of all four: nothing in it is locked
    commands = [replica(f"{number}", QRELAY_HOME=home, QRELAY_MASTER_KEY="") for number in range(4)]
    running = [started(command) for command in commands]
    urls = [server.url() for server in running]
    assert len(set(urls)) == 4
    made = httpx.post(f"{urls[0]}/v2/accounts", json=new_account(service))
    assert made.status_code == 200, made.text
    assert [row["label"] for row in httpx.get(f"{urls[0]}/v2/accounts").json()] == ["mine"]
    listed = commands[0]("accounts", "list")  # a command opens the database itself
    assert listed.code == 0, listed.err
    assert "mine" in listed.out
    said = [server.end().err for server in running]
    assert any("every process on this database needs the same one" in err for err in said)
    assert not any("Traceback" in err for err in said)
    assert {path.name for path in Path(home).iterdir()} == {"master.key"}


def test_another_key_is_refused(replica: Replicas, tmp_path: Path) -> None:
    first = replica()
    assert first("accounts", "list").code == 0
    other = replica("other", QRELAY_MASTER_KEY="00" * 32)("serve", "--port", "0")
    assert other.code == 78
    assert other.err.startswith("qrelay: The master key isn't the one that this database was made with.\n")
    assert "QRELAY_MASTER_KEY_FILE" in other.err
    without = replica("without", QRELAY_MASTER_KEY="")
    refused = without("serve", "--port", "0")
    assert refused.code == 78
    assert "master.key is missing, and the accounts in the database can't be read without it." in refused.err
    assert not (without.home / "master.key").exists()


def test_a_newer_database_and_another_programs_are_refused(
    replica: Replicas, postgres: Postgres, postgres_url: str
) -> None:
    database = postgres_url.partition("@/")[2].partition("?")[0]
    postgres.execute("CREATE TABLE accounts (id text)", database)
    qrelay = replica()
    foreign = qrelay("serve", "--port", "0")
    assert foreign.code == 78
    assert foreign.err.startswith("qrelay: The database holds tables of another program.")
    postgres.execute("DROP TABLE accounts", database)
    assert qrelay("db", "upgrade").code == 0
    assert "can be reached, and at version" in qrelay("db", "check").out
    postgres.execute("UPDATE alembic_version SET version_num = '9999'", database)
    newer = qrelay("serve", "--port", "0")
    assert newer.code == 1
    assert newer.err.startswith("qrelay: The database is at version 9999, newer than this qrelay")
    assert qrelay("db", "check").code == 1


def test_commands_say_what_they_do(replica: Replicas) -> None:
    qrelay = replica()
    doctor = qrelay("doctor")
    assert "note  database   It can be reached, and is empty" in doctor.out
    assert qrelay("accounts", "list").code == 0
    doctor = qrelay("doctor")
    assert "ok    database   The database postgresql://" in doctor.out
    assert "Traceback" not in doctor.err
    backup = qrelay("db", "backup")
    assert backup.code == 2
    assert "pg_dump" in backup.err


def test_a_server_that_is_not_there_is_told_without_its_password(replica: Replicas, tmp_path: Path) -> None:
    address = f"postgresql://u:{PASSWORD}@/d?host={tmp_path}/nowhere&sslpassword=canary2"
    qrelay = replica(QRELAY_DATABASE_URL=address, QRELAY_LOG_LEVEL="debug")
    for words in (["serve", "--port", "0"], ["run", "--port", "0"], ["doctor"], ["db", "check"], ["accounts", "list"]):
        done = qrelay(*words)
        assert done.code == 1, done
        assert "canary" not in done.out + done.err
        assert "Traceback" not in done.err
    shown = qrelay("settings")
    assert f"postgresql://********@/d?host={tmp_path}/nowhere&sslpassword=********" in shown.out
    assert "canary" not in shown.out


def test_the_driver_is_named_when_it_is_missing(replica: Replicas, tmp_path: Path) -> None:
    (tmp_path / "psycopg").mkdir()
    (tmp_path / "psycopg" / "__init__.py").write_text("raise ModuleNotFoundError('no psycopg')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = replica(PYTHONPATH=path).from_nothing("serve", "--port", "0")
    assert done.code == 78
    assert done.err == (
        "qrelay: PostgreSQL needs the driver psycopg, which isn't installed.\n"
        "  Install it: make extras, in qrelay's folder; or pip install 'psycopg[binary]' where qrelay is.\n"
    )


def test_run_serves_when_an_account_is_stored(replica: Replicas, service: Simulator) -> None:
    qrelay = replica()
    with qrelay.running("run", "--port", "0") as demonstrating:
        assert "This is a demonstration" in demonstrating.read_until("This is a demonstration")
    with qrelay.running("serve", "--port", "0") as server:
        assert httpx.post(f"{server.url()}/v2/accounts", json=new_account(service)).status_code == 200
    with qrelay.running("run", "--port", "0") as server:
        assert "serves on" in server.read_until("(Ctrl-C ends it)")


def test_a_client_gets_a_gateway_of_its_own(replica: Replicas, started: Started, service: Simulator) -> None:
    """Beside others on the database; its key is one that they know too."""
    qrelay = replica()
    server = started(qrelay)
    url = server.url()
    httpx.post(f"{url}/v2/accounts", json=new_account(service))
    assert qrelay("keys", "create", "somebody").code == 0
    program = qrelay.folder / "claude"
    program.write_text(f"#!{sys.executable}\n{ASKS}")
    program.chmod(0o755)
    qrelay.environ |= {"PATH": f"{qrelay.folder}{os.pathsep}{qrelay.environ['PATH']}", "QRELAY_PORT": "0"}
    done = qrelay("claude")
    assert done.code == 0, done
    told = json.loads(done.out)
    assert told["type"] == "message"
    assert told["url"] not in {url, "http://127.0.0.1:0"}
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{told['url']}/livez")
    assert httpx.get(f"{url}/livez").status_code == 200
