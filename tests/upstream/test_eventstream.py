"""The frame codec of PROTOCOL.md §3.1, held against botocore's: each decodes what the other's rules encode."""

import struct
import tracemalloc
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from uuid import UUID
from zlib import crc32

import pytest
from botocore.eventstream import (  # pyright: ignore[reportMissingTypeStubs] -- botocore has none
    EventStreamBuffer,
)
from hypothesis import given
from hypothesis import strategies as st

from qrelay.errors import ErrorCode, RelayError
from qrelay.upstream.eventstream import MAX_FRAME, Frame, FrameDecoder, HeaderValue, decode_headers, encode

from .frames import text

GOLDEN = bytes.fromhex(
    "0000007c0000005c3bddcf780b3a6576656e742d74797065070016617373697374616e74526573706f6e73654576656e740d3a636f6e74656e"
    "742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b22636f6e74656e7422"
    "3a224869227db02babdc"
)
GOLDEN_HEADERS = {
    ":event-type": "assistantResponseEvent",
    ":content-type": "application/json",
    ":message-type": "event",
}

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(lambda name: len(name.encode()) < 256)
VALUES: st.SearchStrategy[HeaderValue] = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.binary(max_size=50),
    st.text(st.characters(codec="utf-8"), max_size=50),
    st.datetimes(timezones=st.just(UTC)).map(lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)),
    st.uuids(),
)
HEADERS = st.dictionaries(NAMES, VALUES, max_size=6)
FRAMES = st.lists(st.tuples(HEADERS, st.binary(max_size=200)), max_size=6)


def sealed(
    headers: bytes, payload: bytes = b"", *, total: int | None = None, headers_length: int | None = None
) -> bytes:
    """A frame with the right checksums, whatever is in it."""
    length = len(headers) + len(payload) + 16 if total is None else total
    lengths = struct.pack(">II", length, len(headers) if headers_length is None else headers_length)
    body = lengths + struct.pack(">I", crc32(lengths)) + headers + payload
    return body + struct.pack(">I", crc32(body))


def theirs(data: bytes) -> list[tuple[dict[str, object], bytes]]:
    """What AWS's own decoder makes of it."""
    buffer = EventStreamBuffer()
    buffer.add_data(data)  # pyright: ignore[reportUnknownMemberType] -- no stubs
    messages: list[Any] = list(buffer)
    return [(message.headers, message.payload) for message in messages]


def as_aws_has_it(value: HeaderValue) -> object:
    match value:
        case datetime():
            return round(value.timestamp() * 1000)
        case UUID():
            return value.bytes
        case _:
            return value


def whole(data: bytes) -> list[Frame]:
    decoder = FrameDecoder()
    frames = decoder.feed(data)
    decoder.close()
    return frames


# --- the wire ---------------------------------------------------------------------------------------------------------


def test_the_golden_frame_decodes() -> None:
    assert whole(GOLDEN) == [Frame(GOLDEN_HEADERS, b'{"content":"Hi"}')]


def test_the_golden_frame_encodes() -> None:
    assert encode(GOLDEN_HEADERS, b'{"content":"Hi"}') == GOLDEN


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        (b"\x00", True),
        (b"\x01", False),
        (b"\x02\xff", -1),
        (b"\x03\x80\x00", -32768),
        (b"\x04\x7f\xff\xff\xff", 2**31 - 1),
        (b"\x05\x80" + b"\x00" * 7, -(2**63)),
        (b"\x06\x00\x03\x00\xff\x01", b"\x00\xff\x01"),
        (b"\x07\x00\x06\xe4\xbd\xa0\xe5\xa5\xbd", "你好"),
        (b"\x08\x00\x00\x01\x8b\xcf\xe5\x68\x00", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (b"\x09" + bytes(range(16)), UUID("00010203-0405-0607-0809-0a0b0c0d0e0f")),
    ],
)
def test_each_header_type(wire: bytes, value: HeaderValue) -> None:
    assert decode_headers(b"\x01h" + wire) == {"h": value}
    assert whole(sealed(b"\x01h" + wire)) == [Frame({"h": value}, b"")]


@given(FRAMES)
def test_what_is_encoded_is_decoded(frames: list[tuple[dict[str, HeaderValue], bytes]]) -> None:
    assert whole(b"".join(encode(*frame) for frame in frames)) == [Frame(*frame) for frame in frames]


@given(FRAMES)
def test_aws_reads_our_frames(frames: list[tuple[dict[str, HeaderValue], bytes]]) -> None:
    expected = [({name: as_aws_has_it(value) for name, value in headers.items()}, body) for headers, body in frames]
    assert theirs(b"".join(encode(*frame) for frame in frames)) == expected


@given(FRAMES.filter(bool), st.data())
def test_where_the_bytes_are_cut_does_not_matter(
    frames: list[tuple[dict[str, HeaderValue], bytes]], data: st.DataObject
) -> None:
    stream = b"".join(encode(*frame) for frame in frames)
    marks = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    decoder = FrameDecoder()
    got: list[Frame] = []
    for start, end in pairwise([0, *sorted(marks), len(stream)]):
        got += decoder.feed(stream[start:end])
    decoder.close()
    assert got == [Frame(*frame) for frame in frames]


WIRE_VALUES = st.one_of(
    st.sampled_from([b"\x00", b"\x01"]),
    *(st.binary(min_size=size, max_size=size).map(kind.__add__) for kind, size in ((b"\x02", 1), (b"\x03", 2))),
    *(st.binary(min_size=size, max_size=size).map(kind.__add__) for kind, size in ((b"\x04", 4), (b"\x05", 8))),
    st.binary(max_size=20).map(lambda value: b"\x06" + struct.pack(">H", len(value)) + value),
    st.text(st.characters(codec="utf-8"), max_size=9).map(
        lambda value: b"\x07" + struct.pack(">H", len(value.encode())) + value.encode()
    ),
    st.integers(-(10**12), 10**13).map(lambda value: b"\x08" + struct.pack(">q", value)),
    st.binary(min_size=16, max_size=16).map(b"\x09".__add__),
)


@given(st.lists(WIRE_VALUES, max_size=8), st.binary(max_size=30))
def test_we_read_what_aws_reads(values: list[bytes], payload: bytes) -> None:
    data = sealed(b"".join(b"\x01%c%s" % (65 + n, value) for n, value in enumerate(values)), payload)
    ours = [({name: as_aws_has_it(v) for name, v in frame.headers.items()}, frame.payload) for frame in whole(data)]
    assert ours == theirs(data)


def test_a_byte_at_a_time() -> None:
    stream = text("Hello") + text("你好 😀") + GOLDEN
    decoder = FrameDecoder()
    got = [frame for n in range(len(stream)) for frame in decoder.feed(stream[n : n + 1])]
    assert got == whole(stream)


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", range(len(GOLDEN)))
def test_a_flipped_bit_anywhere_is_noticed(at: int) -> None:
    broken = GOLDEN[:at] + bytes([GOLDEN[at] ^ 1]) + GOLDEN[at + 1 :]
    with pytest.raises(RelayError) as caught:
        whole(broken)
    assert caught.value.code is ErrorCode.upstream_protocol


@pytest.mark.parametrize("length", range(1, len(GOLDEN)))
def test_an_end_within_a_frame_is_noticed(length: int) -> None:
    decoder = FrameDecoder()
    assert decoder.feed(GOLDEN[:length]) == []
    with pytest.raises(RelayError, match=f"{length} bytes of it arrived"):
        decoder.close()


def test_frames_before_the_damage_are_rescued() -> None:
    decoder = FrameDecoder()
    assert len(decoder.feed(text("one"))) == 1
    with pytest.raises(RelayError, match="checksum"):
        decoder.feed(text("two") + text("three") + GOLDEN[:-1] + b"\x00" + text("never"))
    assert [frame.payload for frame in decoder.rescued] == [b'{"content": "two"}', b'{"content": "three"}']


def test_after_damage_nothing_is_read_any_more() -> None:
    decoder = FrameDecoder()
    with pytest.raises(RelayError, match="prelude's checksum"):
        decoder.feed(text("one") + b"x" * 12)
    assert len(decoder.rescued) == 1
    with pytest.raises(RelayError, match="prelude's checksum"):
        decoder.feed(text("two"))
    assert decoder.rescued == []
    with pytest.raises(RelayError, match="prelude's checksum"):
        decoder.close()


@pytest.mark.parametrize(
    ("frame", "what"),
    [
        (sealed(b"", total=15), "15 bytes"),
        (sealed(b"", total=MAX_FRAME + 1), f"{MAX_FRAME + 1} bytes"),
        (sealed(b"", headers_length=1), "1 of headers"),
        (sealed(b"\x05ab"), "runs over the end"),
        (sealed(b"\x01h"), "runs over the end"),
        (sealed(b"\x01h\x07\x00\x05abc"), "runs over the end"),
        (sealed(b"\x01h\x09abc"), "runs over the end"),
        (sealed(b"\x01h\x0a"), "unknown type 10"),
        (sealed(b"\x01\xff\x00"), "can't be read"),
        (sealed(b"\x01h\x07\x00\x01\xff"), "can't be read"),
        (sealed(b"\x01h\x08" + b"\x7f" * 8), "can't be read"),
        (sealed(b"\x01h\x00\x01h\x01"), "stands there twice"),
    ],
)
def test_sealed_nonsense_is_refused(frame: bytes, what: str) -> None:
    with pytest.raises(RelayError, match=what) as caught:
        whole(frame)
    assert caught.value.code is ErrorCode.upstream_protocol


@given(st.binary(max_size=120), st.binary(max_size=40))
def test_sealed_garbage_gives_frames_or_a_typed_error(headers: bytes, payload: bytes) -> None:
    try:
        (frame,) = whole(sealed(headers, payload))
    except RelayError as error:
        assert error.code is ErrorCode.upstream_protocol  # noqa: PT017 - both outcomes are right
    else:
        assert frame.payload == payload


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(max_size=60))
def test_sealed_lengths_that_lie(total: int, headers_length: int, inside: bytes) -> None:
    decoder = FrameDecoder()
    try:
        frames = decoder.feed(sealed(inside, total=total, headers_length=headers_length))
        decoder.close()
    except RelayError as error:
        assert error.code is ErrorCode.upstream_protocol  # noqa: PT017 - as above
    else:
        assert len(frames) == 1


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_garbage_gives_a_typed_error_or_waits(chunks: list[bytes]) -> None:
    decoder = FrameDecoder()
    try:
        for chunk in chunks:
            assert decoder.feed(chunk) == []
        decoder.close()
        assert not b"".join(chunks)
    except RelayError as error:
        assert error.code is ErrorCode.upstream_protocol  # noqa: PT017 - as above


def test_a_frame_over_the_limit_is_refused_before_it_is_waited_for() -> None:
    decoder = FrameDecoder(max_frame=100)
    with pytest.raises(RelayError, match="101 bytes"):
        decoder.feed(sealed(b"", b"x" * 85)[:12])


def test_the_largest_frame_passes() -> None:
    frame = encode({}, b"x" * (MAX_FRAME - 16))
    assert len(frame) == MAX_FRAME
    decoder = FrameDecoder()
    got = [whole for n in range(0, MAX_FRAME, 65536) for whole in decoder.feed(frame[n : n + 65536])]
    assert [len(whole.payload) for whole in got] == [MAX_FRAME - 16]


def test_ever_new_headers_are_not_hoarded() -> None:
    decoder = FrameDecoder()
    tracemalloc.start()
    try:
        for n in range(300):
            decoder.feed(encode({f"h{n}": b"x" * 60_000}))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1_000_000


# --- encoding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"": True},
        {"n" * 256: True},
        {"h": "x" * 65536},
        {"h": b"x" * 65536},
        {"h": 2**63},
        {"h": -(2**63) - 1},
        {"h": datetime(2026, 1, 1)},  # noqa: DTZ001 - the point of it
        {"\ud83d": True},
        {"h": "\ud83d"},
    ],
)
def test_what_does_not_fit_is_not_encoded(headers: dict[str, HeaderValue]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the texts are for people
        encode(headers)


def test_a_frame_over_the_limit_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="over the limit"):
        encode({}, b"x" * MAX_FRAME)
