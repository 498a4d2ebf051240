"""How many tokens a text is, about. Pure. Every number from here is an estimate and marked as one where it is shown."""

from typing import assert_never

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

CHARACTERS_PER_TOKEN = 3.5  # AWS's language server counts so (PROTOCOL.md §3.4)
TOKENS_PER_IMAGE = 1600  # the most one image of the sizes clients send comes to
TOKENS_PER_TURN = 4


def count_text(text: str) -> int:
    """The tokens of a text; 0 only for an empty one."""
    return -int(-len(text) // CHARACTERS_PER_TOKEN)


def count_conversation(conversation: Conversation) -> int:
    """The tokens a conversation comes to as a prompt."""
    total = sum(map(count_text, conversation.system))
    for tool in conversation.tools:
        total += count_text(tool.name) + count_text(tool.description) + count_bytes(bytes(tool.schema))
    for turn in conversation.turns:
        total += TOKENS_PER_TURN + sum(map(_count_part, turn.parts))
    return total


def count_bytes(text: bytes) -> int:
    """The tokens of a text that is at hand as UTF-8."""
    return -int(-len(text) // CHARACTERS_PER_TOKEN)


def _count_part(part: Part) -> int:
    match part:
        case Text() | Reasoning():
            return count_text(part.text)
        case Image() | Document():
            return TOKENS_PER_IMAGE
        case RedactedReasoning():
            return 0
        case ToolUse():
            return count_text(part.name) + count_bytes(bytes(part.input))
        case ToolResult():
            return sum(map(_count_part, part.content))
        case _:
            assert_never(part)
