"""Growth laws: each kind of expensive input costs about twice as much when there is twice as much of it.

CPU time of this process alone, the best of several tries, so that other load on the machine doesn't count. Work that
grows with the square has a ratio of 4.
"""

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from math import isqrt
from statistics import median
from typing import Any

import msgspec
import pytest

from qrelay.accounts.importing import sent
from qrelay.apis import anthropic, body, openai_chat, openai_responses
from qrelay.apis.custom_tools import FreeText
from qrelay.apis.dialect import Call, Stamp
from qrelay.apis.json_scan import SLICE, JsonScan, SurrogateMender
from qrelay.apis.openai_responses import Kept, ResponsesStore
from qrelay.apis.request_limits import RequestLimits
from qrelay.completion import fold
from qrelay.conversation import Conversation
from qrelay.errors import RelayError
from qrelay.events import Event, Finish, TextDelta, ToolInputDelta, ToolUseEnd, ToolUseStart, Usage
from qrelay.limits import Limiter
from qrelay.tokens import count_conversation, count_text
from qrelay.upstream.request import Addressing, Limits, to_payload
from qrelay.upstream.tool_schema import normalise

MOST_RATIO = 2.6
MOST_MEDIAN = 3.0
"""Of all tries, where the best ones say more than MOST_RATIO. Growth with the square makes 4."""
TRIES = 2
MORE_TRIES = 40
ANY = RequestLimits(*[10**12] * len(RequestLimits._fields))
STAMP = Stamp("0" * 32, lambda: 0.0)
TO = Addressing("c", "claude-sonnet-4.5", "CLI", None)
SENT = Limits(10**12, 10**12, 10**12, 10**12)


@dataclass(frozen=True)
class Case:
    """`make` prepares work of size n; only the work is timed."""

    n: int
    make: Callable[[int], Callable[[], object]]


def spent(work: Callable[[], object]) -> float:
    gc.disable()  # when it runs depends on what ran before
    try:
        began = time.process_time()
        work()
        return time.process_time() - began
    finally:
        gc.enable()


def understood(call: Call) -> None:
    built(call.conversation)


def built(conversation: Conversation) -> None:
    with suppress(RelayError):  # an image of the last turn that can't be sent
        to_payload(conversation, TO, limits=SENT)


def messages(n: int, *entries: Any, **more: Any) -> Callable[[], object]:
    """A Messages request with `entries` n times, and what is done with it."""
    first = [{"role": "user", "content": "Hi"}]
    asked = {"model": "m", "max_tokens": 9, "messages": [*first, *(list(entries) * n)]} | more
    raw = msgspec.json.encode(asked)
    return lambda: understood(anthropic.read(raw, STAMP, limits=ANY))


def parts(n: int, *blocks: Any, role: str = "user") -> Callable[[], object]:
    return messages(1, {"role": role, "content": list(blocks) * n}, {"role": "user", "content": "Go on"})


def chat(n: int, *entries: Any, **more: Any) -> Callable[[], object]:
    first = [{"role": "user", "content": "Hi"}]
    raw = msgspec.json.encode({"model": "m", "messages": [*first, *(list(entries) * n)]} | more)
    return lambda: understood(openai_chat.CHAT.read(raw, STAMP, limits=ANY))


def responses(n: int, *items: Any, **more: Any) -> Callable[[], object]:
    memory = ResponsesStore().scoped("")
    raw = msgspec.json.encode({"model": "m", "input": [{"role": "user", "content": "Hi"}, *(list(items) * n)]} | more)
    return lambda: understood(openai_responses.read(raw, STAMP, memory, limits=ANY))


def compacted(n: int) -> Callable[[], object]:
    raw = msgspec.json.encode({"model": "m", "input": [{"role": "user", "content": "Hi"}] * n})
    return lambda: understood(openai_responses.read_compact(raw, STAMP, limits=ANY))


def continued(n: int) -> Callable[[], object]:
    """A request that goes on with a long stored conversation, and refers to one of its items many times."""
    memory = ResponsesStore().scoped("")
    said = b'{"id":"msg_0_0","type":"message","role":"assistant","content":[{"type":"output_text","text":"Hi"}]}'
    kept = Kept(b"{}", (b"[%b]" % b",".join([said] * n),), {"msg_0_0": said})
    memory.store.put("", "resp_0", kept)
    items = [{"type": "item_reference", "id": "msg_0_0"}] * n
    raw = msgspec.json.encode({"model": "m", "previous_response_id": "resp_0", "input": items})
    return lambda: understood(openai_responses.read(raw, STAMP, memory, limits=ANY))


def renamed_ids(n: int) -> Callable[[], object]:
    """A tool-use id that is used again, has n taken names before it, and is long itself."""
    long = "x" * (n * 20)
    seed = sha256(long.encode()).hexdigest()
    taken = [f"tooluse_{sha256(f'{tries} {seed}'.encode()).hexdigest()[:24]}" for tries in range(1, n)]
    uses: list[dict[str, Any]] = [{"type": "tool_use", "id": id_, "name": "t", "input": {}} for id_ in [*taken, long]]
    return messages(1, {"role": "assistant", "content": uses}, {"role": "user", "content": "Go on"})


def unusable_images(n: int) -> Callable[[], object]:
    """Images of an earlier turn that can't be sent, before a last turn of many parts."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    turns = [{"role": "user", "content": [image] * n}, {"role": "assistant", "content": "ok"}]
    return messages(1, *turns, {"role": "user", "content": [{"type": "text", "text": "a"}] * n})


def tool(n: int) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    return {"name": f"tool {n}", "description": "d", "input_schema": schema}


def function(n: int) -> dict[str, Any]:
    given = tool(n)
    return {"type": "function", "function": {"name": given["name"], "parameters": given["input_schema"]}}


def namespaced(n: int) -> dict[str, Any]:
    """Tools of different namespaces whose flat names are the same, in n bytes: their names are long."""
    n = isqrt(n)
    word = "__".join(["a"] * (n + 2))
    tools = [
        {"type": "namespace", "name": word[: 3 * k + 1], "tools": [{"type": "function", "name": word[3 * k + 3 :]}]}
        for k in range(n)
    ]
    return {"tools": tools}


def schema(make: Callable[[int], Any]) -> Callable[[int], Callable[[], object]]:
    def prepared(n: int) -> Callable[[], object]:
        raw = msgspec.json.encode(make(n))
        return lambda: normalise(raw + b" ")

    return prepared


def chain(n: int) -> dict[str, Any]:
    links = {f"d{k}": {"$ref": f"#/$defs/d{k + 1}", f"k{k}": 1} for k in range(n)}
    return {"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": links}


def referred(n: int) -> dict[str, Any]:
    """Something large that is referred to often."""
    properties = {f"p{k}": {"$ref": "#/$defs/d"} for k in range(n)}
    large = {"enum": [f"value {k}" for k in range(n)]} | {f"k{k}": 1 for k in range(n)}
    return {"type": "object", "properties": properties, "$defs": {"d": large}}


def crosswise(n: int) -> dict[str, Any]:
    every = {f"p{k}": {"$ref": f"#/$defs/d{k}"} for k in range(n)}
    return {"type": "object", "properties": every, "$defs": {f"d{k}": {"properties": every} for k in range(n)}}


def branches(n: int) -> dict[str, Any]:
    return {"allOf": [{"properties": {f"p{k}": {"type": "string"}}, "required": [f"p{k}"]} for k in range(n)]}


def limited(sequences: Sequence[str], deltas: Sequence[str]) -> Callable[[], object]:
    asked = Conversation(model="m", turns=(), stop_sequences=tuple(sequences))

    def work() -> None:
        limiter = Limiter(asked, len)
        for text in deltas:
            limiter.feed([TextDelta(text)])

    return work


def free_text(pieces: Sequence[str]) -> Callable[[], object]:
    def work() -> None:
        text = FreeText()
        for piece in pieces:
            text.feed(piece)
        text.close()

    return work


def written(read: Callable[..., Call], asked: dict[str, Any]) -> Callable[[int], Callable[[], object]]:
    """A reply of n pieces and n tool uses, streamed and whole."""

    def prepared(n: int) -> Callable[[], object]:
        call = read(msgspec.json.encode({"model": "m"} | asked), STAMP)
        events: list[Event] = [TextDelta("some text ")] * n
        for k in range(n // 4):
            events += [ToolUseStart(f"t{k}", "tool"), ToolInputDelta('{"a":'), ToolInputDelta("1}"), ToolUseEnd()]
        events.append(Finish("end_turn", Usage(input_tokens=1, output_tokens=1)))

        def work() -> None:
            writer = call.writer()
            writer.start()
            for event in events:
                writer.feed([event])
            writer.close()
            call.whole(fold(events))

        return work

    return prepared


def scanned(raw: bytes) -> Callable[[], object]:
    def work() -> None:
        scan, mender = JsonScan(), SurrogateMender()
        for start in range(0, len(raw), SLICE):
            scan.feed(raw[start : start + SLICE])
            mender.feed(raw[start : start + SLICE])
        mender.close()

    return work


def mended(text: bytes) -> Callable[[int], Callable[[], object]]:
    return lambda n: lambda: body.mended(text * n)


def counted(unit: str) -> Callable[[int], Callable[[], object]]:
    count_text("Once, for the vocabulary.")
    return lambda n: lambda: count_text(unit * n + str(time.perf_counter()))


def counted_parts(n: int) -> Callable[[], object]:
    blocks = [{"type": "text", "text": f"part {k} of many"} for k in range(n)]
    asked = {"model": "m", "messages": [{"role": "user", "content": blocks}]}
    raw = msgspec.json.encode(asked)
    return lambda: count_conversation(anthropic.read_count(raw, limits=ANY))


def imported(n: int, join: bytes, around: tuple[bytes, bytes]) -> Callable[[], object]:
    rows = (msgspec.json.encode({"refreshToken": f"token {k}", "clientId": f"client-{k}"}) for k in range(n))
    raw = around[0] + join.join(rows) + around[1]

    def work() -> None:
        sent.read(raw, "file.json")

    return work


def unknown(n: int) -> dict[str, Any]:
    return {"type": f"kind_{n}", "anything": [1, {"a": "b"}]}


USE = {"type": "tool_use", "id": "toolu_1", "name": "t", "input": {"a": 1}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
CASES: dict[str, Case] = {
    "messages: system entries": Case(2400, lambda n: messages(n, {"role": "system", "content": "a"})),
    "messages: system entries for one turn": Case(
        2400, lambda n: messages(n, {"role": "system", "content": "a", "clear_at": "next_user_message"})
    ),
    "messages: system entries before users": Case(
        1800,
        lambda n: messages(
            n,
            {"role": "system", "content": "a", "clear_at": "next_user_message"},
            {"role": "user", "content": "b"},
        ),
    ),
    "messages: alternating": Case(
        1800, lambda n: messages(n, {"role": "assistant", "content": "a"}, {"role": "user", "content": "b"})
    ),
    "messages: text parts": Case(9000, lambda n: parts(n, {"type": "text", "text": "a"})),
    "messages: unknown parts": Case(3000, lambda n: parts(1, *map(unknown, range(n)))),
    "messages: server tools": Case(
        2400, lambda n: parts(n, {"type": "server_tool_use", "name": "web_search", "input": {"q": ["a"]}})
    ),
    "messages: uses of one id": Case(2400, lambda n: parts(n, USE, role="assistant")),
    "messages: uses of an illegal id": Case(2400, lambda n: parts(n, USE | {"id": "a b"}, role="assistant")),
    "messages: uses of a long id that is taken": Case(1800, renamed_ids),
    "messages: uses with results": Case(
        1200,
        lambda n: messages(n, {"role": "assistant", "content": [USE]}, {"role": "user", "content": [RESULT]}),
    ),
    "messages: results without uses": Case(3600, lambda n: parts(n, RESULT)),
    "messages: misplaced parts": Case(3000, lambda n: parts(n, RESULT, role="assistant")),
    "messages: reasoning": Case(
        4800, lambda n: parts(n, {"type": "thinking", "thinking": "a", "signature": "b"}, role="assistant")
    ),
    "messages: search results": Case(
        2400,
        lambda n: parts(
            n, {"type": "search_result", "title": "a", "source": "b", "content": [{"type": "text", "text": "c"}]}
        ),
    ),
    "messages: unusable images": Case(1800, unusable_images),
    "messages: stop sequences": Case(
        18000, lambda n: messages(1, {"role": "user", "content": "a"}, stop_sequences=[f"s{k}" for k in range(n)])
    ),
    "messages: tools": Case(
        900, lambda n: messages(1, *[{"role": "user", "content": "a"}], tools=[*map(tool, range(n))])
    ),
    "messages: one tool often": Case(
        2400, lambda n: messages(1, {"role": "user", "content": "a"}, tools=[tool(1)] * n)
    ),
    "messages: no tool may be called": Case(
        1800,
        lambda n: messages(n, {"role": "assistant", "content": [USE]}, tools=[tool(1)], tool_choice={"type": "none"}),
    ),
    "chat: messages": Case(3600, lambda n: chat(n, {"role": "user", "content": "a", "name": "b"})),
    "chat: system entries": Case(3600, lambda n: chat(n, {"role": "system", "content": "a"})),
    "chat: unknown parts": Case(4800, lambda n: chat(1, {"role": "user", "content": [*map(unknown, range(n))]})),
    "chat: calls": Case(2400, lambda n: chat(1, {"role": "assistant", "tool_calls": [CALL] * n})),
    "chat: results": Case(3600, lambda n: chat(n, {"role": "tool", "tool_call_id": "call_1", "content": "a"})),
    "chat: legacy calls": Case(
        1500,
        lambda n: chat(
            n,
            {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "a"},
        ),
    ),
    "chat: arguments that are no JSON": Case(
        2400,
        lambda n: chat(
            1, {"role": "assistant", "tool_calls": [CALL | {"function": {"name": "f", "arguments": "{"}}] * n}
        ),
    ),
    "chat: stop sequences": Case(18000, lambda n: chat(1, stop=[f"s{k}" for k in range(n)])),
    "chat: tools": Case(900, lambda n: chat(1, tools=[*map(function, range(n))])),
    "responses: messages": Case(3000, lambda n: responses(n, {"role": "user", "content": "a"})),
    "responses: unknown items": Case(2400, lambda n: responses(1, *map(unknown, range(n)))),
    "responses: calls and outputs without ids": Case(
        1500,
        lambda n: responses(
            1,
            *[{"type": "function_call", "call_id": f"c{k}", "name": "f", "arguments": "{}"} for k in range(n)],
            *[{"type": "function_call_output", "output": "a"} for _ in range(n)],
        ),
    ),
    "responses: outputs of a tool behind many calls of another": Case(
        1500,
        lambda n: responses(
            1,
            *[{"type": "function_call", "call_id": f"c{k}", "name": "f", "arguments": "{}"} for k in range(n)],
            *[{"type": "function_call", "call_id": f"d{k}", "name": "g", "arguments": "{}"} for k in range(n)],
            *[{"type": "function_call_output", "name": "g", "output": "a"} for _ in range(n)],
        ),
    ),
    "responses: reasoning": Case(
        3000, lambda n: responses(n, {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}]})
    ),
    "responses: parts of outputs": Case(
        4800,
        lambda n: responses(
            1,
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "a"}] * n},
        ),
    ),
    "responses: compaction": Case(3000, compacted),
    "responses: stored items": Case(1800, continued),
    "responses: namespaces with one flat name": Case(24000, lambda n: responses(1, **namespaced(n))),
    "responses: tools": Case(
        900,
        lambda n: responses(1, tools=[{"type": "function", "name": f"tool {k}", "parameters": {}} for k in range(n)]),
    ),
    "schema: properties": Case(2400, schema(lambda n: {"properties": {f"p{k}": {"type": "string"} for k in range(n)}})),
    "schema: a chain of references": Case(2400, schema(chain)),
    "schema: often referred to": Case(1800, schema(referred)),
    "schema: crosswise references": Case(60, schema(crosswise)),
    "schema: branches": Case(2400, schema(branches)),
    "stop sequences beside a stream": Case(
        1800, lambda n: limited([f"stop {k}" for k in range(n)], ["some text "] * 30)
    ),
    "long stop sequences": Case(600, lambda n: limited(["a" * n + str(k) for k in range(8)], ["a" * 50] * 1000)),
    "a long stream": Case(1800, lambda n: limited(["stop", "halt"], ["some text s"] * n)),
    "a custom tool's text": Case(3000, lambda n: free_text(['{"input":"', *["text\\n"] * n, '"}'])),
    "a custom tool's other arguments": Case(24000, lambda n: free_text(['{"other":"', *["text text "] * n, '"}'])),
    "reply: messages": Case(
        2400, written(anthropic.read, {"max_tokens": 9, "messages": [{"role": "user", "content": "a"}]})
    ),
    "reply: chat": Case(2400, written(openai_chat.CHAT.read, {"messages": [{"role": "user", "content": "a"}]})),
    "reply: responses": Case(1800, written(openai_responses.RESPONSES.read, {"input": "a"})),
    "scan: brackets": Case(90000, lambda n: scanned(b"[" * n + b"]" * n)),
    "scan: strings": Case(90000, lambda n: scanned(b'["",' * n)),
    "scan: backslashes": Case(240000, lambda n: scanned(b'"' + b"\\\\" * n)),
    "scan: lone surrogates": Case(24000, lambda n: scanned(b'"' + b"\\ud800" * n)),
    "mend: lone surrogates": Case(24000, mended(b"\\ud800")),
    "mend: backslashes": Case(240000, mended(b"\\\\ud800")),
    "mend: pairs": Case(24000, mended(b"\\ud83d\\ude00")),
    "tokens: letters": Case(60000, counted("a")),
    "tokens: spaces": Case(60000, counted(" ")),
    "tokens: lines": Case(60000, counted("\n")),
    "tokens: digits": Case(60000, counted("1")),
    "tokens: words": Case(12000, counted("some text, ")),
    "tokens: parts": Case(2400, counted_parts),
    "import: a list": Case(1200, lambda n: imported(n, b",", (b"[", b"]"))),
    "import: lines": Case(1200, lambda n: imported(n, b"\n", (b"", b""))),
}


@pytest.mark.parametrize("name", CASES)
def test_cost_grows_with_size_not_with_its_square(name: str) -> None:
    n = CASES[name].n
    once, twice = CASES[name].make(n), CASES[name].make(2 * n)
    least_once = least_twice = float("inf")
    ratios: list[float] = []
    for tried in range(MORE_TRIES):
        this_once, this_twice = spent(once), spent(twice)
        least_once, least_twice = min(least_once, this_once), min(least_twice, this_twice)
        ratios.append(this_twice / max(this_once, 1e-9))
        if tried + 1 >= TRIES and least_twice < MOST_RATIO * least_once:
            return
    if median(ratios) < MOST_MEDIAN:  # a busy machine's caches hold the smaller work and not the larger one
        return
    pytest.fail(f"{n} cost {least_once * 1000:.1f} ms, twice as many {least_twice * 1000:.1f} ms")
