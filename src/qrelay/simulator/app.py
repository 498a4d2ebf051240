"""The routes of the simulated service, on both bindings (PROTOCOL.md §1.2), and of its log-in side. No decisions."""

import asyncio
import re
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import parse_qsl

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from qrelay.simulator import control, pages, steering
from qrelay.simulator.chat import ChatAnswer, Refused
from qrelay.simulator.errors import UNKNOWN_OPERATION, Placement, ServiceError
from qrelay.simulator.oauth_errors import OidcError
from qrelay.simulator.oidc import Oidc
from qrelay.simulator.player import error_answer
from qrelay.simulator.recording import record
from qrelay.simulator.service import RecordedRequest, Service

TARGETS: dict[str, frozenset[str]] = {
    "GenerateAssistantResponse": frozenset({"AmazonCodeWhispererStreamingService", "KiroRuntimeService"}),
    "SendMessage": frozenset({"AmazonCodeWhispererStreamingService", "AmazonQDeveloperStreamingService"}),
    "ListAvailableModels": frozenset({"AmazonCodeWhispererService", "KiroControlPlaneBearerService"}),
    "ListAvailableProfiles": frozenset({"AmazonCodeWhispererService", "KiroControlPlaneBearerService"}),
    "GetUsageLimits": frozenset({"AmazonCodeWhispererService", "KiroControlPlaneBearerService"}),
}
"""awsJson: operation to the service names that `X-Amz-Target` may put before it."""

PATHS: dict[tuple[str, str], str] = {
    ("POST", "/generateAssistantResponse"): "GenerateAssistantResponse",
    ("POST", "/SendMessageStreaming"): "SendMessage",
    ("GET", "/ListAvailableModels"): "ListAvailableModels",
    ("GET", "/List-Available-Models"): "ListAvailableModels",
    ("POST", "/ListAvailableProfiles"): "ListAvailableProfiles",
    ("POST", "/List-Available-Profiles"): "ListAvailableProfiles",
    ("GET", "/getUsageLimits"): "GetUsageLimits",
    ("GET", "/Get-Usage-Limits"): "GetUsageLimits",
}
"""restJson: method and path to operation."""

CHAT = frozenset({"GenerateAssistantResponse", "SendMessage"})
_REGION = re.compile(r"/([a-z]{2}(?:-[a-z]+)+-\d)/")


def build_simulator(service: Service, oidc: Oidc) -> ASGIApp:
    """The simulator as an ASGI app. Cut connections need its own server (server.py)."""
    routes = Routes(service, oidc)
    return Starlette(
        routes=[
            *steering.routes(service, oidc),
            Route("/device", routes.device_page, methods=["GET", "POST"]),
            Route("/authorize", routes.authorize, methods=["GET"]),
            Route("/{prefix:path}", routes.dispatch, methods=["GET", "POST"]),
        ]
    )


class Routes:
    def __init__(self, service: Service, oidc: Oidc) -> None:
        self._service = service
        self._oidc = oidc

    async def dispatch(self, request: Request) -> Response | ChatAnswer:
        """Every other path: the log-in side by the path's end, the service by target or path."""
        path = request.url.path
        if request.method == "POST":
            for ending, answer in (
                ("/client/register", self._register),
                ("/device_authorization", self._device_authorization),
                ("/token", self._token),
                ("/refreshToken", self._social),
            ):
                if path.endswith(ending):
                    return await answer(request)
        return await self._operate(request)

    async def _operate(self, request: Request) -> Response | ChatAnswer:
        prefix, _, named = request.headers.get("x-amz-target", "").partition(".")
        binding: Literal["awsJson", "restJson"] = "restJson"
        host, path = _host_and_path(request)
        operation = PATHS.get((request.method, path))
        if path == "/" and request.method == "POST":
            binding = "awsJson"
            operation = named if prefix in TARGETS.get(named, frozenset[str]()) else None
        if (operation in CHAT and host == "management") or (operation not in CHAT and host == "runtime"):
            operation = None
        recorded = await record(self._service, request, operation or "?", binding)
        recorded.host = host
        if operation is None:
            recorded.refusal = "unknown_operation"
            return self._refuse(recorded, UNKNOWN_OPERATION)
        if operation in CHAT:
            return ChatAnswer(self._service, recorded)
        try:
            answer = control.answer(self._service, recorded)
        except Refused as refused:
            recorded.refusal = refused.name
            return self._refuse(recorded, refused.error)
        kind = "application/x-amz-json-1.0" if binding == "awsJson" else "application/json"
        return self._told(recorded, 200, {"content-type": kind}, msgspec.json.encode(answer))

    def _refuse(self, recorded: RecordedRequest, error: ServiceError) -> Response:
        default: Placement = "body" if recorded.binding == "awsJson" else "header"
        headers, body = error_answer(error, self._service.options.error_placement or default)
        return self._told(recorded, error.status, headers, body)

    def _told(self, recorded: RecordedRequest, status: int, headers: dict[str, str], body: bytes) -> Response:
        recorded.status = status
        recorded.finished = True
        recorded.over.set()
        return Response(body, status, {**headers, "x-amzn-requestid": self._service.new_uuid()})

    # --- logging in ---------------------------------------------------------------------------------------------------

    async def _register(self, request: Request) -> Response:
        recorded = await record(self._service, request, "RegisterClient", "oidc")
        return self._logged_in(recorded, lambda: self._oidc.register(recorded.members, _region(request)))

    async def _device_authorization(self, request: Request) -> Response:
        recorded = await record(self._service, request, "StartDeviceAuthorization", "oidc")
        base = str(request.base_url).rstrip("/")
        return self._logged_in(recorded, lambda: self._oidc.start_device(recorded.members, _region(request), base))

    async def _token(self, request: Request) -> Response:
        recorded = await record(self._service, request, "CreateToken", "oidc")
        await self._hold()
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            form = dict(parse_qsl(recorded.raw.decode("latin-1")))
            return self._logged_in(recorded, lambda: self._oidc.external_token(form))
        return self._logged_in(recorded, lambda: self._oidc.token(recorded.members, _region(request)))

    async def _hold(self) -> None:
        with self._oidc.flight():
            await asyncio.sleep(self._service.options.token_delay)

    async def _social(self, request: Request) -> Response:
        recorded = await record(self._service, request, "SocialRefresh", "oidc")
        await self._hold()
        answer = self._oidc.social_refresh(recorded.members)
        if answer is None:
            recorded.refusal = "social_token_dead"
            return self._told(recorded, 401, {"content-type": "application/json"}, b'{"message":"Bad credentials"}')
        return self._told(recorded, 200, {"content-type": "application/json"}, msgspec.json.encode(answer))

    def _logged_in(self, recorded: RecordedRequest, act: Callable[[], dict[str, Any]]) -> Response:
        """The exception's name goes into a header: AWS's clients look nowhere else (PROTOCOL.md §6.1)."""
        headers = {"content-type": "application/json"}
        try:
            answer = act()
        except OidcError as error:
            recorded.refusal = error.code
            told = msgspec.json.encode(error.body())
            return self._told(recorded, error.status, {**headers, "x-amzn-errortype": error.type}, told)
        return self._told(recorded, 200, headers, msgspec.json.encode(answer))

    async def device_page(self, request: Request) -> Response:
        """For people: the code that a program showed them, and a button."""
        form = dict(parse_qsl((await request.body()).decode("latin-1")))
        user_code = form.get("user_code") or request.query_params.get("user_code", "")
        device = self._oidc.device(user_code)
        if device is None:
            return HTMLResponse(pages.ask_for_code(), 200 if not user_code else 404)
        if request.method == "POST":
            decision: Literal["approved", "denied"] = "denied" if form.get("decision") == "deny" else "approved"
            self._oidc.decide(user_code, decision)
        return HTMLResponse(pages.confirm(device.user_code, device.decision))

    async def authorize(self, request: Request) -> Response:
        """The browser's side of PKCE: says yes at once."""
        try:
            return RedirectResponse(self._oidc.authorize(dict(request.query_params)), 302)
        except OidcError as error:
            return JSONResponse(error.body(), error.status)


def _host_and_path(request: Request) -> tuple[str, str]:
    """Kiro's two hosts (§1.1) may be a first part of the path here: /runtime/…, /management/…."""
    for host in ("runtime", "management"):
        if request.url.path.startswith(f"/{host}/"):
            return host, request.url.path.removeprefix(f"/{host}")
    return "q", request.url.path


def _region(request: Request) -> str | None:
    """Regions are hosts for real; here they may be a first part of the path."""
    found = _REGION.match(request.url.path)
    return found[1] if found else None
