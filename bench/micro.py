"""The small steps of `make bench`: one frame decoded, one delta turned into SSE bytes, beside the usual ways to do it.

    frame decode    `FrameDecoder` against botocore's EventStreamBuffer, 50 frames a read, both checksums checked
    SSE encode      a text delta as a chunk of Chat Completions, against json.dumps of that chunk
    payload to SSE  all between a frame and the chunk, against json.loads and json.dumps

Process time, rounds interleaved, the median of their ratios. `python bench/micro.py` prints them alone.
"""

import json
import time
from collections.abc import Callable

from botocore.eventstream import EventStreamBuffer  # pyright: ignore[reportMissingTypeStubs] - botocore has none
from report import Line, table

from qrelay.apis.openai_chat.reply import Envelope, Writer
from qrelay.events import TextDelta
from qrelay.upstream.eventstream import FrameDecoder, encode
from qrelay.upstream.response import Estimate, ReplyReader

FRAMES, REPEATS, ROUNDS = 50, 100, 7
_HEADERS = {
    ":event-type": "assistantResponseEvent",
    ":content-type": "application/json",
    ":message-type": "event",
}
_WORDS = (" the", " quick", ' "brown"', "\n\n", " fox", "es", ".", " 狐", " jump", "ed")
_PAYLOADS = [json.dumps({"content": _WORDS[number % len(_WORDS)]}).encode() for number in range(FRAMES)]
_READ = b"".join(encode(_HEADERS, payload) for payload in _PAYLOADS)
_EVENTS = [TextDelta(json.loads(payload)["content"]) for payload in _PAYLOADS]
_NO_ESTIMATE = Estimate(input_tokens=lambda: 0, output_tokens=len, window=200_000)


def frames_ours(repeats: int) -> None:
    decoder = FrameDecoder()
    for _ in range(repeats):
        assert len(decoder.feed(_READ)) == FRAMES


def frames_botocore(repeats: int) -> None:
    for _ in range(repeats):
        buffer = EventStreamBuffer()
        buffer.add_data(_READ)  # pyright: ignore[reportUnknownMemberType] - as above
        assert sum(1 for _ in buffer) == FRAMES


def encode_ours(repeats: int) -> None:
    for _ in range(repeats):
        assert _writer().feed(_EVENTS)


def encode_json(repeats: int) -> None:
    for _ in range(repeats):
        assert b"".join([_dumped(event.text) for event in _EVENTS])


def whole_ours(repeats: int) -> None:
    """With the decoding of frames, which `whole_json` doesn't do; `measure` takes it off."""
    for _ in range(repeats):
        assert _writer().feed(ReplyReader(_NO_ESTIMATE).feed(_READ))


def whole_json(repeats: int) -> None:
    for _ in range(repeats):
        assert b"".join([_dumped(json.loads(payload)["content"]) for payload in _PAYLOADS])


def _writer() -> Writer:
    return Writer(Envelope(id="chatcmpl-1", created=1, model="claude-sonnet-4.5"))


def _dumped(text: str) -> bytes:
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "claude-sonnet-4.5",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
    }
    return f"data: {json.dumps(chunk)}\n\n".encode()


def measure() -> list[Line]:
    decode: list[float] = []
    encoding: list[float] = []
    whole: list[float] = []
    for _ in range(ROUNDS):
        frames = _timed(frames_ours)
        decode.append(frames / _timed(frames_botocore))
        encoding.append(_timed(encode_ours) / _timed(encode_json))
        whole.append((_timed(whole_ours) - frames) / _timed(whole_json))
    return [
        Line.of("", "frame decode / botocore's", decode, 1 / 5),
        Line.of("", "SSE encode / json's", encoding, 1 / 10),
        Line.of("", "payload to SSE / json's", whole, 1 / 4),
    ]


def _timed(step: Callable[[int], None]) -> float:
    step(REPEATS // 10)
    start = time.process_time()
    step(REPEATS)
    return time.process_time() - start


if __name__ == "__main__":
    print(table(measure(), "ours / theirs"))
