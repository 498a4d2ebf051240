"""Characters that a terminal or a reader obeys instead of showing: in texts that others wrote.

C0 and C1 controls (escape sequences), marks that turn the direction of text around, and characters without width.
Line feeds and tabs stay.
"""

import re
from typing import Final

_CONTROLS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def replace_controls(text: str) -> str:
    """Return the text with U+FFFD in place of each of them."""
    return text if _is_plain(text) else _CONTROLS.sub("\ufffd", text)


def escape_controls(text: str) -> str:
    r"""Return the text with \uXXXX in place of each of them: JSON keeps its meaning."""
    return text if _is_plain(text) else _CONTROLS.sub(_escaped, text)


def _is_plain(text: str) -> bool:
    """Return whether there is nothing to look for: true for most texts, at a tenth of what the search costs."""
    return text.isascii() and text.isprintable()


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 | code >> 10:04x}\\u{0xDC00 | code & 0x3FF:04x}"
