"""Tool specifications as the service accepts them: names, descriptions, schemas. Pure; cached by a schema's bytes.

Every change has a rule name, which the request log and `x-qrelay-adjusted` show:

    tool_renamed              the name had characters or a length the service refuses (§2.3); undone in the reply
    tool_duplicate_dropped    a second tool of the same name (TOOL_DUPLICATE)
    tool_description_added    an empty description is invalid
    tool_description_moved    over 10,240 characters: the rest goes to the system text, nothing is lost
    tool_synthesised          the history uses a tool that the request does not offer (rules 7 and 8)
    schema_*                  see `normalise`
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple, cast

import msgspec
from msgspec import Raw

from qrelay.conversation import ToolSpec
from qrelay.upstream.schema import Tool, ToolInputSchema, ToolSpecification

NAME_LIMIT = 64
DESCRIPTION_LIMIT = 10_240
_LEGAL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]+")
_MOVED = "\n\n(The rest of this description is in the instructions at the start of the conversation.)"


class Toolbox(NamedTuple):
    """The tools of one request. `alias` maps a client's name to the service's; `overflow` is for the system text."""

    tools: list[Tool]
    alias: Mapping[str, str]
    overflow: tuple[str, ...]
    adjustments: tuple[str, ...]

    @property
    def original(self) -> dict[str, str]:
        """The service's name to the client's, for the reply; only names that differ."""
        return {theirs: ours for ours, theirs in self.alias.items() if theirs != ours}


def toolbox(specs: Iterable[ToolSpec], used_names: Iterable[str]) -> Toolbox:
    """Make the service's tool list from what the request offers and what its history has used."""
    adjustments: list[str] = []
    offered: dict[str, ToolSpec] = {}
    for spec in specs:
        if spec.name in offered:
            adjustments.append("tool_duplicate_dropped")
        else:
            offered[spec.name] = spec
    for name in used_names:
        if name not in offered:
            adjustments.append("tool_synthesised")
            offered[name] = ToolSpec(
                name, "Used earlier in this conversation; no longer available. Do not call it.", Raw(b"{}")
            )
    alias = legal_names(offered)
    tools: list[Tool] = []
    overflow: list[str] = []
    for name, spec in offered.items():
        theirs = alias[name]
        if theirs != name:
            adjustments.append("tool_renamed")
        description = spec.description
        if not description.strip():
            description = name.strip() or theirs
            adjustments.append("tool_description_added")
        elif len(description) > DESCRIPTION_LIMIT:
            cut = DESCRIPTION_LIMIT - len(_MOVED)
            overflow.append(f"The rest of the description of the tool {theirs}:\n{description[cut:]}")
            description = description[:cut] + _MOVED
            adjustments.append("tool_description_moved")
        schema, rules = normalise(bytes(spec.schema))
        adjustments.extend(rules)
        tools.append(Tool(ToolSpecification(theirs, description, ToolInputSchema(Raw(schema)))))
    return Toolbox(tools, alias, tuple(overflow), tuple(dict.fromkeys(adjustments)))


def legal_names(names: Iterable[str]) -> dict[str, str]:
    """Give every name one the service accepts: itself if it can be, else a short form with a digest, never twice."""
    names = list(names)
    taken = {name for name in names if _LEGAL_NAME.fullmatch(name)}
    alias: dict[str, str] = {}
    for name in names:
        if name in taken:
            alias[name] = name
            continue
        digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        readable = _ILLEGAL.sub("_", name).strip("_") or "tool"
        length = 8
        while (legal := f"{readable[: NAME_LIMIT - length - 1]}_{digest[:length]}") in taken:
            length += 1
        taken.add(legal)
        alias[name] = legal
    return alias


@lru_cache(maxsize=2048)
def normalise(schema: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Rewrite a JSON Schema (text) to what the service takes, losing as little as possible.

    Returns the schema and the names of the rules applied (PROTOCOL.md §2.6 rules 11 and 13; what the field met):

        schema_not_an_object      no schema, or not a JSON object: replaced by one without properties
        schema_root_object        the root's type is not "object": said, with the root kept as property `value` if it
                                  described something else
        schema_root_union         anyOf/oneOf/allOf at the root: their properties merged, none required
        schema_ref_inlined        `$ref` to `$defs`/`definitions`: put in place; a recursive one becomes any value
        schema_required_dropped   `required` empty, null or not a list of names
        schema_additional_dropped `additionalProperties`
        schema_meta_dropped       `$schema`, `$id`, `$comment`
    """
    rules: dict[str, None] = {}
    try:
        root = _object(msgspec.json.decode(schema)) if schema else None
        if root is not None:
            root = _object_root(_Walk(root, rules).schema(root, ()), rules)
    except (msgspec.DecodeError, RecursionError):
        root = None
    if root is None:
        return b'{"type":"object","properties":{}}', ("schema_not_an_object",)
    return (msgspec.json.encode(root) if rules else schema), tuple(rules)


def _object(value: Any) -> dict[str, Any] | None:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


_META = ("$schema", "$id", "$comment")
_DEFINITIONS = ("$defs", "definitions")
_MAPS_OF_SCHEMAS = ("properties", "patternProperties", "dependentSchemas")
_LISTS_OF_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMAS = ("items", "not", "if", "then", "else", "contains", "propertyNames")


_MAX_INLINED = 200  # schemas whose parts refer to each other crosswise would grow without end


class _Walk:
    """Rewrites a schema from the root down. It knows where schemas stand, so a *property* called `$schema` is safe."""

    def __init__(self, root: dict[str, Any], rules: dict[str, None]) -> None:
        self._root = root
        self._rules = rules
        self._inlined = 0

    def schema(self, schema: dict[str, Any], open_refs: tuple[str, ...]) -> dict[str, Any]:
        reference = schema.get("$ref")
        if isinstance(reference, str):
            return self._inline(reference, schema, open_refs)
        out: dict[str, Any] = {}
        for key, value in schema.items():
            if key in _META:
                self._rules["schema_meta_dropped"] = None
            elif key in _DEFINITIONS:
                self._rules["schema_ref_inlined"] = None
            elif key == "additionalProperties":
                self._rules["schema_additional_dropped"] = None
            elif key == "required" and not (_list(value) and all(isinstance(name, str) for name in _list(value))):
                self._rules["schema_required_dropped"] = None
            elif key in _MAPS_OF_SCHEMAS and (members := _object(value)) is not None:
                out[key] = {name: self._any(member, open_refs) for name, member in members.items()}
            elif key in _LISTS_OF_SCHEMAS:
                out[key] = [self._any(member, open_refs) for member in _list(value)]
            elif key in _SCHEMAS:
                out[key] = self._any(value, open_refs)
            else:
                out[key] = value
        return out

    def _any(self, value: Any, open_refs: tuple[str, ...]) -> Any:
        schema = _object(value)
        return value if schema is None else self.schema(schema, open_refs)

    def _inline(self, reference: str, schema: dict[str, Any], open_refs: tuple[str, ...]) -> dict[str, Any]:
        self._rules["schema_ref_inlined"] = None
        self._inlined += 1
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        target = self._find(reference)
        if target is None or reference in open_refs or self._inlined > _MAX_INLINED:
            return {key: value for key, value in beside.items() if key == "description"}
        return self.schema({**target, **beside}, (*open_refs, reference))

    def _find(self, reference: str) -> dict[str, Any] | None:
        """Follow a local JSON pointer; None if it leads nowhere, or out of this document."""
        if not reference.startswith("#"):
            return None
        node: dict[str, Any] | None = self._root
        for step in reference[1:].split("/")[1:]:
            if node is None:
                return None
            node = _object(node.get(step.replace("~1", "/").replace("~0", "~")))
        return node


def _object_root(schema: dict[str, Any], rules: dict[str, None]) -> dict[str, Any]:
    for union in ("anyOf", "oneOf", "allOf"):
        if union not in schema:
            continue
        rules["schema_root_union"] = None
        properties: dict[str, Any] = dict(_object(schema.get("properties")) or {})
        for branch in _list(schema[union]):
            for name, member in (_object((_object(branch) or {}).get("properties")) or {}).items():
                properties.setdefault(name, member)
        schema = {"type": "object", **schema, "properties": properties}
        del schema[union]
    declared = schema.get("type")
    properties = _object(schema.get("properties")) or {}
    if declared == "object" and isinstance(schema.get("properties"), dict):
        return schema
    rules["schema_root_object"] = None
    if declared in (None, "object") or properties or "object" in _list(declared):
        return {**schema, "type": "object", "properties": properties}
    return {"type": "object", "properties": {"value": schema}}
