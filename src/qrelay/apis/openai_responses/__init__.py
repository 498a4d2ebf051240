"""OpenAI's Responses API. A driver that keeps responses gives `read` a `Memory`; `RESPONSES` as it is has none."""

from qrelay.apis.dialect import Dialect
from qrelay.apis.openai_responses.references import references, references_of
from qrelay.apis.openai_responses.request import read, read_compact
from qrelay.apis.openai_responses.responses_store import Kept, Memory, ResponsesStore

__all__ = [
    "COMPACT",
    "RESPONSES",
    "Kept",
    "Memory",
    "ResponsesStore",
    "read",
    "read_compact",
    "references",
    "references_of",
]

RESPONSES = Dialect(name="responses", family="openai", ping=b": ping\n\n", read=read)
COMPACT = Dialect(name="responses", family="openai", ping=b": ping\n\n", read=read_compact)
"""What `/v1/responses/compact` takes; it is never streamed."""
