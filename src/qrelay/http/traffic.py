"""What the chat routes have served, in plain numbers. How `/metrics` tells them: `metrics`.

It is counted at the end of every request, so it costs a few additions and no more.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
"""Seconds: the upper ends of the histograms' steps. A reply may take many minutes."""

OWN_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""The same for what the gateway itself takes."""

_MOST_MODELS = 100
OTHER_MODEL = "other"
NO_MODEL = "none"


class Kind(NamedTuple):
    """What the time of a request depends on most."""

    dialect: str
    stream: str


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


class Traffic:
    """Counted since the start. `streams` are being sent now."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int, str]] = Counter()
        """By dialect, model, status and whether it was streamed (`true`, `false`, or `` where nobody could tell)."""
        self.tokens: Counter[tuple[str, str]] = Counter()
        """By direction (`input`, `output`) and model."""
        self.durations: defaultdict[Kind, Histogram] = defaultdict(Histogram)
        self.first_bytes: defaultdict[Kind, Histogram] = defaultdict(Histogram)
        self.own: defaultdict[Kind, Histogram] = defaultdict(lambda: Histogram(OWN_BOUNDS))
        """To the first byte of streams, without the waits for an account, a token and the service."""
        self.stream_errors: Counter[tuple[str, str]] = Counter()
        """Streams that ended in an error event, by dialect and the error's code."""
        self.streams = 0
        self.disconnects = 0
        self._models: set[str] = set()

    def ended(
        self,
        *,
        dialect: str,
        model: str | None,
        status: int,
        stream: bool | None,
        duration: float,
        first_byte: float | None,
        waited: float | None,
        tokens: tuple[int, int] | None,
    ) -> None:
        """A request has ended. Times are in seconds; `tokens` are the prompt's and the reply's.

        `waited` is what of the time to the first byte was not the gateway's, None if the service was not asked.
        """
        name = self._bounded(model)
        kind = Kind(dialect, "" if stream is None else "true" if stream else "false")
        self.requests[dialect, name, status, kind.stream] += 1
        self.durations[kind].add(duration)
        if first_byte is not None:
            self.first_bytes[kind].add(first_byte)
            if stream and waited is not None:
                self.own[kind].add(max(0.0, first_byte - waited))
        if tokens is not None:
            self.tokens["input", name] += tokens[0]
            self.tokens["output", name] += tokens[1]

    def _bounded(self, model: str | None) -> str:
        """A model's name as a label. Names come from elsewhere, so there is an end to them."""
        if model is None:
            return NO_MODEL
        if model not in self._models:
            if len(self._models) >= _MOST_MODELS:
                return OTHER_MODEL
            self._models.add(model)
        return model
