"""What a caller asked for is held to, wherever the text is cut."""

from hypothesis import given
from hypothesis import strategies as st

from qrelay.conversation import Conversation
from qrelay.events import Event, TextDelta, ToolInputDelta, ToolUseEnd, ToolUseStart
from qrelay.limits import Limiter, Reached
from qrelay.tokens import count_text

LETTERS = st.text(alphabet="ab", min_size=1, max_size=6)


def conversation(**wanted: object) -> Conversation:
    return Conversation(model="m", turns=(), **wanted)  # type: ignore[arg-type]


def said(limiter: Limiter, *deltas: str) -> str:
    """All text that gets through, an event of another kind at the end included (it frees what was held back)."""
    events = [event for delta in deltas for event in limiter.feed([TextDelta(delta)])]
    events += limiter.feed([ToolUseStart("t", "tool")])
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@given(st.lists(LETTERS, max_size=8), st.lists(LETTERS, min_size=1, max_size=3))
def test_text_ends_at_the_first_stop_sequence_wherever_it_is_cut(deltas: list[str], sequences: list[str]) -> None:
    text = "".join(deltas)
    limiter = Limiter(conversation(stop_sequences=tuple(sequences)), count_text)
    got = said(limiter, *deltas)
    places = [text.find(sequence) for sequence in sequences if sequence in text]
    if not places:
        assert (got, limiter.reached) == (text, None)
        return
    assert limiter.reached is not None
    assert limiter.reached.stop_reason == "stop_sequence"
    whole = Limiter(conversation(stop_sequences=tuple(sequences)), count_text)
    assert (got, limiter.reached) == (said(whole, text), whole.reached)
    assert text.startswith(got + (limiter.reached.stop_sequence or ""))
    assert not any(sequence in got for sequence in sequences)


def test_only_what_could_begin_a_sequence_is_held_back() -> None:
    limiter = Limiter(conversation(stop_sequences=("END",)), count_text)
    assert limiter.feed([TextDelta("abc E")]) == [TextDelta("abc ")]
    assert limiter.feed([TextDelta("N")]) == []
    assert limiter.feed([TextDelta("X")]) == [TextDelta("ENX")]


def bytes_of(text: str) -> int:
    """A count of which the parts add up to the whole; a vocabulary's are off by one here and there."""
    return len(text.encode("utf-8", "surrogatepass"))


@given(st.lists(st.text(min_size=1, max_size=12), max_size=10), st.integers(1, 60))
def test_no_more_tokens_than_asked_for(deltas: list[str], limit: int) -> None:
    text = "".join(deltas)
    limiter = Limiter(conversation(max_tokens=limit), bytes_of)
    got = said(limiter, *deltas)
    assert text.startswith(got)
    assert bytes_of(got) <= limit
    if limiter.reached is None:
        assert got == text
    else:
        assert limiter.reached == Reached("max_tokens", tokens=limit)
        assert bytes_of(text[: len(got) + 1]) > limit, "as much as fits is said"


def test_tokens_are_a_vocabularys() -> None:
    limiter = Limiter(conversation(max_tokens=3), count_text)
    assert said(limiter, "one", " two", " three four five") == "one two three"
    assert limiter.reached == Reached("max_tokens", tokens=3)


def test_a_tool_use_is_never_cut_in_the_middle() -> None:
    limiter = Limiter(conversation(max_tokens=3), count_text)
    tool: list[Event] = [ToolUseStart("t", "tool"), ToolInputDelta('{"path": "' + "x" * 100 + '"}'), ToolUseEnd()]
    assert limiter.feed(tool) == tool
    assert limiter.reached is not None
    assert limiter.reached.stop_reason == "max_tokens"
    assert limiter.reached.tokens == count_text('{"path": "' + "x" * 100 + '"}'), "what was told, though it is more"


def test_one_tool_use_if_only_one_is_wanted() -> None:
    first: list[Event] = [ToolUseStart("1", "a"), ToolInputDelta("{}"), ToolUseEnd()]
    second: list[Event] = [ToolUseStart("2", "b"), ToolInputDelta("{}"), ToolUseEnd()]
    limiter = Limiter(conversation(parallel_tool_uses=False), count_text)
    assert limiter.feed([*first, *second]) == first
    assert limiter.reached == Reached("tool_use")
    assert Limiter(conversation(), count_text).feed([*first, *second]) == [*first, *second]
