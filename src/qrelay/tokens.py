"""How many tokens a text is, about. Every number from here is an estimate and is marked as one where it is shown.

No vocabulary of today's Claude models is published. cl100k_base comes near them: as many tokens for English and code,
and, unlike its successor, about as many for Chinese (docs/decisions/0007). It is packaged, nothing is fetched.

Counting is never on the way to a first byte; what is not quickly counted is counted in a thread (tiktoken lets others
run meanwhile). Agents send their whole history again with every turn, so the count of a
longer text is remembered by its digest.
"""

import lzma
from collections import OrderedDict
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from threading import Lock
from typing import TYPE_CHECKING, assert_never

from qrelay.conversation import (
    Conversation,
    Document,
    Image,
    Part,
    Reasoning,
    RedactedReasoning,
    Text,
    ToolResult,
    ToolUse,
)

if TYPE_CHECKING:
    import tiktoken

TOKENS_PER_IMAGE = 1600
"""The most an image of the sizes clients send comes to."""
TOKENS_PER_TURN = 4
TOKENS_PER_TOOL = 12

_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
    r"|\s+(?!\S)|\s"
)
_QUICK_BYTES = 50_000
_REMEMBERED = 20_000
_SHORT = 64
_PIECE = 100_000
_MOST_COUNTED = 4_000_000
_remembered: OrderedDict[bytes, int] = OrderedDict()
_loading = Lock()


def _encoding() -> "tiktoken.Encoding":
    with _loading:  # or each of the first requests, which count in threads, would load one for itself
        return _loaded()


@cache
def _loaded() -> "tiktoken.Encoding":
    import tiktoken  # noqa: PLC0415 - where the service counts, it is never needed

    packed = files("qrelay.vocabulary").joinpath("cl100k_base.xz").read_bytes()
    data = lzma.decompress(packed)
    ranks: dict[bytes, int] = {}
    position = 0
    while position < len(data):
        end = position + 1 + data[position]
        ranks[data[position + 1 : end]] = len(ranks)
        position = end
    return tiktoken.Encoding("cl100k_base", pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens={})


def is_quick(size: int) -> bool:
    """Whether so many bytes of text are counted in a few milliseconds. The first count of a process never is."""
    return size <= _QUICK_BYTES and _loaded.cache_info().currsize > 0


def count_text(text: str) -> int:
    """The tokens of a text; 0 only for an empty one."""
    if len(text) < _SHORT:
        return len(_encoding().encode_ordinary(text)) if text else 0
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    known = _remembered.get(digest)
    if known is None:
        known = _remembered[digest] = sum(len(_encoding().encode_ordinary(piece)) for piece in _pieces(text))
        if len(_remembered) > _REMEMBERED:
            _remembered.popitem(last=False)
    return known


def _pieces(text: str) -> Iterator[str]:
    """A long text cut at line breaks, or anywhere where there are none: a list of all tokens of it would be huge."""
    start = 0
    while len(text) - start > _PIECE:
        end = start + _PIECE
        found = text.rfind("\n", start + _PIECE // 2, end) + 1
        yield text[start : found or end]
        start = found or end
    yield text[start:] if start else text


def count_conversation(conversation: Conversation) -> int:
    """The tokens a conversation comes to as a prompt."""
    tally = _Tally()
    total = sum(map(tally.text, conversation.system))
    for tool in conversation.tools:
        total += TOKENS_PER_TOOL + tally.text(tool.name) + tally.text(tool.description) + tally.json(tool.schema)
    for turn in conversation.turns:
        total += TOKENS_PER_TURN + sum(map(tally.part, turn.parts))
    return total


class _Tally:
    """Counts the texts of one conversation. Those behind the first 4 million characters, which no model reads, are
    taken to have as many tokens for their length as those before: counting them could take a minute.
    """

    def __init__(self) -> None:
        self._characters = 0
        self._tokens = 0

    def text(self, text: str) -> int:
        left = _MOST_COUNTED - self._characters
        counted = text if len(text) <= left else text[: max(0, left)]
        tokens = count_text(counted)
        self._characters += len(counted)
        self._tokens += tokens
        if counted is not text:
            tokens += (len(text) - len(counted)) * self._tokens // self._characters
        return tokens

    def json(self, raw: bytes | memoryview) -> int:
        return self.text(bytes(raw).decode("utf-8", "replace"))

    def part(self, part: Part) -> int:
        match part:
            case Text() | Reasoning():
                return self.text(part.text)
            case Document() if part.text:
                return self.text(part.text)
            case Image() | Document():
                return TOKENS_PER_IMAGE
            case RedactedReasoning():
                return 0
            case ToolUse():
                return TOKENS_PER_TOOL + self.text(part.name) + self.json(part.input)
            case ToolResult():
                return TOKENS_PER_TOOL + sum(map(self.part, part.content))
            case _:
                assert_never(part)
