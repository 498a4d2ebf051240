"""HTTP_PROXY, NO_PROXY, the CA bundle and the switch for token calls, against a real proxy and a real certificate."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from qrelay.outward import proxy_for
from qrelay.settings import Settings, SettingsRefused
from qrelay.simulator.server import Simulator
from tests.gateway.conftest import Bench, bench, serving, settings_for
from tests.switching.network import proxy, tls_in_front_of

pytestmark = pytest.mark.anyio


async def refreshed(relay: Bench) -> httpx.Response:
    (account,) = (await relay.http.get("/v2/accounts")).json()
    return await relay.http.post(f"/v2/accounts/{account['id']}/refresh")


@asynccontextmanager
async def by_tls(folder: Path, **settings: Any) -> AsyncGenerator[tuple[Bench, Path]]:
    """A gateway whose service is reached by https, with a certificate nobody knows, and that certificate."""
    async with Simulator.serve() as sim, tls_in_front_of(sim.url, folder) as (url, certificate):
        if settings.get("ca_bundle") == "it":
            settings["ca_bundle"] = certificate
        where = {"api_endpoint": url, "token_endpoint": f"{url}/token"}
        async with (
            serving(settings_for(sim, folder / "home", **(where | settings))) as gateway,
            httpx.AsyncClient(base_url=gateway, timeout=20) as http,
        ):
            yield Bench(sim, gateway, http), certificate


async def test_plain_calls_go_through_the_proxy(tmp_path: Path) -> None:
    async with proxy() as through, bench(tmp_path / "home", proxy=through.url) as relay:
        assert (await relay.messages()).status_code == 200
        assert (await relay.messages(stream=True)).status_code == 200
        assert (await refreshed(relay)).status_code == 200
        assert (await relay.http.get("/v1/models")).status_code == 200
        assert len(through.asked) == len(relay.sim.requests)
        assert {f"POST {relay.sim.url}/", f"POST {relay.sim.url}/token"} <= set(through.asked)


async def test_https_calls_go_through_it_by_connect(tmp_path: Path) -> None:
    async with proxy() as through, by_tls(tmp_path, proxy=through.url, ca_bundle="it") as (relay, _):
        assert (await relay.messages()).status_code == 200
        assert (await refreshed(relay)).status_code == 200
        assert {asked.split(" ")[0] for asked in through.asked} == {"CONNECT"}
        assert len(relay.sim.chats) == 1
        assert "CreateToken" in {request.operation for request in relay.sim.requests}


async def test_no_proxy_exempts(tmp_path: Path) -> None:
    async with proxy() as through, bench(tmp_path / "home", proxy=through.url, no_proxy=("127.0.0.1",)) as relay:
        assert (await relay.messages()).status_code == 200
        assert through.asked == []


async def test_a_proxys_password_is_sent_to_it_alone(tmp_path: Path) -> None:
    async with proxy() as through:
        address = through.url.replace("http://", "http://me:pass%40word@")
        async with bench(tmp_path / "home", proxy=address) as relay:
            assert (await relay.messages()).status_code == 200
            assert (await refreshed(relay)).status_code == 200
            assert through.authorization == {"Basic bWU6cGFzc0B3b3Jk"}
            assert not any("proxy-authorization" in request.headers for request in relay.sim.requests)


async def test_a_proxy_that_is_down_is_named(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", proxy="http://127.0.0.1:9") as relay:
        answer = await relay.messages()
        assert (answer.status_code, "prox" in answer.text) == (502, True)
        answer = await refreshed(relay)
        assert (answer.status_code, "prox" in answer.text) == (502, True)
        assert relay.sim.requests == []


async def test_a_proxy_that_refuses_is_not_the_services_word(tmp_path: Path) -> None:
    async with proxy() as through, by_tls(tmp_path, proxy=through.url, ca_bundle="it") as (relay, _):
        through.refuses = True
        answer = await relay.messages()
        assert (answer.status_code, "prox" in answer.text) == (502, True)


async def test_an_unknown_certificate_is_refused(tmp_path: Path) -> None:
    async with by_tls(tmp_path) as (relay, _):
        assert (await relay.messages()).status_code == 502
        assert (await refreshed(relay)).status_code == 502
        assert relay.sim.requests == []


async def test_a_named_certificate_is_trusted(tmp_path: Path) -> None:
    async with by_tls(tmp_path, ca_bundle="it") as (relay, _):
        assert (await relay.messages()).status_code == 200
        assert (await refreshed(relay)).status_code == 200


async def test_the_switch_is_for_token_calls_only(tmp_path: Path) -> None:
    async with by_tls(tmp_path, verify_oidc_tls=False) as (relay, _):
        assert (await refreshed(relay)).status_code == 200
        assert (await relay.messages()).status_code == 502
        assert {request.operation for request in relay.sim.requests} == {"CreateToken"}


async def test_the_first_name_that_is_set_wins(tmp_path: Path) -> None:
    async with by_tls(tmp_path) as (_, certificate):
        other = tmp_path / "other.pem"
        other.write_bytes(certificate.read_bytes())
        names = ("QRELAY_CA_BUNDLE", "AMAZONQ_CA_BUNDLE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
        for index, name in enumerate(names):
            environ = {name: str(certificate)} | dict.fromkeys(names[index + 1 :], str(other))
            assert Settings.load(environ, tmp_path / ".env").ca_bundle == certificate


def test_a_bundle_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for path in ("empty.pem", "missing.pem"):
        with pytest.raises(SettingsRefused, match=r"AWS_CA_BUNDLE can't be used: no certificates"):
            Settings.load({"AWS_CA_BUNDLE": str(tmp_path / path)}, tmp_path / ".env")


@pytest.mark.parametrize(
    ("said", "verified"), [("1", False), ("true", False), ("0", True), ("", True), ("no", True), ("off", True)]
)
def test_the_switch_says_the_opposite(tmp_path: Path, said: str, verified: bool) -> None:
    settings = Settings.load({"DISABLE_AMAZONQ_SSL_VERIFY": said}, tmp_path / ".env")
    assert settings.verify_oidc_tls is verified


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("http://10.0.0.1:3128/", "http://10.0.0.1:3128"),
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("http://me:secret@proxy:1", "http://me:secret@proxy:1"),
    ],
)
def test_how_a_proxy_is_written(tmp_path: Path, said: str, means: str) -> None:
    settings = Settings.load({"HTTP_PROXY": said}, tmp_path / ".env")
    assert settings.proxy == means
    shown = next(row.value for row in settings.sources() if row.name == "QRELAY_PROXY")
    assert "secret" not in shown
    assert ("secret" in settings.secrets()) is ("secret" in said)


@pytest.mark.parametrize("said", ["socks5://127.0.0.1:1", "http://", "http://a/b", "http://[", "http://a:0x1"])
def test_what_is_no_proxy_is_refused(tmp_path: Path, said: str) -> None:
    with pytest.raises(SettingsRefused, match="HTTP_PROXY"):
        Settings.load({"HTTP_PROXY": said}, tmp_path / ".env")


@pytest.mark.parametrize(
    ("entry", "exempt", "not_exempt"),
    [
        ("example.com", ("https://example.com", "http://a.example.com:8"), ("https://badexample.com",)),
        (".example.com", ("https://a.b.example.com",), ("https://example.org",)),
        ("*.example.com", ("https://a.example.com",), ("https://aexample.com",)),
        ("example.com:8443", ("https://example.com:8443",), ("https://example.com",)),
        ("example.com:443", ("https://example.com",), ("http://example.com",)),
        ("localhost", ("http://localhost:9",), ("http://127.0.0.1:9",)),
        ("127.0.0.0/8", ("http://127.1.2.3:9",), ("http://128.0.0.1",)),
        ("::1", ("http://[::1]:9",), ("http://[::2]:9",)),
        ("[::1]:9", ("http://[::1]:9",), ("http://[::1]:8",)),
        ("*", ("https://anything",), ()),
        ("", (), ("https://anything",)),
    ],
)
def test_who_is_exempt(entry: str, exempt: tuple[str, ...], not_exempt: tuple[str, ...]) -> None:
    decide = proxy_for("http://proxy:1", ["other.example", f" {entry.upper()} "])
    assert [decide(url) for url in exempt] == [None] * len(exempt)
    assert [decide(url) for url in not_exempt] == ["http://proxy:1"] * len(not_exempt)
    assert proxy_for(None, [entry])("https://anything") is None
