"""Anthropic's Messages API: `POST /v1/messages`, and what `/v1/messages/count_tokens` asks to count."""

from qrelay.apis.anthropic.reply import PING
from qrelay.apis.anthropic.request import read, read_count
from qrelay.apis.dialect import Dialect

__all__ = ["MESSAGES", "read", "read_count"]

MESSAGES = Dialect("messages", "anthropic", PING, read)
