"""What a request wants its answer to be, if that is JSON: a JSON Schema, whichever API asked for it.

    json_object                                  any object
    json_schema                                  `schema`; Chat Completions has it inside a `json_schema`

The service has no field for it. The instructions ask the model; nothing checks the answer, so it is reported as well.
"""

import msgspec
from msgspec import Raw

OBJECT = Raw(b'{"type":"object"}')

_members = msgspec.json.Decoder(dict[str, Raw])


def schema_of(kind: str, given: Raw) -> Raw | None:
    """The schema, None where no JSON is asked for. `given`: what stands beside the kind, if anything does."""
    if kind not in {"json_object", "json_schema"}:
        return None
    return given if kind == "json_schema" and bytes(given)[:1] == b"{" else OBJECT


def inside(json_schema: Raw) -> Raw:
    """The `schema` in Chat Completions' `json_schema`."""
    try:
        return _members.decode(json_schema).get("schema", Raw())
    except msgspec.DecodeError:
        return Raw()
