"""How many tokens a prompt has, by its characters (PROTOCOL.md §3.4: 3.5 a token). An estimate, never the truth."""

from msgspec import UNSET

from qrelay.simulator import schema
from qrelay.simulator.schema import context_of, given

CHARACTERS_PER_TOKEN = 3.5


def count_tokens(state: schema.ConversationState) -> int:
    """An estimate of the prompt: its characters by §3.4's ratio."""
    characters = 0
    for turn in (*state.history, state.currentMessage):
        if turn.assistantResponseMessage is not UNSET:
            characters += len(turn.assistantResponseMessage.content)
            characters += sum(len(str(use.input)) for use in given(turn.assistantResponseMessage.toolUses, []))
        if turn.userInputMessage is not UNSET:
            characters += len(turn.userInputMessage.content)
            context = context_of(turn.userInputMessage)
            for result in given(context.toolResults, []):
                characters += sum(len(given(part.text, "")) for part in result.content)
            for tool in given(context.tools, []):
                if tool.toolSpecification is not UNSET:
                    characters += len(tool.toolSpecification.description)
                    characters += len(str(tool.toolSpecification.inputSchema.json))
    return max(1, int(characters / CHARACTERS_PER_TOKEN))
