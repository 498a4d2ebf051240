"""Behind a trusted proxy a request counts for the visitor that it names; nonsense in headers is nobody's gain."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.types import Scope

from qrelay.http.visitors import Visitors
from qrelay.settings import Settings, SettingsRefused
from tests.gateway.conftest import bench

PROXY = "10.0.0.1"
BEHIND = Visitors(("10.0.0.0/24", "2001:db8:ffff::/48"))


def scope(peer: str | None = PROXY, *headers: tuple[str, str]) -> Scope:
    held = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return {"type": "http", "client": None if peer is None else (peer, 1), "headers": held}


@pytest.mark.parametrize(
    ("value", "visitor"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("127.0.0.1, 203.0.113.9", "203.0.113.9"),  # what stands before it is its own word
        ("203.0.113.9, 10.0.0.7, 10.0.0.8", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("2001:db8::9", "2001:db8::9"),
        ("[2001:db8::9]:4711", "2001:db8::9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 2001:db8:ffff::1", "203.0.113.9"),
        ("10.0.0.7", "10.0.0.7"),  # one of theirs asks for itself
        ("", PROXY),
        (",", PROXY),
        ("unknown", PROXY),
        ("203.0.113.9, unknown", PROXY),
        ("203.0.113.9, unknown, 10.0.0.7", "10.0.0.7"),
        ("203.0.113.9 198.51.100.7", PROXY),
        ("203.0.113.256", PROXY),
        ("1", PROXY),
        ("localhost", PROXY),
        ("<script>", PROXY),
        ("203.0.113.9" + ", 10.0.0.7" * 5000, "10.0.0.7"),
    ],
)
def test_the_last_hop_that_is_no_proxy(value: str, visitor: str) -> None:
    assert BEHIND.address(scope(PROXY, ("x-forwarded-for", value))) == visitor
    assert BEHIND.address(scope("::ffff:10.0.0.1", ("x-forwarded-for", value))) == visitor


@pytest.mark.parametrize(
    ("value", "visitor"),
    [
        ("for=203.0.113.9", "203.0.113.9"),
        ('for=198.51.100.7, For="[2001:db8::9]:4711";proto=https', "2001:db8::9"),
        ("by=10.0.0.1; for=203.0.113.9 ;host=a", "203.0.113.9"),
        ('host="a, for=198.51.100.7";for=203.0.113.9', "203.0.113.9"),
        ("for=_hidden", PROXY),
        ("for=203.0.113.9, proto=https", PROXY),
        ('for="203.0.113.9', PROXY),
        ("for", PROXY),
    ],
)
def test_the_newer_header_says_the_same(value: str, visitor: str) -> None:
    assert BEHIND.address(scope(PROXY, ("forwarded", value))) == visitor


def test_two_headers_that_differ_are_none() -> None:
    both = scope(PROXY, ("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=198.51.100.7"))
    assert BEHIND.address(both) == PROXY
    several = scope(PROXY, ("x-forwarded-for", "198.51.100.7"), ("x-forwarded-for", "203.0.113.9"))
    assert BEHIND.address(several) == "203.0.113.9"


def test_nobody_else_is_believed() -> None:
    said = ("x-forwarded-for", "127.0.0.1")
    assert BEHIND.address(scope("203.0.113.9", said)) == "203.0.113.9"
    assert Visitors().address(scope(PROXY, said)) == PROXY
    assert BEHIND.address(scope(None, said)) is None


@given(st.text(st.characters(max_codepoint=255), max_size=60), st.sampled_from(["x-forwarded-for", "forwarded"]))
def test_nonsense_is_the_proxys(value: str, name: str) -> None:
    assert BEHIND.address(scope(PROXY, (name, value))) is not None


@pytest.mark.parametrize("value", ["proxy.example", "10.0.0.0/33", "0.0.0.0/0", "::/0", "*"])
def test_what_is_no_network_is_refused(value: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match="QRELAY_TRUSTED_PROXIES can't be used"):
        Settings.load({"QRELAY_TRUSTED_PROXIES": f"127.0.0.1, {value}"}, tmp_path / ".env")


@pytest.mark.anyio
async def test_one_visitors_guesses_keep_no_other_one_out(tmp_path: Path) -> None:
    secret = "canary-admin-secret-0123456789"
    guarded = {"admin_secret": SecretStr(secret), "trusted_proxies": ("127.0.0.1",)}
    async with bench(tmp_path / "home", None, **guarded) as relay:

        async def log_in(visitor: str, said: str) -> int:
            headers = {"x-forwarded-for": f"192.0.2.1, {visitor}"}
            return (await relay.http.post("/v2/session", json={"secret": said}, headers=headers)).status_code

        assert [await log_in("203.0.113.9", "wrong") for _ in range(6)] == [401] * 5 + [429]
        assert await log_in("203.0.113.9", secret) == 429
        assert await log_in("198.51.100.7", secret) == 200
        rows = (await relay.http.get("/v2/audit", headers={"authorization": f"Bearer {secret}"})).json()["entries"]
        assert [row["peer"] for row in rows] == ["198.51.100.7"] + ["203.0.113.9"] * 5


@pytest.mark.anyio
async def test_it_opens_no_door(tmp_path: Path) -> None:
    async with bench(tmp_path / "home", None, trusted_proxies=("127.0.0.1",)) as relay:
        assert (await relay.http.get("/v2/accounts")).status_code == 200
        for name, value in (("x-forwarded-for", "127.0.0.1"), ("forwarded", "for=127.0.0.1")):
            assert (await relay.http.get("/v2/accounts", headers={name: value})).status_code == 403
