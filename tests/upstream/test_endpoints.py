"""Which endpoints an account is tried at, in which order, and whether with its profile (PROTOCOL.md §1.1, §8.1)."""

from typing import get_args

import pytest

from qrelay.credential import Credential, LoginKind
from qrelay.settings import Settings
from qrelay.upstream.endpoints import HOSTS, NAMES, ORDER, REGIONS, Table, all_endpoints, api_region, candidates

HERE = "arn:aws:codewhisperer:us-east-1:123456789012:profile/ABCDEFGHIJKL"
THERE = "arn:aws:codewhisperer:eu-central-1:123456789012:profile/ABCDEFGHIJKL"


def credential(
    kind: LoginKind = "builder_id", arn: str | None = None, region: str = "us-east-1", endpoint: str | None = None
) -> Credential:
    return Credential(account_id="1", access_token="t", kind=kind, region=region, profile_arn=arn, endpoint=endpoint)


def names(who: Credential, table: Table | None = None) -> list[str]:
    return [endpoint.name for endpoint in candidates(who, table or Table())]


@pytest.mark.parametrize(
    ("region", "arn", "expected"),
    [
        ("us-east-1", None, "us-east-1"),
        ("us-west-2", None, "us-east-1"),
        ("ap-southeast-1", None, "us-east-1"),
        ("eu-west-1", None, "eu-central-1"),
        ("eu-central-1", HERE, "us-east-1"),
        ("us-east-1", THERE, "eu-central-1"),
        ("eu-west-1", "arn:aws:codewhisperer:ap-south-1:1:profile/A", "eu-central-1"),
        ("us-east-1", "nonsense", "us-east-1"),
        ("", "", "us-east-1"),
    ],
)
def test_the_log_in_s_region_is_not_the_service_s(region: str, arn: str | None, expected: str) -> None:
    """There are two that serve, wherever the account was made: no host is made up from a region's name."""
    assert api_region(region, arn) == expected
    for endpoint in candidates(credential(arn=arn, region=region), Table()):
        assert f".{expected}." in endpoint.url
        assert f".{expected}." in endpoint.control
        assert "{" not in endpoint.url + endpoint.control


@pytest.mark.parametrize(
    ("kind", "arn", "expected"),
    [
        ("builder_id", None, ["q", "kiro"]),
        ("builder_id", HERE, ["q+arn", "q", "kiro+arn"]),
        ("identity_center", None, ["q", "kiro"]),
        ("identity_center", HERE, ["q+arn", "kiro+arn"]),
        ("social", None, ["q", "kiro"]),
        ("social", HERE, ["q+arn", "kiro+arn", "q"]),
        ("external_idp", HERE, ["q+arn", "kiro+arn"]),
        ("api_key", None, ["q", "kiro"]),
    ],
)
def test_who_is_tried_where(kind: LoginKind, arn: str | None, expected: list[str]) -> None:
    tried = candidates(credential(kind, arn), Table())
    assert [endpoint.name for endpoint in tried] == expected
    assert [endpoint.sends_profile_arn for endpoint in tried] == [name.endswith("+arn") for name in expected]


def test_what_worked_goes_first() -> None:
    assert names(credential("social", HERE, endpoint="q")) == ["q", "q+arn", "kiro+arn"]
    assert names(credential("builder_id", endpoint="q+arn")) == ["q", "kiro"]
    assert names(credential("builder_id", endpoint="gone")) == ["q", "kiro"]


def test_an_override_is_used_for_everything() -> None:
    table = Table("http://127.0.0.1:9100/", "restjson", "KIRO_CLI")
    (endpoint,) = candidates(credential(region="eu-west-1"), table)
    assert (endpoint.url, endpoint.control) == ("http://127.0.0.1:9100", "http://127.0.0.1:9100")
    assert (endpoint.binding, endpoint.origin) == ("restjson", "KIRO_CLI")
    assert names(credential("builder_id", HERE), table) == ["q+arn", "q"]
    assert all_endpoints(table) == [endpoint]


def test_the_order_and_the_hosts_can_be_set() -> None:
    urls = (("kiro", "https://kiro.{region}.example/"), ("kiro-management", "https://manage.example"))
    table = Table(order=("kiro+arn", "q"), urls=urls)
    kiro, q = candidates(credential("identity_center", THERE), table)
    assert (kiro.url, kiro.control) == ("https://kiro.eu-central-1.example", "https://manage.example")
    assert q.url == "https://q.eu-central-1.amazonaws.com"
    assert names(credential(), table) == ["kiro", "q"]
    assert [endpoint.name for endpoint in all_endpoints(table)] == ["kiro", "kiro", "q", "q"]


def test_every_host_lists_profiles_in_both_regions() -> None:
    assert [endpoint.control for endpoint in all_endpoints(Table())] == [
        "https://q.us-east-1.amazonaws.com",
        "https://q.eu-central-1.amazonaws.com",
        "https://management.us-east-1.kiro.dev",
        "https://management.eu-central-1.kiro.dev",
    ]


def test_the_table_is_whole() -> None:
    assert set(ORDER) == set(get_args(LoginKind))
    assert len(HOSTS) * 2 == len(NAMES)
    assert len(REGIONS) == 2
    for order in ORDER.values():
        assert {*order.with_arn, *order.without} <= set(NAMES)
        assert not any(name.endswith("+arn") for name in order.without)
    assert Settings(endpoints=NAMES).endpoints == NAMES  # type: ignore[arg-type] -- the setting's own list of names
