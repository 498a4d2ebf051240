"""Settings: names, order, sources, refusals."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from qrelay.settings import Settings, SettingsRefused, is_loopback, names, unknown

ENV = Path(".env")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def source(settings: Settings, name: str) -> tuple[str, str]:
    return next((row.value, str(row.source)) for row in settings.sources() if row.name == name)


def test_made_by_hand_it_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QRELAY_PORT", "9999")
    ENV.write_text("QRELAY_HOST=0.0.0.0\n")
    assert (Settings().host, Settings().port) == ("127.0.0.1", 8000)
    assert Settings(port=1).port == 1


@pytest.mark.parametrize(
    ("environ", "env_file", "port", "said"),
    [
        ({}, "", 8000, "None"),
        ({"PORT": "1"}, "", 1, "PORT"),
        ({"PORT": "1", "QRELAY_PORT": "2"}, "", 2, "QRELAY_PORT"),
        ({}, "PORT=3", 3, "PORT in .env"),
        ({}, "PORT=3\nQRELAY_PORT=4", 4, "QRELAY_PORT in .env"),
        ({"PORT": "1"}, "QRELAY_PORT=4", 1, "PORT"),
        ({"PORT": ""}, "QRELAY_PORT=4", 4, "QRELAY_PORT in .env"),
        ({"QRELAY_PORT": "", "PORT": "5"}, "", 5, "PORT"),
    ],
)
def test_where_a_value_comes_from(environ: dict[str, str], env_file: str, port: int, said: str) -> None:
    ENV.write_text(env_file)
    settings = Settings.load(environ)
    assert settings.port == port
    assert source(settings, "QRELAY_PORT") == (str(port), said)


def test_options_go_before_everything() -> None:
    settings = Settings.load({"QRELAY_PORT": "2"}, port=7)
    assert settings.port == 7
    assert source(settings, "QRELAY_PORT") == ("7", "--port")


def test_values_that_a_command_puts_in_the_place_of_others() -> None:
    settings = Settings.load({"QRELAY_PORT": "2"})
    replaced = settings.replaced("qrelay demo", {"port": 7})
    assert source(replaced, "QRELAY_PORT") == ("7", "qrelay demo")
    assert source(settings, "QRELAY_PORT") == ("2", "QRELAY_PORT")


@pytest.mark.parametrize("origins", ["*", "https://*.example", "chat.example", "https://chat.example/page", "null"])
def test_origins_are_named_one_by_one(origins: str) -> None:
    with pytest.raises(SettingsRefused, match="QRELAY_CORS_ORIGINS can't be used: it should be origins such as https"):
        Settings.load({"QRELAY_CORS_ORIGINS": origins})
    named = "https://chat.example/,http://localhost:3000, app://obsidian.md"
    assert len(Settings.load({"QRELAY_CORS_ORIGINS": named}).cors_origins) == 3


def test_the_older_names() -> None:
    held = {field: names(field)[1:] for field in Settings.model_fields if names(field)[1:]}
    assert held == {
        "port": ["PORT"],
        "api_keys": ["OPENAI_KEYS"],
        "console": ["ENABLE_CONSOLE"],
        "database_url": ["DATABASE_URL"],
        "amazonq_refresh_token": ["AMAZONQ_REFRESH_TOKEN"],
        "amazonq_client_id": ["AMAZONQ_CLIENT_ID"],
        "amazonq_client_secret": ["AMAZONQ_CLIENT_SECRET"],
        "amazonq_profile_arn": ["AMAZONQ_PROFILE_ARN"],
        "api_endpoint": ["AMAZONQ_API_ENDPOINT"],
        "token_endpoint": ["AMAZONQ_TOKEN_ENDPOINT"],
        "proxy": ["HTTP_PROXY"],
        "no_proxy": ["NO_PROXY", "no_proxy"],
        "ca_bundle": ["AMAZONQ_CA_BUNDLE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"],
        "verify_oidc_tls": ["DISABLE_AMAZONQ_SSL_VERIFY"],
        "max_error_count": ["MAX_ERROR_COUNT"],
        "anthropic_version": ["ANTHROPIC_VERSION"],
    }


def test_values_as_people_write_them() -> None:
    settings = Settings.load(
        {
            "OPENAI_KEYS": " one, two ,,",
            "ENABLE_CONSOLE": "0",
            "AMAZONQ_API_ENDPOINT": "http://127.0.0.1:9/",
            "QRELAY_LOG_LEVEL": "DEBUG",
            "DATABASE_URL": "sqlite:////somewhere/else.sqlite3",
            "QRELAY_ADMIN_SECRET": "   ",
            "QRELAY_HOME": "~/state",
        }
    )
    assert [key.get_secret_value() for key in settings.api_keys] == ["one", "two"]
    assert settings.console is False
    assert settings.api_endpoint == "http://127.0.0.1:9"
    assert settings.log_level == "debug"
    assert settings.database_path == Path("/somewhere/else.sqlite3")
    assert settings.admin_secret is None
    assert settings.home == Path.home() / "state"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"PORT": "nine"}, "PORT can't be used: it should be a valid integer"),
        ({"QRELAY_PORT": "70000"}, "QRELAY_PORT can't be used: it should be less than or equal to 65535"),
        ({"DATABASE_URL": "mysql://u:canary@h/d"}, "DATABASE_URL can't be used: it should be sqlite:///"),
        ({"DATABASE_URL": "postgresql://u:canary[@h/d"}, "DATABASE_URL can't be used: it can't be read"),
        ({"QRELAY_DATABASE_URL": "sqlite://"}, "QRELAY_DATABASE_URL can't be used: it should be sqlite:///"),
        ({"AMAZONQ_API_ENDPOINT": "canary"}, "AMAZONQ_API_ENDPOINT can't be used: it should be an address"),
        ({"AMAZONQ_TOKEN_ENDPOINT": "https://u:canary@h"}, "AMAZONQ_TOKEN_ENDPOINT can't be used"),
        ({"QRELAY_BINDING": "soap"}, "QRELAY_BINDING can't be used: it should be 'awsjson' or 'restjson'"),
        (
            {"AMAZONQ_API_ENDPOINT": "http://canary:99999/"},
            "AMAZONQ_API_ENDPOINT can't be used: it should be an address",
        ),
        ({"AMAZONQ_API_ENDPOINT": "http://can ary/"}, "AMAZONQ_API_ENDPOINT can't be used: it should be an address"),
        ({"QRELAY_ENDPOINT_URLS": "q=https://h:canary"}, "QRELAY_ENDPOINT_URLS can't be used: it should be an address"),
        (
            {"QRELAY_HOME": "~no-such-user/x"},
            "QRELAY_HOME can't be used: the home folder of ~no-such-user is not known",
        ),
        ({"QRELAY_MASTER_KEY_FILE": "~no-such-user/x"}, "QRELAY_MASTER_KEY_FILE can't be used: the home folder"),
        ({"QRELAY_CA_BUNDLE": "~no-such-user/x"}, "QRELAY_CA_BUNDLE can't be used: the home folder"),
        ({"DATABASE_URL": "sqlite:///~no-such-user/x"}, "DATABASE_URL can't be used: the home folder"),
        ({"DATABASE_URL": "sqlite:///x%00y"}, "DATABASE_URL can't be used: it should be a path"),
        ({"QRELAY_PING_SECONDS": "0", "MAX_ERROR_COUNT": "-1"}, "MAX_ERROR_COUNT can't be used"),
    ],
)
def test_a_wrong_value_is_named_but_not_shown(environ: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsRefused) as refused:
        Settings.load(environ)
    assert said in refused.value.message
    assert "canary" not in refused.value.message


def test_an_unreadable_file_is_told() -> None:
    ENV.write_bytes(b"\xff\xfe=\xff")
    with pytest.raises(SettingsRefused, match=r"\.env can't be read"):
        Settings.load({})


def test_secrets_stay_out_of_sight() -> None:
    secret_names = {"QRELAY_ADMIN_SECRET", "QRELAY_MASTER_KEY", "AMAZONQ_REFRESH_TOKEN", "AMAZONQ_CLIENT_SECRET"}
    environ = {name: f"canary-{name}" for name in secret_names}
    settings = Settings.load(environ | {"OPENAI_KEYS": "canary-1,canary-2"})
    assert sorted(settings.secrets()) == sorted([*environ.values(), "canary-1", "canary-2"])
    assert "canary" not in repr(settings) + str(settings) + str(settings.sources())
    assert source(settings, "QRELAY_API_KEYS") == ("********, ********", "OPENAI_KEYS")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://u:canary@h:5/d", "postgresql://********@h:5/d"),
        ("postgres://u:canary%40x@h/d", "postgresql://********@h/d"),
        (
            "postgresql+psycopg:///d?user=u&password=canary&host=/run",
            "postgresql:///d?user=u&password=********&host=/run",
        ),
    ],
)
def test_the_password_of_a_database_stays_out_of_sight(address: str, shown: str) -> None:
    settings = Settings.load({"QRELAY_DATABASE_URL": address})
    assert source(settings, "QRELAY_DATABASE_URL") == (shown, "QRELAY_DATABASE_URL")
    assert any("canary" in secret for secret in settings.secrets())
    assert "canary" not in repr(settings) + str(settings)
    assert settings.database_path is None
    assert settings.database_address.startswith("postgresql://")


def test_nothing_changes_it_later() -> None:
    settings = Settings(admin_secret=SecretStr("x"))
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


def test_a_misspelt_variable_is_found() -> None:
    assert unknown({"QRELAY_PROT": "1", "QRELAY_PORT": "1", "PATH": ""}) == ["QRELAY_PROT"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "localhost.example.com", "127.0.0.1.example.com"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)
