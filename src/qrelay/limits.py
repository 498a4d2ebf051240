"""What a caller wants of a reply and the service has no field for: stop sequences, a token limit, one tool at a time.

Pure: events in, fewer events out. `Limiter.reached` says that the reply is over before the service ended it; whoever
drives it then adds Finish and stops reading. No text is changed but by being cut off where the caller asked.

    stop sequences     across deltas: an end of text that could begin one is held back until the next event shows, and
                       is not told if the reply breaks before
    max_tokens         counted by `count`, at most a few times a reply; a tool's input is never cut in the middle
    one tool use       the second one is not begun
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

from qrelay.conversation import Conversation
from qrelay.events import Event, ReasoningDelta, StopReason, TextDelta, ToolInputDelta, ToolUseEnd, ToolUseStart


class Reached(NamedTuple):
    """Why a reply was ended here; `tokens` is what was told of it, where they are what ended it."""

    stop_reason: StopReason
    stop_sequence: str | None = None
    tokens: int | None = None


class Limiter:
    """Holds one reply to its caller's limits."""

    def __init__(self, conversation: Conversation, count: Callable[[str], int]) -> None:
        self.reached: Reached | None = None
        self._sequences = tuple(filter(None, conversation.stop_sequences))
        self._beginnings = _Beginnings(self._sequences)
        self._held = ""
        self._budget = _Budget(conversation.max_tokens, count) if conversation.max_tokens is not None else None
        self._one_tool = not conversation.parallel_tool_uses
        self._tools = 0
        self._idle = not self._sequences and self._budget is None and not self._one_tool

    def may_count(self, size: int) -> bool:
        """Return whether that many more bytes of a reply may have to be counted."""
        return self._budget is not None and self._budget.may_count(size)

    def feed(self, events: Sequence[Event]) -> list[Event]:
        """The events that are within the limits. After `reached` is set there are no more."""
        if self._idle:
            return list(events)
        out: list[Event] = []
        for event in events:
            if self.reached is not None:
                break
            if isinstance(event, TextDelta):
                self._text(event.text, out)
            else:
                self._other(event, out)
        return out

    def _other(self, event: Event, out: list[Event]) -> None:
        if self._held:
            held, self._held = self._held, ""
            self._say(held, out)
            if self.reached is not None:
                return
        match event:
            case ToolUseStart():
                if self._one_tool and self._tools:
                    self.reached = Reached("tool_use")
                    return
                self._tools += 1
            case ToolInputDelta():
                if self._budget is not None:
                    self._budget.spend(event.json)
            case ReasoningDelta():
                if self._budget is not None and self._budget.spend(event.text):
                    self.reached = Reached("max_tokens", tokens=self._budget.told)
            case _:
                pass
        out.append(event)
        if isinstance(event, ToolUseEnd) and self._budget is not None and self._budget.spent:
            self.reached = Reached("max_tokens", tokens=self._budget.told)

    def _text(self, text: str, out: list[Event]) -> None:
        if not self._sequences:
            self._say(text, out)
            return
        text = self._held + text
        found = [(at + len(sequence), at, sequence) for sequence in self._sequences if (at := text.find(sequence)) >= 0]
        if found:
            _, at, sequence = min(found)  # the first to be complete, so that it doesn't matter how the text is cut
            self._held = ""
            self._say(text[:at], out)
            if self.reached is None:
                self.reached = Reached("stop_sequence", sequence)
            return
        keep = self._beginnings.longest_at_end(text)
        self._held = text[len(text) - keep :]
        self._say(text[: len(text) - keep], out)

    def _say(self, text: str, out: list[Event]) -> None:
        if self._budget is not None and self._budget.spend(text):
            text = self._budget.cut(text)
            self.reached = Reached("max_tokens", tokens=self._budget.told)
        if text:
            out.append(TextDelta(text))


class _Beginnings:
    """Finds the end of a text that could be the beginning of a sequence, in a time that hardly grows with their number.

    In sorted order, the sequences that begin with some text stand together: looking at one place is enough.
    """

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sorted = sorted(sequences)
        self._firsts = frozenset(sequence[0] for sequence in sequences)
        self._longest = max(map(len, sequences), default=0)

    def longest_at_end(self, text: str) -> int:
        """Return how many characters at the end of the text could be the beginning of one of the sequences."""
        for start in range(max(0, len(text) - self._longest + 1), len(text)):
            if text[start] in self._firsts:
                end = text[start:]
                at = bisect_left(self._sorted, end)
                if at < len(self._sorted) and self._sorted[at].startswith(end):
                    return len(end)
        return 0


class _Budget:
    """So many tokens. One has at least a byte, so nothing is counted while the bytes alone are within what is left."""

    def __init__(self, tokens: int, count: Callable[[str], int]) -> None:
        self._all = tokens
        self._left = tokens
        self._count = count
        self._uncounted: list[str] = []
        self._bytes = 0
        self.spent = False

    def may_count(self, size: int) -> bool:
        return self._bytes + size > self._left

    def spend(self, text: str) -> bool:
        """Take a text from what is left; true when it does not fit."""
        self._uncounted.append(text)
        self._bytes += len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        if self._bytes > self._left:
            self._left -= self._count("".join(self._uncounted))
            self._uncounted.clear()
            self._bytes = 0
            self.spent = self._left < 0
        return self.spent

    @property
    def told(self) -> int:
        """How many were told, once they are `spent`: more than there were where something was not cut."""
        return self._all - self._left

    def cut(self, text: str) -> str:
        """The most of the text just spent that does fit."""
        over = -self._left
        fits = max(0, self._count(text) - over)
        self._left = 0
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            if self._count(text[:middle]) <= fits:
                low = middle
            else:
                high = middle - 1
        return text[:low]
