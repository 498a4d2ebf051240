"""What a stream must have, by what breaks real clients when it is missing (CLIENTS.md (b), the mutation tables).

Each function takes the body of a whole, successful stream and raises AssertionError naming what is lost. They read the
bytes themselves: nothing of the gateway's, nothing of an SDK's. `test_mutations.py` shows that each detail is noticed.
"""

import json
from typing import Any, NamedTuple

_STARTS: dict[str, dict[str, Any]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
    "redacted_thinking": {},
}
_DELTAS = {
    "text": ["text_delta"],
    "thinking": ["thinking_delta", "signature_delta"],
    "tool_use": ["input_json_delta"],
    "redacted_thinking": [],
}
_CACHE = {"cache_creation_input_tokens", "cache_read_input_tokens"}


class Event(NamedTuple):
    """`name` is the `event:` line's, "" without one; `data` the JSON, or the text "[DONE]"."""

    name: str
    data: Any


def parse(body: str) -> list[Event]:
    events: list[Event] = []
    *blocks, rest = body.split("\n\n")
    assert rest == "", "the last event is not whole"
    for block in blocks:
        lines = block.split("\n")
        assert len([line for line in lines if line.startswith("data: ")]) == 1, "an event has one line of data"
        name = next((line.removeprefix("event: ") for line in lines if line.startswith("event: ")), "")
        data = next(line.removeprefix("data: ") for line in lines if line.startswith("data: "))
        events.append(Event(name, data if data == "[DONE]" else json.loads(data)))
    return events


# --- Anthropic Messages


def messages(body: str) -> None:
    events = [event for event in parse(body) if event.name != "ping"]
    assert [event.name for event in events] == [event.data["type"] for event in events], "event lines"
    names = [event.name for event in events]
    assert names[0] == "message_start", "message_start comes first"
    assert names[-2:] == ["message_delta", "message_stop"], "message_delta and message_stop come last"
    message = events[0].data["message"]
    assert {"id", "model", "role", "type", "content", "stop_reason", "stop_sequence"} <= message.keys(), "message_start"
    assert message["content"] == [], "message_start has no content"
    _messages_usage(message["usage"])
    kinds = _messages_blocks(events[1:-2])
    end = events[-2].data
    _messages_usage(end["usage"])
    assert end["delta"].keys() == {"stop_reason", "stop_sequence"}, "message_delta"
    reason = end["delta"]["stop_reason"]
    assert reason is not None, "a stop reason"
    assert reason != "end_turn" or "tool_use" not in kinds, "tools were used, and the reason doesn't say so"


def _messages_usage(usage: dict[str, Any]) -> None:
    assert {"input_tokens", "output_tokens"} | _CACHE <= usage.keys(), "usage"


def _messages_blocks(events: list[Event]) -> list[str]:
    """The kinds of the blocks, which follow one another, each with its start, its deltas and its stop."""
    kinds: list[str] = []
    inside: list[str] | None = None
    written = ""
    for name, data in events:
        if name == "content_block_start":
            assert inside is None, "a block begins in another"
            assert data["index"] == len(kinds), "the blocks' indexes count up from 0"
            block = data["content_block"]
            kinds.append(block["type"])
            begun = {key: value for key, value in block.items() if key in _STARTS[block["type"]]}
            assert begun == _STARTS[block["type"]], f"what a {block['type']} starts with"
            if block["type"] == "tool_use":
                assert block["id"], "a tool use has an id"
                assert block["name"], "a tool use has a name"
            inside, written = [], ""
            continue
        assert inside is not None, f"{name} outside of a block"
        assert data["index"] == len(kinds) - 1, "a delta's index is its block's"
        kind = kinds[-1]
        if name == "content_block_delta":
            delta = data["delta"]
            assert delta["type"] in _DELTAS[kind], f"{delta['type']} in a {kind}"
            inside.append(delta["type"])
            written += delta.get("partial_json", "")
        else:
            assert name == "content_block_stop", f"{name} in a block"
            if kind == "thinking":
                assert inside.count("signature_delta") == 1, "one signature"
                assert inside[-1] == "signature_delta", "the signature is the last delta"
            if kind == "tool_use":
                assert isinstance(json.loads(written), dict), "a tool's input is an object"
            inside = None
    assert inside is None, "the last block is not stopped"
    return kinds


# --- OpenAI Chat Completions


def chat(body: str, *, usage_asked: bool) -> None:
    *events, last = parse(body)
    assert last == Event("", "[DONE]"), "[DONE] is the last event"
    chunks = [event.data for event in events]
    assert {event.name for event in events} == {""}, "there are no event lines"
    for chunk in chunks:
        assert {"id", "object", "created", "model", "choices"} <= chunk.keys(), "every chunk says whose it is"
        assert chunk["object"] == "chat.completion.chunk", "object"
    assert len({chunk["id"] for chunk in chunks}) == 1, "one id on every chunk"
    if usage_asked:
        assert chunks[-1]["choices"] == [], "usage has a chunk of its own"
        assert {"prompt_tokens", "completion_tokens", "total_tokens"} <= chunks.pop()["usage"].keys(), "usage"
        assert all(chunk["usage"] is None for chunk in chunks), "usage is null before"
    else:
        assert not any(chunk.get("usage") for chunk in chunks), "usage nobody asked for"
    choices = [chunk["choices"][0] for chunk in chunks]
    assert all(choice["index"] == 0 and "delta" in choice for choice in choices), "one choice in every chunk"
    assert [choice["finish_reason"] for choice in choices[:-1]] == [None] * (len(choices) - 1), "an early finish"
    reason = choices[-1]["finish_reason"]
    assert reason is not None, "the finish reason"
    first = choices[0]["delta"]
    assert first.get("role") == "assistant", "the role comes first"
    assert first["content"] in ("", None), "content is begun"
    assert not any("role" in choice["delta"] for choice in choices[1:]), "the role comes once"
    called = _chat_calls([call for choice in choices for call in choice["delta"].get("tool_calls", ())])
    assert reason != "stop" or not called, "tools were called, and the reason doesn't say so"


def _chat_calls(deltas: list[dict[str, Any]]) -> int:
    """How many calls there are: the first delta of each names it, and the later ones don't."""
    begun = 0
    for delta in deltas:
        assert "index" in delta, "a call's delta has an index"
        if delta["index"] == begun:
            begun += 1
            assert delta["id"], "a call begins with its id"
            assert delta["type"], "a call begins with its type"
            assert delta[delta["type"]]["name"], "a call begins with its name"
        else:
            assert delta["index"] == begun - 1, "calls follow one another"
            assert not {"id", "type"} & delta.keys(), "only the first delta of a call has its id"
            [member] = delta.keys() - {"index"}
            assert "name" not in delta[member], "only the first delta of a call has its name"
    return begun


# --- OpenAI Responses

_OBJECT = {
    *("id", "object", "created_at", "completed_at", "status", "background", "error", "incomplete_details"),
    *("instructions", "max_output_tokens", "max_tool_calls", "model", "output", "parallel_tool_calls"),
    *("previous_response_id", "reasoning", "store", "temperature", "text", "tool_choice", "tools", "top_p"),
    *("truncation", "usage", "user", "metadata", "service_tier", "top_logprobs", "presence_penalty"),
    *("frequency_penalty", "safety_identifier", "prompt_cache_key"),
}
_CALLS = {"function_call": "function_call_arguments", "custom_tool_call": "custom_tool_call_input"}


def responses(body: str) -> None:
    events = parse(body)
    assert [event.name for event in events] == [event.data["type"] for event in events], "event lines"
    assert [event.data["sequence_number"] for event in events] == [*range(len(events))], "sequence_number"
    names = [event.name.removeprefix("response.") for event in events]
    assert names[:2] == ["created", "in_progress"], "the response is created, then in progress"
    assert names[-1] in {"completed", "incomplete"}, "the response ends"
    for event in (*events[:2], events[-1]):
        assert event.data["response"].keys() >= _OBJECT, "the whole response object"
    final = events[-1].data["response"]
    assert final["status"] == names[-1], "the status is the event's"
    assert (final["completed_at"] is not None) == (names[-1] == "completed"), "completed_at is of what is completed"
    usage = final["usage"]
    assert {"input_tokens", "output_tokens", "total_tokens"} <= usage.keys(), "usage"
    assert {"cached_tokens", "cache_write_tokens"} <= usage["input_tokens_details"].keys(), "usage of the cache"
    assert "reasoning_tokens" in usage["output_tokens_details"], "usage of reasoning"
    items = _responses_items([(name, event.data) for name, event in zip(names[2:-1], events[2:-1], strict=True)])
    assert final["output"] == items, "the output is the items told before"


def _responses_items(events: list[tuple[str, Any]]) -> list[Any]:
    """The items as they were told when done, each after its own events."""
    done: list[Any] = []
    open_id, inside = "", [""]
    for name, data in events:
        if name == "output_item.added":
            assert data["output_index"] == len(done), "items count up from 0 and follow one another"
            open_id, inside = data["item"]["id"], []
            assert open_id, "an item has an id"
            continue
        assert open_id, f"{name} outside of an item"
        assert data["output_index"] == len(done), "output_index"
        if name != "output_item.done":
            assert data["item_id"] == open_id, "item_id"
            inside.append(name)
            continue
        item = data["item"]
        assert item["id"] == open_id, "the item that is done is the one that was added"
        _responses_inside(item, inside)
        done.append(item)
        open_id = ""
    assert not open_id, "the last item is not done"
    return done


def _responses_inside(item: Any, names: list[str]) -> None:
    told = [name for name in names if not name.endswith("annotation.added")]
    ends = [name for name in told if not name.endswith(".delta")]
    match item["type"]:
        case "message":
            expected = ["content_part.added", "output_text.done", "content_part.done"]
            assert ends == expected, "the events around a text"
            assert told[0] == expected[0], "the part is added first"
            assert told[-2:] == expected[1:], "the text is done, then the part"
        case "reasoning" if item["summary"]:
            part = "reasoning_summary_part"
            assert ends == [f"{part}.added", "reasoning_summary_text.done", f"{part}.done"], "the events of a summary"
        case "function_call" | "custom_tool_call" as kind:
            assert ends == [f"{_CALLS[kind]}.done"], "the events of a call"
            assert told[-1] == ends[0], "the arguments are done last"
            assert f"{_CALLS[kind]}.delta" in told, "the arguments as they come"
            assert item["call_id"], "a call has its call_id"
            assert item["name"], "a call has its name"
            assert item["status"] == "completed", "a call that is done is complete"
        case _:
            assert told == [], f"events in a {item['type']}"
