"""The arguments of a replayed call: OpenAI's APIs have them as a string of JSON, a `ToolUse` as the object's text."""

import msgspec
from msgspec import Raw

from qrelay.apis import body
from qrelay.apis.ignored import Ignored

EMPTY = Raw(b"{}")

_objects = msgspec.json.Decoder(dict[str, Raw])


def read(arguments: str | dict[str, Raw] | None, ignored: Ignored, place: str) -> Raw:
    """The JSON object; nothing is an empty one. Text that is no object is kept in one, and `place` is reported."""
    match arguments:
        case None:
            return EMPTY
        case dict():
            return Raw(msgspec.json.encode(arguments))
        case str():
            if not arguments.strip():
                return EMPTY
    given = arguments.encode()
    if _is_object(given) or _is_object(given := body.mended(given)):
        return Raw(given)
    ignored.add(place)
    return Raw(msgspec.json.encode({"arguments": arguments}))


def _is_object(json: bytes) -> bool:
    try:
        _objects.decode(json)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
