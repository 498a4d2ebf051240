"""What a fault upstream can send: bytes, and ready-made scripts by name. Data; faults.py plays it."""

import socket
from collections.abc import Mapping
from typing import Literal
from zlib import crc32

from qrelay.simulator.faults import End, Fin, Head, Reset, Script, Send, Stall, Unframed
from qrelay.simulator.player import damage, event_frame
from qrelay.upstream.eventstream import encode


def frames(*contents: str) -> bytes:
    """A text delta each."""
    return b"".join(event_frame("assistantResponseEvent", {"content": content}) for content in contents)


def tail(stop_reason: str = "END_TURN") -> bytes:
    return event_frame("metadataEvent", {"stopReason": stop_reason})


def tool_start(name: str = "tool", fragment: str = '{"path": "/a') -> bytes:
    """A tool use whose input is not over."""
    use = {"toolUseId": "tooluse_fault", "name": name}
    return event_frame("toolUseEvent", use) + event_frame("toolUseEvent", {**use, "input": fragment})


def damaged(how: Literal["message_crc", "prelude_crc", "truncated", "length"]) -> bytes:
    return damage(frames("damaged"), how)


def huge_frame(total: int = 16 * 1024 * 1024 + 1) -> bytes:
    """The first bytes of a frame that says it has `total` bytes, with a right prelude checksum."""
    prelude = total.to_bytes(4, "big") + (0).to_bytes(4, "big")
    return prelude + crc32(prelude).to_bytes(4, "big")


def bad_utf8() -> bytes:
    """A whole frame with right checksums, whose payload is no UTF-8."""
    headers = {":event-type": "assistantResponseEvent", ":content-type": "application/json", ":message-type": "event"}
    return encode(headers, b'{"content": "\xff\xfe"}')


def status(code: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Script:
    """A whole answer without a stream; put `retry-after` into `headers`."""
    return [Head(code, {"content-type": "application/json", **(headers or {})}, len(body)), Send(body), End()]


def closed_port(host: str = "127.0.0.1") -> str:
    """A URL where nobody listens (until somebody else takes the port)."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        return f"http://{host}:{listener.getsockname()[1]}"


FAULTS: dict[str, Script] = {
    "closed_at_once": [Fin()],
    "reset_at_once": [Reset()],
    "silent": [Stall()],
    "silent_after_head": [Head(), Stall()],
    "stalled": [Head(), Send(frames("Hello", " world")), Stall()],
    "stalled_in_frame": [Head(), Send(frames("Hello", " world")[:-20]), Stall()],
    "empty": [Head(), End()],
    "no_tail": [Head(), Send(frames("Hello", " world")), End()],
    "closed_in_text": [Head(), Send(frames("Hello", " world")), Fin()],
    "closed_in_frame": [Head(), Send(frames("Hello", " world")[:-20]), Fin()],
    "closed_in_tool": [Head(), Send(frames("Hello") + tool_start()), Fin()],
    "reset_in_text": [Head(), Send(frames("Hello", " world")), Reset()],
    "reset_in_frame": [Head(), Send(frames("Hello", " world")[:-20]), Reset()],
    "ended_in_frame": [Head(), Send(frames("Hello", " world")[:-20]), End()],
    "ended_in_tool": [Head(), Send(frames("Hello") + tool_start()), End()],
    "body_closed": [Head(framing="close"), Send(frames("Hello", " world")), Fin()],
    "body_too_short": [Head(framing=4096), Send(frames("Hello", " world")), Fin()],
    "bad_message_crc": [Head(), Send(frames("Hello") + damaged("message_crc")), End()],
    "bad_prelude_crc": [Head(), Send(frames("Hello") + damaged("prelude_crc")), End()],
    "lying_length": [Head(), Send(frames("Hello") + damaged("length")), End()],
    "huge_length": [Head(), Send(frames("Hello") + huge_frame()), Stall()],
    "bad_utf8": [Head(), Send(frames("Hello") + bad_utf8()), End()],
    "bad_chunk_size": [Head(), Send(frames("Hello")), Unframed(b"zz\r\n"), Fin()],
    "not_http": [Unframed(b"\x00\x01\x02 not HTTP at all\r\n\r\n"), Fin()],
    "garbage": [Head(), Send(b"This is no event stream. " * 20), End()],
    "html": [
        Head(502, {"content-type": "text/html"}, 37),
        Send(b"<html><body>Bad Gateway</body></html>"),
        End(),
    ],
    "redirect": [Head(302, {"location": "http://127.0.0.1:9/"}, 0), End()],
    "retry_after": status(429, b'{"message": "Too many requests", "reason": null}', {"retry-after": "7"}),
}
"""Scripts by name, each a way to fail; every one ends the answer without a clean, complete reply."""

DRIBBLE: Script = [Head(), Send(frames("Hello", " wörld", " 👋") + tail(), per_write=1), End()]
"""Not a fault: a whole answer, one byte at a time."""
