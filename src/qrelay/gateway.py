"""The use case: a conversation, an account, a reply. It introduces the account room to the upstream room.

    Gateway.converse(conversation, trace) -> Reply     waits for the first event; what fails before it raises RelayError

Everything that may be tried again (a token that has just died, an endpoint that refuses) happens in `converse`, before
a byte reaches the client.
"""

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import structlog
from msgspec import Struct, field

from qrelay.accounts.consequences import MOST_CALLS, consequence
from qrelay.accounts.pool import ANYTHING, Lease, Pool, Wanted
from qrelay.attachments import Attachments
from qrelay.conversation import LARGE, Conversation, Text, Turn, texts
from qrelay.credential import Credential
from qrelay.errors import ErrorCode, RelayError
from qrelay.limits import Limiter
from qrelay.quotas import Quotas
from qrelay.reach import Reach
from qrelay.reply import Flow, Reply, Served
from qrelay.retry_budget import RetryBudget
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


_UNREACHABLE_SECONDS = 9.0
"""After so long without a connection nobody else is tried: when nothing listens, that is said within 15 s."""
_AFFINITY_CHARACTERS = 64 * 1024
"""Of a conversation's beginning, as much as tells it from others."""
_UNREACHABLE = frozenset({ErrorCode.upstream_unreachable, ErrorCode.upstream_timeout})


class _RestsNow(Exception):  # noqa: N818 - not a failure: no call was made
    """The account that was chosen may not be asked for this model any more."""


class _Asking(Struct):
    """One request on its way. `failed` has what its accounts said; None: it was not asked after all."""

    conversation: Conversation
    wanted: Wanted
    trace: Trace
    deadline: float | None = None
    """The loop's time by which there must be a first event, whoever gives it; set when the first account is there."""
    failed: dict[str, RelayError | None] = field(default_factory=dict[str, RelayError | None])


class Manners(NamedTuple):
    """How the service is spoken to, from the settings."""

    tail: TailPolicy = "auto"
    limits: Limits = Limits()
    cache_tools: bool = False
    """Whether tools are marked for the service's cache, for models that have one."""


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
        attachments: Attachments,
        manners: Manners,
    ) -> None:
        self._pool = pool
        self._client = client
        self._catalog = catalog
        self._reach = reach
        self._attachments = attachments
        self._manners = manners
        self._signatures = Signatures()
        self._quotas = quotas
        self.attempts: Counter[tuple[str, str]] = Counter()
        """Upstream calls so far, by account and outcome: `ok`, or the code of what failed."""
        self.failovers: Counter[str] = Counter()
        """Requests that went on to another account, by the code of what failed."""
        self._budget = RetryBudget(time.monotonic)

    async def converse(self, conversation: Conversation, trace: Trace) -> Reply:
        """Ask for a reply and wait for its first event; `trace` is told how. Raises RelayError if there is none.

        A token that just died is refreshed once; what another account may do better is tried on another, if there is
        one and the budget for it isn't spent; what the request itself did wrong is not tried again. One time-out is for
        all of it.
        """
        self._budget.earn()
        conversation = await self._attachments.ready(conversation)
        loop = asyncio.get_running_loop()
        wanted = Wanted(conversation.model, partial(self._catalog.id_at, conversation.model))
        asking = _Asking(conversation, wanted, trace)
        while True:
            lease = await self._lease(asking)
            began = loop.time()
            asking.deadline = asking.deadline or began + self._client.timeouts.first_event
            try:
                return await self._serve(asking, lease)
            except _RestsNow:
                asking.failed[lease.account_id] = None
                lease.release()
            except RelayError as error:
                await self._failed(lease, error)
                late = error.code in _UNREACHABLE and loop.time() - began > _UNREACHABLE_SECONDS
                if late or loop.time() >= asking.deadline or not self._goes_on(error, len(trace.attempts)):
                    raise self._told(error, wanted) from None
                asking.failed[lease.account_id] = error
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
            conversation = Conversation(model=cheapest.id, turns=(asked,), max_tokens=16)
            deadline = asyncio.get_running_loop().time() + self._client.timeouts.first_event
            return await self._serve(_Asking(conversation, ANYTHING, Trace(), deadline), lease, alone=True)
        except RelayError as error:
            await self._failed(lease, error)
            raise
        except BaseException:
            lease.release()
            raise

    async def _lease(self, asking: _Asking) -> Lease:
        """An account that has not failed this request. Raises what the first one said when nobody else is left."""
        affinity, wanted, failed = _affinity(asking.conversation), asking.wanted, asking.failed
        if not failed:  # the first account: nothing has a deadline yet
            return await self._pool.lease(affinity, wanted, trace=asking.trace)
        errors = [error for error in failed.values() if error is not None]
        try:
            async with asyncio.timeout_at(asking.deadline):
                lease = await self._pool.lease(affinity, wanted, avoid=failed, trace=asking.trace)
        except TimeoutError:
            busy = RelayError(ErrorCode.account_throttled, "No other account had room in time.", retry_after=1)
            raise self._told(errors[0], wanted) if errors else busy from None
        except RelayError as error:
            raise self._told(errors[0], wanted) if errors else error from None
        if errors:
            self.failovers[errors[-1].code] += 1
        return lease

    async def _failed(self, lease: Lease, error: RelayError) -> None:
        """What an account's failure brings, before anybody is told of it; the account is given back.

        While it has endpoints that have not been tried it isn't the account's own.
        """
        try:
            if not self._reach.unfinished(lease.account_id, error):
                await lease.failed(error)
            if error.code is ErrorCode.quota_exhausted:
                self._quotas.soon(lease.account_id, error)
        finally:
            lease.release()

    def _goes_on(self, error: RelayError, calls: int) -> bool:
        """Whether another account may be asked after so many calls. What that costs is taken from the budget."""
        outcome = consequence(error)
        return outcome.another and calls < outcome.most_calls and (not outcome.transient or self._budget.spend())

    def _told(self, error: RelayError, wanted: Wanted) -> RelayError:
        """What the service says. A limit is told with the time when the first account is free again, not this one."""
        if error.code is ErrorCode.account_throttled:
            error.retry_after = self._pool.wait_seconds(wanted)
        return error

    async def _serve(self, asking: _Asking, lease: Lease, *, alone: bool = False) -> Reply:
        """One account's tries, each a call; where they go is `reach`'s. A call is left for another account where
        there is one that has not failed, unless this one is to serve `alone`.
        """
        search = self._reach.search(lease)
        while True:
            try:
                reply = await self._attempt(asking, lease, search.endpoint)
            except RelayError as error:
                left = MOST_CALLS - len(asking.trace.attempts)
                if left and not alone and self._pool.has_others(asking.wanted, {*asking.failed, lease.account_id}):
                    left -= 1
                await search.go_on(error, left, asking.trace)
            else:
                search.worked()
                return reply

    async def models(self) -> Sequence[Model]:
        """The models of an account that could serve now, and other names for them; without one, what is known."""
        try:
            lease = await self._pool.lease("")
        except RelayError:
            return self._catalog.listed(STATIC)
        with lease:
            models = await self._catalog.models(lease.credential, self._reach.endpoint(lease.credential))
        return self._catalog.listed(models)

    async def _attempt(self, asking: _Asking, lease: Lease, endpoint: Endpoint) -> Reply:
        conversation, trace = asking.conversation, asking.trace
        credential = lease.credential
        in_full = conversation.effort is not None or self._manners.cache_tools
        model = await self._catalog.model(conversation.model, credential, endpoint, in_full=in_full)
        if lease.asks_for(model.id) is not None:
            raise _RestsNow
        writing = partial(self._payload, conversation, credential, endpoint, model)
        payload = writing() if conversation.size <= LARGE else await asyncio.to_thread(writing)
        clean = self._client.clean(credential, lambda: "\n".join(texts(conversation)))
        reader = ReplyReader(
            Estimate(lambda: count_conversation(conversation), count_text, model.window),
            payload.original,
            self._manners.tail,
            self._signatures.remember,
            clean,
        )
        first_event = self._client.timeouts.first_event
        trace.attempt(lease.account_id, lease.label, endpoint.name)
        flow: Flow | None = None
        try:
            async with asyncio.timeout_at(asking.deadline):
                answer = await self._client.converse(credential, endpoint, payload.body, trace, clean)
                flow = Flow(answer, reader, Limiter(conversation, count_text), len(payload.body))
                head = await flow.next()
                while not head:
                    head = await flow.next()
        except BaseException as error:
            if flow is not None:
                flow.close()
            if isinstance(error, TimeoutError):
                trace.ended(ErrorCode.upstream_timeout)
                self.attempts[lease.account_id, ErrorCode.upstream_timeout] += 1
                raise RelayError(
                    ErrorCode.upstream_timeout,
                    f"The upstream sent no event within {first_event:g} s (QRELAY_FIRST_EVENT_TIMEOUT_SECONDS).",
                ) from None
            if isinstance(error, RelayError):
                trace.ended(error.code)
                self.attempts[lease.account_id, error.code] += 1
                raise await _with_sizes(error, conversation, model) from None
            trace.ended("cancelled")
            raise
        lease.answered()
        trace.ended("ok")
        self.attempts[lease.account_id, "ok"] += 1
        served = Served(model.id, payload.ignored, payload.adjustments, answer.request_id)
        return Reply(lease, flow, head, served, partial(_with_sizes, conversation=conversation, model=model))

    def _payload(self, conversation: Conversation, credential: Credential, endpoint: Endpoint, model: Model) -> Payload:
        # A conversation the client names keeps its id (§2.1); the id says nothing about who or what it is.
        if conversation.session:
            conversation_id = str(uuid.uuid5(_CONVERSATIONS, f"{credential.account_id}/{conversation.session}"))
        else:
            conversation_id = _random_uuid()
        arn = credential.profile_arn if endpoint.sends_profile_arn else None
        cached_from = model.cached_from if self._manners.cache_tools else None
        addressing = Addressing(conversation_id, model.id, endpoint.origin, arn, model.effort, cached_from)
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
    if first is None:
        return ""
    texts: list[str] = []
    left = _AFFINITY_CHARACTERS
    for part in first.parts:
        if isinstance(part, Text) and left > 0:
            texts.append(part.text[:left])
            left -= len(part.text)
    return "\n".join(texts)


def _random_uuid() -> str:
    """A UUID of version 4. It need not be hard to guess, and by way of `uuid.UUID` it would cost four times as much."""
    digits = f"{random.getrandbits(128):032x}"
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


_CONVERSATIONS = uuid.UUID("b3b1a1d4-6a56-5c0e-9b1c-0f4d3c8f7a21")
