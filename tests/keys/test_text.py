"""A key is of one form, and whoever copies it wrong learns so."""

import re

from hypothesis import given
from hypothesis import strategies as st

from qrelay.keys.text import LENGTH, is_whole, new_key, with_check

KEY = with_check("qr_" + "0123456789" * 4 + "abc")


def test_the_form() -> None:
    keys = {new_key() for _ in range(200)}
    assert len(keys) == 200
    for key in keys:
        assert re.fullmatch(r"qr_[0-9A-Za-z]{49}", key)
        assert len(key) == LENGTH
        assert is_whole(key)
    assert len({key[3] for key in keys}) > 1


def test_the_check_sum_stays_what_it_is() -> None:
    """Keys are out there: a change here would call them mistyped."""
    assert KEY == "qr_0123456789012345678901234567890123456789abc1M4nyh"


@given(st.integers(0, LENGTH - 1), st.sampled_from("aZ0_- é"))
def test_one_other_character_is_noticed(place: int, other: str) -> None:
    changed = KEY[:place] + other + KEY[place + 1 :]
    assert is_whole(changed) is (changed == KEY)


@given(st.text())
def test_anything_else_is_none(text: str) -> None:
    assert not is_whole(text)
    assert not is_whole(KEY + text[:1] + "x")
    assert not is_whole(KEY[: len(text) % LENGTH])
