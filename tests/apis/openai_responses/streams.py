"""Reading our own streams back: events out of SSE bytes, and the output that a client adds up from them."""

import json
from typing import Any

from qrelay.apis.dialect import Call, Stamp
from qrelay.apis.openai_responses import Memory, read
from tests.apis.loopback import STAMP

USER: dict[str, Any] = {"role": "user", "content": "hi"}


def ask(memory: Memory | None = None, stamp: Stamp = STAMP, **members: Any) -> Call:
    """A request with as little in it as possible, plus `members`."""
    return read(json.dumps({"model": "claude-sonnet-4-5", "input": "hi"} | members).encode(), stamp, memory)


def payloads(stream: bytes) -> list[Any]:
    """The JSON of each event. Its name must be its type, and the numbers must count up from 0."""
    blocks = stream.decode().split("\n\n")
    assert blocks.pop() == ""
    told: list[Any] = []
    for number, block in enumerate(blocks):
        name, data = block.split("\n")
        payload = json.loads(data.removeprefix("data: "))
        assert name == f"event: {payload['type']}"
        assert payload["sequence_number"] == number
        told.append(payload)
    return told


def added_up(events: list[Any]) -> list[Any]:
    """The output as a client builds it that believes deltas and not the items told as done."""
    items: list[Any] = []
    for event in events:
        match event["type"]:
            case "response.output_item.added":
                assert event["output_index"] == len(items)
                items.append(json.loads(json.dumps(event["item"])))
            case "response.content_part.added":
                items[event["output_index"]]["content"].append(dict(event["part"]))
            case "response.reasoning_summary_part.added":
                items[event["output_index"]]["summary"].append(dict(event["part"]))
            case "response.output_text.delta":
                items[event["output_index"]]["content"][event["content_index"]]["text"] += event["delta"]
            case "response.output_text.annotation.added":
                part = items[event["output_index"]]["content"][event["content_index"]]
                assert event["annotation_index"] == len(part["annotations"])
                part["annotations"] = [*part["annotations"], event["annotation"]]
            case "response.reasoning_summary_text.delta":
                items[event["output_index"]]["summary"][event["summary_index"]]["text"] += event["delta"]
            case "response.function_call_arguments.delta":
                items[event["output_index"]]["arguments"] += event["delta"]
            case "response.custom_tool_call_input.delta":
                items[event["output_index"]]["input"] += event["delta"]
            case "response.output_item.done":  # a client learns the status and the seal only here
                for name in ("status", "encrypted_content"):
                    if name in event["item"]:
                        items[event["output_index"]][name] = event["item"][name]
            case _:
                pass
        if "item_id" in event:
            assert event["item_id"] == items[event["output_index"]]["id"]
    return items
