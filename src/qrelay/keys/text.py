"""What a client key looks like. Making one and telling a mistyped one; no storage.

    qr_ | 43 characters: 32 random bytes in base 62 | 6 characters: the CRC-32 of all before them

The beginning and the check sum let scanners for secrets find a key in a text, and people learn at once that they did
not copy it whole (OPERATIONS.md B.3).
"""

import re
import secrets
import string
import zlib
from typing import Final

PREFIX: Final = "qr_"
LENGTH: Final = 52

_DIGITS: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_BODY: Final = 43  # 62**43 > 2**256
_CHECK: Final = 6  # 62**6 > 2**32
_FORM: Final = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_BODY + _CHECK}}}")


def new_key() -> str:
    """A key nobody has."""
    return with_check(PREFIX + _base62(secrets.randbits(256), _BODY))


def with_check(text: str) -> str:
    """The text and its check sum."""
    return text + _base62(zlib.crc32(text.encode()), _CHECK)


def is_whole(text: str) -> bool:
    """Whether this may be a key of ours: of its form, and with the check sum that belongs to it."""
    return _FORM.fullmatch(text) is not None and with_check(text[:-_CHECK]) == text


def _base62(number: int, width: int) -> str:
    digits: list[str] = []
    for _ in range(width):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
