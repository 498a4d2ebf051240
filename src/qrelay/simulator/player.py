"""Plays a scenario onto an HTTP answer: steps in, bytes and waits out. It decides nothing about what is answered."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal, assert_never
from zlib import crc32

from msgspec import json
from starlette.types import Message, Receive, Scope, Send

from qrelay.simulator import scenario as play
from qrelay.simulator.errors import NAMESPACE, URL_SUFFIX, Placement, ServiceError
from qrelay.upstream.eventstream import encode

EVENT_STREAM = "application/vnd.amazon.eventstream"
TRANSPORT = "qrelay.simulator.transport"
"""The ASGI extension by which the server lends us the connection, to end it badly."""


class Line:
    """The connection to one client, seen by the answer's author: it can be written to, waited on, cut, and be gone."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, bytes_per_write: int | None = None) -> None:
        self._transport: asyncio.Transport | None = scope.get("extensions", {}).get(TRANSPORT, {}).get("transport")
        self._receive = receive
        self._send = send
        self._bytes_per_write = bytes_per_write
        self._gone = asyncio.Event()
        self._cut = False
        self._ended = False

    @property
    def gone(self) -> bool:
        return self._gone.is_set()

    @property
    def ended(self) -> bool:
        """The answer is out to its clean end."""
        return self._ended

    @property
    def client_left(self) -> bool:
        """It was the client who ended the connection, before the answer's end."""
        return self.gone and not self._cut and not self._ended

    async def watch(self) -> None:
        """Returns when the client has left or the answer is complete."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone.set()

    async def wait(self, seconds: float | None) -> None:
        """Until the time is over (None: never), or the client gone."""
        if seconds == 0:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), seconds)

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, data: bytes) -> None:
        size = self._bytes_per_write or len(data) or 1
        for at in range(0, len(data), size):
            if self.gone:
                return
            await self._send(_body(data[at : at + size], more=True))
            if self._bytes_per_write:
                await asyncio.sleep(0)  # one write, one segment: let the loop send it

    async def end(self) -> None:
        self._ended = True
        await self._send(_body(b"", more=False))

    async def cut(self, how: Literal["close", "reset"]) -> None:
        """End the connection without ending the HTTP body. Raises RuntimeError if the server doesn't lend it."""
        if self._transport is None:
            raise RuntimeError("the simulator's own server is needed to cut connections")
        self._cut = True
        if how == "reset":
            reset(self._transport)
        else:
            self._transport.close()
        await self._gone.wait()


def reset(transport: asyncio.Transport) -> None:
    """Send a TCP RST: no lingering, so close throws away what wasn't sent."""
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _body(data: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def watched(line: Line, answer: Callable[[], Awaitable[None]]) -> None:
    """Run `answer` while the connection is watched, so that waits end when the client leaves."""
    watching = asyncio.create_task(line.watch())
    try:
        await answer()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def play_steps(line: Line, steps: Iterable[play.Step], word_delay: float) -> None:
    """The steps of a body whose headers are out; ends it cleanly unless a step did otherwise."""
    for step in steps:
        if line.gone:
            return
        match step:
            case play.Event():
                if step.type != "initial-response":
                    await line.wait(word_delay)
                await line.write(event_frame(step.type, step.payload))
            case play.ExceptionFrame():
                headers = {":exception-type": step.type, ":content-type": "application/json"}
                await line.write(encode({**headers, ":message-type": "exception"}, json.encode(step.payload)))
            case play.ErrorFrame():
                headers = {":error-code": step.code, ":error-message": step.message}
                await line.write(encode({":message-type": "error", **headers}))
            case play.Raw():
                await line.write(step.data)
            case play.Damaged():
                await line.write(damage(event_frame(step.type, step.payload), step.how))
            case play.Pause():
                await line.wait(step.seconds)
            case play.Silence():
                await line.wait(None)
            case play.Cut():
                await line.cut(step.how)
            case play.Refuse() | play.Respond() | play.Tail() | play.Model():
                raise ValueError(f"{step} can't stand in the middle of an event stream")
            case _:
                assert_never(step)
    if not line.gone:
        await line.end()


def event_frame(kind: str, payload: Mapping[str, Any]) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encode(headers, json.encode(payload))


def damage(frame: bytes, how: Literal["message_crc", "prelude_crc", "truncated", "length"]) -> bytes:
    match how:
        case "message_crc":
            return frame[:-1] + bytes((frame[-1] ^ 0xFF,))
        case "prelude_crc":
            return frame[:8] + bytes((frame[8] ^ 0xFF,)) + frame[9:]
        case "truncated":
            return frame[: len(frame) // 2]
        case "length":
            prelude = (len(frame) + 4096).to_bytes(4, "big") + frame[4:8]
            return prelude + crc32(prelude).to_bytes(4, "big") + frame[12:]


def error_answer(error: ServiceError, placement: Placement) -> tuple[dict[str, str], bytes]:
    """Headers and body of a refusal, its type where `placement` says (PROTOCOL.md §4.1)."""
    body = error.body() if error.message is not None else {}
    headers = {"content-type": "application/x-amz-json-1.0" if placement == "body" else "application/json"}
    if placement != "body":
        headers["x-amzn-errortype"] = f"{error.type}:{URL_SUFFIX}"
    if placement != "header":
        body = {"__type": NAMESPACE + error.type, **body}
    return headers, json.encode(body)
