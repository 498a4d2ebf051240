"""Bytes in, frames out, and back: `application/vnd.amazon.eventstream` (PROTOCOL.md §3.1). Not JSON, not HTTP.

    +--------------+----------------+-------------+---------+---------+-------------+
    | total length | headers length | prelude CRC | headers | payload | message CRC |
    |     u32      |      u32       |     u32     |         |         |     u32     |     all big-endian
    +--------------+----------------+-------------+---------+---------+-------------+
     0              4                8             12                   total - 4

    header: u8 name length | name | u8 type | value
    types:  0 true  1 false  2 i8  3 i16  4 i32  5 i64  6 bytes  7 string  8 timestamp (ms)  9 uuid

The prelude CRC covers bytes 0 to 8, the message CRC everything before it; both are CRC-32 as in zlib.
"""

import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TypeAlias
from uuid import UUID
from zlib import crc32

from msgspec import Struct

from qrelay.errors import ErrorCode, RelayError

HeaderValue: TypeAlias = bool | int | bytes | str | datetime | UUID
Headers: TypeAlias = Mapping[str, HeaderValue]

MAX_FRAME = 16 * 1024 * 1024
"""Larger frames are refused before they are waited for. Those of a reply have a few hundred bytes."""

_PRELUDE = struct.Struct(">III")
_U32 = struct.Struct(">I")
_PRELUDE_SIZE = 12
_SMALLEST = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INTEGERS = {2: struct.Struct(">b"), 3: struct.Struct(">h"), 4: struct.Struct(">i"), 5: struct.Struct(">q")}
_KNOWN_HEADERS = 64
_KNOWN_HEADERS_SIZE = 1024


class Frame(Struct, frozen=True, gc=False):
    """One message. `headers` is shared between frames and must not be changed."""

    headers: Headers
    payload: bytes


class FrameDecoder:
    """Cuts a byte stream into frames, wherever it is split.

    `feed` raises RelayError (`upstream_protocol`) at the first damage; frames before it in the same call are in
    `rescued`, so that what arrived whole is not lost. After that the decoder is spent and says so every time.
    """

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self._max_frame = max_frame
        self._held: list[bytes] = []  # the beginning of a frame, as it came: joined when the frame can be whole
        self._held_size = 0
        self._needed = _PRELUDE_SIZE
        self._damage: str | None = None
        self.rescued: list[Frame] = []

    def feed(self, data: bytes) -> list[Frame]:
        if self._damage is not None:
            self.rescued = []
            raise _damaged(self._damage)
        if self._held:
            self._held.append(data)
            self._held_size += len(data)
            if self._held_size < self._needed:
                return []
            data = b"".join(self._held)
            self._held = []
        frames: list[Frame] = []
        try:
            taken = self._take(data, frames)
        except ValueError as error:
            self._damage = str(error)
            self.rescued = frames
            raise _damaged(self._damage) from None
        if taken < len(data):
            self._held = [data[taken:]]
            self._held_size = len(data) - taken
        return frames

    def _take(self, data: bytes, frames: list[Frame]) -> int:
        """Put the whole frames at the start of `data` into `frames`; returns their size. Raises ValueError."""
        end = len(data)
        position = 0
        self._needed = _PRELUDE_SIZE
        while end - position >= _PRELUDE_SIZE:
            total, headers_length, prelude_crc = _PRELUDE.unpack_from(data, position)
            if crc32(data[position : position + 8]) != prelude_crc:
                raise ValueError("the prelude's checksum does not match")
            if not _SMALLEST <= total <= self._max_frame or headers_length > total - _SMALLEST:
                raise ValueError(f"a frame of {total} bytes with {headers_length} of headers is not possible")
            if end - position < total:
                self._needed = total
                break
            crc_at = position + total - 4
            if crc32(data[position:crc_at]) != _U32.unpack_from(data, crc_at)[0]:
                raise ValueError("a frame's checksum does not match")
            headers_at = position + _PRELUDE_SIZE
            payload_at = headers_at + headers_length
            block = data[headers_at:payload_at]
            headers = _known_headers(block) if headers_length <= _KNOWN_HEADERS_SIZE else decode_headers(block)
            frames.append(Frame(headers, data[payload_at:crc_at]))
            position += total
        return position

    def close(self) -> None:
        """Say that no more bytes come. Raises RelayError if that is in the middle of a frame."""
        if self._damage is not None:
            raise _damaged(self._damage)
        if self._held:
            raise RelayError(
                ErrorCode.upstream_protocol,
                f"The upstream closed its answer in the middle of a frame ({self._held_size} bytes of it arrived).",
            )


def _damaged(what: str) -> RelayError:
    return RelayError(ErrorCode.upstream_protocol, f"The upstream's answer is damaged: {what}.")


def decode_headers(block: bytes) -> dict[str, HeaderValue]:
    """Parse one frame's header block. Raises ValueError if it isn't one."""
    headers: dict[str, HeaderValue] = {}
    position, end = 0, len(block)

    def take(length: int) -> bytes:
        nonlocal position
        if end - position < length:
            raise ValueError("a header runs over the end of its block")
        taken = block[position : position + length]
        position += length
        return taken

    while position < end:
        try:
            name = take(take(1)[0]).decode()
            kind = take(1)[0]
            value: HeaderValue
            if kind <= 1:
                value = kind == 0
            elif kind in _INTEGERS:
                value = _INTEGERS[kind].unpack(take(_INTEGERS[kind].size))[0]
            elif kind == 6:
                value = take(int.from_bytes(take(2), "big"))
            elif kind == 7:
                value = take(int.from_bytes(take(2), "big")).decode()
            elif kind == 8:
                value = _EPOCH + timedelta(milliseconds=int.from_bytes(take(8), "big", signed=True))
            elif kind == 9:
                value = UUID(bytes=take(16))
            else:
                raise ValueError(f"a header has the unknown type {kind}")
            if name in headers:
                raise ValueError("a header stands there twice")
        except (UnicodeDecodeError, OverflowError) as error:
            raise ValueError(f"a header can't be read ({type(error).__name__})") from None
        headers[name] = value
    return headers


_known_headers = lru_cache(maxsize=_KNOWN_HEADERS)(decode_headers)
"""All replies together have a handful of different header blocks: each is parsed once."""


def encode(headers: Headers, payload: bytes = b"") -> bytes:
    """One frame. An `int` goes out as i64 and a `datetime` to the millisecond. Raises ValueError if it doesn't fit."""
    block = b"".join(_encode_header(name, value) for name, value in headers.items())
    total = len(block) + len(payload) + _SMALLEST
    if total > MAX_FRAME:
        raise ValueError(f"a frame of {total} bytes is over the limit of {MAX_FRAME}")
    lengths = struct.pack(">II", total, len(block))
    body = b"".join((lengths, _U32.pack(crc32(lengths)), block, payload))
    return body + _U32.pack(crc32(body))


def _encode_header(name: str, value: HeaderValue) -> bytes:
    raw_name = name.encode()
    if not 0 < len(raw_name) < 256:
        raise ValueError(f"a header's name must have 1 to 255 bytes, not {len(raw_name)}")
    start = bytes((len(raw_name),)) + raw_name
    match value:
        case bool():
            return start + (b"\x00" if value else b"\x01")
        case int():
            return start + b"\x05" + _i64(name, value)
        case str() | bytes():
            raw, kind = (value.encode(), b"\x07") if isinstance(value, str) else (value, b"\x06")
            if len(raw) > 0xFFFF:
                raise ValueError(f"header {name!r} has {len(raw)} bytes; 65535 are possible")
            return start + kind + len(raw).to_bytes(2, "big") + raw
        case datetime():
            if value.tzinfo is None:
                raise ValueError(f"header {name!r} has a time without its zone")
            return start + b"\x08" + _i64(name, (value - _EPOCH) // timedelta(milliseconds=1))
        case UUID():
            return start + b"\x09" + value.bytes


def _i64(name: str, value: int) -> bytes:
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"header {name!r} has an integer of more than 64 bits")
    return value.to_bytes(8, "big", signed=True)
