"""A scan of JSON text in slices: how many values, how deep, how much text, without decoding any of it.

A decoder holds the interpreter for the whole of a body. This scan is called slice by slice, so its caller can let
others run in between, and a body that is too large in any of these ways is refused before it is decoded. It doesn't
check that the text is JSON.
"""

import re
from itertools import accumulate, filterfalse
from typing import Final

SLICE: Final = 128 * 1024
"""Bytes that are scanned or rewritten in one step, which takes a few milliseconds at most."""

_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_STEP: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_ESCAPED: Final = b"\x80\x80"
"""Stands for an escaped backslash or quote while a slice is cut at its quotes: no ASCII, so that it marks text."""


class JsonScan:
    """Counts over the slices fed so far.

    `values`: commas and opening brackets, which is at most the number of values. `depth`: the deepest nesting.
    `text_bytes`: bytes of strings that hold an escape or a character beyond ASCII; base64 never does.
    """

    def __init__(self) -> None:
        self.values = 0
        self.depth = 0
        self.text_bytes = 0
        self._carry = b""
        self._level = 0
        self._in_string = False
        self._string_is_text = False
        self._plain_bytes = 0
        """Bytes of the string that is still open, as long as it is no text."""

    def feed(self, data: bytes) -> None:
        data = self._carry + data
        if (len(data) - len(data.rstrip(b"\\"))) % 2:  # an escape that is cut
            self._carry = b"\\"
            data = data[:-1]
        else:
            self._carry = b""
        if b"\\" in data:
            data = data.replace(b"\\\\", _ESCAPED).replace(b'\\"', _ESCAPED)
            data = data.replace(b"\\", b"\x80")
        pieces = data.split(b'"')
        self._text(pieces, plain=data.isascii())
        outside = b"".join(pieces[self._in_string :: 2])
        self._in_string ^= len(pieces) % 2 == 0
        self.values += outside.count(b",") + outside.count(b"[") + outside.count(b"{")
        brackets = outside.translate(None, _NOT_BRACKETS)
        if brackets:
            levels = list(accumulate(map(_STEP.__getitem__, brackets), initial=self._level))
            self._level = levels[-1]
            self.depth = max([self.depth, *levels])

    def _text(self, pieces: list[bytes], *, plain: bool) -> None:
        """Add to `text_bytes`. `plain`: no piece holds text."""
        last_open = (len(pieces) % 2 == 0) ^ self._in_string
        first = 0 if self._in_string else 1
        strings = pieces[first::2]
        if self._in_string:  # the rest of the string that the slice before left open
            self._open_string(strings[0])
            strings = strings[1:]
            if len(pieces) == 1:
                return
        if last_open:
            self._string_is_text, self._plain_bytes = False, 0
            self._open_string(strings.pop())
        if not plain:
            self.text_bytes += sum(map(len, filterfalse(bytes.isascii, strings)))

    def _open_string(self, piece: bytes) -> None:
        if self._string_is_text:
            self.text_bytes += len(piece)
        elif piece.isascii():
            self._plain_bytes += len(piece)
        else:
            self._string_is_text = True
            self.text_bytes += self._plain_bytes + len(piece)


_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE: Final = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (_HIGH, _LOW, _HIGH, _LOW))
_CUT: Final = re.compile(rb"(?:%b)?(?:\\(?:u[0-9a-fA-F]{0,3})?)?\Z" % _HIGH)
"""The end of a slice that may go on in the next one: half a pair, and an escape that is cut."""
_PAIR_END: Final = 12
_PROTECTED: Final = b"\xff\xff"
"""Stands for an escaped backslash, so that every other backslash begins an escape. UTF-8 has no such bytes."""


def may_hold_surrogates(json: bytes) -> bool:
    """Return whether the text may hold an escaped half of a surrogate pair, alone or in a pair."""
    return b"\\ud" in json or b"\\uD" in json


class SurrogateMender:
    """Replaces each half of a surrogate pair that stands alone with U+FFFD, slice by slice.

    Not for text that holds the byte 0xFF, which no UTF-8 does.
    """

    def __init__(self) -> None:
        self._carry = b""

    def feed(self, data: bytes) -> bytes:
        """Return what is certain by now."""
        data = self._carry + data
        odd = (len(data) - len(data.rstrip(b"\\"))) % 2
        text = data[: len(data) - odd].replace(b"\\\\", _PROTECTED)
        cut = _CUT.search(text, max(0, len(text) - _PAIR_END))
        end = cut.start() if cut else len(text)
        self._carry = text[end:] + b"\\" * odd
        return self._mended(text[:end])

    def close(self) -> bytes:
        """Return the rest."""
        return self._mended(self._carry)

    @staticmethod
    def _mended(text: bytes) -> bytes:
        if may_hold_surrogates(text):
            text = _LONE.sub(rb"\\ufffd", text)
        return text.replace(_PROTECTED, b"\\\\")
