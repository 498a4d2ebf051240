"""What the chat routes have served, in plain numbers. How `/metrics` tells them: `metrics`.

It is counted at the end of every request, so it costs a few additions and no more.
"""

from collections import Counter, defaultdict
from typing import NamedTuple

from qrelay.histogram import SHORT_BOUNDS, Histogram

_MOST_MODELS = 100
OTHER_MODEL = "other"
NO_MODEL = "none"


class Kind(NamedTuple):
    """What the time of a request depends on most."""

    dialect: str
    stream: str


class Traffic:
    """Counted since the start. `streams` are being sent now."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int, str]] = Counter()
        """By dialect, model, status and whether it was streamed (`true`, `false`, or `` where nobody could tell)."""
        self.tokens: Counter[tuple[str, str]] = Counter()
        """By direction (`input`, `output`) and model."""
        self.durations: defaultdict[Kind, Histogram] = defaultdict(Histogram)
        self.first_bytes: defaultdict[Kind, Histogram] = defaultdict(Histogram)
        self.own: defaultdict[Kind, Histogram] = defaultdict(lambda: Histogram(SHORT_BOUNDS))
        """To the first byte of streams, without the waits for an account, a token and the service."""
        self.stream_errors: Counter[tuple[str, str]] = Counter()
        """Streams that ended in an error event, by dialect and the error's code."""
        self.streams = 0
        self.disconnects = 0
        self.cancels = Histogram(SHORT_BOUNDS)
        """From when a client left, or the server had to end, to when the call to the service was over."""
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
