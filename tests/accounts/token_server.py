"""A token service on loopback that can be told how to behave, and counts. Shorter to read than the simulator.

strict   a refresh token is good for one use;     grace     the one before is good too
         a second use ends the whole log-in
sticky   refresh tokens never change              drop      it rotates, then hangs up without an answer
down     500                                      html      200 that is no answer
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec
from aiohttp import web

Mode = Literal["strict", "grace", "sticky", "drop", "down", "html"]


class TokenServer:
    def __init__(self) -> None:
        self.url = ""
        self.mode: Mode = "strict"
        self.expires_in: float = 3600
        self.calls = 0
        self.current: dict[str, str] = {}
        self.before: dict[str, str] = {}
        self.used: Counter[str] = Counter()
        """How often each refresh token was tried."""
        self.on_request: Callable[[], None] | None = None
        self.refusal: web.Response | None = None
        self.bodies: list[Mapping[str, Any]] = []
        self.paths: list[str] = []
        self.hold: asyncio.Event | None = None
        self.hold_answer: asyncio.Event | None = None
        self._arrived = asyncio.Event()

    def knows(self, refresh_token: str) -> str:
        """Make a token the current one of its family, which is its name."""
        self.current[refresh_token] = refresh_token
        return refresh_token

    async def asked(self) -> None:
        """Wait for the next call, or the first one if none has come."""
        async with asyncio.timeout(20):
            await self._arrived.wait()
        self._arrived.clear()

    async def answer(self, request: web.Request) -> web.Response:
        call = self.calls = self.calls + 1
        self.paths.append(request.path)
        form = request.content_type == "application/x-www-form-urlencoded"
        body: Mapping[str, Any] = dict(await request.post()) if form else msgspec.json.decode(await request.read())
        self.bodies.append(body)
        self._arrived.set()
        if self.on_request is not None:
            self.on_request()
        if self.hold is not None:
            await self.hold.wait()
        if self.refusal is not None:
            return self.refusal
        match self.mode:
            case "down":
                return web.json_response({"error": "server_error"}, status=500)
            case "html":
                return web.Response(text="<html>Welcome to this hotel's network</html>", content_type="text/html")
            case _:
                pass
        used: str = body["refresh_token" if form else "refreshToken"]
        family = used.partition("+")[0]
        good = {self.current.get(family), self.before.get(family) if self.mode == "grace" else None}
        self.used[used] += 1
        if used not in good:
            if self.mode == "strict" and family in self.current:
                self.current[family] = ""
            return refusal(400, "invalid_grant", "InvalidGrantException", "Invalid refresh token provided")
        if self.mode != "sticky":
            self.before[family], self.current[family] = used, f"{family}+{call}"
        if self.mode == "drop":
            assert request.transport is not None
            request.transport.abort()
        if self.hold_answer is not None:
            await self.hold_answer.wait()
        access = f"access-of-{family}-{call}"
        if form:
            return web.json_response({"access_token": access, "expires_in": self.expires_in})
        rotated = {} if self.mode == "sticky" else {"refreshToken": f"{family}+{call}"}
        return web.json_response(
            {"accessToken": access, "tokenType": "Bearer", "expiresIn": self.expires_in, **rotated}
        )


def refusal(status: int, error: str, header: str | None = None, description: str = "") -> web.Response:
    headers = {"x-amzn-errortype": f"{header}:http://internal.amazon.com/coral/"} if header else {}
    return web.json_response({"error": error, "error_description": description}, status=status, headers=headers)


@asynccontextmanager
async def serve() -> AsyncGenerator[TokenServer]:
    server = TokenServer()
    app = web.Application()
    app.router.add_post("/token", server.answer)
    app.router.add_post("/refreshToken", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}/token"
    try:
        yield server
    finally:
        for hold in (server.hold, server.hold_answer):
            if hold is not None:
                hold.set()
        await runner.cleanup()
