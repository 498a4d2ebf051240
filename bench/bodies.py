"""The requests of the benchmark: 1 KB and 99 KB, in both dialects, the same bytes in every run.

The large one is a coding agent's: 20 tools and a history of tool calls and results.
"""

import json
import random
from typing import Any

LARGE = 99_000


def both() -> dict[tuple[str, str], bytes]:
    """(API, size) → body. APIs are `chat` and `messages`, sizes `1k` and `99k`."""
    bodies: dict[tuple[str, str], bytes] = {}
    for size, chat in (("1k", _small()), ("99k", _large())):
        bodies["chat", size] = _bytes(chat)
        bodies["messages", size] = _bytes(_as_messages(chat))
    return bodies


def _bytes(body: object) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def _small() -> dict[str, Any]:
    return {
        "model": "claude-sonnet-4.5",
        "stream": True,
        "messages": [
            {"role": "system", "content": "You are helpful. " * 10},
            {"role": "user", "content": "Explain event streams. " * 30},
        ],
    }


def _large() -> dict[str, Any]:
    pick = random.Random(1)
    vocabulary = ["def", "return", "line\n", '"quoted"', "path/to/file", "x = 1", "é", "error: foo"]

    def words(count: int) -> str:
        return " ".join(pick.choice(vocabulary) for _ in range(count))

    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "You are a careful programmer. " * 300},
        {"role": "user", "content": "please fix the bug"},
    ]
    body = {
        "model": "claude-sonnet-4.5",
        "stream": True,
        "max_tokens": 8192,
        "tools": [_tool(number) for number in range(20)],
        "messages": messages,
    }
    number = 0
    while len(_bytes(body)) < LARGE:
        number += 1
        call = {"name": f"tool_{number % 20}", "arguments": json.dumps({"p0": words(20)})}
        messages.append(
            {
                "role": "assistant",
                "content": words(30),
                "tool_calls": [{"id": f"toolu_{number}", "type": "function", "function": call}],
            }
        )
        messages.append({"role": "tool", "tool_call_id": f"toolu_{number}", "content": words(300)})
    messages.append({"role": "user", "content": [{"type": "text", "text": "continue"}]})
    return body


def _tool(number: int) -> dict[str, Any]:
    properties = {
        f"p{n}": {"type": "string", "description": "the parameter described at length " * 3} for n in range(6)
    }
    function = {
        "name": f"tool_{number}",
        "description": "Executes a thing. " * 40,
        "parameters": {
            "type": "object",
            "properties": properties,
            "required": ["p0"],
            "additionalProperties": False,
        },
    }
    return {"type": "function", "function": function}


def _as_messages(chat: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {"model": chat["model"], "max_tokens": 8192, "stream": True, "messages": []}
    for message in chat["messages"]:
        match message["role"]:
            case "system":
                body["system"] = message["content"]
            case "tool":
                result = {
                    "type": "tool_result",
                    "tool_use_id": message["tool_call_id"],
                    "content": message["content"],
                }
                body["messages"].append({"role": "user", "content": [result]})
            case "assistant":
                uses = [
                    {
                        "type": "tool_use",
                        "id": call["id"],
                        "name": call["function"]["name"],
                        "input": json.loads(call["function"]["arguments"]),
                    }
                    for call in message["tool_calls"]
                ]
                text = {"type": "text", "text": message["content"]}
                body["messages"].append({"role": "assistant", "content": [text, *uses]})
            case _:
                body["messages"].append({"role": "user", "content": message["content"]})
    if "tools" in chat:
        body["tools"] = [
            {
                "name": tool["function"]["name"],
                "description": tool["function"]["description"],
                "input_schema": tool["function"]["parameters"],
            }
            for tool in chat["tools"]
        ]
    return body
