"""JSON Schemas as the service accepts them: a test for each rule, and that nothing else is touched."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrelay.upstream.tool_schema import NOTHING, normalise
from tests.laws.conversations import SCHEMAS

ANY: dict[str, Any] = {}
STRING = {"type": "string"}


def obj(properties: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties or {}, **more}


def normal(schema: Any, rules: str = "") -> Any:
    """The normalised schema, after a look at which rules were applied (names, in order, separated by spaces)."""
    text, applied = normalise(json.dumps(schema).encode())
    assert " ".join(applied) == rules
    return json.loads(text)


@pytest.mark.parametrize(
    "schema",
    [
        obj(),
        obj({"p": STRING}, required=["p"], description="d", title="t"),
        obj({"p": {"type": ["string", "null"], "enum": ["a", None], "default": None}}),
        obj({"p": {"anyOf": [STRING, {"type": "array", "items": STRING, "minItems": 1}]}}),
        obj(dict.fromkeys(("$schema", "$ref", "required", "additionalProperties", "$defs", "properties"), STRING)),
        obj({"p": {"const": {"$ref": "#", "required": [], "additionalProperties": 1}, "x-own": {"$id": 1}}}),
        obj({"p": True, "q": {"not": {}}}),
    ],
)
def test_what_is_acceptable_stays_byte_for_byte(schema: Any) -> None:
    text = json.dumps(schema, indent=1).encode()
    assert normalise(text) == (text, ())


@pytest.mark.parametrize(
    "text", [b"", b"null", b"[]", b'"x"', b"5", b"true", b"{nonsense", b'{"a":"\xff"}', b'{"a":NaN}']
)
def test_schema_not_an_object(text: bytes) -> None:
    assert normalise(text) == (NOTHING, ("schema_not_an_object",))


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"type": ["object", "null"]}, {"properties": {}}])
def test_schema_root_object(schema: Any) -> None:
    assert normal(schema, "schema_root_object") == obj()


def test_schema_root_object_keeps_what_is_beside_it() -> None:
    assert normal({"properties": {"p": STRING}, "required": ["p"]}, "schema_root_object") == obj(
        {"p": STRING}, required=["p"]
    )


def test_schema_root_object_of_something_else() -> None:
    array = {"type": "array", "items": STRING}
    assert normal(array, "schema_root_object") == obj({"value": array})


@pytest.mark.parametrize("union", ["anyOf", "oneOf"])
def test_schema_root_union(union: str) -> None:
    branches = [obj({"p": STRING, "q": STRING}, required=["q"]), {"type": "string"}, True, obj({"r": STRING})]
    schema = {union: branches, "properties": {"p": {"type": "integer"}}, "required": ["p"]}
    merged = obj({"p": {"type": "integer"}, "q": STRING, "r": STRING}, required=["p"])
    assert normal(schema, "schema_root_union") == merged


def test_schema_root_union_of_all_requires_all() -> None:
    branches = [obj({"p": STRING}, required=["p"]), obj({"q": STRING}, required=["q", "p"])]
    assert normal({"allOf": branches}, "schema_root_union") == obj({"p": STRING, "q": STRING}, required=["p", "q"])


def test_schema_ref_inlined() -> None:
    schema = obj(
        {
            "a": {"$ref": "#/$defs/Name", "description": "mine"},
            "b": {"items": {"$ref": "#/definitions/a~1b%20c"}},
            "c": {"$ref": "#/properties/a"},
            "d": {"$ref": "#/x/1"},
        },
        **{
            "$defs": {"Name": {"type": "string", "description": "theirs"}},
            "definitions": {"a/b c": {"$ref": "#/$defs/Name"}},
            "x": [1, {"type": "integer"}],
        },
    )
    assert normal(schema, "schema_ref_inlined") == obj(
        {
            "a": {"type": "string", "description": "mine"},
            "b": {"items": {"type": "string", "description": "theirs"}},
            "c": {"type": "string", "description": "mine"},
            "d": {"type": "integer"},
        },
        x=[1, {"type": "integer"}],
    )


@pytest.mark.parametrize("reference", ["https://example.org/s", "#nowhere", "#/$defs/None", "#/properties/p/9/x", ""])
def test_schema_ref_inlined_that_leads_nowhere(reference: str) -> None:
    schema = obj({"p": {"$ref": reference, "description": "d"}})
    assert normal(schema, "schema_ref_inlined") == obj({"p": {"description": "d"}})


def test_schema_ref_inlined_of_a_tree() -> None:
    schema = obj(
        {"root": {"$ref": "#/$defs/Node"}},
        **{"$defs": {"Node": obj({"child": {"$ref": "#/$defs/Node", "description": "below"}})}},
    )
    node = obj({"child": {"description": "below"}})
    assert normal(schema, "schema_ref_inlined") == obj({"root": node})


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}])
def test_schema_ref_inlined_that_chases_its_tail(schema: Any) -> None:
    assert normal(schema, "schema_ref_inlined schema_root_object") == obj()


def test_schema_ref_inlined_without_end() -> None:
    """Each definition holds the next one twice: two to the power of thirty, if nobody counts."""
    names = [f"N{n}" for n in range(31)]
    defs = {name: obj({side: {"$ref": f"#/$defs/{following}"} for side in "lr"}) for name, following in pairwise(names)}
    text, rules = normalise(json.dumps({"$ref": "#/$defs/N0", "$defs": {**defs, "N30": STRING}}).encode())
    assert rules == ("schema_ref_inlined",)
    assert len(text) < 1_000_000


@pytest.mark.parametrize("required", [[], None, True, "p", ["p", 1], {}])
def test_schema_required_dropped(required: Any) -> None:
    schema = obj({"p": obj({"q": STRING}, required=required)}, required=["p"])
    assert normal(schema, "schema_required_dropped") == obj({"p": obj({"q": STRING})}, required=["p"])


@pytest.mark.parametrize("additional", [False, True, None, STRING])
def test_schema_additional_dropped(additional: Any) -> None:
    inside = [obj(additionalProperties=additional)]
    schema = obj({"p": {"items": inside, "anyOf": inside, "not": inside[0]}}, additionalProperties=additional)
    assert normal(schema, "schema_additional_dropped") == obj({"p": {"items": [obj()], "anyOf": [obj()], "not": obj()}})


@pytest.mark.parametrize("keyword", ["$schema", "$id", "$comment", "$anchor", "$vocabulary"])
def test_schema_meta_dropped(keyword: str) -> None:
    assert normal(obj({"p": {keyword: "x"}}, **{keyword: "x"}), "schema_meta_dropped") == obj({"p": ANY})


@pytest.mark.parametrize("keyword", ["description", "enum_", "items", "anyOf", "type", "format"])
def test_schema_null_dropped(keyword: str) -> None:
    assert normal(obj({"p": {keyword: None}}), "schema_null_dropped") == obj({"p": ANY})


def test_schema_null_dropped_where_a_schema_should_be() -> None:
    assert normal(obj({"p": None}), "schema_null_dropped") == obj({"p": ANY})
    assert normal({"properties": None}, "schema_null_dropped schema_root_object") == obj()


def nested(levels: int, keyword: str = "items") -> bytes:
    return (
        b'{"type":"object","properties":{"p":' + b'{"%s":' % keyword.encode() * levels + b"{}" + b"}" * levels + b"}}"
    )


def test_schema_too_deep() -> None:
    assert normalise(nested(60))[1] == ()
    text, rules = normalise(nested(200))
    assert rules == ("schema_too_deep",)
    assert 50 < text.count(b"items") < 70


@pytest.mark.parametrize("bomb", [nested(100_000), nested(100_000, "default"), nested(900, "default"), b"[" * 100_000])
def test_a_bomb_does_no_harm(bomb: bytes) -> None:
    text, _ = normalise(bomb)
    assert len(text) <= len(bomb)


@given(SCHEMAS)
def test_what_is_normal_stays_so(schema: Any) -> None:
    text, _ = normalise(json.dumps(schema).encode())
    assert normalise(text) == (text, ())


@given(st.binary(max_size=40))
def test_anything_becomes_an_object_s_schema(text: bytes) -> None:
    schema = json.loads(normalise(text)[0])
    assert schema["type"] == "object"
    assert isinstance(schema["properties"], dict)
