"""What a reasoning item's `encrypted_content` holds here: the upstream's own proof of the reasoning, and which kind.

    signed.<signature>    beside the text, which is in the item's summary
    redacted.<data>       instead of the text

Anything else was sealed by another service and opens nothing.
"""

from qrelay.conversation import Reasoning, RedactedReasoning

_SIGNED, _REDACTED = "signed.", "redacted."


def sealed(reasoning: Reasoning | RedactedReasoning) -> str | None:
    match reasoning:
        case RedactedReasoning():
            return _REDACTED + reasoning.data
        case Reasoning():
            return _SIGNED + reasoning.signature if reasoning.signature else None


def opened(text: str, seal: str | None) -> Reasoning | RedactedReasoning | None:
    """The reasoning of a replayed item; None if nothing of it is left."""
    if seal is not None and seal.startswith(_REDACTED):
        return RedactedReasoning(seal.removeprefix(_REDACTED))
    signature = seal.removeprefix(_SIGNED) if seal is not None and seal.startswith(_SIGNED) else ""
    return Reasoning(text, signature) if text or signature else None
