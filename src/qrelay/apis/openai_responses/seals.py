"""What an item's `encrypted_content` holds here, and which kind it is.

    signed.<signature>    reasoning: the upstream's own proof, beside the text, which is in the item's summary
    redacted.<data>       reasoning: the upstream's own, instead of the text
    summary.<base64>      a compaction: the summary; nobody's secret, it is the caller's own conversation

Anything else was sealed by another service and opens nothing.
"""

import base64
import binascii

from qrelay.conversation import Reasoning, RedactedReasoning

_SIGNED, _REDACTED, _SUMMARY = "signed.", "redacted.", "summary."


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


def sealed_summary(summary: str) -> str:
    return _SUMMARY + base64.b64encode(summary.encode()).decode()


def opened_summary(seal: str | None) -> str | None:
    """The summary of a replayed compaction; None if it is not ours."""
    if seal is None or not seal.startswith(_SUMMARY):
        return None
    try:
        return base64.b64decode(seal.removeprefix(_SUMMARY), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
