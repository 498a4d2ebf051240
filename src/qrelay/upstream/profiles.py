"""Which profiles an Identity Center account may use (PROTOCOL.md §8.1), and which of them is taken."""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from msgspec import Struct

from qrelay.credential import Credential
from qrelay.errors import ErrorCode, RelayError
from qrelay.redaction import CLEAN, Clean
from qrelay.upstream.client import UpstreamClient
from qrelay.upstream.endpoints import Endpoint

_MAX_PAGES = 20
_PATIENCE_SECONDS = 10.0


class Profile(NamedTuple):
    """`arn` is what requests name it by."""

    arn: str
    name: str = ""


class _Row(Struct, rename="camel"):
    arn: str | None = None
    profile_name: str | None = None


class _Page(Struct, rename="camel"):
    profiles: list[_Row] | None = None
    next_token: str | None = None


async def list_profiles(
    client: UpstreamClient, credential: Credential, endpoints: Iterable[Endpoint]
) -> tuple[list[Profile], list[RelayError]]:
    """The profiles of every endpoint, one after another, each once; and what went wrong at those that gave none.

    Another host than the first is asked only where that one named no profile.
    """
    found: dict[str, Profile] = {}
    failures: list[RelayError] = []
    host = ""
    for endpoint in endpoints:
        if found and endpoint.name != host:
            break
        host = endpoint.name
        token: str | None = None
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                for _ in range(_MAX_PAGES):
                    profiles, token = read_page(
                        await client.list_profiles(credential, endpoint, token), client.clean(credential)
                    )
                    for profile in profiles:
                        found.setdefault(profile.arn, profile)
                    if not token:
                        break
        except TimeoutError:
            failures.append(
                RelayError(ErrorCode.upstream_timeout, f"{endpoint.control} gave no list of profiles in time.")
            )
        except RelayError as error:
            failures.append(error)
    return list(found.values()), failures


def choose(profiles: Iterable[Profile], *preferred: str | None) -> str | None:
    """The ARN to use: of several the one that was named or used before, else the first; None where there is none."""
    arns = [profile.arn for profile in profiles]
    return next((arn for arn in preferred if arn in arns), arns[0] if arns else None)


def read_page(body: bytes, clean: Clean = CLEAN) -> tuple[list[Profile], str | None]:
    """One page of ListAvailableProfiles and the token of the next. Raises RelayError if it can't be read.

    Names are cleaned; a profile is left out if its ARN would not stay as it is.
    """
    try:
        page = msgspec.json.decode(body, type=_Page)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RelayError(ErrorCode.upstream_protocol, f"The list of profiles can't be read: {error}.") from None
    rows = (row for row in page.profiles or () if row.arn)
    found = [Profile(row.arn, clean(row.profile_name or "")) for row in rows if row.arn and clean(row.arn) == row.arn]
    return found, page.next_token
