"""The use case: a conversation, an account, a reply. It introduces the account room to the upstream room.

    Gateway.converse(conversation, trace) -> Reply     waits for the first event; what fails before it raises RelayError

Everything that may be tried again (a token that has just died, an endpoint that refuses) happens in `converse`, before
a byte reaches the client.
"""

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

import structlog

from qrelay.accounts.pool import Lease, Pool
from qrelay.conversation import Conversation, Text, Turn
from qrelay.credential import Credential
from qrelay.errors import ErrorCode, RelayError
from qrelay.limits import Limiter
from qrelay.quotas import Quotas
from qrelay.reach import Reach
from qrelay.reply import Flow, Reply, Served
from qrelay.tokens import count_conversation, count_text
from qrelay.trace import Trace
from qrelay.upstream.catalog import Catalog
from qrelay.upstream.client import UpstreamClient
from qrelay.upstream.endpoints import Endpoint
from qrelay.upstream.models import STATIC, Model
from qrelay.upstream.request import Addressing, Limits, Payload, to_payload
from qrelay.upstream.response import Estimate, ReplyReader, TailPolicy
from qrelay.upstream.signatures import Signatures

log: structlog.stdlib.BoundLogger = structlog.get_logger()


MOST_CALLS = 3
"""Upstream calls for one request, at most."""

ANOTHER_ACCOUNT = frozenset(
    {
        ErrorCode.account_expired,
        ErrorCode.account_suspended,
        ErrorCode.account_forbidden,
        ErrorCode.account_throttled,
        ErrorCode.feature_blocked,
        ErrorCode.quota_exhausted,
        ErrorCode.upstream_failed,
        ErrorCode.upstream_overloaded,
    }
)
"""Failures that another account may not have."""


class Manners(NamedTuple):
    """How the service is spoken to, from the settings."""

    tail: TailPolicy = "auto"
    limits: Limits = Limits()


class Gateway:
    """Answers conversations with the accounts of a pool."""

    def __init__(
        self,
        pool: Pool,
        client: UpstreamClient,
        catalog: Catalog,
        *,
        reach: Reach,
        quotas: Quotas,
        manners: Manners,
    ) -> None:
        self._pool = pool
        self._client = client
        self._catalog = catalog
        self._reach = reach
        self._manners = manners
        self._signatures = Signatures()
        self._quotas = quotas
        self.attempts: Counter[str] = Counter()
        """Upstream calls so far, by outcome: `ok`, or the code of what failed."""

    async def converse(self, conversation: Conversation, trace: Trace) -> Reply:
        """Ask for a reply and wait for its first event; `trace` is told how. Raises RelayError if there is none.

        A token that just died is refreshed once; what another account may do better is tried on another, if there is
        one; what the request itself did wrong is not tried again.
        """
        failed: dict[str, RelayError] = {}
        while True:
            lease = await self._lease(conversation, failed, trace)
            try:
                return await self._serve(conversation, lease, trace, failed)
            except RelayError as error:
                if not self._reach.unfinished(lease.account_id, error):
                    lease.failed(error)
                if error.code is ErrorCode.quota_exhausted:
                    self._quotas.soon(lease.account_id, error)
                lease.release()
                if error.code not in ANOTHER_ACCOUNT or len(trace.attempts) >= MOST_CALLS:
                    raise
                failed[lease.account_id] = error
            except BaseException:
                lease.release()
                raise

    async def try_account(self, account_id: str) -> Reply:
        """A tiny real request with one account, whatever its state, to the cheapest model it has. As `converse`."""
        lease = await self._pool.lease_of(account_id)
        try:
            models = await self._catalog.models(lease.credential, self._reach.endpoint(lease.credential))
            cheapest = min(models, key=lambda model: model.rate_multiplier or 1.0)
            asked = Turn("user", (Text("Answer with the single word OK."),))
            return await self._serve(Conversation(model=cheapest.id, turns=(asked,), max_tokens=16), lease, Trace())
        except RelayError as error:
            lease.failed(error)
            lease.release()
            raise
        except BaseException:
            lease.release()
            raise

    async def _lease(self, conversation: Conversation, failed: Mapping[str, RelayError], trace: Trace) -> Lease:
        """An account that has not failed this request. Raises what the first one said when nobody else is left."""
        first = next(iter(failed.values()), None)
        try:
            lease = await self._pool.lease(_affinity(conversation), avoid=failed, trace=trace)
        except RelayError as error:
            raise first or error from None
        if first is not None and lease.account_id in failed:
            lease.release()
            raise first
        return lease

    async def _serve(
        self, conversation: Conversation, lease: Lease, trace: Trace, failed: Mapping[str, RelayError] | None = None
    ) -> Reply:
        """One account's tries, each a call; where they go is `reach`'s. A call is left for another account where
        there is one that has not failed; `failed` None: none is to serve.
        """
        search = self._reach.search(lease)
        while True:
            try:
                reply = await self._attempt(conversation, lease, search.endpoint, trace)
            except RelayError as error:
                left = MOST_CALLS - len(trace.attempts)
                if left and failed is not None and self._others(lease, failed):
                    left -= 1
                await search.go_on(error, left, trace)
            else:
                search.worked()
                return reply

    def _others(self, lease: Lease, failed: Mapping[str, RelayError]) -> bool:
        ready = (account.id for account in self._pool.store.accounts() if account.state == "ready")
        return any(id_ != lease.account_id and id_ not in failed for id_ in ready)

    async def models(self) -> Sequence[Model]:
        """The models of an account that could serve now, and other names for them; without one, what is known."""
        try:
            lease = await self._pool.lease("")
        except RelayError:
            return self._catalog.listed(STATIC)
        with lease:
            models = await self._catalog.models(lease.credential, self._reach.endpoint(lease.credential))
        return self._catalog.listed(models)

    async def _attempt(self, conversation: Conversation, lease: Lease, endpoint: Endpoint, trace: Trace) -> Reply:
        credential = lease.credential
        model = await self._catalog.model(conversation.model, credential, endpoint)
        payload = self._payload(conversation, credential, endpoint, model)
        reader = ReplyReader(
            Estimate(lambda: count_conversation(conversation), count_text, model.window),
            payload.original,
            self._manners.tail,
            self._signatures.remember,
        )
        first_event = self._client.timeouts.first_event
        trace.attempt(lease.account_id, lease.label, endpoint.name)
        flow: Flow | None = None
        try:
            async with asyncio.timeout(first_event):
                answer = await self._client.converse(credential, endpoint, payload.body, trace)
                flow = Flow(answer, reader, Limiter(conversation, count_text), len(payload.body))
                head = await flow.next()
                while not head:
                    head = await flow.next()
        except BaseException as error:
            if flow is not None:
                flow.close()
            if isinstance(error, TimeoutError):
                trace.ended(ErrorCode.upstream_timeout)
                self.attempts[ErrorCode.upstream_timeout] += 1
                raise RelayError(
                    ErrorCode.upstream_timeout,
                    f"The upstream sent no event within {first_event:g} s (QRELAY_FIRST_EVENT_TIMEOUT_SECONDS).",
                ) from None
            if isinstance(error, RelayError):
                trace.ended(error.code)
                self.attempts[error.code] += 1
                raise await _with_sizes(error, conversation, model) from None
            trace.ended("cancelled")
            raise
        trace.ended("ok")
        self.attempts["ok"] += 1
        served = Served(model.id, payload.ignored, payload.adjustments, answer.request_id)
        return Reply(lease, flow, head, served)

    def _payload(self, conversation: Conversation, credential: Credential, endpoint: Endpoint, model: Model) -> Payload:
        # A conversation the client names keeps its id (§2.1); the id says nothing about who or what it is.
        if conversation.session:
            conversation_id = str(uuid.uuid5(_CONVERSATIONS, f"{credential.account_id}/{conversation.session}"))
        else:
            conversation_id = str(uuid.UUID(int=random.getrandbits(128), version=4))
        arn = credential.profile_arn if endpoint.sends_profile_arn else None
        addressing = Addressing(conversation_id, model.id, endpoint.origin, arn)
        return to_payload(conversation, addressing, self._signatures.known, self._manners.limits)


async def _with_sizes(error: RelayError, conversation: Conversation, model: Model) -> RelayError:
    """Clients compact when they read how far over the window they are; the service doesn't say."""
    if error.code is ErrorCode.context_too_long and error.tokens is None:
        counted = await asyncio.to_thread(count_conversation, conversation)
        error.tokens = (max(counted, model.window + 1), model.window)
    return error


def _affinity(conversation: Conversation) -> str:
    """What keeps a conversation with its account: the client's name for it, else how its user began it.

    Not the system text: that is the same for all conversations of a client.
    """
    if conversation.session:
        return conversation.session
    first = next((turn for turn in conversation.turns if turn.role == "user"), None)
    text = "\n".join(part.text for part in first.parts if isinstance(part, Text)) if first is not None else ""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


_CONVERSATIONS = uuid.UUID("b3b1a1d4-6a56-5c0e-9b1c-0f4d3c8f7a21")
