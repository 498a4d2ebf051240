"""What each source's files become; where each source is looked for; that reading leaves no trace."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from qrelay.accounts.account import NewAccount
from qrelay.accounts.importing import documents, shapes
from qrelay.accounts.importing.sources import SOURCES, Machine
from qrelay.cli.commands.transfer import SourceName
from tests.accounts.importing import foreign
from tests.accounts.importing.foreign import ORGANISATION, PROFILE, canary

EXPIRES = 1763632800.0  # 2025-11-20T10:00:00Z
REGISTERED = 1771581600.0  # 2026-02-20T10:00:00Z


def read(source: str, path: Path) -> list[NewAccount]:
    reading = SOURCES[source].read(path)
    assert list(reading.skipped) == []
    return list(reading.accounts)


def trace(folder: Path) -> dict[str, tuple[bytes, int, float]]:
    """All that can be seen of a folder: names, bytes, modes, times of change."""
    return {
        str(path): (path.read_bytes() if path.is_file() else b"", path.stat().st_mode, path.stat().st_mtime)
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("counters", [True, False])
def test_q2api(tmp_path: Path, counters: bool) -> None:
    one, two = read("q2api", foreign.q2api(tmp_path / "data.sqlite3", counters=counters))
    assert one == NewAccount(
        label="one",
        client_id="client-one",
        client_secret=canary("secret-one"),
        refresh_token=canary("refresh-one"),
        access_token=canary("access-one"),
        enabled=True,
        other='{"note": "one"}',
    )
    assert (two.label, two.enabled) == ("two", False)


def test_amq2api(tmp_path: Path) -> None:
    [account] = read("amq2api", foreign.amq2api(tmp_path / "account.json"))
    assert account == NewAccount(
        label="work",
        client_id="client-work",
        client_secret=canary("secret-work"),
        refresh_token=canary("refresh-work"),
    )


def test_the_active_one_of_amq2api_goes_first(tmp_path: Path) -> None:
    """The first that is stored becomes the active one."""
    path = foreign.amq2api(tmp_path / "account.json")
    (row,) = json.loads(path.read_text())
    rows = [row | {"name": name, "is_active": name == "three"} for name in ("one", "two", "three")]
    path.write_text(json.dumps(rows))
    assert [account.label for account in read("amq2api", path)] == ["three", "one", "two"]


def test_aq2api(tmp_path: Path) -> None:
    [account] = read("aq2api", foreign.aq2api(tmp_path / "amazonq_credentials.json"))
    assert account == NewAccount(
        client_id="client-only",
        client_secret=canary("secret-only"),
        refresh_token=canary("refresh-only"),
        profile_arn=PROFILE,
        access_token=canary("access-only"),
        expires_at=EXPIRES,
    )


@pytest.mark.parametrize("source", ["q-cli", "kiro-cli"])
@pytest.mark.parametrize("family", ["codewhisperer", "kirocli"])
@pytest.mark.parametrize("start_url", [None, "https://view.awsapps.com/start", "https://view.awsapps.com/start/"])
def test_a_builder_id_of_a_cli(tmp_path: Path, source: str, family: str, start_url: str | None) -> None:
    """What an organisation's log-in left behind in the state is no part of it."""
    state = {"api.codewhisperer.profile": {"arn": PROFILE, "profile_name": "old"}, "auth.idc.region": "eu-west-1"}
    path = foreign.cli(tmp_path / "data.sqlite3", foreign.oidc(family, "mine", start_url=start_url), state)
    [account] = read(source, path)
    assert account == NewAccount(
        kind="builder_id",
        label=SOURCES[source].title,
        region="us-east-1",
        client_id="client-mine",
        client_secret=canary("secret-mine"),
        client_secret_expires_at=REGISTERED,
        refresh_token=canary("refresh-mine"),
        access_token=canary("access-mine"),
        expires_at=EXPIRES + 0.123456,
    )


def test_a_seat_of_a_cli(tmp_path: Path) -> None:
    auth = foreign.oidc("codewhisperer", "seat", start_url=ORGANISATION, region="eu-central-1")
    del auth["codewhisperer:odic:token"]["region"]
    del auth["codewhisperer:odic:device-registration"]["region"]
    state = {
        "api.codewhisperer.profile": {"arn": PROFILE, "profile_name": "team"},
        "auth.idc.region": "eu-central-1",
        "auth.idc.start-url": ORGANISATION,
    }
    [account] = read("q-cli", foreign.cli(tmp_path / "data.sqlite3", auth, state))
    assert (account.kind, account.start_url) == ("identity_center", ORGANISATION)
    assert (account.region, account.profile_arn) == ("eu-central-1", PROFILE)


def test_every_log_in_of_kiros_cli(tmp_path: Path) -> None:
    auth = foreign.oidc("kirocli", "aws") | foreign.social("google") | foreign.external("okta")
    # It copies Amazon Q CLI's over at its start: the same log-in under an older name.
    auth |= foreign.oidc("codewhisperer", "old")
    accounts = {account.kind: account for account in read("kiro-cli", foreign.cli(tmp_path / "x.sqlite3", auth))}
    assert set(accounts) == {"builder_id", "social", "external_idp"}
    assert accounts["builder_id"].client_id == "client-aws"
    social, external = accounts["social"], accounts["external_idp"]
    assert (social.refresh_token, social.profile_arn, social.client_id) == (canary("refresh-google"), PROFILE, None)
    assert (external.client_id, external.client_secret) == ("client-okta", None)
    assert json.loads(external.other or "") == {"token_endpoint": "https://login.example.org/oauth2/token"}


def test_nobody_is_logged_in(tmp_path: Path) -> None:
    reading = SOURCES["q-cli"].read(foreign.cli(tmp_path / "data.sqlite3", {}))
    assert (list(reading.accounts), len(reading.skipped)) == ([], 1)


@pytest.mark.parametrize("as_folder", [True, False])
def test_kiro_ide_of_an_organisation(tmp_path: Path, as_folder: bool) -> None:
    path = foreign.kiro_ide(tmp_path)
    [account] = read("kiro-ide", tmp_path if as_folder else path)
    assert account == NewAccount(
        kind="identity_center",
        label="Kiro IDE (Enterprise)",
        region="eu-west-1",
        client_id="client-ide",
        client_secret=canary("secret-ide"),
        client_secret_expires_at=REGISTERED,
        refresh_token=canary("refresh-ide"),
        access_token=canary("access-ide"),
        expires_at=EXPIRES,
    )


@pytest.mark.parametrize(
    ("method", "more", "kind"),
    [
        ("IdC", {"provider": "BuilderId", "region": "us-east-1"}, "builder_id"),
        ("social", {}, "social"),
        ("social", {"provider": "Github"}, "social"),
        (
            "external_idp",
            {"provider": "Enterprise", "clientId": "c", "tokenEndpoint": "https://idp.example/token"},
            "external_idp",
        ),
    ],
)
def test_kinds_of_kiro_ide(tmp_path: Path, method: str, more: dict[str, Any], kind: str) -> None:
    [account] = read("kiro-ide", foreign.kiro_ide(tmp_path, method=method, **more))
    assert account.kind == kind


def test_toolkits_and_not_the_aws_cli(tmp_path: Path) -> None:
    foreign.whole_machine(tmp_path, tmp_path)
    [account] = read("aws-toolkit", tmp_path / ".aws" / "sso" / "cache")
    assert account == NewAccount(
        kind="identity_center",
        label="AWS toolkit",
        region="eu-central-1",
        start_url=ORGANISATION,
        client_id="client-toolkit",
        client_secret=canary("secret-toolkit"),
        client_secret_expires_at=REGISTERED,
        refresh_token=canary("refresh-toolkit"),
        access_token=canary("access-toolkit"),
        expires_at=EXPIRES,
    )


def test_a_toolkits_registration_in_a_file_of_its_own(tmp_path: Path) -> None:
    path = foreign.toolkit(tmp_path, clientId=None, clientSecret=None)
    registration = {"clientId": "c", "clientSecret": "s", "expiresAt": "2026-02-20T10:00:00.000Z"}
    (tmp_path / "aws-toolkit-vscode-client-id-eu-central-1.json").write_text(json.dumps(registration))
    (tmp_path / "aws-toolkit-vscode-client-id-us-east-1.json").write_text(json.dumps({"clientId": "no"}))
    for place in (path, tmp_path):
        [account] = read("aws-toolkit", place)
        assert (account.client_id, account.client_secret, account.client_secret_expires_at) == ("c", "s", REGISTERED)


CAMEL = {"clientId": "c", "clientSecret": "s", "refreshToken": "r", "profileArn": PROFILE, "expiresAt": EXPIRES}
SNAKE = {"client_id": "c", "client_secret": "s", "refresh_token": "r", "profile_arn": PROFILE, "expires_at": EXPIRES}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(CAMEL),
        json.dumps([SNAKE]),
        json.dumps({"accounts": [CAMEL]}),
        "\ufeff" + json.dumps(CAMEL),
        f"{json.dumps(CAMEL)}\n",
        json.dumps(SNAKE, indent=2),
    ],
)
def test_loose_documents(tmp_path: Path, text: str) -> None:
    path = tmp_path / "accounts.json"
    path.write_text(text, encoding="utf-8")
    [account] = read("json", path)
    assert account == NewAccount(client_id="c", client_secret="s", refresh_token="r", profile_arn=PROFILE)


def test_lines(tmp_path: Path) -> None:
    path = tmp_path / "accounts.jsonl"
    path.write_text(f"{json.dumps(CAMEL)}\n\n{json.dumps(SNAKE | {'refresh_token': 'r2'})}\n{{}}\n")
    reading = documents.read(path)
    assert [account.refresh_token for account in reading.accounts] == ["r", "r2"]
    assert list(reading.skipped) == [f"Entry 3 of {path} has no refresh token."]


@pytest.mark.parametrize(
    ("row", "kind", "token"),
    [
        ({"apiKey": "ksk_1"}, "api_key", "ksk_1"),
        ({"refresh_token": "ksk_1"}, "api_key", "ksk_1"),
        ({"kind": "api_key", "accessToken": "x"}, "api_key", "x"),
        ({"refreshToken": "r", "accessToken": "a", "profileArn": PROFILE}, "social", "a"),
        (CAMEL | {"accessToken": "a", "startUrl": ORGANISATION}, "identity_center", "a"),
        (CAMEL | {"accessToken": "a", "authMethod": "IdC"}, None, "a"),
        (CAMEL | {"accessToken": "a", "authMethod": "IdC", "region": "eu-west-1"}, "identity_center", "a"),
    ],
)
def test_kinds(row: dict[str, Any], kind: str | None, token: str) -> None:
    account = shapes.read_account(row)
    assert isinstance(account, NewAccount)
    assert (account.kind, account.access_token) == (kind, token)


@pytest.mark.parametrize(
    "row", [None, 1, "x", [], {}, {"refreshToken": "canary"}, {"refreshToken": 7, "clientId": "c"}, {"clientId": "c"}]
)
def test_what_is_no_account_is_told_without_its_values(row: Any) -> None:
    reason = shapes.read_account(row)
    assert isinstance(reason, str)
    assert "canary" not in reason


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2025-11-20T10:00:00Z", EXPIRES),
        ("2025-11-20T12:00:00+02:00", EXPIRES),
        ("2025-11-20T10:00:00", EXPIRES),
        (EXPIRES, EXPIRES),
        (EXPIRES * 1000, EXPIRES),
        ("soon", None),
        (True, None),
        (-1, None),
        (float("inf"), None),
    ],
)
def test_times(value: Any, seconds: float | None) -> None:
    assert shapes.moment({"expiresAt": value}, "expiresAt") == seconds


@pytest.mark.parametrize(
    ("platform", "source", "expected"),
    [
        ("linux", "q-cli", ["/home/u/.local/share/amazon-q/data.sqlite3"]),
        ("darwin", "q-cli", ["/home/u/Library/Application Support/amazon-q/data.sqlite3"]),
        ("win32", "q-cli", ["/local/amazon-q/data.sqlite3", "/roaming/amazon-q/data.sqlite3"]),
        ("linux", "kiro-cli", ["/home/u/.local/share/kiro-cli/data.sqlite3"]),
        ("darwin", "kiro-cli", ["/home/u/Library/Application Support/kiro-cli/data.sqlite3"]),
        ("win32", "kiro-cli", ["/local/kiro-cli/data.sqlite3", "/roaming/kiro-cli/data.sqlite3"]),
        ("linux", "kiro-ide", ["/home/u/.aws/sso/cache/kiro-auth-token.json"]),
        ("linux", "aws-toolkit", ["/home/u/.aws/sso/cache"]),
        ("linux", "q2api", ["/project/data.sqlite3"]),
        ("linux", "amq2api", ["/project/account.json"]),
        ("linux", "aq2api", ["/project/amazonq_credentials.json"]),
        ("linux", "json", []),
    ],
)
def test_places(platform: str, source: str, expected: list[str]) -> None:
    machine = Machine(platform, Path("/home/u"), Path("/project"), {"LOCALAPPDATA": "/local", "APPDATA": "/roaming"})
    assert [PurePosixPath(place) for place in SOURCES[source].places(machine)] == list(map(PurePosixPath, expected))


def test_a_data_home_of_the_users_own() -> None:
    machine = Machine("linux", Path("/home/u"), Path("/project"), {"XDG_DATA_HOME": "/data"})
    assert SOURCES["q-cli"].places(machine) == [Path("/data/amazon-q/data.sqlite3")]


def test_the_command_line_knows_every_source() -> None:
    assert [name.value for name in SourceName] == list(SOURCES)


def test_reading_leaves_no_trace(tmp_path: Path) -> None:
    foreign.whole_machine(tmp_path, tmp_path)
    before = trace(tmp_path)
    machine = Machine("linux", tmp_path, tmp_path, {})
    found = [read(name, place) for name, source in SOURCES.items() for place in source.places(machine)]
    assert sum(map(len, found)) == 10
    assert trace(tmp_path) == before


def test_what_a_running_cli_wrote_last_is_seen(tmp_path: Path) -> None:
    """Its newest rows are in the log beside the database, which it has open."""
    path = foreign.cli(tmp_path / "data.sqlite3", foreign.oidc("codewhisperer", "old"), journal="WAL")
    with closing(sqlite3.connect(path)) as theirs:
        newer = foreign.oidc("codewhisperer", "new")
        for key, value in newer.items():
            theirs.execute("UPDATE auth_kv SET value = ? WHERE key = ?", (json.dumps(value), key))
        theirs.commit()
        before = trace(tmp_path)
        [account] = read("q-cli", path)
        assert account.refresh_token == canary("refresh-new")
        assert trace(tmp_path).keys() == before.keys()
