"""OpenAI's Chat Completions API. `CHAT` is all that the house needs of it."""

from qrelay.apis.dialect import Dialect
from qrelay.apis.openai_chat.request import read

CHAT = Dialect(name="chat", family="openai", ping=b": ping\n\n", read=read)
