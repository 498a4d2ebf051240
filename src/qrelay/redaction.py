"""Redaction: secrets, prompts and control characters taken out of text before anybody reads it. Pure.

    Redactor.mask(text)              secrets of this process by value, tokens by their looks: for our own log lines
    Redactor.clean(text, …)          the same, and all else that text from outside must lose
    Redactor.for_call(secrets, sent) `clean` for the answer to one call: what that call sent is never repeated

Text from outside is what the service, a token service or a proxy says: error messages, names, header values. It is
cleaned once, where it enters, before it is stored, logged or answered. The model's own words are never changed.
"""

import re
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from html import unescape
from typing import Final, TypeAlias
from urllib.parse import unquote, unquote_to_bytes

MASK: Final = "[redacted]"
LONGEST_TEXT: Final = 500
"""Characters of a text from outside that are kept; an ellipsis marks a cut."""
ELLIPSIS: Final = "…"

Clean: TypeAlias = Callable[[str], str]
"""`Redactor.clean`, ready for the answer to one call."""

_LONGEST_READ: Final = 4096
_SHORTEST_KNOWN: Final = 4
_SHORTEST_OF_CALL: Final = 8
_SHORTEST_HELD: Final = 20
"""Shorter secrets of a call, or of accounts, could be words. Real ones have hundreds of characters."""
_WINDOW: Final = 28
_STEP: Final = 12
_MOST_WINDOWS: Final = 120_000
_BLOCK: Final = 20
_MOST_BLOCKS: Final = 50

_SECRET_LOOKS: Final = re.compile(
    r"""
    (?P<bearer> \b bearer [\s"']+ ) (?! tokens? \b ) [\w.~+/=:-]{4,}
    | (?P<basic> \b basic [\s"']+ ) (?= [\w+/]* [\d=] ) [\w+/]{8,} =*
    | \b (?: qr_ | ksk_ | ao[ar] ) [\w.~+/=:-]{8,}                  # our keys, Kiro's keys, AWS's tokens
    | \b eyJ [\w-]{8,} \. [\w-]{4,} (?: \. [\w-]* )*                        # JSON web tokens
    | (?P<named>                                                            # refreshToken=…, "client_secret": "…"
        \b (?: (?:access|refresh|id|session)[-_]?token | client[-_]?secret | device[-_]?code | x-api-key | api[-_]?key
             | password | (?:proxy-)?authorization ) \\* ["']? \s* [:=] \s* (?: [bBuU]? \\* ["'] )?
             (?: (?: bearer | basic ) \s )?
      ) (?! \[redacted | (?: bearer | basic ) \b ) [^\s"'\\,;&}\])]{4,}
    | (?P<address> \b https?://[^\s"'?<>]+ | (?<=\s)/[\w./-]* ) \? [^\s"'<>]+   # the query of an address
    """,
    re.VERBOSE | re.IGNORECASE,
)
# C0, DEL and C1; what changes the direction of text; what has no width; tags; halves of surrogate pairs.
_CONTROL: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff]+"
)
_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))
_LONG_WORD: Final = re.compile(r"[\x21-\x7e]{20}")


class Redactor:
    """Takes out of text what must not be read.

    `values` are the secrets of the settings; `held` gives those that this process has now, such as accounts' tokens.
    """

    def __init__(self, values: Iterable[str] = (), held: Callable[[], Iterable[str]] = tuple) -> None:
        known = sorted({value for value in values if len(value) >= _SHORTEST_KNOWN}, key=len, reverse=True)
        self._known = re.compile("|".join(map(_however_quoted, known))) if known else None
        self._held = held

        self.word = lru_cache(maxsize=1024)(self.mask)
        """`mask`, remembered: for names that come again and again."""

    def mask(self, text: str) -> str:
        """Return the text without secrets that are known by value or look like one."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return _SECRET_LOOKS.sub(_keep_name, text)

    def clean(self, text: str, secrets: Sequence[str] = (), sent: Callable[[], str] = str) -> str:
        """Return text from outside as one short line, fit to be stored, logged and answered.

        `secrets` went with the call that this answers; `sent` gives what else did, such as the prompt: a stretch of
        about 40 letters of either is replaced by an ellipsis, a shorter one may stay. Takes time for the length of
        what was sent, so it is for errors and other rare texts.
        """
        text = self._without_secrets(_one_line(text), secrets)
        text = _without_echo(self.mask(text), (*secrets, sent))
        return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1].rstrip() + ELLIPSIS

    def for_call(self, *secrets: str | None, sent: Callable[[], str] = str) -> Clean:
        """Return `clean` for what answers a call that was made with these secrets and texts."""
        return partial(self.clean, secrets=tuple(secret for secret in secrets if secret), sent=sent)

    def _without_secrets(self, text: str, secrets: Sequence[str]) -> str:
        """Return the text without secrets known by value; nothing of it if it repeats one in another spelling."""
        known = [secret for secret in secrets if len(secret) >= _SHORTEST_OF_CALL]
        if _LONG_WORD.search(text) is not None:
            known += [secret for secret in self._held() if len(secret) >= _SHORTEST_HELD]
        for secret in sorted((secret for secret in known if secret in text), key=len, reverse=True):
            text = text.replace(secret, MASK)
        for spelt in {unescape(text), unquote(text), text.replace("\\", "")} - {text}:
            if (self._known and self._known.search(spelt)) or any(secret in spelt for secret in known):
                return MASK
        return text


CLEAN: Final[Clean] = Redactor().clean
"""Cleans a text by patterns alone, for texts that answer no call of ours."""


def readable(data: bytes, length: int) -> str | None:
    """Return the beginning of the text in bytes; None if they are not UTF-8 or have control characters in them."""
    try:
        text = getincrementaldecoder("utf-8")().decode(data[: 4 * length + 4])
    except UnicodeDecodeError:
        return None
    if any(character not in "\t\n\f\r" for found in _CONTROL.finditer(text) for character in found[0]):
        return None
    return _beginning(text, length)


def _beginning(text: str, length: int) -> str:
    """Return a text's first characters, without a word that is cut: half of a secret is not known as one."""
    return text if len(text) <= length else text[:length].rstrip(_PRINTABLE)


def _one_line(text: str) -> str:
    """Return the beginning of a text without control characters; line breaks and the like become spaces."""
    return " ".join(_CONTROL.sub(_space_or_nothing, _beginning(text, _LONGEST_READ)).split())


def _space_or_nothing(found: re.Match[str]) -> str:
    return " " if any(character.isspace() for character in found[0]) else ""


def _however_quoted(value: str) -> str:
    """A pattern for the value as it is, and as JSON or `repr` write it, once or several times over."""
    loose = {'"': r'\\*"', "'": r"\\*'", "\\": r"\\+"}
    return "".join(loose.get(character) or re.escape(character) for character in value)


def _keep_name(found: re.Match[str]) -> str:
    if found["address"]:
        return found["address"]
    return (found["bearer"] or found["basic"] or found["named"] or "") + MASK


# --- what was sent, said again ----------------------------------------------------------------------------------------
#
# Only letters and digits are compared, since an echo may be escaped in other ways than what was sent. Every window of
# what was sent, twelve letters apart, is looked up at each letter of the text: a common stretch of 39 letters has one.

_ESCAPES: Final = (b"\\n", b"\\r", b"\\t", b"\\b", b"\\f")
_NO_LETTERS: Final = bytes(code for code in range(128) if not chr(code).isalnum())
_PLAIN: Final = re.compile(r"\\[nrtbf]|.", re.DOTALL)
_ESCAPED: Final = re.compile(
    r"\\+u(?P<unicode>[0-9a-fA-F]{4})|(?P<percent>(?:%[0-9a-fA-F]{2})+)|(?P<entity>&#?\w{2,8};)|\\[nrtbf]|.", re.DOTALL
)


def _without_echo(text: str, sent: Sequence[str | Callable[[], str]]) -> str:
    """Return the text with an ellipsis for every longer stretch of what was sent."""
    if len(text) < _WINDOW:
        return text
    letters = _letters("\n".join(piece if isinstance(piece, str) else piece() for piece in sent))
    escaped = any(mark in text for mark in "\\%&")
    if not escaped and not _shares(_spelt(text, _PLAIN)[0], letters):
        return text
    last = len(letters) - _WINDOW
    windows = {letters[at : at + _WINDOW]: at for at in range(0, last + 1, max(_STEP, last // _MOST_WINDOWS))}
    text = _cut_out(text, _PLAIN, letters, windows)
    return _cut_out(text, _ESCAPED, letters, windows) if escaped else text


def _shares(said: bytes, letters: bytes) -> bool:
    """Return whether a stretch of 39 letters may be common: then one of these blocks is. Quicker than the windows."""
    blocks = range(0, len(said) - _BLOCK + 1, _BLOCK)
    return len(blocks) > _MOST_BLOCKS or any(said[at : at + _BLOCK] in letters for at in blocks)


def _letters(text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    if b"\\" in data:
        for escape in _ESCAPES:
            data = data.replace(escape, b"")
    return data.translate(None, _NO_LETTERS)


def _cut_out(text: str, spelling: re.Pattern[str], letters: bytes, windows: Mapping[bytes, int]) -> str:
    said, places = _spelt(text, spelling)
    kept: list[str] = []
    end = kept_to = 0
    at = 0
    while at + _WINDOW <= len(said):
        found = windows.get(said[at : at + _WINDOW])
        if found is None:
            at += 1
            continue
        begin = at
        while begin > end and found and said[begin - 1] == letters[found - 1]:
            begin, found = begin - 1, found - 1
        end, found = at + _WINDOW, found + at - begin + _WINDOW
        while end < len(said) and found < len(letters) and said[end] == letters[found]:
            end, found = end + 1, found + 1
        kept += text[kept_to : places[begin][0]], ELLIPSIS
        kept_to = places[end - 1][1]
        at = end
    return "".join((*kept, text[kept_to:]))


def _spelt(text: str, spelling: re.Pattern[str]) -> tuple[bytes, list[tuple[int, int]]]:
    """Return the letters of a text, and for each byte of them where in the text it begins and ends."""
    said = bytearray()
    places: list[tuple[int, int]] = []
    for found in spelling.finditer(text):
        letters = _decoded(found).translate(None, _NO_LETTERS)
        said += letters
        places += [found.span()] * len(letters)
    return bytes(said), places


def _decoded(found: re.Match[str]) -> bytes:
    match found.lastgroup:
        case "unicode":
            return chr(int(found["unicode"], 16)).encode("utf-8", "replace")
        case "percent":
            return unquote_to_bytes(found["percent"])
        case "entity":
            return unescape(found["entity"]).encode("utf-8", "replace")
        case _:
            return found[0].encode() if len(found[0]) == 1 else b""  # else an escape
