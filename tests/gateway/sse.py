"""Server-sent events, read back."""

import json
from typing import Any


def events(body: str) -> list[tuple[str, Any]]:
    """(name, data) of each event; "" where there is no name, the text itself where the data is not JSON."""
    found: list[tuple[str, Any]] = []
    for block in body.split("\n\n"):
        name, data = "", ""
        for line in block.splitlines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data += line.removeprefix("data: ")
        if data:
            found.append((name, data if data == "[DONE]" else json.loads(data)))
    return found


def text_of(body: str) -> str:
    """The text a Messages or Chat stream delivers."""
    said = ""
    for name, data in events(body):
        if name == "content_block_delta" and data["delta"]["type"] == "text_delta":
            said += data["delta"]["text"]
        elif not name and data != "[DONE]":
            for choice in data["choices"]:
                said += choice["delta"].get("content") or ""
    return said
