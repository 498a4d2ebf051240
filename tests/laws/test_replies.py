"""Whatever the service answers: cuts do not matter, the grammar of events holds, and a failure is a typed one."""

from collections.abc import Iterable
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from qrelay.completion import fold
from qrelay.conversation import Reasoning, RedactedReasoning
from qrelay.errors import ErrorCode
from qrelay.events import (
    Event,
    Finish,
    TextDelta,
    ToolInputDelta,
    ToolUseEnd,
    ToolUseStart,
)
from qrelay.upstream.response import Estimate, ReplyReader

from .answers import ANSWERS, TEXT, cut, event

ESTIMATE = Estimate(input_tokens=lambda: 1000, output_tokens=len, window=200_000)


class Outcome(NamedTuple):
    """`failure` is None, or its code and message; `vouched` is what the service signed."""

    events: list[Event]
    failure: tuple[ErrorCode, str] | None
    vouched: list[tuple[str, str]]


def outcome(pieces: Iterable[bytes], *, framed: bool = True) -> Outcome:
    vouched: list[tuple[str, str]] = []
    reader = ReplyReader(ESTIMATE, signed=lambda text, proof: vouched.append((text, proof)))
    events: list[Event] = []
    for piece in pieces:
        events += reader.feed(piece)
    events += reader.close(framed=framed)
    failure = reader.failure
    return Outcome(events, (failure.code, failure.message) if failure is not None else None, vouched)


def check_grammar(events: list[Event], *, finished: bool) -> None:
    """That of `qrelay.events`; what came before a failure may stop anywhere."""
    tool: str | None = None
    deltas = 0
    seen: set[str] = set()
    for n, each in enumerate(events):
        match each:
            case ToolUseStart():
                assert tool is None
                assert each.id
                assert each.name
                assert each.id not in seen
                seen.add(each.id)
                tool, deltas = each.id, 0
            case ToolInputDelta():
                assert tool is not None
                assert each.json
                deltas += 1
            case ToolUseEnd():
                assert tool is not None
                assert deltas
                tool = None
            case Finish():
                assert tool is None
                assert n == len(events) - 1
            case _:
                assert tool is None
                assert getattr(each, "text", "something")
    assert finished == (bool(events) and isinstance(events[-1], Finish))


@given(ANSWERS, st.data())
def test_cuts_do_not_matter(frames: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(frames)
    assert outcome(data.draw(cut(stream))) == outcome([stream])


@given(ANSWERS)
def test_a_byte_at_a_time_does_not_matter(frames: list[bytes]) -> None:
    stream = b"".join(frames)
    assert outcome(stream[n : n + 1] for n in range(len(stream))) == outcome([stream])


@given(ANSWERS, st.booleans())
def test_the_grammar_holds(frames: list[bytes], framed: bool) -> None:
    events, failure, _ = outcome([b"".join(frames)], framed=framed)
    check_grammar(events, finished=failure is None)
    if failure is None:
        completion = fold(events)
        assert completion.text == "".join(each.text for each in events if isinstance(each, TextDelta))


@given(ANSWERS)
def test_numbers_make_sense(frames: list[bytes]) -> None:
    events, failure, _ = outcome(frames)
    if failure is None:
        finish = events[-1]
        assert isinstance(finish, Finish)
        usage = finish.usage
        counts = [usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens]
        assert all(0 <= count < 2**53 for count in counts)
        assert usage.context_percentage is None or 0 <= usage.context_percentage <= 100


@given(ANSWERS, st.integers(1, 40))
def test_an_answer_that_is_cut_off_is_no_reply(frames: list[bytes], missing: int) -> None:
    """Cut within a frame: a failure. Nothing is told that the whole answer would not have told."""
    stream = b"".join(frames)
    if not frames or missing >= len(frames[-1]):
        return
    events, failure, _ = outcome([stream[:-missing]])
    assert failure is not None
    check_grammar(events, finished=False)
    whole = outcome([stream]).events
    assert events == whole[: len(events)]


@given(ANSWERS, st.integers(0, 10_000), st.integers(1, 255))
def test_a_damaged_byte_is_a_failure(frames: list[bytes], where: int, change: int) -> None:
    stream = b"".join(frames)
    if stream:
        at = where % len(stream)
        events, failure, _ = outcome([stream[:at] + bytes([stream[at] ^ change]) + stream[at + 1 :]])
        assert failure is not None
        check_grammar(events, finished=False)


@given(st.lists(TEXT, max_size=8))
def test_no_text_is_lost_and_only_the_last_delta_may_wait(frames: list[bytes]) -> None:
    reader = ReplyReader(ESTIMATE)
    told: list[Event] = []
    for n, frame in enumerate(frames):
        told += reader.feed(frame)
        sent = outcome(frames[: n + 1]).events
        texts = [each for each in sent if isinstance(each, TextDelta)]
        assert told in (texts, texts[:-1])


@given(ANSWERS)
def test_what_is_vouched_for_is_what_a_client_sends_back(frames: list[bytes]) -> None:
    events, failure, vouched = outcome(frames)
    if failure is None:
        told: list[tuple[str, str]] = []
        for part in fold(events).parts:
            if isinstance(part, Reasoning) and part.signature:
                told.append((part.text, part.signature))
            elif isinstance(part, RedactedReasoning):
                told.append(("", part.data))
        assert told == vouched


@given(st.lists(st.binary(max_size=80), max_size=6))
def test_garbage_is_refused(pieces: list[bytes]) -> None:
    events, failure, _ = outcome(pieces)
    assert events == []
    assert failure is not None
    assert failure[0] is ErrorCode.upstream_protocol


def test_the_generated_frames_are_whole() -> None:
    """The strategies speak of the same frames as the tests of the reader."""
    assert outcome([event("assistantResponseEvent", {"content": "a"})]).events[0] == TextDelta("a")
