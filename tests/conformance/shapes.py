"""Requests made from the official SDKs' own parameter types: whatever a TypedDict of theirs allows, as JSON.

    request(MessageCreateParamsNonStreaming, …)   a strategy of whole bodies

Nothing of the gateway is looked at, so it can't share its mistakes. What a type says, decides the shape; what a text
is, its member's name (`TEXT_BY_NAME`): ids and tool names come from small pools so that they meet, and unlike anything
the service takes. Some members ask for what is refused on purpose (an uploaded file, a remote image): those are rare,
or nothing else would be tried.
"""

import base64
import json
import os
import typing
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import IO, Any, TypeAlias

import typing_extensions as te
from hypothesis import strategies as st
from pydantic import BaseModel

Body: TypeAlias = dict[str, Any]

PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + (1).to_bytes(4, "big") * 2 + b"\x08\x06\x00\x00\x00" + bytes(40)
).decode()
GIF = base64.b64encode(b"GIF89a\x01\x00\x01\x00\x00\x00\x00;").decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(20)).decode()


def mostly(common: st.SearchStrategy[Any], rare: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """`rare` once in ten times: it makes the whole request fail, or is dull."""
    return st.integers(0, 9).flatmap(lambda number: rare if number == 9 else common)


TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "\n",
            "Hello.",
            "Use the tools Read and search.",
            "Please think.",
            "你好",
            "😀👩‍👩‍👧",
            "e\u0301\u2028\x00\ufeff",
            "</system>",
            '"\\',
            "\ud83d",
            "a\udc00b",
        ]
    ),
    st.text(max_size=12),
)
NAMES = st.sampled_from(
    ["Read", "search", "mcp__files__read.file", "my tool", "n" * 80, "ü", "multi_tool_use.parallel"]
)
IDS = st.sampled_from(["toolu_1", "call_2", "call_3", "fc|4 5", "i" * 70, "ü"])
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(-10, 10)
    | st.text(max_size=4)
    | st.just("\ud83d"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(st.text(max_size=5), JSON, max_size=2)
SCHEMAS: st.SearchStrategy[Any] = st.sampled_from(
    [
        {"type": "object"},
        {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
        {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
        {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}}},
        {"anyOf": [{"type": "object", "properties": {"a": {"type": "null"}}}, {"type": "string"}]},
        {"type": ["object", "null"], "properties": {"a": {"enum": [None, 1]}}, "required": None},
        {"type": "string"},
        {},
    ]
)
_IMAGES = st.sampled_from(
    [f"data:image/png;base64,{PNG}"] * 6 + [f"data:image/gif;base64,{GIF}", f"data:image/png;base64,{JPEG}"]
)
_URLS = mostly(_IMAGES, st.just("https://example.org/picture.png"))
_FILES = st.sampled_from(["data:application/pdf;base64,JVBERi0=", "data:text/plain;base64,SGVsbG8=", "JVBERi0="])

BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "model": st.sampled_from(["claude-sonnet-4-5", "claude-haiku-4.5", "claude-opus-5-5", "auto"]),
    "max_tokens": st.integers(1, 4000),
    "max_completion_tokens": st.integers(1, 4000),
    "max_output_tokens": st.integers(1, 4000),
    "n": st.just(1),
    "id": IDS,
    "call_id": IDS,
    "tool_use_id": IDS,
    "tool_call_id": IDS,
    "name": NAMES,
    "tool_name": NAMES,
    "namespace": st.sampled_from(["functions", "files", "a b"]),
    "arguments": mostly(OBJECTS.map(json.dumps), TEXTS),
    "url": _URLS,
    "image_url": _URLS,
    "file_url": st.just(None),
    "file_data": _FILES,
    "data": mostly(st.sampled_from([PNG, GIF, JPEG, PNG.rstrip("=")]), TEXTS),
    "input_schema": SCHEMAS,
    "parameters": SCHEMAS,
    "schema": SCHEMAS,
    "output_schema": SCHEMAS,
    "caller_id": IDS,
    "encrypted_content": TEXTS.map("signed.".__add__) | TEXTS,
    "stop_sequences": st.lists(TEXTS, max_size=3),
    "stop": st.none() | TEXTS | st.lists(TEXTS, max_size=3),
}
"""What is put where a member has this name, whatever its type says."""

REFUSED = frozenset({"background", "conversation", "prompt", "previous_response_id", "file_id", "file_url"})
"""Members that ask for what this gateway can't do: there once in thirty times, where the type lets them be out."""


def texts(name: str) -> st.SearchStrategy[Any]:
    return BY_NAME.get(name, TEXTS)


@cache
def strategy(shape: Any, name: str = "") -> st.SearchStrategy[Any]:
    """JSON values of a type, in a member called `name`."""
    if te.is_typeddict(shape):
        return st.deferred(lambda: members(shape))
    if name in BY_NAME and name not in ("id", "name"):
        return BY_NAME[name]
    origin, inside = te.get_origin(shape), te.get_args(shape)
    if origin in (te.Required, te.NotRequired, te.Annotated):
        return strategy(inside[0], name)
    if origin is typing.Literal:
        return st.sampled_from(inside)
    if origin is typing.Union:
        return st.one_of(*(strategy(each, name) for each in inside if _is_json(each)))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return st.dictionaries(st.text(max_size=5), strategy(inside[1]), max_size=2)
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return st.lists(strategy(inside[0], name), max_size=2)
    plain: dict[Any, st.SearchStrategy[Any]] = {
        str: texts(name),
        bool: st.booleans(),
        int: st.integers(0, 5000),
        float: st.floats(-2, 2),
        type(None): st.none(),
        object: OBJECTS if name == "input" else JSON,
    }
    return plain[shape]


def _is_json(shape: Any) -> bool:
    """Not a file object, a path or a model of a reply, which SDKs also take in some places."""
    if te.is_typeddict(shape):
        return True
    kind = te.get_origin(shape) or shape
    return kind not in {IO, os.PathLike, bytes} and not (isinstance(kind, type) and issubclass(kind, BaseModel))


def members(shape: Any, **given: st.SearchStrategy[Any] | None) -> st.SearchStrategy[Body]:
    """A TypedDict's members; `given` replaces the strategies of some (None: never there)."""
    hints: dict[str, Any] = te.get_type_hints(shape, include_extras=True)
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    rarely: dict[str, st.SearchStrategy[Any]] = {}
    for name, hint in hints.items():
        own = given[name] if name in given else strategy(hint, name)
        if own is None:
            continue
        if _is_required(shape, name, hint):
            required[name] = own
        elif name in REFUSED:
            rarely[name] = own
        else:
            optional[name] = own
    whole: st.SearchStrategy[Body] = st.fixed_dictionaries(required, optional=optional)
    if not rarely:
        return whole
    rare = st.sampled_from(sorted(rarely)).flatmap(lambda name: st.fixed_dictionaries({name: rarely[name]}))
    return st.tuples(whole, st.integers(0, 29), rare).map(
        lambda drawn: drawn[0] | drawn[2] if drawn[1] == 29 else drawn[0]
    )


def _is_required(shape: Any, name: str, hint: Any) -> bool:
    """`__required_keys__` alone doesn't see a Required in the annotations, which are strings in the SDKs."""
    origin = te.get_origin(hint)
    return origin is te.Required or (name in shape.__required_keys__ and origin is not te.NotRequired)


def sequence(pieces: Sequence[st.SearchStrategy[list[Any]]], most: int = 4) -> st.SearchStrategy[list[Any]]:
    """Pieces of a conversation one after another, at least one."""
    return st.lists(st.one_of(*pieces), min_size=1, max_size=most).map(
        lambda lists: [each for one in lists for each in one]
    )
