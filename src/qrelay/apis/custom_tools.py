r"""OpenAI's custom tools, whose input is free text, as functions with one string property. Not how a room streams them.

    client's tool  -> a function with the schema SCHEMA
    client's call  -> wrap(text)           {"input": "text"}
    model's call   -> unwrap(arguments)    text, or piece by piece: FreeText

Source: DESIGN.md §7: the upstream knows functions only, so a custom tool goes there as one with exactly `input`.
"""

import re

import msgspec
from msgspec import Raw, Struct

SCHEMA = Raw(b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}')

_BEGIN = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_LONGEST_BEGINNING = 1_000
"""Of the arguments, up to the first character of the text: white space may stand between its words."""
_LONGEST_CUT = 11
"""Characters of a surrogate pair's escape without its last one: whatever is longer will never be read as text."""
_HIGH, _LOW = r"[dD][89abAB][0-9a-fA-F]{2}", r"[dD][c-fC-F][0-9a-fA-F]{2}"
_CHARACTERS = re.compile(rf'(?:[^"\\]|\\["\\/bfnrt]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{{4}}|\\u{_HIGH}\\u{_LOW})*')
"""Whole characters of a JSON string, as they are written there: an escape that is cut stays behind."""


class _Input(Struct):
    input: str


_decoder = msgspec.json.Decoder(_Input)
_strings = msgspec.json.Decoder(str)


def wrap(text: str) -> Raw:
    """The free text of a call as the function's arguments."""
    return Raw(msgspec.json.encode(_Input(text)))


def unwrap(arguments: bytes) -> str:
    """The function's arguments as free text. Arguments of another shape are handed over as they are: JSON is text."""
    try:
        return _decoder.decode(arguments).input
    except msgspec.DecodeError:
        return arguments.decode()


class FreeText:
    """`unwrap` in pieces: the text that each piece of the arguments adds, together exactly what `unwrap` gives."""

    def __init__(self) -> None:
        self._arguments: list[str] = []
        self._said: list[str] = []
        self._pending: str = ""
        """What came and is not said yet: the beginning of the object, or a cut escape."""
        self._begun = False
        self._ended = False
        """No more text will come: after the end of the string, or something that no string may hold."""

    def feed(self, json: str) -> str:
        self._arguments.append(json)
        if self._ended:
            return ""
        written: str = self._pending + json
        if not self._begun:
            begin = _BEGIN.match(written)
            if begin is None:
                self._pending = written[:_LONGEST_BEGINNING]  # behind so much of anything else there is no beginning
                return ""
            self._begun = True
            written = written[begin.end() :]
        found = _CHARACTERS.match(written)
        end = found.end() if found else 0
        self._pending = written[end:]
        self._ended = len(self._pending) > _LONGEST_CUT
        text = _strings.decode(f'"{written[:end]}"')
        self._said.append(text)
        return text

    def close(self) -> tuple[str, str]:
        """(what is left to say, the whole text) when the arguments are complete."""
        whole = unwrap("".join(self._arguments).encode())
        said = "".join(self._said)
        return whole.removeprefix(said), whole


def describe(description: str, syntax: str | None, definition: str | None) -> str:
    """A custom tool's description with its grammar, which has no other place upstream."""
    if definition is None:
        return description
    rule = f"The input must follow this {syntax or 'lark'} grammar:\n{definition}"
    return f"{description}\n\n{rule}" if description else rule
