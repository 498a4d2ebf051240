"""What the service says about a reply besides its content: why it stopped and what it cost. Pure.

The events after the content (PROTOCOL.md §3.2, §3.3) are `metadataEvent`, `contextUsageEvent` and `meteringEvent`. Any
of them may be missing, and so may each number. Usage, best first:

    the service's token counts      as they are; one that is missing and follows from the total is worked out
    context percentage x window     what the reply itself came to is taken off; marked as an estimate
    a count of our own              marked as an estimate
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import msgspec

from qrelay.errors import ErrorCode, RelayError
from qrelay.events import StopReason, Usage
from qrelay.redaction import CLEAN, Clean
from qrelay.upstream import schema

Event = TypeVar("Event")

_STOP_REASONS: dict[str, StopReason] = {
    "END_TURN": "end_turn",
    "TOOL_USE": "tool_use",
    "MAX_TOKENS": "max_tokens",
    "STOP_SEQUENCE": "stop_sequence",
    "CONTENT_FILTERED": "refusal",
    "GUARDRAIL_INTERVENED": "refusal",
    "MODEL_CONTEXT_WINDOW_EXCEEDED": "context_window",
}
_MOST_TOKENS = 2**53  # a larger count is not one

_metadata = msgspec.json.Decoder(schema.MetadataEvent).decode
_token_usage = msgspec.json.Decoder(schema.TokenUsage | None).decode
_context_usage = msgspec.json.Decoder(schema.ContextUsageEvent).decode
_metering = msgspec.json.Decoder(schema.MeteringEvent).decode


class Estimate(NamedTuple):
    """How to count when the service doesn't: both are called at most once, at the end.

    `window` is in tokens; 0 if nobody knows it.
    """

    input_tokens: Callable[[], int]
    output_tokens: Callable[[str], int]
    window: int


class Tail:
    """Collects the closing events of one reply. `arrived`: there was one; `concluded`: there was a metadataEvent."""

    def __init__(self, estimate: Estimate, clean: Clean = CLEAN) -> None:
        self.arrived = False
        self.concluded = False
        self._estimate = estimate
        self._clean = clean
        self._told: str | None = None
        self._cached = (0, 0)
        """Tokens of the prompt that came from the cache, and that went there."""
        self._told_counts: tuple[int | None, int | None] = (None, None)
        """The service's counts of the uncached prompt and of the reply, as it says them or as its total does."""
        self._percentage: float | None = None
        self._credits: float | None = None

    def metadata(self, payload: bytes) -> None:
        """Raises msgspec.DecodeError: a stop reason that can't be read could be a bad one."""
        event = _metadata(payload)
        self.arrived = self.concluded = True
        if event.stopReason is not None:
            self._told = event.stopReason
        counted = informative(_token_usage, bytes(event.tokenUsage))
        if counted is not None:
            self._count(counted)
            if self._percentage is None:
                self._note_percentage(counted.contextUsagePercentage)

    def context_usage(self, payload: bytes) -> None:
        self.arrived = True
        event = informative(_context_usage, payload)
        if event is not None:
            self._note_percentage(event.contextUsagePercentage)

    def metering(self, payload: bytes) -> None:
        self.arrived = True
        event = informative(_metering, payload)
        if event is not None and event.usage is not None:
            self._credits = (self._credits or 0.0) + event.usage

    def _note_percentage(self, percentage: float | None) -> None:
        if percentage is not None and 0 <= percentage <= 100:
            self._percentage = percentage

    def stop_reason(self, tools_used: int) -> StopReason:
        """Without the service's word: tool use if a tool was used. Raises RelayError if the model's output failed."""
        told = self._told or ""
        if told.startswith("MALFORMED"):
            said = self._clean(told)
            raise RelayError(ErrorCode.upstream_protocol, f"The upstream gave up on the model's output ({said}).")
        reason = _STOP_REASONS.get(told)
        if reason in (None, "end_turn", "tool_use"):
            return "tool_use" if tools_used else "end_turn"
        return reason

    def usage(self, output: Callable[[], str]) -> Usage:
        """What the reply cost, as far as is known by now. `output` gives all that it said."""
        cached_read, cached_write = self._cached
        told_input, told_output = self._told_counts
        output_tokens = told_output if told_output is not None else self._estimate.output_tokens(output())
        prompt = self._prompt(output_tokens) - cached_read - cached_write if told_input is None else told_input
        return Usage(
            input_tokens=max(0, prompt),
            output_tokens=output_tokens,
            cache_read_tokens=cached_read,
            cache_write_tokens=cached_write,
            estimated=told_input is None or told_output is None,
            credits=self._credits,
            context_percentage=self._percentage,
        )

    @property
    def counted(self) -> bool:
        """Whether the service has counted, so that `usage` does not."""
        return None not in self._told_counts

    def _count(self, told: schema.TokenUsage) -> None:
        self._cached = (_whole(told.cacheReadInputTokens) or 0, _whole(told.cacheWriteInputTokens) or 0)
        told_input, told_output = _whole(told.uncachedInputTokens), _whole(told.outputTokens)
        total = _whole(told.totalTokens)
        if total is not None:
            left = total - sum(self._cached)
            if told_output is None and told_input is not None:
                told_output = max(0, left - told_input)
            elif told_input is None and told_output is not None:
                told_input = max(0, left - told_output)
        self._told_counts = (told_input, told_output)

    def _prompt(self, output_tokens: int) -> int:
        """The whole prompt's size, estimated."""
        used = round((self._percentage or 0) / 100 * self._estimate.window) - output_tokens
        return used if used > 0 else self._estimate.input_tokens()


def informative(decode: Callable[[bytes], Event], payload: bytes) -> Event | None:
    """Read what only informs: if it can't be read it says nothing, and the reply is none the worse for it."""
    try:
        return decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _whole(tokens: float | None) -> int | None:
    return int(tokens) if tokens is not None and 0 <= tokens < _MOST_TOKENS else None
