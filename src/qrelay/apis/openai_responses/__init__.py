"""OpenAI's Responses API. A driver that keeps responses gives `read` a `Memory`; `RESPONSES` as it is has none."""

from qrelay.apis.dialect import Dialect
from qrelay.apis.openai_responses.request import read
from qrelay.apis.openai_responses.responses_store import Memory, ResponsesStore

__all__ = ["RESPONSES", "Memory", "ResponsesStore", "read"]

RESPONSES = Dialect(name="responses", family="openai", ping=b": ping\n\n", read=read)
