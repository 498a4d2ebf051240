"""A tool's JSON Schema as the service accepts it, losing as little as possible. Pure; remembered by its bytes.

PROTOCOL.md §2.6 rules 11 and 13, and what the field met. Each change has a rule name:

    schema_not_an_object      no schema, or not a JSON object: replaced by one without properties
    schema_root_object        the root's type is not "object": said, with the root kept as property `value` if it
                              described something else
    schema_root_union         anyOf/oneOf/allOf at the root: their properties merged, what allOf requires required
    schema_ref_inlined        `$ref` and its definitions: put in place; a recursive or dangling one becomes any value
    schema_required_dropped   `required` empty, null or not a list of names
    schema_additional_dropped `additionalProperties`
    schema_meta_dropped       `$schema`, `$id`, `$comment`, `$anchor`, `$vocabulary`
    schema_null_dropped       any other keyword that is null, where null is no value
    schema_too_deep           nested over 64 levels: any value from there on
"""

from collections import OrderedDict
from typing import Any, cast
from urllib.parse import unquote

import msgspec

NOTHING = b'{"type":"object","properties":{}}'
"""The schema of a tool without parameters."""

_MOST_DEPTH = 64
_MOST_INLINED = 2_000  # schemas whose parts refer to each other crosswise would grow without end
_MOST_INLINED_BYTES = 256 * 1024  # a large part that is referred to often would, too
_REMEMBERED_SIZE = 16 * 1024
_REMEMBERED_RESULT = 64 * 1024
_REMEMBERED = 1024

_META = frozenset({"$schema", "$id", "$comment", "$anchor", "$vocabulary"})
_REFERENCES = frozenset({"$ref", "$defs", "definitions"})
_VALUES = frozenset({"default", "const", "enum", "example", "examples"})
_MAPS_OF_SCHEMAS = frozenset({"properties", "patternProperties", "dependentSchemas", "dependencies"})
_SCHEMAS = frozenset(
    {
        "anyOf", "oneOf", "allOf", "prefixItems", "items", "additionalItems", "contains", "not", "if", "then", "else",
        "propertyNames", "unevaluatedItems", "unevaluatedProperties",
    }
)  # fmt: skip
_UNIONS = ("anyOf", "oneOf", "allOf")


def normalise(schema: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Rewrite a JSON Schema (text). Returns it and the names of the rules applied; without any it is as it was."""
    if len(schema) > _REMEMBERED_SIZE:
        return _normalise(schema)
    known = _remembered.get(schema)
    if known is None:
        known = _normalise(schema)
        if len(known[0]) <= _REMEMBERED_RESULT:
            _remembered[schema] = known
            while len(_remembered) > _REMEMBERED:
                _remembered.popitem(last=False)
    return known


def _normalise(schema: bytes) -> tuple[bytes, tuple[str, ...]]:
    rules: dict[str, None] = {}
    try:
        root = _object(msgspec.json.decode(schema)) if schema else None
        if root is None:
            return NOTHING, ("schema_not_an_object",)
        rewritten = _object_root(_Walk(root, rules).schema(root, (), 0), rules)
        return (msgspec.json.encode(rewritten) if rules else schema), tuple(rules)
    except RecursionError:  # values such as defaults are not walked, but read and written all the same
        return NOTHING, ("schema_too_deep",)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return NOTHING, ("schema_not_an_object",)


_remembered: OrderedDict[bytes, tuple[bytes, tuple[str, ...]]] = OrderedDict()


def _object(value: Any) -> dict[str, Any] | None:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _names(value: Any) -> list[str] | None:
    """The names in a `required`; None if it isn't a list of at least one."""
    names = _list(value)
    return names if names and all(isinstance(name, str) for name in names) else None


class _Walk:
    """Rewrites a schema from the root down. It knows where schemas stand, so a *property* called `$schema` is safe."""

    def __init__(self, root: dict[str, Any], rules: dict[str, None]) -> None:
        self._root = root
        self._rules = rules
        self._inlined = 0
        self._inlined_bytes = 0
        self._sizes: dict[str, int] = {}
        """By reference: the size of what it leads to."""

    def schema(self, schema: dict[str, Any], open_refs: tuple[str, ...], depth: int) -> dict[str, Any]:
        if depth > _MOST_DEPTH:
            self._rules["schema_too_deep"] = None
            return {}
        schema, open_refs = self._in_place(schema, open_refs)
        out: dict[str, Any] = {}
        for key, value in schema.items():
            if key in _META:
                self._rules["schema_meta_dropped"] = None
            elif key in _REFERENCES:
                self._rules["schema_ref_inlined"] = None
            elif key == "additionalProperties":
                self._rules["schema_additional_dropped"] = None
            elif key == "required" and _names(value) is None:
                self._rules["schema_required_dropped"] = None
            elif value is None and key not in _VALUES:
                self._rules["schema_null_dropped"] = None
            elif key in _MAPS_OF_SCHEMAS and (members := _object(value)) is not None:
                out[key] = {name: self._member(member, open_refs, depth) for name, member in members.items()}
            elif key in _SCHEMAS:
                out[key] = self._any(value, open_refs, depth)
            else:
                out[key] = value
        return out

    def _member(self, member: Any, open_refs: tuple[str, ...], depth: int) -> Any:
        if member is None:
            self._rules["schema_null_dropped"] = None
            return {}
        return self._any(member, open_refs, depth)

    def _any(self, value: Any, open_refs: tuple[str, ...], depth: int) -> Any:
        """A schema, a list of schemas, or something else that stays as it is."""
        if isinstance(value, list):
            return [self._any(item, open_refs, depth) for item in cast("list[Any]", value)]
        schema = _object(value)
        return value if schema is None else self.schema(schema, open_refs, depth + 1)

    def _in_place(self, schema: dict[str, Any], open_refs: tuple[str, ...]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The schema with what it refers to, and what stands beside the reference on top."""
        self._inlined += bool(open_refs)
        while isinstance(reference := schema.get("$ref"), str):
            self._rules["schema_ref_inlined"] = None
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            target = self._find(reference)
            if (
                target is None
                or reference in open_refs
                or len(open_refs) > _MOST_DEPTH
                or not self._fits(reference, target)
            ):
                return beside, open_refs
            schema, open_refs = {**target, **beside}, (*open_refs, reference)
        return schema, open_refs

    def _fits(self, reference: str, target: dict[str, Any]) -> bool:
        """Return whether one more target may be inlined, by number and size."""
        size = self._sizes.get(reference)
        if size is None:
            size = self._sizes[reference] = len(msgspec.json.encode(target))
        self._inlined_bytes += size
        return self._inlined <= _MOST_INLINED and self._inlined_bytes <= max(_MOST_INLINED_BYTES, size)

    def _find(self, reference: str) -> dict[str, Any] | None:
        """Follow a local JSON pointer; None if it leads nowhere, or out of this document."""
        if reference == "#":
            return self._root
        if not reference.startswith("#/"):
            return None
        node: Any = self._root
        for step in unquote(reference[2:]).split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, list):
                items = cast("list[Any]", node)
                node = items[int(name)] if name.isdecimal() and len(name) < 5 and int(name) < len(items) else None
            else:
                node = (_object(node) or {}).get(name)
        return _object(node)


def _object_root(schema: dict[str, Any], rules: dict[str, None]) -> dict[str, Any]:
    for union in _UNIONS:
        if union in schema:
            rules["schema_root_union"] = None
            schema = _merged(schema, union)
    declared = schema.get("type")
    properties = _object(schema.get("properties"))
    if declared == "object" and properties is not None:
        return schema
    rules["schema_root_object"] = None
    if declared in (None, "object") or properties or "object" in _list(declared):
        return {**schema, "type": "object", "properties": properties or {}}
    return {"type": "object", "properties": {"value": schema}}


def _merged(schema: dict[str, Any], union: str) -> dict[str, Any]:
    """The root without one of its unions, whose branches' properties become its own."""
    merged = {"type": "object", **schema}
    properties = dict(_object(schema.get("properties")) or {})
    required = list(_names(schema.get("required")) or ())
    for branch in map(_object, _list(merged.pop(union))):
        for name, member in (_object((branch or {}).get("properties")) or {}).items():
            properties.setdefault(name, member)
        if union == "allOf":
            required += _names((branch or {}).get("required")) or ()
    merged["properties"] = properties
    if required:
        merged["required"] = list(dict.fromkeys(required))
    return merged
