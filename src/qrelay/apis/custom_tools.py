"""OpenAI's custom tools, whose input is free text, as functions with one string property. Not how a room streams them.

Source: DESIGN.md §7: the upstream knows functions only, so a custom tool goes there as one with exactly `input`.
"""

import msgspec
from msgspec import Raw, Struct

SCHEMA = Raw(b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}')


class _Input(Struct):
    input: str


_decoder = msgspec.json.Decoder(_Input)


def wrap(text: str) -> Raw:
    """The free text of a call as the function's arguments."""
    return Raw(msgspec.json.encode(_Input(text)))


def unwrap(arguments: bytes) -> str:
    """The function's arguments as free text. Arguments of another shape are handed over as they are: JSON is text."""
    try:
        return _decoder.decode(arguments).input
    except msgspec.DecodeError:
        return arguments.decode()


def describe(description: str, syntax: str | None, definition: str | None) -> str:
    """A custom tool's description with its grammar, which has no other place upstream."""
    if definition is None:
        return description
    rule = f"The input must follow this {syntax or 'lark'} grammar:\n{definition}"
    return f"{description}\n\n{rule}" if description else rule
