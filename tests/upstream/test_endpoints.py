"""Which host serves an account, and what it is told of the profile (PROTOCOL.md §1.1, §8.1)."""

import pytest

from qrelay.credential import Credential, LoginKind
from qrelay.upstream.endpoints import api_region, endpoint_for

HERE = "arn:aws:codewhisperer:us-east-1:123456789012:profile/ABCDEFGHIJKL"
THERE = "arn:aws:codewhisperer:eu-central-1:123456789012:profile/ABCDEFGHIJKL"


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
    credential = Credential(account_id="1", access_token="t", region=region, profile_arn=arn)
    assert endpoint_for(credential, None, "awsjson", "CLI").url == f"https://q.{expected}.amazonaws.com"


def test_an_override_is_used_for_everything() -> None:
    credential = Credential(account_id="1", access_token="t", region="eu-west-1", profile_arn=THERE)
    endpoint = endpoint_for(credential, "http://127.0.0.1:9100/", "restjson", "KIRO_CLI")
    assert (endpoint.url, endpoint.binding, endpoint.origin) == ("http://127.0.0.1:9100", "restjson", "KIRO_CLI")


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("builder_id", False),
        ("identity_center", True),
        ("social", True),
        ("external_idp", True),
        ("api_key", False),
    ],
)
def test_who_is_asked_for_a_profile(kind: LoginKind, sent: bool) -> None:
    credential = Credential(account_id="1", access_token="t", kind=kind)
    assert endpoint_for(credential, None, "awsjson", "CLI").sends_profile_arn is sent


@pytest.mark.parametrize("kind", ["builder_id", "identity_center", "api_key"])
def test_a_profile_that_somebody_gave_is_sent(kind: LoginKind) -> None:
    credential = Credential(account_id="1", access_token="t", kind=kind, profile_arn=HERE)
    assert endpoint_for(credential, None, "awsjson", "CLI").sends_profile_arn
