"""Free text inside a JSON object, whole and in pieces."""

import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qrelay.apis.custom_tools import FreeText, describe, unwrap, wrap
from tests.strategies import JSON, WORDS

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How fast a machine is, is no law."""

TEXTS = st.lists(WORDS, max_size=6).map("".join)


@st.composite
def written(draw: st.DrawFn) -> str:
    """The arguments of a call, mostly of the shape the schema asks for."""
    value = draw(TEXTS.map(lambda text: {"input": text}) | st.dictionaries(st.sampled_from(["input", "a"]), JSON))
    return json.dumps(value, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))


@UNHURRIED
@given(TEXTS)
def test_what_is_wrapped_unwraps(text: str) -> None:
    assert unwrap(bytes(wrap(text))) == text


@UNHURRIED
@given(written(), st.lists(st.integers(0, 80)))
def test_pieces_together_are_the_whole(arguments: str, cuts: list[int]) -> None:
    free = FreeText()
    told, start = "", 0
    for cut in sorted(cuts):
        told += free.feed(arguments[start:cut])
        start = max(start, cut)
    told += free.feed(arguments[start:])
    rest, whole = free.close()
    assert told + rest == whole == unwrap(arguments.encode())


def test_text_is_told_as_it_comes() -> None:
    free = FreeText()
    assert [free.feed(piece) for piece in ('{"inp', 'ut": "a', "b\\", "n\\u4f", "60\\ud83d", "\\ude00c", '"}')] == [
        "",
        "a",
        "b",
        "\n",
        "你",
        "😀c",
        "",
    ]
    assert free.close() == ("", "ab\n你😀c")


@pytest.mark.parametrize("broken", ["\\x", "\\ud83d", "\\ude00", '"'])
def test_what_follows_a_broken_escape_costs_as_much_as_its_length(broken: str) -> None:
    def seconds(pieces: int) -> float:
        free = FreeText()
        free.feed('{"input":"' + broken)
        started = time.process_time()
        for _ in range(pieces):
            free.feed("some more text")
        took = time.process_time() - started
        assert free.close()[1] == '{"input":"' + broken + "some more text" * pieces
        return took

    short = min(seconds(5_000) for _ in range(5))
    assert min(seconds(40_000) for _ in range(5)) < 8 * 1.6 * short  # 8 times the pieces; the square would be 64


@pytest.mark.parametrize("arguments", ["{}", '{"input": 5}', '{"patch": "a"}'])
def test_another_shape_is_told_as_it_is(arguments: str) -> None:
    free = FreeText()
    assert free.feed(arguments) == ""
    assert free.close() == (arguments, arguments)


def test_a_grammar_is_described() -> None:
    assert describe("D", None, None) == "D"
    assert describe("", None, "a+") == "The input must follow this lark grammar:\na+"
