"""Arguments for a tool, made from its own JSON schema: the smallest object that satisfies it. Not which tool to use."""

from typing import Any, cast

Schema = dict[str, Any]


def properties(document: Schema) -> dict[str, Schema]:
    found = document.get("properties")
    return cast("dict[str, Schema]", found) if isinstance(found, dict) else {}


def required(document: Schema) -> list[str]:
    found = document.get("required")
    return cast("list[str]", found) if isinstance(found, list) else []


def fill(document: Schema, known: dict[str, Any], root: Schema | None = None) -> dict[str, Any]:
    """`known` values by property name, then a value for each other required property."""
    root = root or document
    filled: dict[str, Any] = dict(known)
    for name in required(document):
        if name not in filled:
            filled[name] = example(properties(document).get(name, {}), name, root)
    return filled


def example(document: Schema, name: str, root: Schema, depth: int = 0) -> Any:
    """A value for the property `name`, by `const`, `enum`, `default`, type and bounds, in this order."""
    reference = document.get("$ref")
    if isinstance(reference, str) and depth < 8:
        return example(_resolve(reference, root), name, root, depth + 1)
    if "const" in document:
        return document["const"]
    for key in ("enum", "examples"):
        if isinstance(document.get(key), list) and document[key]:
            return document[key][0]
    if "default" in document:
        return document["default"]
    for key in ("anyOf", "oneOf", "allOf"):
        if isinstance(document.get(key), list) and document[key]:
            return example(document[key][0], name, root, depth + 1)
    kinds: Any = document.get("type")
    several = cast("list[object]", kinds) if isinstance(kinds, list) else [cast("object", kinds)]
    kind = several[0] if several else None
    match kind:
        case "boolean":
            return False
        case "integer" | "number":
            return _number(document)
        case "array":
            wanted = int(document.get("minItems", 0))
            items: Any = document.get("items")
            item = cast("Schema", items) if isinstance(items, dict) else {}
            return [example(item, name, root, depth + 1) for _ in range(wanted)]
        case "object":
            if depth >= 8:
                return {}
            return {
                inner: example(properties(document).get(inner, {}), inner, root, depth + 1)
                for inner in required(document)
            }
        case "null":
            return None
        case _:
            text = name if document.get("format") != "uri" else "https://example.com/"
            return text.ljust(int(document.get("minLength", 0)), ".")[: int(document.get("maxLength", 1 << 20))]


def _number(document: Schema) -> int:
    lowest = document.get("minimum", document.get("exclusiveMinimum"))
    if isinstance(lowest, (int, float)) and lowest >= 1:
        return int(lowest) + ("exclusiveMinimum" in document)
    highest = document.get("maximum", document.get("exclusiveMaximum"))
    if isinstance(highest, (int, float)) and highest <= 1:
        return int(highest) - ("exclusiveMaximum" in document)
    return 1


def _resolve(reference: str, root: Schema) -> Schema:
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = cast("dict[str, Any]", found).get(part) if isinstance(found, dict) else None
    return cast("Schema", found) if isinstance(found, dict) else {}
