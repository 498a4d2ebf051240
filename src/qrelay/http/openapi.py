"""`GET /openapi.json`: every route of this gateway for programs, and for `/docs`. Bodies are the routes' own models.

The table below is all that is written by hand; tests/gateway/test_openapi.py holds it against the routes there are.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from qrelay import __version__
from qrelay.http.account_bodies import ChangeBody, CreateBody
from qrelay.http.amq2api import AccountBody
from qrelay.http.aq2api import CredentialsBody
from qrelay.http.asked import COOKIE, HOST_COOKIE
from qrelay.http.doors import CSRF_HEADER
from qrelay.http.keys import KeyBody
from qrelay.http.log_in import StartBody
from qrelay.http.management import is_management
from qrelay.http.sessions import SessionBody
from qrelay.http.transfer import ExportBody, ImportBody


class Operation(NamedTuple):
    """One method of one path. `body` is a model, an example for APIs that others describe, or None.

    `query` is what may stand behind the question mark: its name, and what it says. `takes` and `gives` are media types
    of a body and an answer that aren't JSON.
    """

    method: str
    path: str
    summary: str
    body: type[BaseModel] | Mapping[str, Any] | None = None
    query: Mapping[str, str] = {}
    takes: str | None = None
    gives: str | None = None


_HELLO = [{"role": "user", "content": "Hello"}]
_RESPONSES = {"model": "claude-sonnet-4.5", "input": "Hello"}
_CHAT = {"model": "claude-sonnet-4.5", "messages": _HELLO}
_COUNTED = {"model": "claude-sonnet-4.5", "messages": _HELLO}
_MESSAGES = {"model": "claude-sonnet-4.5", "max_tokens": 1024, "messages": _HELLO}

_MODELS = {
    "limit": "So many rows (in Anthropic's shape)",
    "after_id": "Those behind this one",
    "before_id": "Those before this one",
}
_ACCOUNTS = {
    "state": "Those in one of these states, with commas between them",
    "limit": "So many of them",
}
_FILE = {"name": "What the file is called", "dry_run": "1 only shows what would be taken"}
_AUDIT = {"limit": "So many rows", "before": "Those before the row of this number"}
_REQUESTS = {
    "limit": "So many rows, at most 1000",
    "before": "Those before the row of this number: `next` of the page before",
    "since": "Those that began at this time or later",
    "status": "ok, error, an outcome, or an HTTP status",
    "dialect": "messages, chat or responses",
    "model": "The model that was asked for, or that answered",
    "account": "An account's id or its name",
    "key": "A key's id",
}
_USAGE = {
    "from": "The first hour or day; without it the last 24 hours or 30 days",
    "to": "Where it ends",
    "step": "hour or day",
    "by": "model, account, key, dialect or none",
    "format": "json or csv",
}

TABLE: Mapping[str, Sequence[Operation]] = {
    "Client APIs": (
        Operation("POST", "/v1/messages", "Anthropic's Messages API", _MESSAGES),
        Operation("POST", "/v1/messages/count_tokens", "Count a request's tokens, an estimate", _COUNTED),
        Operation("POST", "/v1/chat/completions", "OpenAI's Chat Completions API", _CHAT),
        Operation("POST", "/v1/responses", "OpenAI's Responses API", _RESPONSES),
        Operation("POST", "/v1/responses/compact", "Shorten a conversation", _RESPONSES),
        Operation("GET", "/v1/responses/{id}", "A response that was kept"),
        Operation("DELETE", "/v1/responses/{id}", "Forget a response"),
        Operation("GET", "/v1/models", "The models there are, in the caller's shape", query=_MODELS),
        Operation("GET", "/v1/models/{id}", "One model"),
    ),
    "Accounts": (
        Operation("GET", "/v2/accounts", "All accounts", query=_ACCOUNTS),
        Operation("POST", "/v2/accounts", "Add an account", CreateBody),
        Operation("POST", "/v2/accounts/batch", "Add many; good rows are kept", {"accounts": []}),
        Operation("POST", "/v2/accounts/refresh", "Refresh the tokens of all that are enabled"),
        Operation("GET", "/v2/accounts/{id}", "One account"),
        Operation("PATCH", "/v2/accounts/{id}", "Change an account", ChangeBody),
        Operation("DELETE", "/v2/accounts/{id}", "Delete an account for good"),
        Operation("POST", "/v2/accounts/{id}/refresh", "Refresh its tokens now"),
        Operation("POST", "/v2/accounts/{id}/test", "Try it with one tiny real request"),
        Operation("GET", "/v2/accounts/{id}/quota", "What it has left"),
        Operation("POST", "/v2/import", "Take accounts that other programs stored", ImportBody),
        Operation(
            "POST", "/v2/import/file", "The same from a file's bytes", query=_FILE, takes="application/octet-stream"
        ),
        Operation("POST", "/v2/master-key/rotate", "Change the master key, by the owner's own commands only"),
        Operation(
            "POST", "/v2/export", "Give accounts with their secrets, to the owner's own commands only", ExportBody
        ),
    ),
    "Log-in": (
        Operation("POST", "/v2/auth/start", "Begin a log-in by device code", StartBody),
        Operation("GET", "/v2/auth/status/{id}", "How it stands"),
        Operation("GET", "/v2/auth/qr/{id}", "The address to approve it at, as a QR code (SVG)"),
        Operation("POST", "/v2/auth/claim/{id}", "Wait for its end"),
    ),
    "Keys and log": (
        Operation("GET", "/v2/keys", "The client keys made here"),
        Operation("POST", "/v2/keys", "Make a client key; it is shown this once", KeyBody),
        Operation("DELETE", "/v2/keys/{id}", "Revoke a client key, at once"),
        Operation("GET", "/v2/audit", "Who changed what, the newest first", query=_AUDIT),
        Operation("POST", "/v2/session", "Log in to the console with the admin secret", SessionBody),
        Operation("GET", "/v2/session", "Whether a log-in is needed, and whether it is done"),
        Operation("DELETE", "/v2/session", "Log out"),
    ),
    "Gateway": (
        Operation("GET", "/v2/requests", "The request log, the newest first", query=_REQUESTS),
        Operation(
            "GET", "/v2/requests/live", "The request log as it grows, as server-sent events", gives="text/event-stream"
        ),
        Operation("GET", "/v2/requests/{id}", "One request, by the id that its client was told"),
        Operation("GET", "/v2/usage", "Requests, tokens and credits by hour or day, as JSON or CSV", query=_USAGE),
        Operation("GET", "/v2/overview", "How the gateway does, on one page"),
        Operation("GET", "/v2/health", "What it needs, checked"),
        Operation("GET", "/v2/settings", "Every setting and where it came from"),
        Operation("GET", "/", "The console; two words for programs"),
        Operation("GET", "/admin", "The console"),
        Operation("GET", "/docs", "This description, in Swagger UI"),
        Operation("GET", "/openapi.json", "This description"),
        Operation("GET", "/api/hello", "Is it alive, as Claude Code asks"),
        Operation("GET", "/livez", "Is it alive"),
        Operation("GET", "/readyz", "Can it serve a request"),
        Operation("GET", "/healthz", "Is it alive"),
        Operation("GET", "/health", "Is there a token"),
        Operation("GET", "/metrics", "Figures, as Prometheus reads them"),
    ),
    "As in amq2api": (
        Operation("GET", "/api/accounts", "All accounts"),
        Operation("POST", "/api/accounts", "Add an account", AccountBody),
        Operation("POST", "/api/accounts/{id}/activate", "Make it the active one"),
        Operation("DELETE", "/api/accounts/{id}", "Delete an account for good"),
    ),
    "As in aq2api": (
        Operation("GET", "/credentials", "What there is of credentials"),
        Operation("POST", "/credentials", "Give credentials; that account becomes the active one", CredentialsBody),
        Operation("GET", "/test/token", "Refresh the active account's token"),
    ),
}

_ABOUT = "Every route of this gateway. What is tried at /docs is done: an account that is deleted there is gone."
_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "A client key, for the client APIs"},
    "x-api-key": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "The same where Anthropic's clients send it",
    },
    "admin": {
        "type": "http",
        "scheme": "bearer",
        "description": "The admin secret (QRELAY_ADMIN_SECRET), for all other routes",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": f"The console's session, as a browser sends it by itself ({HOST_COOKIE} over HTTPS). What "
        f"changes something needs the header '{CSRF_HEADER}: 1' too, which /docs adds.",
    },
}


def routes() -> list[Route]:
    async def told(_: Request) -> JSONResponse:
        return JSONResponse(describe())

    return [Route("/openapi.json", told, methods=["GET", "HEAD"])]


@cache
def describe() -> dict[str, Any]:
    """The whole document, OpenAPI 3.1. Made when it is first asked for: few starts of a server ever are."""
    bodies = [operation.body for operations in TABLE.values() for operation in operations]
    models = [body for body in bodies if isinstance(body, type)]
    _, schemas = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for tag, operations in TABLE.items():
        for operation in operations:
            paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(tag, operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "qrelay", "version": __version__, "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": _SCHEMES,
        },
    }


def _security(path: str) -> list[dict[str, list[str]]]:
    """Which schemes open a path (`doors`). Empty: nothing is asked. `{}`: nothing, where that is how it was set up."""
    if path.startswith("/v1/"):
        return [{}, {"key": []}, {"x-api-key": []}]
    if is_management(path) or path == "/metrics":
        return [{}, {"admin": []}, {"session": []}]
    return []


def _operation(tag: str, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "tags": [tag],
        "summary": operation.summary,
        "security": _security(operation.path),
        "operationId": re.sub(r"\W+", "_", f"{operation.method.lower()}{operation.path}").strip("_"),
        "responses": {"200": {"description": "Done."}, "default": {"description": "Not done; the body says why."}},
    }
    if operation.gives is not None:
        described["responses"]["200"]["content"] = {operation.gives: {}}
    text = {"schema": {"type": "string"}}
    names = re.findall(r"\{(\w+)\}", operation.path)
    inside = [{"name": name, "in": "path", "required": True} | text for name in names]
    behind = [{"name": name, "in": "query", "description": said} | text for name, said in operation.query.items()]
    if inside or behind:
        described["parameters"] = inside + behind
    if (body := operation.body) is not None:
        if isinstance(body, type):
            schema: dict[str, Any] = {"$ref": f"#/components/schemas/{body.__name__}"}
        else:
            schema = {"type": "object", "required": list(body), "example": dict(body)}
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    elif operation.takes is not None:
        described["requestBody"] = {"required": True, "content": {operation.takes: {}}}
    return described
