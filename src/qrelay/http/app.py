"""All wiring, on one page: settings in, an ASGI application out. What is opened here is closed here.

chat routes   -> `client_apis.ChatRoute`, plain ASGI
all others    -> Starlette: models, probes, management
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from qrelay.accounts.importing.found import take_found
from qrelay.accounts.oidc import TokenClient
from qrelay.accounts.pool import Pool
from qrelay.accounts.refresher import Refresher
from qrelay.accounts.standings import Standings
from qrelay.accounts.store import open_store
from qrelay.apis import anthropic, openai_responses
from qrelay.apis.anthropic import MESSAGES
from qrelay.apis.dialect import Call, Dialect, Stamp
from qrelay.apis.openai_chat import CHAT
from qrelay.apis.openai_responses import COMPACT, RESPONSES, ResponsesStore
from qrelay.apis.request_limits import RequestLimits
from qrelay.attachments import Attachments
from qrelay.attachments.remote_images import RemoteImages
from qrelay.errors import ErrorCode, RelayError
from qrelay.gateway import Gateway, Manners
from qrelay.http import (
    accounts,
    amq2api,
    aq2api,
    audit,
    checks,
    configuration,
    console,
    count_tokens,
    from_settings,
    keys,
    log_in,
    master_key,
    metrics,
    models,
    openapi,
    overview,
    pages,
    probes,
    request_log,
    responses,
    sessions,
    transfer,
    usage,
)
from qrelay.http.body import Bodies
from qrelay.http.client_apis import ChatRoute
from qrelay.http.cors import origin_of, preflight, with_cors
from qrelay.http.doors import Doors
from qrelay.http.endings import Endings
from qrelay.http.gate import Gate
from qrelay.http.host import check_host
from qrelay.http.leaving import Leaving
from qrelay.http.management import is_management, refusal
from qrelay.http.shelf import Shelf
from qrelay.http.traffic import Traffic
from qrelay.keys import open_keys
from qrelay.keys.sessions import Sessions
from qrelay.login import LogIns
from qrelay.outward import USER_AGENT
from qrelay.quotas import Quotas
from qrelay.reach import Reach
from qrelay.records.audit import AuditLog
from qrelay.records.journal import Journal
from qrelay.redaction import Redactor
from qrelay.server.connections import ConnectionTable
from qrelay.settings import Settings
from qrelay.tasks import stopped
from qrelay.upstream.catalog import Catalog
from qrelay.upstream.client import UpstreamClient
from qrelay.upstream.endpoints import all_endpoints
from qrelay.upstream.request import Limits

DIALECTS: dict[str, Dialect] = {
    "/messages": MESSAGES,
    "/chat/completions": CHAT,
    "/responses": RESPONSES,
    "/responses/compact": COMPACT,
}


def new_id() -> str:
    """A name for a request or a reply: unlike any other, and not meant to be hard to guess."""
    return f"{random.getrandbits(128):032x}"


class App:
    """The ASGI application. Its lifespan opens the store, the network and the accounts."""

    def __init__(self, settings: Settings, *, background: bool, folder: Path | None) -> None:
        self.leaving = Leaving()
        self.connections = ConnectionTable(from_settings.connection_limits(settings))
        self.has_account = False  # at its start
        self._settings = settings
        self._folder = folder
        self._background = background
        self._chat: dict[str, ChatRoute] = {}
        self._doors: Doors  # they and the gate are made with the database
        self._gate: Gate
        self._rest = Starlette(
            lifespan=self._lifespan,
            exception_handlers={HTTPException: self._http_error, Exception: self._failed},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                check_host(scope)
            except RelayError as error:
                await _told(error, Request(scope), f"req_{new_id()}")(scope, receive, send)
                return
            if self._opens_to_pages(scope) and (origin := origin_of(scope)) and self._doors.allows_origin(origin):
                if scope["method"] == "OPTIONS":
                    await preflight(origin, send)
                    return
                send = with_cors(origin, send)
            if scope["method"] == "POST":
                route = self._chat.get(_without_v1(scope["path"]))
                if route is not None:
                    await route(scope, receive, send)
                    return
            if is_management(scope["path"]):
                await self._gate(scope, receive, send)
                return
        await self._rest(scope, receive, send)

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """What a server does by the lifespan protocol, for who calls the app in its own process. Raises RelayError."""
        async with self._lifespan(self._rest):
            yield

    @property
    def routes(self) -> list[tuple[str, str]]:
        """Every method and path that is served, while it is open; without `HEAD`, and paths as with `/v1`."""
        chat = [("POST", f"/v1{path}") for path in self._chat]
        rest = [
            (method, route.path)
            for route in self._rest.router.routes
            if isinstance(route, Route)
            for method in sorted((route.methods or set()) - {"HEAD"})
        ]
        return chat + rest

    def _opens_to_pages(self, scope: Scope) -> bool:
        """Whether pages of other origins may be told what is here: client routes only, if any origin is named."""
        path = scope["path"]
        return bool(self._settings.cors_origins) and not is_management(path) and path != "/metrics"

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncGenerator[None]:
        settings = self._settings
        async with AsyncExitStack() as stack:
            database = await from_settings.database(settings)
            stack.push_async_callback(database.close)
            store = await open_store(
                database, spill_folder=settings.home / "spill", lease_seconds=settings.refresh_lease_seconds
            )
            stack.push_async_callback(store.close)
            client_keys = await open_keys(
                database, (key.get_secret_value() for key in settings.api_keys), days=settings.usage_days
            )
            stack.push_async_callback(client_keys.close)
            admin_secret = settings.admin_secret.get_secret_value() if settings.admin_secret else None
            console_sessions = Sessions(database, admin_secret) if admin_secret else None
            self._doors = Doors(
                client_keys,
                on_loopback=settings.on_loopback,
                admin_secret=admin_secret,
                sessions=console_sessions,
                allowed_hosts=settings.allowed_hosts,
                cors_origins=settings.cors_origins,
                trusted_proxies=settings.trusted_proxies,
            )
            audit_log = AuditLog(database)
            bodies = from_settings.bodies(settings)
            stack.callback(bodies.close)
            self._gate = Gate(
                self._rest,
                lambda: self._rest.router.routes,
                self._doors,
                audit_log,
                console=settings.console,
                bodies=bodies,
            )
            journal = Journal(database, rows=settings.request_log_rows, days=settings.usage_days)
            stack.push_async_callback(journal.close)
            journal.start()
            shelf = Shelf(database, days=settings.response_days)
            stack.push_async_callback(shelf.close)
            await shelf.start()
            calls, token_calls = from_settings.connections(settings)
            stack.callback(calls.close)
            stack.callback(token_calls.close)
            redactor = Redactor(settings.secrets(), store.secrets)
            token_client = TokenClient(token_calls, token_endpoint=settings.token_endpoint, redactor=redactor)
            refresher = Refresher(store, token_client, previous_tokens=settings.previous_tokens)
            stack.push_async_callback(refresher.close)
            if self._folder is not None:  # before the variables: the active one of account.json stays it
                await take_found(store, self._folder, settings.home)
            await from_settings.account(settings, store)
            self.has_account = bool(store.accounts())
            pool = Pool(
                store,
                refresher,
                strategy=settings.strategy,
                max_error_count=settings.max_error_count,
                concurrency=settings.account_concurrency,
                queue_seconds=settings.queue_seconds,
            )
            client = UpstreamClient(calls, from_settings.timeouts(settings), USER_AGENT, redactor)
            catalog = Catalog(client, settings.aliases)
            stack.push_async_callback(catalog.close)
            store.when_gone.append(catalog.forget)
            table = from_settings.endpoint_table(settings)
            reach = Reach(table, client, store)
            limits = Limits(body_bytes=settings.max_request_bytes)
            manners = Manners(settings.require_tail, limits, settings.cache_points == "tools")
            quotas = Quotas(client, reach, refresher, store, every_seconds=settings.quota_check_seconds)
            stack.push_async_callback(quotas.close)
            image_calls = from_settings.image_connections(settings)
            stack.callback(image_calls.close)
            remote_images = RemoteImages(settings.remote_images, settings.remote_image_hosts, image_calls)
            attachments = Attachments(remote_images, pdf_pages=settings.pdf_pages)
            gateway = Gateway(
                pool,
                client,
                catalog,
                reach=reach,
                quotas=quotas,
                attachments=attachments,
                manners=manners,
            )
            log_ins = LogIns(
                store,
                token_client,
                client,
                all_endpoints(table),
                quotas,
                timeout_seconds=settings.login_timeout_seconds,
                audit=audit_log,
                standings=Standings(database),
            )
            stack.push_async_callback(log_ins.close)
            names = request_log.Names(store, client_keys.name_of)
            self._open_routes(
                gateway,
                attachments,
                pool,
                log_ins,
                [
                    *checks.routes(gateway, quotas),
                    *keys.routes(client_keys),
                    *sessions.routes(console_sessions, self._doors, audit_log),
                    *audit.routes(audit_log, names),
                    *master_key.routes(database, store, settings.home),
                    *request_log.routes(journal, names, self.leaving, self._doors),
                    *usage.routes(journal, names),
                    *overview.routes(overview.Parts(store, pool, client_keys, journal)),
                ],
                bodies=bodies,
                journal=journal,
                shelf=shelf,
                redactor=redactor,
            )
            if self._background:
                database.watch.start()
                keeping = asyncio.create_task(
                    refresher.keep_fresh(settings.refresh_check_seconds, settings.refresh_lead_seconds)
                )
                stack.push_async_callback(stopped, keeping)
                if settings.quota_check_seconds:
                    stack.push_async_callback(stopped, asyncio.create_task(quotas.keep_checked()))
            yield
            self._chat.clear()

    def _open_routes(
        self,
        gateway: Gateway,
        attachments: Attachments,
        pool: Pool,
        log_ins: LogIns,
        management: list[Route],
        *,
        bodies: Bodies,
        journal: Journal,
        shelf: Shelf,
        redactor: Redactor,
    ) -> None:
        settings = self._settings
        store, refresher = pool.store, pool.refresher
        traffic = Traffic()
        endings = Endings(traffic, journal, redactor)
        self._chat.update(
            {
                path: ChatRoute(
                    dialect,
                    self._reader(dialect, shelf.memory, bodies.limits),
                    gateway,
                    self._doors,
                    bodies=bodies,
                    ping_seconds=settings.ping_seconds,
                    new_id=new_id,
                    endings=endings,
                    leaving=self.leaving,
                    recall=shelf.recall if dialect.name == "responses" else None,
                    show_account=settings.show_account,
                    headers=self._extra_headers(dialect),
                )
                for path, dialect in DIALECTS.items()
            }
        )
        routes: list[BaseRoute] = [
            *console.routes(self._doors, console=settings.console),
            *probes.routes(pool, journal.database, self.leaving),
            *models.routes(gateway, self._doors, new_id),
            *count_tokens.routes(attachments, self._doors, bodies, new_id),
            *responses.routes(shelf, self._doors, new_id),
            *metrics.routes(
                traffic, gateway, refresher, pool, doors=self._doors, journal=journal, connections=self.connections
            ),
            *accounts.routes(store, refresher, pool),
            *configuration.routes(settings),
            *management,
            *transfer.routes(store),
            *log_in.routes(log_ins, store, self.leaving),
            *amq2api.routes(store),
            *aq2api.routes(store, refresher),
            *openapi.routes(),
            *pages.routes(),
        ]
        self._rest.router.routes[:] = routes

    def _reader(
        self, dialect: Dialect, memory: ResponsesStore, limits: RequestLimits
    ) -> Callable[[bytes, Stamp, str], Call]:
        """How a route reads its requests: those that may refer to earlier answers get their owner's."""
        if dialect is RESPONSES:
            return lambda body, stamp, owner: openai_responses.read(body, stamp, memory.scoped(owner), limits=limits)
        if dialect is COMPACT:
            return lambda body, stamp, owner: openai_responses.read_compact(
                body, stamp, memory.scoped(owner), limits=limits
            )
        if dialect is MESSAGES and (stream_default := self._settings.anthropic_stream_default):
            return lambda body, stamp, _: anthropic.read(body, stamp, limits=limits, stream_default=stream_default)
        return lambda body, stamp, _: dialect.read(body, stamp, limits=limits)

    def _extra_headers(self, dialect: Dialect) -> list[tuple[bytes, bytes]]:
        version = self._settings.anthropic_version
        return [(b"anthropic-version", version.encode())] if dialect is MESSAGES and version else []

    async def _http_error(self, request: Request, error: Exception) -> Response:
        """A route nobody has, in the shape the caller speaks."""
        not_allowed = isinstance(error, HTTPException) and error.status_code == 405
        code = ErrorCode.method_not_allowed if not_allowed else ErrorCode.route_unknown
        told = RelayError(code, f"This gateway has no route {request.method[:20]} {request.scope['path'][:200]}.")
        return _told(told, request, f"req_{new_id()}")

    async def _failed(self, request: Request, error: Exception) -> Response:
        """A fault of ours outside the chat routes. Starlette raises it again for the log, which has the trace."""
        request_id = f"req_{new_id()}"
        structlog.get_logger().error(
            "a route failed inside the gateway", request_id=request_id, error=type(error).__name__
        )
        told = RelayError(ErrorCode.internal, f"The gateway itself failed (request {request_id}).")
        return _told(told, request, request_id)


def _told(error: RelayError, request: Request, request_id: str) -> Response:
    path: str = request.scope["path"]  # `request.url` would be made of the Host field too
    if is_management(path):
        return refusal(error, path)
    return models.error_response(error, models.family_of(request), request_id)


def build_app(settings: Settings, *, background: bool = True, folder: Path | None = None) -> App:
    """The gateway as an ASGI application. Nothing is opened before its lifespan starts.

    What older gateways left in `folder` is taken when it starts. Without `background` it does what it is asked and
    nothing by itself, as a short command needs it.
    """
    return App(settings, background=background, folder=folder)


def _without_v1(path: str) -> str:
    """Routes answer with and without `/v1`, and twice with it: an SDK given a base URL of `…/v1` may add its own."""
    while path.startswith("/v1/"):
        path = path[3:]
    return path
