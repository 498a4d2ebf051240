"""Where each account can be reached: what worked is remembered, what is refused moves on to the next candidate.

    refused at q+arn ─► kiro+arn ─► q ─► all of them have failed: the account's own failure, and the round begins anew
                 └─ one works: remembered on the account, and first from now on

A round outlives its request: what one had no calls left for is where the next goes on. Which candidates there are, and
in which order: `upstream/endpoints.py`. Not how many calls a request may make, nor what a failure
means for the account.
"""

import asyncio
from typing import Final

import structlog
from msgspec import Struct
from msgspec.structs import replace

from qrelay.accounts.account import AccountChanges
from qrelay.accounts.pool import Lease
from qrelay.accounts.store import AccountStore
from qrelay.credential import Credential
from qrelay.errors import ErrorCode, RelayError
from qrelay.trace import Trace
from qrelay.upstream.client import UpstreamClient
from qrelay.upstream.endpoints import Endpoint, Table, all_endpoints, candidates
from qrelay.upstream.errors import wants_profile
from qrelay.upstream.profiles import choose, list_profiles

log: structlog.stdlib.BoundLogger = structlog.get_logger()

ELSEWHERE: Final = frozenset(
    {
        ErrorCode.account_forbidden,
        ErrorCode.account_expired,
        ErrorCode.feature_blocked,
        ErrorCode.upstream_unreachable,
    }
)
"""What another endpoint may not refuse (PROTOCOL.md §8.1). A 404 is one too."""
_LET_IN: Final = frozenset({ErrorCode.account_throttled, ErrorCode.quota_exhausted})
"""Refusals of an account that may be there."""
_LIST_AGAIN_SECONDS: Final = 600.0


def moves_on(error: RelayError) -> bool:
    """Whether an account that was refused like this is tried at its next endpoint."""
    return error.code in ELSEWHERE or (error.code is ErrorCode.upstream_failed and error.status == 404)


class _Round(Struct):
    """The candidates that have failed, and the generation of the token that was renewed on the way."""

    tried: set[str]
    renewed: int | None = None


class Reach:
    """The rounds of this process. What was found to work is the store's, and so every replica's."""

    def __init__(self, table: Table, client: UpstreamClient, store: AccountStore) -> None:
        self._table = table
        self._client = client
        self._store = store
        self._rounds: dict[str, _Round] = {}
        self._listed: dict[str, float] = {}
        store.when_gone.append(self._forget)

    def endpoint(self, credential: Credential) -> Endpoint:
        """Where an account's calls go now: what worked, else the first that has not failed in this round."""
        places = candidates(credential, self._table)
        round_ = self._rounds.get(credential.account_id)
        if round_ is None:
            return places[0]
        return next((place for place in places if place.name not in round_.tried), places[0])

    def _forget(self, account_id: str) -> None:
        self._rounds.pop(account_id, None)
        self._listed.pop(account_id, None)

    def search(self, lease: Lease) -> "Search":
        """One account's tries for one request."""
        return Search(self, lease)

    def unfinished(self, account_id: str, error: RelayError) -> bool:
        """Whether this failure isn't the account's own yet: it has endpoints that have not been tried."""
        return moves_on(error) and account_id in self._rounds

    def worked(self, credential: Credential, endpoint: Endpoint) -> None:
        """The service has let the account in there."""
        self._rounds.pop(credential.account_id, None)
        if credential.endpoint != endpoint.name:
            log.info("an account works", account=credential.account_id, endpoint=endpoint.name)
            self._store.found(credential.account_id, endpoint.name)

    def refused(self, credential: Credential, endpoint: Endpoint, error: RelayError) -> bool:
        """It has not. Whether there is a candidate left in the round; without one the failure is the account's own."""
        places = candidates(credential, self._table)
        tried = self._rounds.setdefault(credential.account_id, _Round(set())).tried
        tried.add(endpoint.name)
        if error.code is ErrorCode.upstream_unreachable:
            tried.update(place.name for place in places if place.url == endpoint.url)
        if any(place.name not in tried for place in places):
            return True
        del self._rounds[credential.account_id]
        return False

    def may_renew(self, credential: Credential) -> bool:
        """Whether a new token may help: there is something to get one with, and this one isn't the round's new one."""
        round_ = self._rounds.get(credential.account_id)
        if round_ is not None and round_.renewed == credential.generation:
            return False
        return self._store.get(credential.account_id).refreshable

    def renewed(self, credential: Credential) -> None:
        """A round that goes on does so with this token."""
        if credential.account_id in self._rounds:
            self._rounds[credential.account_id].renewed = credential.generation

    async def with_profile(self, credential: Credential, error: RelayError) -> Credential | None:
        """The credential with the ARN that `error` asks for, where none is known and the service names one.

        Of several profiles one is taken as at a log-in. It is stored on the account; none is ever made up.
        """
        if not wants_profile(error) or credential.profile_arn is not None:
            return None
        now = asyncio.get_running_loop().time()
        if now < self._listed.get(credential.account_id, now):
            return None
        self._listed[credential.account_id] = now + _LIST_AGAIN_SECONDS
        profiles, failures = await list_profiles(self._client, credential, all_endpoints(self._table))
        arn = choose(profiles)
        if arn is None:
            said = "; ".join(failure.message for failure in failures)
            log.warning("the service wants a profile and names none", account=credential.account_id, reason=said)
            return None
        log.info("a profile was found", account=credential.account_id, profile=arn, of=len(profiles))
        await self._store.patch(credential.account_id, AccountChanges(profile_arn=arn))
        return replace(credential, profile_arn=arn, endpoint=None)


class Search:
    """One account's tries for one request: `endpoint` is where the next one goes, none of them twice."""

    def __init__(self, reach: Reach, lease: Lease) -> None:
        self._reach = reach
        self._lease = lease
        self._tried: set[str] = set()
        self._first: RelayError | None = None
        self._renewed = False
        self.endpoint = reach.endpoint(lease.credential)

    def worked(self) -> None:
        """The try has succeeded."""
        self._reach.worked(self._lease.credential, self.endpoint)

    async def go_on(self, error: RelayError, calls_left: int, trace: Trace) -> None:
        """The try has failed: choose the next. Raises what is to be told of this account when there is none.

        A token that is refused is renewed once; then it is the endpoint that may be at fault. An address that can't be
        reached costs much time, so only one other is tried.
        """
        reach, lease = self._reach, self._lease
        if not moves_on(error):
            if error.code in _LET_IN:
                self.worked()
            raise error
        self._first = self._first or error
        if error.code is ErrorCode.account_expired and calls_left > 0 and not self._renewed:
            self._renewed = True
            if reach.may_renew(lease.credential):
                log.info("the service refused an access token; it is refreshed once", account=lease.label)
                await lease.renew(trace)
                self.endpoint = reach.endpoint(lease.credential)
                return
        lease.credential = await reach.with_profile(lease.credential, error) or lease.credential
        self._tried.add(self.endpoint.name)
        if not reach.refused(lease.credential, self.endpoint, error):
            raise self._first
        if self._renewed:
            reach.renewed(lease.credential)
        if error.code is ErrorCode.upstream_unreachable:
            calls_left -= 1
        self.endpoint = reach.endpoint(lease.credential)
        if calls_left <= 0 or self.endpoint.name in self._tried:
            raise self._first
