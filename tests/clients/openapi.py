"""OpenAI's OpenAPI document, cut to what this gateway serves. Not what is asked with it (`suites.py`)."""

from collections.abc import Iterator
from typing import Any, TypeAlias, cast

Json: TypeAlias = dict[str, Any]

ROUTES = {
    "/chat/completions": ("post",),
    "/models": ("get",),
    "/models/{model}": ("get",),
    "/responses": ("post",),
    "/responses/{response_id}": ("get", "delete"),
    "/responses/compact": ("post",),
}
LEFT_OUT = ("background", "conversation", "prompt", "previous_response_id", "stream")
"""What is refused on purpose, or refers to something that was never made. Streams: the tool doesn't look into them."""
MODEL = {"type": "string", "enum": ["claude-sonnet-4-5"]}


def cut(document: Json) -> Json:
    """The same document with nothing but ROUTES, a model that exists, and requests that ask for something."""
    paths = {path: _methods(document["paths"][path], methods) for path, methods in ROUTES.items()}
    whole = {"openapi": document["openapi"], "info": document["info"], "paths": paths, "components": {}}
    for kind, name in _needed(document, paths):
        whole["components"].setdefault(kind, {})[name] = document["components"][kind][name]
    schemas: dict[str, Json] = whole["components"]["schemas"]
    for name in [name for name in schemas if name.startswith("ModelIds")]:
        schemas[name] = MODEL
    for name in (
        "CreateResponse",
        "ResponseProperties",
        "CreateChatCompletionRequest",
        "CompactResponseMethodPublicBody",
    ):
        _leave_out(schemas[name])
    schemas["CreateResponse"]["allOf"].append({"required": ["model", "input"], "properties": {"model": MODEL}})
    schemas["CompactResponseMethodPublicBody"]["required"] = ["model", "input"]
    # The service itself answers null here, and its SDK's type says so.
    schemas["ModelResponseProperties"]["properties"]["user"] = {"type": ["string", "null"]}
    return whole


def _methods(path: Json, methods: tuple[str, ...]) -> Json:
    return {name: path[name] for name in (*methods, "parameters") if name in path}


def _needed(document: Json, start: Json) -> Iterator[tuple[str, str]]:
    """(kind, name) of every component that `start` refers to, however far away."""
    seen: set[str] = set()
    waiting = [*_references(start)]
    while waiting:
        reference = waiting.pop()
        if reference in seen:
            continue
        seen.add(reference)
        _, _, kind, name = reference.split("/", 3)
        yield kind, name
        waiting.extend(_references(document["components"][kind][name]))


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, member in cast("Json", value).items():
            if name == "$ref" and isinstance(member, str):
                yield member
            else:
                yield from _references(member)
    elif isinstance(value, list):
        for each in cast("list[Any]", value):
            yield from _references(each)


def _leave_out(schema: Any) -> None:
    if isinstance(schema, dict):
        members = cast("Json", schema)
        if isinstance(properties := members.get("properties"), dict):
            for name in LEFT_OUT:
                cast("Json", properties).pop(name, None)
        for member in members.values():
            _leave_out(member)
    elif isinstance(schema, list):
        for each in cast("list[Any]", schema):
            _leave_out(each)
