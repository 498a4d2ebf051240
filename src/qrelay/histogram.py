"""How long things took, in steps: plain numbers, told by `http.exposition`."""

from bisect import bisect_left
from collections.abc import Sequence

BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
"""Seconds: the upper ends of the steps. A reply may take many minutes."""

SHORT_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""The same for what takes no time unless something is wrong."""


class Histogram:
    """How many fell into each step, and their sum."""

    __slots__ = ("bounds", "steps", "total")

    def __init__(self, bounds: Sequence[float] = BOUNDS) -> None:
        self.bounds = bounds
        self.steps = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.steps[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds
