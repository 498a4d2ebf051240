"""Cleaning text from outside: parts that are removed, and parts that stay."""

import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrelay.redaction import ELLIPSIS, LONGEST_TEXT, MASK, Redactor, readable

CONFIGURED = "kn0wn+by/heart\"and'by\\value"
HELD = "held-by.an/account=0123456789"
SENT = "sent.with/the+call=0123456789"
PROMPT = (
    'Please refactor the function called\n\tcompute_total(<items>) & its 100% "callers" in C:\\new\\table,\n'
    "然后把所有的测试都重新运行一遍并且告诉我哪些测试没有通过以及为什么没有通过因为我需要知道\nand don't break it."
)  # fmt: skip
SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "in a word": "a{}b".format,
    "JSON": json.dumps,
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False),
    "Python": repr,
    "HTML": html.escape,
    "URL": lambda text: quote(text, safe=""),
}
REDACTOR = Redactor([CONFIGURED], lambda: [HELD])


def clean(text: str) -> str:
    return REDACTOR.clean(text, [SENT], lambda: PROMPT)


@pytest.mark.parametrize("secret", [CONFIGURED, HELD, SENT])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_known_secret_is_taken_out(secret: str, spelling: str) -> None:
    said = clean(f"The token {SPELLINGS[spelling](secret)} is not accepted.")
    assert MASK in said
    for piece in re.findall(r"\w{4,}", secret):
        assert piece not in said
    assert clean(said) == said


@pytest.mark.parametrize("control", ["\u200b", "\x00", "\u202e", "\x1b"])
def test_a_control_does_not_hide_a_secret(control: str) -> None:
    assert clean(f"no {SENT[:9]}{control}{SENT[9:]}") == f"no {MASK}"


def test_a_long_part_of_a_secret_is_taken_out() -> None:
    secret = "".join(f"{number:03}abc" for number in range(100))
    assert REDACTOR.clean(f"It begins with {secret[:80]}", [secret]) == f"It begins with {ELLIPSIS}"


@pytest.mark.parametrize(
    "token",
    [
        "Bearer abcdefgh-1234",
        "Basic dXNlcjpwYXNzIHdvcmQ=",
        "Proxy-Authorization: Basic dXNlcjpwYXNzIHdvcmQ=",
        "deviceCode=abcdefgh1234",
        "aoaAAAAAGabcdefgh1234",
        "qr_abcdefgh1234",
    ],
)
def test_what_looks_like_a_secret_is_taken_out(token: str) -> None:
    said = clean(f"no {token}, sorry")
    assert MASK in said
    assert "1234" not in said
    assert "dXNl" not in said


@pytest.mark.parametrize("spelling", [*SPELLINGS, "one line", "spaced"])
def test_a_prompt_is_cut_out(spelling: str) -> None:
    more: dict[str, Callable[[str], str]] = {"one line": lambda text: text.replace("\n", " "), "spaced": " ".join}
    spell = (SPELLINGS | more)[spelling]
    said = clean(f"Value at messages: {spell(PROMPT)} is too odd")
    assert said.startswith("Value at messages:")
    assert said.rstrip("'\" ").endswith("is too odd")
    assert ELLIPSIS in said
    letters = "".join(filter(str.isalnum, said))
    for word in ("refactor", "table", "compute", "测试", "6d4b", "6D4B"):
        assert word not in letters


@given(st.text(st.sampled_from('ab \n\\"é测'), max_size=300), st.data())
def test_no_longer_stretch_of_what_was_sent_remains(sent: str, data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(sent)))
    end = data.draw(st.integers(begin, len(sent)))
    around = data.draw(st.text(st.sampled_from("ab cé\n"), max_size=30))
    said = REDACTOR.clean(f"{around}{sent[begin:end]}{around}", sent=lambda: sent)
    source = _letters(sent)
    for piece in said.split(ELLIPSIS):
        letters = _letters(piece)
        assert not any(letters[at : at + 39] in source for at in range(len(letters) - 38))


def _letters(text: str) -> bytes:
    data = text.encode()
    for escape in (b"\\n", b"\\r", b"\\t", b"\\b", b"\\f"):
        data = data.replace(escape, b"")
    return bytes(byte for byte in data if byte > 127 or chr(byte).isalnum())


@pytest.mark.parametrize(
    "text",
    [
        "Too many requests, please wait before trying again.",
        "The bearer token included in the request is invalid.",
        "Basic authentication is required.",
        "Input is too long: compute_total has 2000 lines.",
        "profileArn is required for this request.",
        "Model claude-sonnet-4.5 not found — 找不到模型 🙂",
        "Value at 'conversationState.currentMessage.userInputMessage.content' failed to satisfy constraint",
        "",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert clean(text) == text


@given(st.text())
def test_any_text_becomes_one_short_line(text: str) -> None:
    said = clean(text)
    assert len(said) <= LONGEST_TEXT
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]", said)
    assert said == said.strip()
    assert "\n" not in said


@pytest.mark.parametrize("text", ["word " * 1000, "字" * 1000, "x " * 3_000_000])
def test_a_long_text_is_cut_with_an_ellipsis(text: str) -> None:
    said = clean(text)
    assert said.endswith(ELLIPSIS)
    assert LONGEST_TEXT - 6 < len(said) <= LONGEST_TEXT


def test_a_secret_is_not_cut_in_two() -> None:
    begin = PROMPT.replace("\n", " ") * 30
    for size in range(4096 - len(SENT), 4096):
        assert "sent" not in clean(f"{begin[: size - 1]} {SENT} and more")


def test_only_readable_bytes_are_text() -> None:
    assert readable("<html>\r\n\t页面</html>".encode(), 300) == "<html>\r\n\t页面</html>"
    assert readable("页".encode() * 300 + b"\xe9", 300) == "页" * 300
    assert readable(b"word " * 100, 52) == "word " * 10
    for data in (b"\xff\xfe", b"a\0b", b"\x1b[31m", "\u202e".encode(), b"\xe9x"):
        assert readable(data, 300) is None
