"""Frame decoder: any bytes, cut anywhere, give the same frames or a RelayError, and little is held."""

import random
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID
from zlib import crc32

from qrelay.errors import ErrorCode, RelayError
from qrelay.simulator.player import event_frame
from qrelay.upstream.eventstream import Frame, FrameDecoder, HeaderValue, encode
from tests.fuzz.mutation import byte_mutator
from tests.fuzz.target import Target, numbered

LARGEST = 4096


def seeds() -> Iterator[bytes]:
    every_type: dict[str, HeaderValue] = {
        "yes": True, "no": False, "n": -5, "b": b"\x00\xff", "s": "é", "t": datetime(2026, 1, 2, tzinfo=UTC),
        "u": UUID(int=7),
    }  # fmt: skip
    words = b"".join(event_frame("assistantResponseEvent", {"content": word}) for word in ("Hello", " wörld", ""))
    for number, whole in enumerate((words, encode(every_type, b"payload"), encode({}), words[:-3], b"")):
        yield numbered(number, whole)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Change bytes, then mostly put the checksums right again."""
    number, raw = data[:1] or b"\0", byte_mutator(data[1:], chance)
    return number + (_repaired(raw) if chance.random() < 0.8 else raw)


def check(data: bytes) -> None:
    chance, raw = random.Random(data[:1]), data[1:]
    whole = decoded([raw])
    assert decoded(_pieces(raw, chance)) == whole
    if len(raw) < 300:
        assert decoded([raw[at : at + 1] for at in range(len(raw))]) == whole
    frames, failure = whole
    for frame in frames:
        assert isinstance(frame.payload, bytes)
    if failure is not None:
        assert failure[0] is ErrorCode.upstream_protocol


def decoded(pieces: list[bytes]) -> tuple[list[Frame], tuple[ErrorCode, str] | None]:
    """Return the frames and the failure, if there is one."""
    decoder, frames = FrameDecoder(LARGEST), list[Frame]()
    try:
        for piece in pieces:
            try:
                frames += decoder.feed(piece)
            except RelayError:
                frames += decoder.rescued
                raise
            held = sum(map(len, decoder._held))  # pyright: ignore[reportPrivateUsage] - no other way to see it
            assert held <= LARGEST + len(piece)
        decoder.close()
    except RelayError as error:
        return frames, (error.code, error.message)
    return frames, None


def _pieces(raw: bytes, chance: random.Random) -> list[bytes]:
    pieces: list[bytes] = []
    while raw:
        size = chance.choice((1, 3, 12, 16, 100, 1000))
        pieces.append(raw[:size])
        raw = raw[size:]
    return pieces


def _repaired(raw: bytes) -> bytes:
    """The same bytes with right checksums, as far as the lengths make sense."""
    out, at = bytearray(raw), 0
    while len(out) - at >= 16:
        total = int.from_bytes(out[at : at + 4], "big")
        out[at + 8 : at + 12] = struct.pack(">I", crc32(out[at : at + 8]))
        if not 16 <= total <= len(out) - at:
            break
        out[at + total - 4 : at + total] = struct.pack(">I", crc32(out[at : at + total - 4]))
        at += total
    return bytes(out)


TARGET = Target("frames", seeds, check, mutate)
