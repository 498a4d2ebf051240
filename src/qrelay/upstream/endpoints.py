"""Where the service is and how it is spoken to, as data. Hosts, bindings and header policies stand nowhere else.

Sources: PROTOCOL.md §1.1 (hosts), §1.2 (bindings, targets), §8.1 (profile ARN). A setting can override every row, since
the service is moving (§9).
"""

from typing import Literal, NamedTuple, TypeAlias

from qrelay.credential import Credential, LoginKind

Binding: TypeAlias = Literal["awsjson", "restjson"]


class Endpoint(NamedTuple):
    """One place that answers. `url` is the base, without a trailing slash; `origin` is the request body's (§2.2)."""

    url: str
    binding: Binding = "awsjson"
    origin: str = "CLI"
    streaming_target: str = "AmazonCodeWhispererStreamingService"
    control_target: str = "AmazonCodeWhispererService"
    sends_profile_arn: bool = True


_Q = {
    "us-east-1": "https://q.us-east-1.amazonaws.com",
    "eu-central-1": "https://q.eu-central-1.amazonaws.com",
}
_SENDS_ARN: dict[LoginKind, bool] = {
    "builder_id": False,  # 403 with one (§8.1)
    "identity_center": True,
    "social": True,
    "external_idp": True,
    "api_key": False,
}


def api_region(region: str, profile_arn: str | None) -> str:
    """The region that serves an account: the profile's, else the nearer of the two there are (§1.1)."""
    if profile_arn is not None:
        fields = profile_arn.split(":")
        if len(fields) > 3 and fields[3] in _Q:
            return fields[3]
    return "eu-central-1" if region.startswith("eu-") else "us-east-1"


def endpoint_for(credential: Credential, override: str | None, binding: Binding, origin: str) -> Endpoint:
    """The endpoint for one account. With `override` (a base URL) that server is used for everything."""
    url = override or _Q[api_region(credential.region, credential.profile_arn)]
    # A profile ARN that somebody configured for a Builder ID account is theirs to send; none is ever made up.
    sends_arn = _SENDS_ARN[credential.kind] or credential.profile_arn is not None
    return Endpoint(url.rstrip("/"), binding, origin, sends_profile_arn=sends_arn)


def all_endpoints(override: str | None, binding: Binding, origin: str) -> list[Endpoint]:
    """Every place that answers, for what an account may have at any of them; just the override if there is one."""
    urls = [override] if override else list(_Q.values())
    return [Endpoint(url.rstrip("/"), binding, origin) for url in urls]
