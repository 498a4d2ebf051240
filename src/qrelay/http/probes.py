"""Is it alive, can it work: the routes that are open to everybody and say nothing about anybody."""

import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qrelay import __version__
from qrelay.accounts.store import AccountStore


def routes(store: AccountStore) -> list[Route]:
    async def alive(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        """503 with the reason while no request could be served: alive is not ready."""
        accounts = store.accounts()
        usable = sum(account.enabled and account.state == "ready" for account in accounts)
        reasons = [] if usable else ["no usable account" if accounts else "no account is stored"]
        body = {"status": "ready" if usable else "not_ready", "reasons": reasons, "usable_accounts": usable}
        return JSONResponse(body, 200 if usable else 503)

    async def health(_: Request) -> Response:
        """What amq2api and aq2api answered (SWITCHING.md)."""
        enabled = [account for account in store.accounts() if account.enabled]
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
