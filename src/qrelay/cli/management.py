"""The management API as commands use it: that of the running server, or of an app in this process when there is none.

Every command is a client of that API, so it does the same beside a server and without one. Not what commands ask.

    a server that runs    its socket in the home folder; its address where a system has no such sockets
    none                  the home's lock is taken, and the same app answers here, doing nothing by itself
    a shared database     the same app answers here, beside any number of servers: they see what it changes
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import unquote

import msgspec
from starlette.types import ASGIApp, Message, Scope

from qrelay import home, logs
from qrelay.cli.loop import run_loop
from qrelay.cli.outcome import Failed
from qrelay.home import HomeBusy, Running, open_home, share_home
from qrelay.json_errors import JSON_ERRORS
from qrelay.settings import Settings

_PATIENCE: Final = 10.0  # seconds for a server that starts or ends, and for other commands
_STEP: Final = 0.1

_Send: TypeAlias = Callable[[str, str, bytes], Awaitable[tuple[int, bytes]]]
"""Method, path and body to status and body. Raises OSError when nothing comes back."""


class Answer(NamedTuple):
    """What came back; `body` is its JSON, None for none."""

    status: int
    body: Any


class Management:
    """Asks the management API. `as_owner` is false where only an address leads to the server."""

    def __init__(self, send: _Send, *, as_owner: bool = True) -> None:
        self._send = send
        self.as_owner = as_owner

    async def answer(self, method: str, path: str, body: object = None) -> Answer:
        """Whatever comes back. Raises Failed when nothing does."""
        try:
            status, raw = await self._send(method, path, b"" if body is None else msgspec.json.encode(body))
        except OSError as error:
            raise Failed("The running server stopped answering.", "Its own output says why.") from error
        try:
            return Answer(status, msgspec.json.decode(raw) if raw else None)
        except JSON_ERRORS as error:
            raise Failed(f"The running server gave no JSON for {path} ({status}).") from error

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        """The body of a good answer. Raises Failed with what a bad one says."""
        status, answered = await self.answer(method, path, body)
        if status >= 400:
            raise failure(answered)
        return answered


def failure(answered: Any) -> Failed:
    """What an error's answer says."""
    match answered:
        case {"error": {"message": str(message), "remedy": str(remedy)}}:
            return Failed(message, remedy)
        case {"error": {"message": str(message)}} | {"message": str(message)}:
            return Failed(message)
        case _:
            return Failed("The gateway refused that without a word.")


def work(chosen: Settings, task: Callable[[Management], Coroutine[Any, Any, None]]) -> None:
    """Run what a command asks. Raises Failed, HomeUnusable, RelayError."""

    async def working() -> None:
        async with management(chosen) as api:
            await task(api)

    run_loop(working())


@asynccontextmanager
async def management(chosen: Settings) -> AsyncGenerator[Management]:
    """The API of the state in `chosen.home`. Raises Failed, HomeUnusable, RelayError."""
    async with AsyncExitStack() as stack:
        yield await _find(chosen, stack)


async def _find(chosen: Settings, stack: AsyncExitStack) -> Management:
    if chosen.database_path is None:
        share_home(chosen.home)
        return await _open_here(chosen, stack)
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    while True:
        server = home.running(chosen.home)
        if server is None:
            try:
                stack.enter_context(open_home(chosen.home))
            except HomeBusy:
                pass  # somebody else was faster
            else:
                return await _open_here(chosen, stack)
        elif server.url is not None and (found := await _reach(chosen, server, stack)):
            return found
        if asyncio.get_running_loop().time() > deadline:
            who = f"process {server.pid}" if server else "another process"
            raise Failed(
                f"The state in {chosen.home} is in use by {who}, which doesn't answer.",
                "Wait for that command to end, and try again.",
            )
        await asyncio.sleep(_STEP)


async def _reach(chosen: Settings, server: Running, stack: AsyncExitStack) -> Management | None:
    """The running server, unless it is ending just now."""
    import aiohttp  # only needed beside a server

    headers = {"content-type": "application/json"}
    if server.socket is not None:
        base, connector = "http://localhost", aiohttp.UnixConnector(server.socket)
    else:
        base, connector = str(server.url), aiohttp.TCPConnector()
        if chosen.admin_secret is not None:
            headers["authorization"] = f"Bearer {chosen.admin_secret.get_secret_value()}"
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    session = aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout)
    stack.push_async_callback(session.close)

    async def send(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        try:
            async with session.request(method, base + path, data=body) as answer:
                return answer.status, await answer.read()
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error)) from error

    try:
        await send("GET", "/livez", b"")
    except OSError:
        return None
    return Management(send, as_owner=server.socket is not None)


async def _open_here(chosen: Settings, stack: AsyncExitStack) -> Management:
    # Not needed beside a server, and slow to load.
    from qrelay.http.app import build_app
    from qrelay.http.doors import for_owner

    level = chosen.log_level if "log_level" in chosen.model_fields_set else "error"
    logs.set_up(level, chosen.log_format, chosen.secrets())
    app = build_app(chosen, background=False)
    await stack.enter_async_context(app.opened())
    return Management(_in_memory(for_owner(app)))


def _in_memory(app: ASGIApp) -> _Send:
    """Requests to an app in this process, as ASGI messages."""

    async def send(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        way, _, query = path.partition("?")
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(way),
            "raw_path": way.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [
                (b"host", b"localhost"),
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
            ],
            "client": None,
            "server": None,
            "state": {},
        }
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        status, parts = 0, list[bytes]()

        async def receive() -> Message:
            return waiting.pop() if waiting else await asyncio.Future()  # this client never leaves

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                parts.append(message.get("body", b""))

        await app(scope, receive, sending)
        return status, b"".join(parts)

    return send
