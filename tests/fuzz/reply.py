"""Reply reader: any frames give events in the grammar that every writer takes, or a failure; chunks don't matter."""

import json
import random
from collections.abc import Iterator
from typing import Any

import msgspec

from qrelay.apis.anthropic import MESSAGES
from qrelay.apis.dialect import Dialect, Stamp
from qrelay.apis.openai_chat import CHAT
from qrelay.apis.openai_responses import RESPONSES
from qrelay.completion import fold
from qrelay.errors import RelayError
from qrelay.events import Event, Finish
from qrelay.upstream.eventstream import encode
from qrelay.upstream.response import Estimate, ReplyReader, TailPolicy
from tests.fuzz.mutation import after_number, json_mutator
from tests.fuzz.target import Target, numbered, split

STAMP = Stamp("0123456789abcdef", lambda: 1_700_000_000.0)
PLAIN: dict[str, Any] = {"model": "m", "stream": True}
_TURNS = [{"role": "user", "content": "Hello"}]
REQUESTS: tuple[tuple[Dialect, dict[str, Any]], ...] = (
    (MESSAGES, {**PLAIN, "max_tokens": 9, "messages": _TURNS}),
    (CHAT, {**PLAIN, "messages": _TURNS, "stream_options": {"include_usage": True}}),
    (RESPONSES, {**PLAIN, "input": "Hello"}),
)
CALLS = [dialect.read(json.dumps(request).encode(), STAMP) for dialect, request in REQUESTS]


def seeds() -> Iterator[bytes]:
    text = ["assistantResponseEvent", {"content": "Hello "}]
    tool: dict[str, Any] = {"toolUseId": "t1", "name": "ls"}
    usage = {"uncachedInputTokens": 10, "outputTokens": 5, "totalTokens": 15, "cacheReadInputTokens": 1}
    end = ["metadataEvent", {"stopReason": "END_TURN", "tokenUsage": usage}]
    replies: tuple[list[Any], ...] = (
        [text, ["assistantResponseEvent", {"content": "world"}], end],
        [text, ["toolUseEvent", tool], ["toolUseEvent", {**tool, "input": '{"a": 1}'}],
         ["toolUseEvent", {**tool, "stop": True}], ["metadataEvent", {"stopReason": "TOOL_USE"}]],
        [["toolUseEvent", {**tool, "input": {"a": [1]}, "stop": True}], ["toolUseEvent", {"input": "{}"}], text, end],
        [["reasoningContentEvent", {"text": "Hm."}], ["reasoningContentEvent", {"signature": "c2ln"}],
         ["reasoningContentEvent", {"redactedContent": "eA=="}], text, end],
        [text, text, ["codeReferenceEvent", {"references": [{"licenseName": "MIT", "repository": "r", "url": "u",
         "recommendationContentSpan": {"start": 0, "end": 4}}]}], end],
        [text, ["supplementaryWebLinksEvent", {"supplementaryWebLinks": [{"url": "u", "title": "t", "snippet": "s"}]}],
         ["citationEvent", {"target": {"location": 3}, "citationText": "c", "citationLink": "l"}],
         ["contextUsageEvent", {"contextUsagePercentage": 12.5}], ["meteringEvent", {"usage": 0.5, "unit": "credit"}]],
        [text, ["exception:ThrottlingException", {"message": "slow down", "reason": "X"}]],
        [text, ["invalidStateEvent", {"reason": "R", "message": "M"}]],
        [["codeEvent", {"content": "x"}], ["initial-response", {}], ["followupPromptEvent", {"a": 1}], end],
    )  # fmt: skip
    for number, reply in enumerate(replies):
        yield numbered(number, json.dumps(reply).encode())


def check(data: bytes) -> None:
    number, raw = split(data, 256)
    stream = _stream(raw)
    chance = random.Random(number)
    policies: tuple[TailPolicy, ...] = ("auto", "always", "never")
    policy, framed = policies[number % 3], number % 2 == 0
    reader = ReplyReader(Estimate(lambda: 1000, len, 200_000), {"ls": "the-list"}, policy)
    events, failure = _read(reader, [stream], framed=framed)
    again = ReplyReader(Estimate(lambda: 1000, len, 200_000), {"ls": "the-list"}, policy)
    assert _read(again, _pieces(stream, chance), framed=framed) == (events, failure)
    msgspec.json.encode([event for event in events if not isinstance(event, Finish)])
    for call in CALLS:
        writer = call.writer()
        written = writer.start() + b"".join(writer.feed([event]) for event in events)
        written += writer.fail(reader.failure) if reader.failure is not None else writer.close()
        _check_stream(written)
        if reader.failure is None:
            json.loads(call.whole(fold(events)))


def _read(reader: ReplyReader, pieces: list[bytes], *, framed: bool) -> tuple[list[Event], str | None]:
    events = [event for piece in pieces for event in reader.feed(piece)]
    events += reader.close(framed=framed)
    assert (reader.failure is None) == (bool(events) and isinstance(events[-1], Finish))
    assert reader.failure is None or isinstance(reader.failure, RelayError)
    return events, None if reader.failure is None else reader.failure.message


def _check_stream(written: bytes) -> None:
    """Every event is one that an SSE reader takes apart again."""
    for event in written.decode().split("\n\n"):
        for line in event.split("\n"):
            name, _, value = line.partition(": ")
            assert name in {"", "event", "data"}, line
            if name == "data" and value != "[DONE]":
                json.loads(value)


def _stream(raw: bytes) -> bytes:
    """The frames that a JSON list describes, each as [event type, payload]; anything else as the bytes it is."""
    try:
        frames: list[tuple[Any, Any]] = json.loads(raw)
        return b"".join(_frame(kind, payload) for kind, payload in frames)
    except (ValueError, RecursionError, TypeError):
        return raw


def _frame(kind: Any, payload: Any) -> bytes:
    name = str(kind).encode("utf-8", "replace").decode()
    body = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else json.dumps(payload).encode()
    if name.startswith("exception:"):
        return encode({":message-type": "exception", ":exception-type": name.partition(":")[2]}, body)
    return encode({":message-type": "event", ":event-type": name, ":content-type": "application/json"}, body)


def _pieces(stream: bytes, chance: random.Random) -> list[bytes]:
    pieces: list[bytes] = []
    while stream:
        size = chance.choice((1, 7, 50, 500))
        pieces.append(stream[:size])
        stream = stream[size:]
    return pieces


TARGET = Target("reply", seeds, check, after_number(json_mutator))
