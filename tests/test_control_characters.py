"""Control characters in texts of others: replaced where people read, escaped in JSON."""

import json
import sys
import unicodedata

import pytest

from qrelay.control_characters import escape_controls, replace_controls

DRAWN = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
"""Format characters that are seen: signs before numbers."""


def test_no_control_or_format_character_is_left() -> None:
    every = "".join(chr(code) for code in range(sys.maxunicode + 1) if code not in DRAWN)
    left = replace_controls(every)
    assert [each for each in left if unicodedata.category(each) in {"Cc", "Cf", "Zl", "Zp", "Cs"}] == ["\t", "\n"]


@pytest.mark.parametrize("text", ["\x00\x1b\x7f\x9b\u202e\u2066\u200b\ufeff", "\U000e0001", "plain ü 你好 🎉\n\t"])
def test_escaped_json_means_the_same(text: str) -> None:
    escaped = escape_controls(json.dumps({"text": text}, ensure_ascii=False))
    assert json.loads(escaped) == {"text": text}
    assert escaped.isprintable()
