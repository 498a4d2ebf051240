"""`GET /v2/requests`, `/v2/requests/{id}` and `/v2/requests/live`: the request log, by pages and as it grows.

The live stream reads the table each second, so it shows what all replicas served; a reader who is slow is read for less
often, and nothing piles up for it. It ends with the session of who looks, and after a while in any case: browsers come
back by themselves, with the number of the last row they have (`Last-Event-ID`).
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Row
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Scope

from qrelay import moments
from qrelay.accounts.store import AccountStore
from qrelay.errors import CATALOGUE, ErrorCode, RelayError
from qrelay.http import queries
from qrelay.http.doors import Doors
from qrelay.http.leaving import Leaving
from qrelay.http.management import told
from qrelay.records import requests
from qrelay.records.ended import attempts_of
from qrelay.records.journal import Journal
from qrelay.records.requests import COLUMNS, Wanted
from qrelay.records.tail import MOST_ROWS, Tail

_EVERY_SECONDS: Final = 1.0
_PING_SECONDS: Final = 15.0
_LONGEST_SECONDS: Final = 900.0
_MOST: Final = 1000
_TIMINGS = ("queue_ms", "refresh_ms", "connect_ms", "first_event_ms", "first_byte_ms", "duration_ms")
_AS_IT_IS = ("seq", "id", "dialect", "client", "stream", "status", "outcome", "error", "model_asked", "model")


class Names:
    """What accounts and keys are called now; None for one that is gone."""

    def __init__(self, store: AccountStore, key_name: Callable[[str], str | None]) -> None:
        self._store = store
        self._key_name = key_name

    def account(self, account_id: str | None) -> str | None:
        if account_id is None:
            return None
        try:
            return self._store.get(account_id).name
        except RelayError:
            return None

    def key(self, key_id: str | None) -> str | None:
        return None if key_id is None else self._key_name(key_id)

    def account_id(self, said: str | None) -> str | None:
        """The account that goes by this id or name."""
        accounts = self._store.accounts()
        if said is None or any(account.id == said for account in accounts):
            return said
        return next((account.id for account in accounts if account.name == said), said)


def routes(journal: Journal, names: Names, leaving: Leaving, doors: Doors) -> list[Route]:
    log = _RequestLog(journal, names, leaving, doors)
    return [
        Route("/v2/requests", told(log.page), methods=["GET"]),
        Route("/v2/requests/live", told(log.live), methods=["GET"]),
        Route("/v2/requests/{id}", told(log.one), methods=["GET"]),
    ]


class _RequestLog:
    def __init__(self, journal: Journal, names: Names, leaving: Leaving, doors: Doors) -> None:
        self._doors = doors
        self._leaving = leaving
        self._journal = journal
        self._database = journal.database
        self._names = names

    async def page(self, request: Request) -> Response:
        limit = queries.number(request, "limit", 100, _MOST)
        wanted = Wanted(
            before=queries.position(request.query_params.get("before"), "before"),
            account=self._names.account_id(queries.text(request, "account")),
            **{name: queries.text(request, name) for name in ("key", "model", "status", "dialect")},
            since=queries.moment(request, "since"),
        )
        await self._journal.flush()
        async with self._database.reading() as connection:
            rows, following = await requests.page(connection, wanted, limit)
        return JSONResponse({"requests": [self._answer(row) for row in rows], "next": following})

    async def one(self, request: Request) -> Response:
        request_id: str = request.path_params["id"]
        row = None
        if request_id.isascii() and request_id.isprintable():
            await self._journal.flush()
            async with self._database.reading() as connection:
                row = await requests.find(connection, request_id)
        if row is None:
            raise RelayError(ErrorCode.request_unknown, f"There is no request {request_id[:80]!r} in the log.")
        return JSONResponse(self._answer(row))

    async def live(self, request: Request) -> Response:
        after = queries.position(request.headers.get("last-event-id"), "last-event-id")
        tail = Tail(self._database, after)
        first = await tail.next()
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        return StreamingResponse(
            self._growing(request.scope, tail, first), media_type="text/event-stream", headers=headers
        )

    async def _growing(self, scope: Scope, tail: Tail, rows: Any) -> AsyncGenerator[bytes]:
        loop = asyncio.get_running_loop()
        ends = loop.time() + _LONGEST_SECONDS
        yield b"retry: 1000\n\n"
        spoke = loop.time()
        while True:
            if rows:
                yield b"".join(self._event(row) for row in rows)
                spoke = loop.time()
            elif loop.time() - spoke >= _PING_SECONDS:
                yield b": ping\n\n"
                spoke = loop.time()
            if loop.time() >= ends or self._leaving.begun:
                return
            if len(rows) < MOST_ROWS:
                await asyncio.sleep(_EVERY_SECONDS)
            try:
                if not await self._doors.still_open(scope):
                    return
                rows = await tail.next()
            except RelayError:  # the database is away: those who serve go on, and so does who looks
                rows = ()

    def _event(self, row: Row[Any]) -> bytes:
        return b"event: request\nid: %d\ndata: %b\n\n" % (row.seq, msgspec.json.encode(self._answer(row)))

    def _answer(self, row: Row[Any]) -> dict[str, Any]:
        held = dict(zip(COLUMNS, row, strict=True))
        return {
            **{name: held[name] for name in _AS_IT_IS},
            "remedy": _remedy(row.outcome),
            "at": iso(row.at),
            "account_id": row.account_id,
            "account": self._names.account(row.account_id),
            "key_id": row.key_id,
            "key": self._names.key(row.key_id),
            "attempts": [
                attempt | {"account": self._names.account(attempt["account_id"])}
                for attempt in attempts_of(row.attempts)
            ],
            "timings": {name: held[name] for name in _TIMINGS},
            "tokens": {
                "input": row.input_tokens,
                "cache_read": row.cache_read_tokens,
                "cache_write": row.cache_write_tokens,
                "output": row.output_tokens,
                "estimated": row.estimated,
            },
            "credits": row.credits,
            "ignored": _words(row.ignored),
            "adjusted": _words(row.adjusted),
            "upstream_request_id": row.upstream_request_id,
        }


def iso(seconds: float) -> str:
    """To the millisecond, as the log has it; a moment that no calendar has is the first one."""
    if not 0 <= seconds <= moments.LAST:
        seconds = 0.0
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _remedy(outcome: str) -> str | None:
    return CATALOGUE[ErrorCode(outcome)].remedy if outcome in ErrorCode.__members__ else None


def _words(text: str | None) -> list[str]:
    """A list of words; none where the cell is damaged."""
    try:
        return [] if text is None else msgspec.json.decode(text, type=list[str])
    except msgspec.DecodeError:
        return []
