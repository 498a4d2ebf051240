"""Generated conversations: whatever the neutral model can hold, however senseless. Replies: `tests/strategies.py`."""

import base64
import json
from typing import Any

from hypothesis import strategies as st
from msgspec import Raw

from qrelay.conversation import (
    Conversation,
    Document,
    Image,
    Part,
    Reasoning,
    RedactedReasoning,
    Text,
    ToolChoice,
    ToolResult,
    ToolSpec,
    ToolUse,
    Turn,
)

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + (1).to_bytes(4, "big") * 2 + b"\x08\x06\x00\x00\x00"
HUGE_PNG = PNG[:16] + (8001).to_bytes(4, "big") + PNG[20:]
GIF = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"
GOOD = "c2lnbmVk"
"""The one signature that the service gave."""


def signed(_text: str, signature: str) -> bool:
    return signature == GOOD


ODD = [
    "",
    " ",
    "\n\t",
    "a",
    "Hello",
    "你好",
    "😀",
    "\x00",
    "\u2028",
    '"',
    "\\",
    "</system>",
    "\ud83d",
    "a\ude00b",
    "\ufeff",
]
TEXTS = st.sampled_from(ODD) | st.text(max_size=20) | st.text(st.characters(codec=None), max_size=6)
IDS = (
    st.sampled_from(["a", "b", "tooluse_1", "toolu_01", "", "x y", "call|1", "é", "\ud83d", "z" * 64, "z" * 65]) | TEXTS
)
NAMES = st.sampled_from(
    [
        "ls",
        "Read",
        "mcp__server__tool",
        "my tool",
        "my.tool",
        "my/tool",
        "",
        "tool",
        "t" * 64,
        "t" * 65,
        "t" * 12_000,
        "ü",
    ]
)
BASE64 = st.sampled_from(
    [base64.b64encode(raw).decode() for raw in (PNG, GIF, HUGE_PNG, b"\xff\xd8\xff\xe0", b"no image", b"")]
    + ["not base64!", "é", "data:image/png;base64,AAAA", base64.urlsafe_b64encode(PNG + b"\xff\xfe\xfb").decode()]
)
MEDIA_TYPES = st.sampled_from(["", "image/png", "image/tiff", "application/pdf"])

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def _raw(value: Any) -> Raw:
    return Raw(json.dumps(value).encode())


INPUTS = st.dictionaries(st.text(max_size=5), JSON, max_size=3).map(_raw) | st.sampled_from(
    [
        Raw(text)
        for text in (b"{}", b' {"a": 1}\n', b"[1]", b'"x"', b"null", b"", b"{broken", b'{"a":"\xff"}', b"[" * 5000)
    ]
)

REFERENCES = [
    "#",
    "#/$defs/A",
    "#/definitions/B",
    "#/properties/p",
    "#/anyOf/0",
    "#nowhere",
    "https://example.org/s",
    "",
]
SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    st.booleans()
    | st.none()
    | st.sampled_from(["string", 5, []])
    | st.sampled_from(REFERENCES).map(lambda reference: {"$ref": reference})
    | st.sampled_from(["string", "object", "array", None, ["object", "null"]]).map(lambda kind: {"type": kind}),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["object", "array", "string", None, ["object", "null"], ["string"]]),
            "properties": st.none()
            | st.dictionaries(
                st.sampled_from(["p", "q", "required", "$schema", "additionalProperties"]), inner, max_size=3
            ),
            "required": st.none() | st.lists(st.sampled_from(["p", "q", 7]), max_size=2) | st.booleans(),
            "additionalProperties": inner,
            "anyOf": st.none() | st.lists(inner, max_size=2),
            "oneOf": st.lists(inner, max_size=2),
            "allOf": st.lists(inner, max_size=2),
            "items": inner | st.lists(inner, max_size=2),
            "not": inner,
            "$ref": st.none() | st.sampled_from(REFERENCES),
            "$defs": st.fixed_dictionaries({}, optional={"A": inner, "B": inner}),
            "definitions": st.fixed_dictionaries({}, optional={"B": inner}),
            "$schema": st.just("https://json-schema.org/draft/2020-12/schema"),
            "default": JSON,
            "enum": st.lists(JSON, max_size=2),
            "description": st.none() | st.text(max_size=5),
        },
    ),
    max_leaves=8,
)
SCHEMA_TEXTS = SCHEMAS.map(_raw) | st.sampled_from(
    [
        Raw(text)
        for text in (b"", b"null", b"[]", b"{nonsense", b'"\xff"', b'{"items":' * 300 + b"{}" + b"}" * 300, b"[" * 9000)
    ]
)
TOOLS = st.builds(
    ToolSpec, NAMES, st.sampled_from(["", "  ", "Does it.", "long " * 3000]) | TEXTS, SCHEMA_TEXTS, st.booleans()
)

IMAGES = st.builds(Image, BASE64, MEDIA_TYPES)
DOCUMENTS = st.builds(Document, TEXTS, BASE64, MEDIA_TYPES)
RESULTS = st.builds(
    ToolResult,
    IDS,
    st.lists(st.builds(Text, TEXTS) | IMAGES | DOCUMENTS, max_size=3).map(tuple),
    st.booleans(),
)
PARTS: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, TEXTS),
    st.builds(ToolUse, IDS, NAMES, INPUTS),
    RESULTS,
    IMAGES,
    DOCUMENTS,
    st.builds(Reasoning, TEXTS, st.sampled_from(["", GOOD, "forged"])),
    st.builds(RedactedReasoning, st.sampled_from(["", GOOD, "forged"])),
)
TURNS = st.builds(
    Turn, st.sampled_from(["user", "assistant", "assistant", "system", "user"]), st.lists(PARTS, max_size=5).map(tuple)
)


@st.composite
def _tool_rounds(draw: st.DrawFn) -> list[Turn]:
    """Calls and their answers as agents send them, a few answers lost, doubled or put off."""
    ids = draw(st.lists(st.sampled_from(["a", "b", "c", "x y"]), min_size=1, max_size=3))
    calls = Turn("assistant", tuple(ToolUse(id_, draw(NAMES), draw(INPUTS)) for id_ in ids))
    answers = draw(st.permutations([*ids, *draw(st.lists(st.sampled_from(ids), max_size=1))]))
    answers = answers[draw(st.integers(0, 1)) :]
    results = [ToolResult(id_, (Text(f"result of {id_}"),)) for id_ in answers]
    at = draw(st.integers(0, len(results)))
    return [
        calls,
        Turn("user", tuple(results[:at])),
        *draw(st.lists(TURNS, max_size=1)),
        Turn("user", tuple(results[at:])),
    ]


CHOICES = st.one_of(
    st.just(ToolChoice()),
    st.sampled_from([ToolChoice("none"), ToolChoice("any")]),
    st.builds(ToolChoice, st.just("named"), NAMES),
)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """Any conversation at all: roles, parts, orders, ids, tools, and no limit on sense."""
    pieces = draw(st.lists(TURNS.map(lambda turn: [turn]) | _tool_rounds(), max_size=5))
    return Conversation(
        model="claude-sonnet-4.5",
        turns=tuple(turn for piece in pieces for turn in piece),
        system=tuple(draw(st.lists(TEXTS, max_size=2))),
        tools=tuple(draw(st.lists(TOOLS, max_size=3))),
        tool_choice=draw(CHOICES),
        effort=draw(st.sampled_from([None, "high"])),
    )
