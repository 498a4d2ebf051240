"""What an older gateway left in the folder `qrelay serve` is started in: its files, its `.env`, its `config.json`."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from qrelay.settings import Settings, SettingsRefused
from qrelay.simulator.server import Simulator
from tests.cli.process import Command
from tests.switching.conftest import amq2api_account

CONFIG: dict[str, Any] = {
    "logging": {
        "level": "WARNING",
        "log_requests": True,
        "log_responses": True,
        "log_token_refresh": True,
        "max_log_length": 500,
    },
    "performance": {"stream_chunk_size": 1024, "buffer_max_size": 10240, "token_refresh_margin_seconds": 300},
    "ssl": {"verify_oidc": False, "ca_bundle": ""},
}


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator.serve_in_thread() as simulator:
        yield simulator


@pytest.fixture
def started(tmp_path: Path, sim: Simulator) -> Callable[[], tuple[list[dict[str, Any]], str]]:
    """Starts a server in the folder, ends it, and tells which accounts it had and what it logged."""
    environ = f"AMAZONQ_API_ENDPOINT={sim.url}\nAMAZONQ_TOKEN_ENDPOINT={sim.url}/token\nPORT=0\n"
    (tmp_path / ".env").write_text(environ, encoding="utf-8")

    def start() -> tuple[list[dict[str, Any]], str]:
        with Command(tmp_path).running("serve") as server:
            accounts = httpx.get(f"{server.url()}/api/accounts").json()["data"]
            return accounts, server.end().err

    return start


def test_account_json_is_taken_once(tmp_path: Path, sim: Simulator, started: Callable[[], Any]) -> None:
    file = tmp_path / "account.json"
    rows = [
        amq2api_account(
            sim.add_account(name), id=f"id-{name}", name=name, is_active=name == "two", created_at="2024-01-01"
        )
        for name in ("one", "two", "later")
    ]
    file.write_text(json.dumps(rows[:2]), encoding="utf-8")
    accounts, logged = started()
    assert {row["name"]: row["is_active"] for row in accounts} == {"one": False, "two": True}
    assert "account.json" in logged
    file.write_text(json.dumps(rows), encoding="utf-8")
    again, logged = started()
    assert [row["id"] for row in again] == [row["id"] for row in accounts]
    assert "account.json" not in logged


def test_amazonq_credentials_json_is_taken_once(tmp_path: Path, sim: Simulator, started: Callable[[], Any]) -> None:
    login = sim.add_account()
    file = tmp_path / "amazonq_credentials.json"
    file.write_text(json.dumps(amq2api_account(login)), encoding="utf-8")
    (account,), logged = started()
    assert account["client_id"] == login.client_id
    assert "amazonq_credentials.json" in logged
    assert login.refresh_token not in logged
    (same,), _ = started()
    assert same["id"] == account["id"]


def test_a_file_that_is_something_else_is_told_of(tmp_path: Path, started: Callable[[], Any]) -> None:
    (tmp_path / "account.json").write_text('{"of": "another program"}', encoding="utf-8")
    accounts, logged = started()
    assert accounts == []
    assert "account.json" in logged


def test_config_json_takes_effect(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    settings = Settings.load({}, tmp_path / ".env")
    assert (settings.log_level, settings.refresh_lead_seconds, settings.verify_oidc_tls) == ("warning", 300, False)
    assert settings.ca_bundle is None
    sources = {row.name: str(row.source) for row in settings.sources()}
    assert sources["QRELAY_REFRESH_LEAD_SECONDS"] == "performance.token_refresh_margin_seconds in config.json"
    assert [found.name for found in settings.idle()] == [
        "logging.max_log_length",
        "performance.stream_chunk_size",
        "performance.buffer_max_size",
    ]
    (tmp_path / ".env").write_text("QRELAY_LOG_LEVEL=error\n", encoding="utf-8")
    settings = Settings.load({"DISABLE_AMAZONQ_SSL_VERIFY": "0"}, tmp_path / ".env")
    assert (settings.log_level, settings.verify_oidc_tls) == ("error", True)


def test_config_json_may_be_anybodys(tmp_path: Path) -> None:
    for text in (
        "",
        "{",
        "[]",
        '{"ssl": 3}',
        '{"logging": {"file": "x"}}',
        '{"name": {"level": "INFO"}}',
        "[" * 100_000,
    ):
        (tmp_path / "config.json").write_text(text, encoding="utf-8")
        settings = Settings.load({}, tmp_path / ".env")
        assert settings.model_dump() == Settings().model_dump()
        assert settings.idle() == []


@pytest.mark.parametrize(
    ("section", "member", "value"),
    [
        ("logging", "level", "LOUD"),
        ("logging", "level", 3),
        ("performance", "token_refresh_margin_seconds", "soon"),
        ("performance", "token_refresh_margin_seconds", -1),
        ("performance", "token_refresh_margin_seconds", True),
        ("ssl", "verify_oidc", "maybe"),
        ("ssl", "ca_bundle", 7),
    ],
)
def test_what_can_not_be_meant_is_reported(tmp_path: Path, section: str, member: str, value: object) -> None:
    (tmp_path / "config.json").write_text(json.dumps({section: {member: value}}), encoding="utf-8")
    settings = Settings.load({}, tmp_path / ".env")
    assert settings.model_dump() == Settings().model_dump()
    assert [str(found) for found in settings.idle()] == [f"{section}.{member} in config.json"]


def test_certificates_that_are_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"ssl": {"ca_bundle": "/nowhere/corp-root.pem"}}', encoding="utf-8")
    with pytest.raises(SettingsRefused, match=r"ssl.ca_bundle in config.json can't be used"):
        Settings.load({}, tmp_path / ".env")


def test_what_has_no_effect_is_said_at_the_start(tmp_path: Path, started: Callable[[], Any]) -> None:
    quiet = CONFIG | {"logging": {"level": "INFO"}}
    (tmp_path / "config.json").write_text(json.dumps(quiet), encoding="utf-8")
    _, logged = started()
    assert "performance.buffer_max_size in config.json" in logged
    assert "NOT CHECKED" in logged
