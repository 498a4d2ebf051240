"""What others say of a time is one that can be shown and waited for, or it is nothing."""

import math

import pytest

from qrelay import moments


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (1796083200.5, 1796083200.5),
        (1796083200000, 1796083200.0),
        (moments.LAST, moments.LAST),
        (None, None),
        (0, None),
        (-1.0, None),
        (9e18, None),
        (10**400, None),
        (math.inf, None),
        (math.nan, None),
    ],
)
def test_told(said: float | None, kept: float | None) -> None:
    assert moments.told(said) == kept
