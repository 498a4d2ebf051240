"""An upstream whose every byte is decided: how connections fail below HTTP and in it. It understands nothing.

A script is a list of acts, played to one request after it was read whole; the next request gets the next script, and
the last one stays. A connection is kept alive only after `End`.

    [Wait(1), Head(), Send(frames("Hello")), Stall()]                  a stream that falls silent
    [Head(), Send(frames("Hello", "world")[:150]), Reset()]            a reset in the middle of a frame

The bytes and the ready-made scripts are in fault_scripts.py.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeAlias, assert_never

from msgspec import Struct, field

from qrelay.simulator.player import EVENT_STREAM, reset


class Wait(Struct, frozen=True):
    seconds: float


class Head(Struct, frozen=True):
    """The status line and headers. `framing`: "chunked", "close" (the body ends with the connection) or a length."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": EVENT_STREAM})
    framing: Literal["chunked", "close"] | int = "chunked"


class Send(Struct, frozen=True):
    """Bytes of the body: at once, or `per_write` at a time with `every` seconds between."""

    data: bytes
    per_write: int | None = None
    every: float = 0.0


class Unframed(Struct, frozen=True):
    """Bytes onto the connection as they are: a broken chunk size, something that isn't HTTP."""

    data: bytes


class Stall(Struct, frozen=True):
    """Nothing more, until the client leaves or the server stops."""


class Reset(Struct, frozen=True):
    """RST: what the client hasn't read may be lost."""


class Fin(Struct, frozen=True):
    """The connection is closed after what was sent, wherever that is."""


class End(Struct, frozen=True):
    """The body's clean end."""


Act: TypeAlias = Wait | Head | Send | Unframed | Stall | Reset | Fin | End
Script: TypeAlias = list[Act]


class Exchange(Struct):
    """One request and what became of it. `client_end` says how the client left, if it did before the script's end.

    `over` is set when the script has ended.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    sent: int = 0
    client_end: Literal["fin", "reset"] | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


class FaultServer:
    """`async with FaultServer.serve([script, …]) as faults`, then `faults.url` and `faults.exchanges`.

    `choose`, where it is set, says by the request which script it gets.
    """

    def __init__(self, scripts: list[Script]) -> None:
        self.scripts = list(scripts)
        self.choose: Callable[[Exchange], Script] | None = None
        self.url = ""
        self.connections = 0
        self.exchanges: list[Exchange] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.transports: set[asyncio.Transport] = set()

    @classmethod
    @asynccontextmanager
    async def serve(
        cls, scripts: list[Script], host: str = "127.0.0.1", port: int = 0
    ) -> AsyncGenerator["FaultServer"]:
        faults = cls(scripts)
        server = await asyncio.get_running_loop().create_server(lambda: _Connection(faults), host, port)
        faults.url = f"http://{host}:{server.sockets[0].getsockname()[1]}"
        try:
            yield faults
        finally:
            server.close()
            for task in list(faults.tasks):
                task.cancel()
            await asyncio.gather(*faults.tasks, return_exceptions=True)
            for transport in list(faults.transports):
                transport.abort()
            await server.wait_closed()

    def next_script(self, exchange: Exchange) -> Script:
        if self.choose is not None:
            return self.choose(exchange)
        return self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]


class _Connection(asyncio.Protocol):
    def __init__(self, faults: FaultServer) -> None:
        self._faults = faults
        self._arrived = bytearray()
        self._news = asyncio.Event()
        self._end: Literal["fin", "reset"] | None = None
        self._lost = asyncio.Event()
        self._chunked = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a byte stream is needed")
        self._transport = transport
        self._faults.connections += 1
        self._faults.transports.add(transport)
        task = asyncio.get_running_loop().create_task(self._live())
        self._faults.tasks.add(task)
        task.add_done_callback(self._faults.tasks.discard)

    def data_received(self, data: bytes) -> None:
        self._arrived += data
        self._news.set()

    def eof_received(self) -> bool:
        """True: our own half stays open, so that a stall goes on as the script says."""
        self._left("fin")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._faults.transports.discard(self._transport)
        self._left("reset" if exc is not None else "fin")
        self._lost.set()

    def _left(self, how: Literal["fin", "reset"]) -> None:
        self._end = "reset" if how == "reset" else self._end or how
        self._news.set()

    async def _live(self) -> None:
        while (exchange := await self._request()) is not None:
            self._faults.exchanges.append(exchange)
            ours = False
            try:
                ours = await self._play(self._faults.next_script(exchange), exchange)
            finally:
                if not ours:
                    exchange.client_end = self._end
                exchange.over.set()
            if ours or self._transport.is_closing():
                return
        self._transport.close()

    async def _request(self) -> Exchange | None:
        """The next whole request; None if the client leaves instead."""
        if not await self._until(lambda: b"\r\n\r\n" in self._arrived):
            return None
        head, _, _ = bytes(self._arrived).partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        start = len(head) + 4
        if headers.get("transfer-encoding", "").lower() == "chunked":
            if not await self._until(lambda: self._arrived.endswith(b"0\r\n\r\n")):
                return None
            size = len(self._arrived) - start
        else:
            size = int(headers.get("content-length", "0"))
            if not await self._until(lambda: len(self._arrived) >= start + size):
                return None
        body = bytes(self._arrived[start : start + size])
        del self._arrived[: start + size]
        return Exchange(method, path, headers, body)

    async def _until(self, true: Any) -> bool:
        while not true():
            if self._end is not None:
                return False
            self._news.clear()
            await self._news.wait()
        return True

    async def _play(self, script: Script, exchange: Exchange) -> bool:
        """True if it was us who ended the connection. Stops when the client has left."""
        for act in script:
            if self._end is not None:
                return False
            match act:
                case Wait():
                    await self._wait(act.seconds)
                case Head():
                    self._chunked = act.framing == "chunked"
                    self._transport.write(_head(act))
                case Send():
                    await self._send(act, exchange)
                case Unframed():
                    self._transport.write(act.data)
                case Stall():
                    await self._wait(None)
                case Reset():
                    await asyncio.sleep(0.02)  # a reset overtakes what the client hasn't read: let it read
                    reset(self._transport)
                    await self._lost.wait()
                    return True
                case Fin():
                    self._transport.close()
                    await self._lost.wait()
                    return True
                case End():
                    if self._chunked:
                        self._transport.write(b"0\r\n\r\n")
                case _:
                    assert_never(act)
        if self._end is not None or (script and isinstance(script[-1], End)):
            return False
        self._transport.close()
        return True

    async def _send(self, act: Send, exchange: Exchange) -> None:
        size = act.per_write or len(act.data) or 1
        for at in range(0, len(act.data), size):
            if self._end is not None:
                return
            piece = act.data[at : at + size]
            self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)
            exchange.sent += len(piece)
            await self._wait(act.every)

    async def _wait(self, seconds: float | None) -> None:
        """Until the time is over (None: never), or the client gone."""
        if seconds == 0:
            await asyncio.sleep(0)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._until(lambda: False), seconds)


def _head(act: Head) -> bytes:
    headers: Mapping[str, str] = act.headers
    match act.framing:
        case "chunked":
            headers = {**headers, "transfer-encoding": "chunked"}
        case "close":
            headers = {**headers, "connection": "close"}
        case length:
            headers = {**headers, "content-length": str(length)}
    lines = [f"HTTP/1.1 {act.status} Simulated", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")
