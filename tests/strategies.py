"""Generated values that several tests share: replies that obey the grammar of `qrelay.events`."""

import copy
import json
from itertools import pairwise
from typing import Any, cast

from hypothesis import strategies as st

from qrelay.events import (
    Event,
    Finish,
    ReasoningDelta,
    ReasoningSignature,
    RedactedReasoning,
    Reference,
    References,
    StopReason,
    TextDelta,
    ToolInputDelta,
    ToolUseEnd,
    ToolUseStart,
    Usage,
    WebLink,
    WebLinks,
)

PIECES = st.sampled_from(
    [
        "a",
        " ",
        "word ",
        "\n",
        "\r\n",
        '"',
        "\\",
        "\\n",
        "{",
        "}",
        "你好",
        "😀",
        "👩‍👩‍👧",
        "e\u0301",
        "\u2028",
        "\x00",
        "</",
        "data: x",
    ]
)
WORDS = st.one_of(PIECES, st.text(min_size=1, max_size=12))
"""Never empty: the upstream reader drops empty deltas."""

LETTERS = "abcxyzABCXYZ0189_-"
BASE64 = st.sampled_from(["AA==", "c2VjcmV0", "AAECAwQFBgcICQ=="])
STOP_REASONS: tuple[StopReason, ...] = (
    "end_turn",
    "tool_use",
    "max_tokens",
    "stop_sequence",
    "refusal",
    "context_window",
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=6) | PIECES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def _cut(draw: st.DrawFn, text: str) -> list[str]:
    """`text` in one or more pieces, none of them empty."""
    marks = draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=4))
    edges = [0, *sorted(mark for mark in marks if mark < len(text)), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


@st.composite
def _text(draw: st.DrawFn) -> list[Event]:
    words = draw(st.lists(WORDS, min_size=1, max_size=5))
    if draw(st.booleans()):
        words.append(words[-1])  # two equal deltas in a row are two deltas
    return [TextDelta(word) for word in words]


@st.composite
def _reasoning(draw: st.DrawFn) -> list[Event]:
    words: list[Event] = [ReasoningDelta(word) for word in draw(st.lists(WORDS, max_size=4))]
    if not words or draw(st.booleans()):
        words.append(ReasoningSignature(draw(BASE64)))
    return words


@st.composite
def _tool(draw: st.DrawFn) -> list[Event]:
    value = draw(st.dictionaries(st.text(max_size=6), JSON, max_size=3))
    text = json.dumps(value, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
    return [
        ToolUseStart(
            "tooluse_" + draw(st.text(LETTERS, min_size=8, max_size=22)),
            draw(st.text(LETTERS, min_size=1, max_size=20)),
        ),
        *(ToolInputDelta(piece) for piece in draw(_cut(text))),
        ToolUseEnd(),
    ]


@st.composite
def _references(draw: st.DrawFn) -> list[Event]:
    start = draw(st.none() | st.integers(0, 50))
    end = None if start is None else start + 5
    return [References((Reference("MIT", draw(WORDS), "https://example.org/code", start, end),))]


@st.composite
def _web_links(draw: st.DrawFn) -> list[Event]:
    return [WebLinks((WebLink("https://example.org/", draw(WORDS), draw(st.sampled_from(["", "a snippet"]))),))]


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    count = st.integers(0, 300_000)
    return Usage(
        input_tokens=draw(count),
        output_tokens=draw(count),
        cache_read_tokens=draw(count),
        cache_write_tokens=draw(count),
        estimated=draw(st.booleans()),
    )


@st.composite
def finishes(draw: st.DrawFn) -> Finish:
    reason = draw(st.sampled_from(STOP_REASONS))
    return Finish(reason, draw(usages()), draw(WORDS) if reason == "stop_sequence" else None)


@st.composite
def replies(draw: st.DrawFn) -> list[Event]:
    """A whole reply as a list of events: any parts in any order, then one Finish. Tool-use ids are unique."""
    redacted = BASE64.map(lambda data: [RedactedReasoning(data)])
    part = st.one_of(_text(), _reasoning(), redacted, _tool(), _text(), _tool(), _references(), _web_links())
    reply: list[Event] = []
    ids: set[str] = set()
    for events in draw(st.lists(part, max_size=6)):
        match events[0]:
            case ToolUseStart(id=id) if id in ids:
                continue
            case ToolUseStart(id=id):
                ids.add(id)
            case _:
                pass
        reply.extend(events)
    return [*reply, draw(finishes())]


@st.composite
def spoiled(draw: st.DrawFn, bodies: st.SearchStrategy[dict[str, Any]], anything: st.SearchStrategy[Any]) -> Any:
    """A JSON object with `anything` in one or two places of it."""
    body = copy.deepcopy(draw(bodies))
    for _ in range(draw(st.integers(1, 2))):
        place: Any = body
        while keys := _keys(place):
            key = draw(st.sampled_from(keys))
            if _keys(place[key]) and draw(st.integers(0, 3)):
                place = place[key]
            else:
                place[key] = draw(anything)
                break
    return body


def _keys(value: Any) -> list[Any]:
    """What can be looked up in a JSON value."""
    if isinstance(value, dict):
        return [*cast("dict[str, Any]", value)]
    return [*range(len(cast("list[Any]", value)))] if isinstance(value, list) else []
