"""Is it alive, can it work: the routes that are open to everybody and say nothing about anybody."""

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qrelay import __version__
from qrelay.accounts.pool import Pool
from qrelay.database import Database
from qrelay.http.leaving import Leaving


def routes(pool: Pool, database: Database, leaving: Leaving) -> list[Route]:
    async def alive(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        """503 with the reason while no request should come here: alive is not ready.

        Without its database it is ready all the same: the accounts and keys that it holds in memory go on serving, and
        the others that use the same database are no better off.

        `?exclude=NAME` leaves a check out of the status. A proxy excludes `accounts`: if none is usable for a while,
        clients get the reason from the gateway, in place of the proxy's own error.
        """
        excluded = request.query_params.getlist("exclude")
        accounts = pool.store.accounts()
        usable = pool.roll.usable_now()
        wrong = {
            "accounts": None if usable else "no usable account" if accounts else "no account is stored",
            "server": "it is being stopped" if leaving.begun else None,
            "database": "the database can't be used" if database.trouble else None,
        }
        failing = {name for name, reason in wrong.items() if reason and name not in excluded}
        able = not failing & {"accounts", "server"}
        body: dict[str, Any] = {
            "status": "not_ready" if not able else "degraded" if failing else "ready",
            "reasons": [reason for name, reason in wrong.items() if reason and name in failing],
            "usable_accounts": usable,
        }
        if "verbose" in request.query_params:
            body["checks"] = [{"name": name, "ok": not reason, "detail": reason} for name, reason in wrong.items()]
        return JSONResponse(body, 200 if able else 503)

    async def health(_: Request) -> Response:
        """What amq2api and aq2api answered (SWITCHING.md)."""
        enabled = [account for account in pool.store.accounts() if account.enabled]
        now = time.time()
        return JSONResponse(
            {
                "status": "healthy",
                "has_token": any(account.access_token for account in enabled),
                "token_expired": bool(enabled) and not any(account.lives(now) for account in enabled),
            }
        )

    async def hello(_: Request) -> Response:
        return JSONResponse({"name": "qrelay", "version": __version__})

    return [
        Route("/api/hello", hello, methods=["GET", "HEAD"]),  # what Claude Code asks before its first request
        Route("/livez", alive, methods=["GET", "HEAD"]),
        Route("/healthz", alive, methods=["GET", "HEAD"]),
        Route("/readyz", ready, methods=["GET", "HEAD"]),
        Route("/health", health, methods=["GET", "HEAD"]),
    ]
