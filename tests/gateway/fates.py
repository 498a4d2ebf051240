"""A gateway whose accounts each have a fate of their own: what the service does with whoever calls with its token.

Everything is real but the service: the store is on the disk, every call goes over a socket, and the bytes that come
back are those of `qrelay.simulator.faults`. bench/failover.py measures with the same.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from qrelay.accounts.account import NewAccount
from qrelay.accounts.oidc import TokenClient
from qrelay.accounts.pool import Pool
from qrelay.accounts.refresher import Refresher
from qrelay.accounts.store import AccountStore, open_store
from qrelay.attachments import Attachments
from qrelay.attachments.remote_images import RemoteImages
from qrelay.conversation import Conversation, Text, Turn
from qrelay.credential import Credential
from qrelay.database import open_database
from qrelay.errors import RelayError
from qrelay.gateway import Gateway, Manners
from qrelay.outward.http1 import Connections
from qrelay.quotas import Quotas
from qrelay.reach import Reach
from qrelay.simulator.errors import CATALOGUE, ServiceError
from qrelay.simulator.fault_scripts import closed_port, frames, status, tail
from qrelay.simulator.faults import End, Exchange, FaultServer, Fin, Head, Reset, Script, Send, Stall
from qrelay.trace import Trace
from qrelay.upstream.catalog import Catalog
from qrelay.upstream.client import Timeouts, UpstreamClient
from qrelay.upstream.endpoints import Endpoint, Table
from qrelay.vault import open_vault

MODEL: Final = "claude-sonnet-4.5"
GOOD: Final[Script] = [Head(), Send(frames("Hello", " world") + tail()), End()]


def refusal(error: ServiceError, **headers: str) -> Script:
    """A row of the service's catalogue as an answer."""
    body = {"__type": error.type, "message": error.message, "reason": error.reason}
    return status(error.status, json.dumps(body).encode(), {name.replace("_", "-"): headers[name] for name in headers})


def row(name: str) -> Script:
    return refusal(CATALOGUE[name])


FATES: Final[Mapping[str, Script]] = {
    "401, a dead token": status(401, b'{"__type": "ExpiredTokenException", "message": "The token has expired"}'),
    "402, monthly quota": row("monthly_402"),
    "403, suspended": row("suspended"),
    "403, forbidden": row("not_authorized"),
    "403, feature blocked": row("feature_not_supported"),
    "404": row("not_found"),
    "429, no retry-after": row("throttled"),
    "429, retry-after 30": refusal(CATALOGUE["throttled"], retry_after="30"),
    "429, monthly quota": row("monthly_429"),
    "429, no capacity": row("capacity"),
    "500": row("internal"),
    "502, a page": [Head(502, {"content-type": "text/html"}, 4), Send(b"oops"), End()],
    "503": row("unavailable"),
    "connection refused": [],
    "connection reset": [Reset()],
    "connection closed": [Fin()],
    "200, nothing in it": [Head(), End()],
    "silent": [Stall()],
}
"""What the service may do with one account. The empty script: nobody listens where this account calls."""


class _Routed(Reach):
    """Calls of some accounts go somewhere else."""

    elsewhere: Mapping[str, str] = {}

    def endpoint(self, credential: Credential) -> Endpoint:
        found = super().endpoint(credential)
        return found._replace(url=self.elsewhere.get(credential.access_token, found.url))


class Run(Struct):
    """What came of many requests: upstream calls and seconds of each, codes of those that failed."""

    succeeded: int
    attempts: list[int]
    seconds: list[float]
    errors: Counter[str]


class Rig(Struct):
    gateway: Gateway
    pool: Pool
    store: AccountStore
    faults: FaultServer
    ids: dict[str, str]

    @property
    def calls(self) -> Counter[str]:
        """Chat calls so far, by account."""
        chats = (each for each in self.faults.exchanges if "Generate" in each.headers.get("x-amz-target", ""))
        return Counter(_bearer(exchange) for exchange in chats)

    async def ask(self, session: str, model: str = MODEL, trace: Trace | None = None) -> None:
        """One request, read to its end. Raises RelayError."""
        said = Turn("user", (Text("Hello"),))
        conversation = Conversation(model=model, turns=(said,), session=session)
        async with await self.gateway.converse(conversation, trace or Trace()) as reply:
            while not reply.ended:
                await reply.next()

    async def run(self, requests: int, *, at_once: int = 8) -> Run:
        """Many requests, each of a session of its own."""
        run = Run(0, [], [], Counter())
        numbers = iter(range(requests))

        async def work() -> None:
            for number in numbers:
                trace = Trace()
                try:
                    await self.ask(f"session {number}", trace=trace)
                    run.succeeded += 1
                except RelayError as error:
                    run.errors[error.code] += 1
                run.attempts.append(len(trace.attempts))
                run.seconds.append(trace.elapsed_ms() / 1000)

        await asyncio.gather(*(work() for _ in range(at_once)))
        return run


@asynccontextmanager
async def rig(
    home: Path,
    fates: Mapping[str, Script],
    *,
    url: str | None = None,
    clock: Callable[[], float] | None = None,
    timeouts: Timeouts = Timeouts(),  # noqa: B008 - a value
    **options: Any,
) -> AsyncGenerator[Rig]:
    """Accounts by these names, which are their tokens too, each with its fate. `options` are the pool's."""
    async with (
        AsyncExitStack() as closing,
        FaultServer.serve([GOOD]) as faults,
    ):
        faults.choose = lambda exchange: _fate(exchange, fates)
        database = await open_database(url or f"sqlite:///{home}/qrelay.sqlite3", open_vault(home), clock=clock)
        store = await open_store(database)
        database.watch.start()
        connections = Connections()
        refresher = Refresher(store, TokenClient(connections, token_endpoint=f"{faults.url}/token", timeout_seconds=2))
        client = UpstreamClient(connections, timeouts, "qrelay-tests")
        catalog = Catalog(client)
        try:
            ids = {name: await _added(store, name) for name in fates}
            pool = Pool(store, refresher, chance=random.Random(7).random, **options)
            reach = _Routed(Table(override=faults.url), client, store)
            nowhere = closed_port()
            reach.elsewhere = {name: nowhere for name, script in fates.items() if not script}
            quotas = Quotas(client, reach, refresher, store, every_seconds=0)
            closing.push_async_callback(quotas.close)
            gateway = Gateway(
                pool,
                client,
                catalog,
                reach=reach,
                quotas=quotas,
                attachments=Attachments(RemoteImages("reject", (), connections), pdf_pages=0),
                manners=Manners(),
            )
            yield Rig(gateway, pool, store, faults, ids)
        finally:
            await closing.aclose()
            connections.close()
            await catalog.close()
            await refresher.close()
            await store.close()
            await database.close()


async def _added(store: AccountStore, name: str) -> str:
    """Its access token is fresh; its refresh token is one that the token service doesn't take."""
    known = next((account.id for account in store.accounts() if account.label == name), None)
    if known is not None:
        return known
    now = store.clock()
    new = NewAccount(
        label=name,
        client_id="client",
        client_secret="secret",
        refresh_token=f"refresh-{name}",
        access_token=name,
        expires_at=now + 36_000,
    )
    return (await store.add(new)).id


def _bearer(exchange: Exchange) -> str:
    return exchange.headers.get("authorization", "").removeprefix("Bearer ")


def _fate(exchange: Exchange, fates: Mapping[str, Script]) -> Script:
    if exchange.path == "/token":
        return status(400, b'{"error": "invalid_grant", "error_description": "Invalid refresh token"}')
    return fates[_bearer(exchange)]
