"""Turns as the service demands them: alternating, starting and ending with the user, every tool use answered once.

Pure; the rules are PROTOCOL.md §2.6 1 to 10. Nothing a client said is lost: what can't stay in its form becomes text.
Each change has a name:

    turns_merged           neighbours of one role became one turn (rule 3)
    system_turn_inlined    a system note between turns became text of the user's turn
    empty_turn_dropped     an assistant turn without text or tool uses
    empty_turn_filled      a user turn without anything in it (rule 10)
    first_turn_added       the conversation began with the assistant (rule 1)
    last_turn_added        it ended with the assistant (rule 2)
    tool_id_renamed        a tool-use id had characters or a length the service refuses, or stood there twice
    tool_result_inlined    a result without its tool use, or a second one for it, became text (rules 4 to 6)
    tool_use_cancelled     a tool use without a result got one that says so (rule 5)
    misplaced_part_inlined a tool use of the user's, or a result of the assistant's, became text
    misplaced_part_dropped an image or document of the assistant's, or reasoning of the user's: no client API has these
"""

import re
from collections import deque
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

from qrelay.conversation import Document, Image, Part, Reasoning, RedactedReasoning, Text, ToolResult, ToolUse, Turn

BEGIN = "(The conversation begins.)"
CONTINUE = "Continue."
EMPTY = "(This message is empty.)"
CANCELLED = "The tool use was cancelled before it returned a result."
_LONG_ID = 256  # a longer one is hashed once, whatever the number of tries
_LEGAL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_USERS: frozenset[type[Part]] = frozenset({Text, Image, Document, ToolResult})
_SILENT = frozenset({Reasoning, RedactedReasoning})
_ASSISTANTS: frozenset[type[Part]] = frozenset({Text, Reasoning, RedactedReasoning, ToolUse})


class History(NamedTuple):
    """`turns` alternate user, assistant, …, user; the last one is the current message."""

    turns: list[Turn]
    adjustments: tuple[str, ...]


def arrange(turns: Iterable[Turn]) -> History:
    """Bring a conversation's turns into the service's order. An empty one becomes a single empty user turn."""
    adjustments: dict[str, None] = {}
    merged = _merge(_presentable(turns, adjustments), adjustments)
    if merged and merged[0].role == "assistant":
        adjustments["first_turn_added"] = None
        merged.insert(0, Turn("user", (Text(BEGIN),)))
    if not merged:
        merged.append(Turn("user", ()))
    if merged[-1].role == "assistant":
        adjustments["last_turn_added"] = None
        merged.append(Turn("user", (Text(CONTINUE),)))
    paired = [_filled(turn, adjustments) for turn in _pair(merged, adjustments)]
    return History(paired, tuple(adjustments))


def _presentable(turns: Iterable[Turn], adjustments: dict[str, None]) -> Iterable[Turn]:
    """User and assistant turns, each with parts such a turn may have; no assistant turn without anything said."""
    for turn in turns:
        if turn.role == "assistant":
            placed = _placed(turn, _ASSISTANTS, adjustments)
            if any(map(_tells, placed.parts)):
                yield placed
            else:
                adjustments["empty_turn_dropped"] = None
        elif turn.role == "system":
            text = "\n\n".join(part.text for part in turn.parts if isinstance(part, Text) and part.text.strip())
            if text:
                adjustments["system_turn_inlined"] = None
                yield Turn("user", (Text(f"<system>\n{text}\n</system>"),))
            if others := tuple(part for part in turn.parts if not isinstance(part, Text)):
                yield _placed(Turn("user", others), _USERS, adjustments)
        else:
            yield _placed(turn, _USERS, adjustments)


def _placed(turn: Turn, may_have: frozenset[type[Part]], adjustments: dict[str, None]) -> Turn:
    if may_have.issuperset(map(type, turn.parts)):
        return turn
    parts: list[Part] = []
    for part in turn.parts:
        if type(part) in may_have:
            parts.append(part)
            continue
        for told in _told(part):
            if type(told) in may_have:
                adjustments["misplaced_part_inlined"] = None
                parts.append(told)
            else:
                adjustments["misplaced_part_dropped"] = None
    return Turn(turn.role, tuple(parts))


def _tells(part: Part) -> bool:
    """Whether a turn with this part is not empty."""
    if type(part) is Text:
        return part.text != "" and not part.text.isspace()
    return type(part) not in _SILENT


def _filled(turn: Turn, adjustments: dict[str, None]) -> Turn:
    """A user turn with something in it: a result, an image or a document will do, or else text."""
    if turn.role == "assistant" or any(map(_tells, turn.parts)):
        return turn
    adjustments["empty_turn_filled"] = None
    return Turn("user", (Text(EMPTY),))


def _merge(turns: Iterable[Turn], adjustments: dict[str, None]) -> list[Turn]:
    merged: list[Turn] = []
    alike: list[Turn] = []
    for turn in turns:
        if alike and alike[0].role != turn.role:
            merged.append(_joined(alike, adjustments))
            alike = []
        alike.append(turn)
    if alike:
        merged.append(_joined(alike, adjustments))
    return merged


def _joined(alike: list[Turn], adjustments: dict[str, None]) -> Turn:
    if len(alike) == 1:
        return alike[0]
    adjustments["turns_merged"] = None
    return Turn(alike[0].role, tuple(part for turn in alike for part in turn.parts))


def _pair(turns: list[Turn], adjustments: dict[str, None]) -> Iterable[Turn]:
    """Answer every tool use in the next turn, exactly once. Pairing is by position: ids may recur in a long session."""
    in_use: dict[str, int] = {}
    waiting: dict[str, deque[str]] = {}  # by the client's id: our ids of uses the next turn must answer, the last first
    for turn in turns:
        parts: list[Part] = []
        if turn.role == "assistant":
            for part in turn.parts:
                if isinstance(part, ToolUse):
                    id_ = _legal_id(part.id, in_use)
                    waiting.setdefault(part.id, deque()).appendleft(id_)
                    if id_ != part.id:
                        adjustments["tool_id_renamed"] = None
                        part = ToolUse(id_, part.name, part.input)  # noqa: PLW2901 - the same one, renamed
                parts.append(part)
        else:
            for part in turn.parts:
                if not isinstance(part, ToolResult):
                    parts.append(part)
                elif ids := waiting.get(part.tool_use_id):
                    id_ = ids.pop()
                    parts.append(part if id_ == part.tool_use_id else ToolResult(id_, part.content, part.is_error))
                else:
                    adjustments["tool_result_inlined"] = None
                    parts.extend(_as_text(part))
            for ids in waiting.values():
                for id_ in reversed(ids):
                    adjustments["tool_use_cancelled"] = None
                    parts.append(ToolResult(id_, (Text(CANCELLED),), is_error=True))
            waiting.clear()
        yield Turn(turn.role, tuple(parts))


def _legal_id(id_: str, in_use: dict[str, int]) -> str:
    """The id itself or, if the service refuses it or it stood there before, another. `in_use` counts the tries of each:
    some clients begin anew with the same ids in every turn.
    """
    legal = id_
    seed = id_ if len(id_) <= _LONG_ID else sha256(id_.encode("utf-8", "surrogatepass")).hexdigest()
    while legal in in_use or not _LEGAL_ID.fullmatch(legal):
        tries = in_use[id_] = in_use.get(id_, 0) + 1
        legal = f"tooluse_{sha256(f'{tries} {seed}'.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"
    in_use.setdefault(legal, 0)
    return legal


def _as_text(result: ToolResult) -> Iterable[Part]:
    said = "\n".join(part.text for part in result.content if isinstance(part, Text))
    yield Text(f"Result of the tool use {result.tool_use_id}{' (it failed)' if result.is_error else ''}:\n{said}")
    yield from (part for part in result.content if not isinstance(part, Text))


def flatten(turns: Iterable[Turn]) -> list[Turn]:
    """The same turns with tool uses and results told as text, for a request that must not call any tool."""
    return [Turn(turn.role, tuple(piece for part in turn.parts for piece in _told(part))) for turn in turns]


def _told(part: Part) -> Iterable[Part]:
    match part:
        case ToolUse():
            yield Text(f"(Used the tool {part.name} as {part.id} with {bytes(part.input).decode('utf-8', 'replace')})")
        case ToolResult():
            yield from _as_text(part)
        case Text() | Image() | Document() | Reasoning() | RedactedReasoning():
            yield part
