"""`GET /v2/overview`: how the gateway does, as the first page of a console shows it. `GET /v2/health`: what it needs.

Figures of requests are those of all replicas; what is in flight is this process's. Nothing here is kept up to date
between two questions: it is read when it is asked for.
"""

import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, get_args

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qrelay import __version__
from qrelay.accounts.account import Account, AccountState
from qrelay.accounts.pool import Pool
from qrelay.accounts.store import AccountStore
from qrelay.database import HEAD, Database
from qrelay.database.watch import LISTENING
from qrelay.errors import RelayError
from qrelay.http.account_answers import quota_answer
from qrelay.http.management import told
from qrelay.keys import Keys
from qrelay.records import requests, usage
from qrelay.records.journal import Journal
from qrelay.records.usage import Figures

_REPLICAS = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = :listening")
_VERSION = {"sqlite": text("SELECT sqlite_version()"), "postgresql": text("SHOW server_version")}
_UNKNOWN: Mapping[str, Any] = {
    "requests": {"last_hour": None, "last_24h": None, "errors_last_24h": None},
    "first_byte_ms": {"p50": None, "p95": None},
}


class Parts(NamedTuple):
    """What is looked at."""

    store: AccountStore
    pool: Pool
    keys: Keys
    journal: Journal


class Check(NamedTuple):
    """One thing that a working gateway needs."""

    name: str
    ok: bool
    detail: str


def routes(parts: Parts, *, new_clock: Callable[[], float] = time.monotonic) -> list[Route]:
    began = new_clock()

    async def overview(request: Request) -> Response:
        accounts = parts.store.accounts()
        states = Counter(parts.pool.roll.state(account) for account in accounts)
        database = parts.journal.database
        figures, replicas = _UNKNOWN, None
        with suppress(RelayError):  # the rest can be told while the database is away
            await parts.journal.flush()
            async with database.reading() as connection:
                figures = await _requests(connection, parts.journal)
                replicas = await _replicas(connection) if database.shared else 1
        return JSONResponse(
            {
                "version": __version__,
                "uptime_seconds": round(new_clock() - began),
                "accounts": {"total": len(accounts)} | {state: states[state] for state in get_args(AccountState)},
                "in_flight": sum(parts.pool.in_flight(account.id) for account in accounts),
                "queued": parts.pool.queued,
                **figures,
                "credits": _credits(accounts),
                "keys": parts.keys.count,
                "replicas": replicas,
                "database": database.engine.dialect.name,
                "development_mode": not parts.keys.needed,
                "strategy": parts.pool.strategy,
                "base_url": f"{request.url.scheme}://{request.url.netloc}",
            }
        )

    async def health(_: Request) -> Response:
        database = parts.journal.database
        checks = [_accounts_check(parts.pool), await _database_check(database), _log_check(parts.journal)]
        versions = {"qrelay": __version__, "python": platform.python_version(), "schema": HEAD}
        if checks[1].ok:
            versions[database.engine.dialect.name] = checks[1].detail
        return JSONResponse(
            {
                "ready": checks[0].ok,
                "reasons": [check.detail for check in checks if not check.ok],
                "checks": [check._asdict() for check in checks],
                "versions": versions,
            }
        )

    return [
        Route("/v2/overview", told(overview), methods=["GET"]),
        Route("/v2/health", told(health), methods=["GET"]),
    ]


async def _requests(connection: AsyncConnection, journal: Journal) -> dict[str, Any]:
    """The last 24 hours are 24 full steps of the clock, the one that has begun included."""
    now = journal.clock()
    hour = int(now // 3600)
    day, this_hour = Figures(), Figures()
    for _, step, figures in await usage.read(connection, hour - 23, hour + 1, "none", 1):
        day.add(figures)
        if step == hour:
            this_hour = figures
    # What a small log has let go of is still in the figures of this hour.
    last_hour = max(await requests.count_since(connection, now - 3600), this_hour.requests)
    first_bytes = await requests.first_bytes(connection, now - 86_400)
    return {
        "requests": {"last_hour": last_hour, "last_24h": day.requests, "errors_last_24h": day.errors},
        "first_byte_ms": {"p50": _quantile(first_bytes, 0.5), "p95": _quantile(first_bytes, 0.95)},
    }


def _quantile(rising: Sequence[float], share: float) -> float | None:
    return rising[min(int(len(rising) * share), len(rising) - 1)] if rising else None


async def _replicas(connection: AsyncConnection) -> int:
    """Every replica has one connection that listens (`database.watch`)."""
    return max(1, await connection.scalar(_REPLICAS, {"listening": LISTENING}) or 0)


def _credits(accounts: Iterable[Account]) -> dict[str, Any]:
    """Those of all enabled accounts together, as far as they are known; the reset is the next one of any."""
    known = [shown for account in accounts if account.enabled and (shown := quota_answer(account, time.time()))]
    if not known:
        return {"used": None, "limit": None, "left": None, "resets_at": None, "stale": True}
    return {
        "used": sum(quota["used"] for quota in known),
        "limit": sum(quota["limit"] for quota in known),
        "left": sum(quota["left"] for quota in known),
        "resets_at": min((quota["resets_at"] for quota in known if quota["resets_at"]), default=None),
        "stale": any(quota["stale"] for quota in known),
    }


def _accounts_check(pool: Pool) -> Check:
    accounts = pool.store.accounts()
    usable = pool.roll.usable_now()
    if usable:
        return Check("accounts", ok=True, detail=f"{usable} of {len(accounts)} can serve")
    return Check("accounts", ok=False, detail="no usable account" if accounts else "no account is stored")


async def _database_check(database: Database) -> Check:
    name = database.engine.dialect.name
    if database.trouble is not None:  # it may be read all the same
        return Check("database", ok=False, detail=database.trouble)
    try:
        async with database.reading() as connection:
            return Check("database", ok=True, detail=str(await connection.scalar(_VERSION[name])))
    except RelayError as error:
        return Check("database", ok=False, detail=error.message)


def _log_check(journal: Journal) -> Check:
    if dropped := journal.dropped:
        return Check("request log", ok=False, detail=f"{dropped} requests could not be written down")
    return Check("request log", ok=True, detail="complete")
