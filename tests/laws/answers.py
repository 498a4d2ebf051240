"""Generated answers of the service: frames in any order, sensible and not, with right checksums throughout."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from qrelay.upstream.eventstream import encode

WORDS = st.sampled_from(["a", "b", "ab", " ", "你好", "😀", "\n", "e\u0301", "\x00", ""]) | st.text(max_size=6)
IDS = st.sampled_from(["t1", "t2", "t3", None, ""])
NAMES = st.sampled_from(["ls", "fs_read_1234", None, ""])
FRAGMENTS: st.SearchStrategy[Any] = st.sampled_from(
    ["{}", '{"a"', ": 1}", '{"a": "你', '好"}', "", None, {}, {"a": 1}, [1], 5, "nonsense"]
)
NUMBERS: st.SearchStrategy[Any] = st.sampled_from(
    [0, 1, 12, 3.5, 50, 100, 1e300, -1, 2**70, None, "7", True, [], 10**400]
)
ANYTHING: st.SearchStrategy[Any] = st.none() | NUMBERS | WORDS


def event(kind: str, payload: Any) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encode(headers, payload if isinstance(payload, bytes) else json.dumps(payload).encode())


def _members(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=members)


TEXT = WORDS.map(lambda word: event("assistantResponseEvent", {"content": word}))
TOOL = _members(toolUseId=IDS, name=NAMES, input=FRAGMENTS, stop=st.booleans() | st.none()).map(
    lambda members: event("toolUseEvent", {"toolUseId": "t1", "name": "ls", **members})
)
REASONING = _members(text=WORDS | st.none(), signature=WORDS | st.none(), redactedContent=WORDS | st.none()).map(
    lambda members: event("reasoningContentEvent", members)
)
REFERENCE = st.lists(_members(url=WORDS, licenseName=st.none(), recommendationContentSpan=st.none()), max_size=2).map(
    lambda found: event("codeReferenceEvent", {"references": found})
)
LINKS = st.lists(_members(url=WORDS, title=WORDS | st.none()), max_size=2).map(
    lambda found: event("supplementaryWebLinksEvent", {"supplementaryWebLinks": found})
)
USAGE = _members(
    uncachedInputTokens=NUMBERS, outputTokens=NUMBERS, totalTokens=NUMBERS, cacheReadInputTokens=NUMBERS,
    cacheWriteInputTokens=NUMBERS, contextUsagePercentage=NUMBERS,
)  # fmt: skip
TAIL = st.one_of(
    _members(
        stopReason=st.sampled_from(["END_TURN", "TOOL_USE", "MAX_TOKENS", "MALFORMED_TOOL_USE", "NEW", None]),
        tokenUsage=USAGE | st.none(),
    ).map(lambda members: event("metadataEvent", members)),
    _members(contextUsagePercentage=NUMBERS).map(lambda members: event("contextUsageEvent", members)),
    _members(usage=NUMBERS, unit=st.just("credit")).map(lambda members: event("meteringEvent", members)),
)
KINDS = st.sampled_from(
    ["assistantResponseEvent", "toolUseEvent", "reasoningContentEvent", "codeReferenceEvent", "metadataEvent",
     "codeEvent", "contextUsageEvent", "meteringEvent", "supplementaryWebLinksEvent", "invalidStateEvent", "new"]
)  # fmt: skip
ODD = st.one_of(
    st.builds(
        event, KINDS, st.dictionaries(st.sampled_from(["content", "text", "usage", "message"]), ANYTHING, max_size=2)
    ),
    st.builds(event, KINDS, st.binary(max_size=8) | st.sampled_from([b"null", b"[]", b'"', b'{"content":"\xff"}'])),
    st.builds(encode, st.dictionaries(WORDS.filter(bool), WORDS | st.booleans() | st.integers(-5, 5), max_size=2)),
)
FAILURE = st.sampled_from(
    [
        encode({":message-type": "exception", ":exception-type": "throttlingException"}, b'{"message":"slow down"}'),
        encode({":message-type": "error", ":error-code": "X", ":error-message": "oh"}),
    ]
)


@st.composite
def _whole_tool(draw: st.DrawFn) -> bytes:
    """A tool use in its four steps, the text of its input cut anywhere."""
    text = json.dumps(draw(st.dictionaries(WORDS, ANYTHING.filter(lambda value: value != 10**400), max_size=3)))
    marks = draw(st.lists(st.integers(0, len(text)), max_size=3))
    name = {"toolUseId": draw(st.sampled_from(["t4", "t5", "t6"])), "name": "cat"}
    pieces = [text[start:end] for start, end in pairwise([0, *sorted(marks), len(text)])]
    steps = [name, *({**name, "input": piece} for piece in pieces), {**name, "stop": True}]
    return b"".join(event("toolUseEvent", step) for step in steps)


SENSIBLE = st.one_of(TEXT, TEXT, _whole_tool(), REASONING, REFERENCE, LINKS)
ANSWERS = st.one_of(
    st.lists(SENSIBLE, max_size=8),
    st.lists(SENSIBLE | TAIL, max_size=8),
    st.lists(st.one_of(SENSIBLE, TOOL, TOOL, TAIL), max_size=10),
    st.lists(st.one_of(SENSIBLE, TOOL, TAIL, ODD, FAILURE), max_size=10),
)
"""The frames of an answer, one after another."""


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The same bytes in other pieces, some of them empty."""
    marks = draw(st.lists(st.integers(0, len(data)), max_size=12))
    return [data[start:end] for start, end in pairwise([0, *sorted(marks), len(data)])]
