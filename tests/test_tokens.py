"""Estimates: near enough, quick when asked again, and never an error."""

import pytest
from msgspec import Raw

from qrelay.conversation import Conversation, Image, Text, ToolResult, ToolSpec, ToolUse, Turn
from qrelay.tokens import count_conversation, count_text


def test_known_counts() -> None:
    assert count_text("") == 0
    assert count_text("hello world") == 2
    assert count_text("The quick brown fox jumps over the lazy dog. " * 20) == 201


def test_nothing_that_is_text_can_not_be_counted() -> None:
    for text in ("\ud800", "\x00", "中文" * 100, "<|endoftext|>" * 10, "=" * 5000, " " * 5000):
        assert count_text(text) == count_text(text) > 0


def test_long_texts_are_counted_in_slices() -> None:
    words = "The quick brown fox jumps over the lazy dog. "
    assert count_text(words * 5_000) == pytest.approx(10 * 5_000, rel=0.01)
    assert count_text("x" * 2_000_000) == pytest.approx(40 * count_text("x" * 50_000), rel=0.01)


def test_everything_in_a_conversation_counts() -> None:
    bare = Conversation(model="m", turns=(Turn("user", (Text("Hello there"),)),))
    more = [
        Conversation(model="m", turns=bare.turns, system=("Be brief.",)),
        Conversation(model="m", turns=bare.turns, tools=(ToolSpec("t", "A tool", Raw(b'{"type":"object"}')),)),
        Conversation(model="m", turns=(*bare.turns, Turn("assistant", (ToolUse("1", "t", Raw(b'{"a":1}')),)))),
        Conversation(model="m", turns=(*bare.turns, Turn("user", (ToolResult("1", (Text("result"),)),)))),
        Conversation(model="m", turns=(*bare.turns, Turn("user", (Image("aGk="),)))),
    ]
    for conversation in more:
        assert count_conversation(conversation) > count_conversation(bare)
