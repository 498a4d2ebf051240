"""Where the service is and how it is spoken to, as data. Hosts, bindings and header policies stand nowhere else.

A candidate is a host and whether the profile's ARN is named there: `q`, `q+arn`, `kiro`, `kiro+arn`. Which of them an
account is tried with, and in which order, is ORDER's: by its kind of log-in, and by whether an ARN is known. That one
answers is no promise that it will (§9), so what was found to work goes first, and settings may replace all of it.

Sources: PROTOCOL.md §1.1 (hosts), §1.2 (bindings, targets), §8.1 (profile ARN). Not who was tried when: `reach`.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final, Literal, NamedTuple, TypeAlias

from qrelay.credential import Credential, LoginKind

Binding: TypeAlias = Literal["awsjson", "restjson"]
HostName: TypeAlias = Literal["q", "kiro"]


class Endpoint(NamedTuple):
    """One place that answers. URLs are bases, without a trailing slash; `control_url` "" is the same one as `url`.

    `origin` is the request body's (§2.2). `name` is the candidate's, and what is remembered of it.
    """

    url: str
    binding: Binding = "awsjson"
    origin: str = "CLI"
    streaming_target: str = "AmazonCodeWhispererStreamingService"
    control_target: str = "AmazonCodeWhispererService"
    sends_profile_arn: bool = True
    control_url: str = ""
    name: str = "q"

    @property
    def control(self) -> str:
        """Where models, profiles and usage are asked for."""
        return self.control_url or self.url


class Order(NamedTuple):
    """The candidates of a kind of log-in, best first: where a profile's ARN is known, and where none is."""

    with_arn: tuple[str, ...]
    without: tuple[str, ...]


REGIONS: Final = ("us-east-1", "eu-central-1")
"""The two that serve, wherever an account was made (§1.1)."""

HOSTS: Final[Mapping[HostName, Endpoint]] = {
    "q": Endpoint("https://q.{region}.amazonaws.com", name="q"),
    "kiro": Endpoint(
        "https://runtime.{region}.kiro.dev",
        control_url="https://management.{region}.kiro.dev",
        name="kiro",
    ),
}

ORDER: Final[Mapping[LoginKind, Order]] = {
    # No ARN is a Builder ID's own, and with one it is refused; one that is known was given by hand, so it is tried.
    "builder_id": Order(("q+arn", "q", "kiro+arn"), ("q", "kiro")),
    "identity_center": Order(("q+arn", "kiro+arn"), ("q", "kiro")),
    "social": Order(("q+arn", "kiro+arn", "q"), ("q", "kiro")),
    "external_idp": Order(("q+arn", "kiro+arn"), ("q", "kiro")),
    "api_key": Order(("q+arn", "q", "kiro"), ("q", "kiro")),
}

NAMES: Final = tuple(f"{host}{arn}" for host in HOSTS for arn in ("", "+arn"))
URLS: Final = ("q", "kiro", "kiro-management")
"""The addresses that a setting may replace, by name."""


class Table(NamedTuple):
    """What the settings say of all this; what they leave out is as above.

    `override` is one base URL for every call: then candidates differ in the ARN only. `order` is used for every kind of
    log-in. `urls` replaces single hosts: a name of URLS to a base URL, in which `{region}` is the region.
    """

    override: str | None = None
    binding: Binding | None = None
    origin: str | None = None
    order: tuple[str, ...] = ()
    urls: tuple[tuple[str, str], ...] = ()


def api_region(region: str, profile_arn: str | None) -> str:
    """The region that serves an account: the profile's, else the nearer of the two there are (§1.1)."""
    if profile_arn is not None:
        fields = profile_arn.split(":")
        if len(fields) > 3 and fields[3] in REGIONS:
            return fields[3]
    return "eu-central-1" if region.startswith("eu-") else "us-east-1"


def candidates(credential: Credential, table: Table) -> tuple[Endpoint, ...]:
    """Where an account may be served, in the order to try: at least one, and no place twice."""
    region = api_region(credential.region, credential.profile_arn)
    return _candidates(credential.kind, region, credential.profile_arn is not None, credential.endpoint, table)


def all_endpoints(table: Table) -> list[Endpoint]:
    """Every place that answers, for what an account may have at any of them; the likeliest host first."""
    hosts = dict.fromkeys(name.removesuffix("+arn") for name in table.order or NAMES)
    return list(_once(_endpoint(host, region, table) for host in hosts for region in REGIONS))


@lru_cache(maxsize=1024)
def _candidates(
    kind: LoginKind,
    region: str,
    has_arn: bool,
    found: str | None,
    table: Table,
) -> tuple[Endpoint, ...]:
    order = ORDER[kind]
    names = table.order or (order.with_arn if has_arn else order.without)
    if not has_arn:
        names = tuple(dict.fromkeys(name.removesuffix("+arn") for name in names))
    if found in names:
        names = (found, *(name for name in names if name != found))
    return tuple(_once(_endpoint(name, region, table) for name in names))


def _endpoint(name: str, region: str, table: Table) -> Endpoint:
    host, arn, _ = name.partition("+arn")
    row = HOSTS["kiro" if host == "kiro" else "q"]
    urls = dict(table.urls)
    url = table.override or urls.get(host, row.url).replace("{region}", region)
    control = table.override or urls.get(f"{host}-management", row.control_url).replace("{region}", region)
    return row._replace(
        url=url.rstrip("/"),
        control_url="" if control == url else control.rstrip("/"),
        binding=table.binding or row.binding,
        origin=table.origin or row.origin,
        sends_profile_arn=bool(arn),
        name=name,
    )


def _once(endpoints: Iterator[Endpoint]) -> Iterator[Endpoint]:
    """Those that differ in more than their name: with one URL for everything, `kiro` is `q`."""
    seen: set[Endpoint] = set()
    for endpoint in endpoints:
        unnamed = endpoint._replace(name="")
        if unnamed not in seen:
            seen.add(unnamed)
            yield endpoint
