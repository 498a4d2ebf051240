"""Reading our own streams back: chunks out of SSE bytes, and the message that a client adds up from them."""

import json
from typing import Any

from qrelay.apis.dialect import Call
from qrelay.apis.openai_chat import CHAT
from tests.apis.loopback import STAMP


def ask(**members: Any) -> Call:
    """A request with as little in it as possible, plus `members`."""
    request = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "hi"}]} | members
    return CHAT.read(json.dumps(request).encode(), STAMP)


def payloads(stream: bytes) -> list[Any]:
    """The JSON of each event; "[DONE]" as it is. Every byte must belong to a `data:` event."""
    events = stream.decode().split("\n\n")
    assert events.pop() == ""
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    return [text if text == "[DONE]" else json.loads(text) for text in (event[6:] for event in events)]


def deltas(stream: bytes) -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in payloads(stream) if chunk != "[DONE]" and chunk["choices"]]


def added_up(stream: bytes) -> dict[str, Any]:
    """What a client has at the end: message, finish reason and usage."""
    message: dict[str, Any] = {}
    reason: str | None = None
    usage: dict[str, Any] | None = None
    *chunks, done = payloads(stream)
    assert done == "[DONE]"
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            reason = choice["finish_reason"] or reason
            for key, value in choice["delta"].items():
                if key == "tool_calls":
                    _add_calls(message.setdefault("tool_calls", []), value)
                elif key in message and message[key] is not None:
                    message[key] = _add(message[key], value)
                else:
                    message[key] = value
    return {"message": message, "finish_reason": reason, "usage": usage}


def _add_calls(calls: list[dict[str, Any]], more: list[dict[str, Any]]) -> None:
    for delta in more:
        rest = {key: value for key, value in delta.items() if key != "index"}
        if delta["index"] == len(calls):
            calls.append(rest)
        else:
            calls[delta["index"]] = _add(calls[delta["index"]], rest)


def _add(old: Any, new: Any) -> Any:
    if isinstance(old, dict):
        return {key: _add(old[key], new[key]) if key in old and key in new else (old | new)[key] for key in old | new}
    return old + new
