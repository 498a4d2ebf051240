"""The laws of a reply writer and of a reader, over generated replies and requests."""

import json
from typing import Any, cast

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from qrelay.apis.openai_chat import CHAT
from qrelay.completion import fold
from qrelay.errors import ErrorCode, RelayError
from qrelay.events import Event, ToolUseStart
from tests.apis.loopback import STAMP
from tests.apis.openai_chat.streams import added_up, ask, payloads
from tests.strategies import replies

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How fast a machine is, is no law."""

FAILURE = RelayError(ErrorCode.upstream_failed, "It failed.")


def names_of(events: list[Event]) -> list[str]:
    return [event.name for event in events if isinstance(event, ToolUseStart)]


@UNHURRIED
@given(replies(), st.booleans(), st.sets(st.integers(0, 5)), st.lists(st.integers(0, 40), max_size=6))
def test_whole_equals_streamed_however_it_is_fed(
    events: list[Event], include_usage: bool, custom: set[int], cuts: list[int]
) -> None:
    names = names_of(events)
    tools = [{"type": "custom", "custom": {"name": names[at]}} for at in custom if at < len(names)]
    call = ask(stream_options={"include_usage": include_usage}, tools=tools)
    writer = call.writer()
    at_once = writer.start() + writer.feed(events) + writer.close()

    writer = call.writer()
    out, start = [writer.start()], 0
    for cut in sorted(cuts):
        out.append(writer.feed(events[start:cut]))
        start = max(start, cut)
    assert b"".join([*out, writer.feed(events[start:]), writer.close()]) == at_once

    whole = json.loads(call.whole(fold(events)))
    choice, told = whole["choices"][0], added_up(at_once)
    expected = choice["message"]
    del expected["refusal"]  # a stream says nothing where the whole reply says null or []
    expected["annotations"] = expected["annotations"] or None
    told["message"].setdefault("annotations", None)
    if "tool_calls" in expected:
        expected["content"] = expected["content"] or ""
        told["message"]["content"] = told["message"]["content"] or ""
    assert told["message"] == expected
    assert told["finish_reason"] == choice["finish_reason"]
    assert told["usage"] == (whole["usage"] if include_usage else None)


@UNHURRIED
@given(replies(), st.booleans())
def test_what_is_written_is_of_the_sdk_s_own_types(events: list[Event], include_usage: bool) -> None:
    call = ask(stream_options={"include_usage": include_usage})
    writer = call.writer()
    *chunks, done = payloads(writer.start() + writer.feed(events) + writer.close())
    assert done == "[DONE]"
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    ChatCompletion.model_validate(json.loads(call.whole(fold(events))), strict=True)


@UNHURRIED
@given(replies(), st.integers(0, 40), st.booleans())
def test_a_failure_at_any_point_is_the_only_end(events: list[Event], cut: int, started: bool) -> None:
    writer = ask(stream_options={"include_usage": True}).writer()
    stream = writer.start() if started else b""
    told = payloads(stream + writer.feed(events[:cut]) + writer.fail(FAILURE))
    assert "[DONE]" not in told
    ends = ["error" in chunk or any(each["finish_reason"] for each in chunk["choices"]) for chunk in told]
    assert ends == [False] * (len(told) - 1) + [True]
    assert told[-1]["error"]["code"] == "upstream_failed"


# --- requests, by the SDK's own parameter types

TEXT = st.text(max_size=8)
NAME = st.text("abcXYZ019_-", min_size=1, max_size=12)
OBJECT = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers() | TEXT, max_size=3)


def some(required: dict[str, Any], **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


def kind(name: str, **members: Any) -> st.SearchStrategy[dict[str, Any]]:
    return some({"type": st.just(name)} | members)


TEXT_PART = kind("text", text=TEXT)
IMAGE = kind("image_url", image_url=some({"url": st.just("data:image/png;base64,AA==")}, detail=st.just("auto")))
FILE = kind("file", file=some({"file_data": st.just("data:application/pdf;base64,AA==")}, filename=TEXT))
AUDIO = kind("input_audio", input_audio=st.just({"data": "AA==", "format": "wav"}))
REFUSAL = kind("refusal", refusal=TEXT)
CALL = st.one_of(
    kind("function", id=NAME, function=some({"name": NAME, "arguments": TEXT | OBJECT.map(json.dumps)})),
    kind("custom", id=NAME, custom=some({"name": NAME, "input": TEXT})),
)


def message(role: str, parts: Any, **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    content = TEXT | st.lists(parts, max_size=3)
    return some({"role": st.just(role), "content": content}, **optional)


MESSAGE = st.one_of(
    message("system", TEXT_PART, name=NAME),
    message("developer", TEXT_PART, name=NAME),
    message("user", st.one_of(TEXT_PART, IMAGE, FILE, AUDIO), name=NAME),
    some(
        {"role": st.just("assistant")},
        content=st.none() | TEXT | st.lists(TEXT_PART | REFUSAL, max_size=3),
        name=NAME,
        refusal=st.none() | TEXT,
        audio=st.none() | st.just({"id": "audio_1"}),
        tool_calls=st.lists(CALL, max_size=3),
        function_call=st.none() | some({"name": NAME, "arguments": TEXT}),
    ),
    some({"role": st.just("tool"), "tool_call_id": NAME, "content": TEXT | st.lists(TEXT_PART, max_size=3)}),
    some({"role": st.just("function"), "name": NAME, "content": st.none() | TEXT}),
)
TOOL = st.one_of(
    kind(
        "function", function=some({"name": NAME}, description=TEXT, parameters=OBJECT, strict=st.none() | st.booleans())
    ),
    kind(
        "custom",
        custom=some(
            {"name": NAME},
            description=TEXT,
            format=st.one_of(
                kind("text"),
                kind("grammar", grammar=some({"definition": TEXT, "syntax": st.sampled_from(["lark", "regex"])})),
            ),
        ),
    ),
)
NUMBER = st.none() | st.floats(-2, 2) | st.integers(-2, 2)
REQUEST = some(
    {"model": NAME, "messages": st.lists(MESSAGE, min_size=1, max_size=5)},
    stream=st.none() | st.booleans(),
    stream_options=st.none() | some({}, include_usage=st.booleans(), include_obfuscation=st.booleans()),
    tools=st.lists(TOOL, max_size=3),
    tool_choice=st.sampled_from(["none", "auto", "required"])
    | some(
        {"type": st.just("allowed_tools"), "allowed_tools": some({"mode": st.just("auto"), "tools": st.lists(TOOL)})}
    ),
    functions=st.lists(some({"name": NAME}, description=TEXT, parameters=OBJECT), max_size=2),
    function_call=st.sampled_from(["none", "auto"]),
    parallel_tool_calls=st.booleans(),
    max_tokens=st.none() | st.integers(1, 9999),
    max_completion_tokens=st.none() | st.integers(1, 9999),
    stop=st.none() | TEXT | st.lists(TEXT, max_size=4),
    n=st.none() | st.just(1),
    temperature=NUMBER,
    top_p=NUMBER,
    frequency_penalty=NUMBER,
    presence_penalty=NUMBER,
    seed=st.none() | st.integers(0, 2**63 - 1),
    logprobs=st.none() | st.booleans(),
    top_logprobs=st.none() | st.integers(0, 20),
    logit_bias=st.none() | st.dictionaries(NAME, st.integers(-100, 100)),
    metadata=st.none() | st.dictionaries(NAME, TEXT),
    modalities=st.none() | st.lists(st.sampled_from(["text", "audio"])),
    reasoning_effort=st.none() | st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"]),
    response_format=st.one_of(
        kind("text"), kind("json_object"), kind("json_schema", json_schema=some({"name": NAME}, schema=OBJECT))
    ),
    service_tier=st.none() | st.sampled_from(["auto", "default", "flex", "scale", "priority", "fast"]),
    store=st.none() | st.booleans(),
    prompt_cache_key=st.none() | TEXT,
    user=TEXT,
    verbosity=st.none() | st.sampled_from(["low", "medium", "high"]),
    prediction=st.none() | kind("content", content=TEXT | st.lists(TEXT_PART)),
    web_search_options=some({}, search_context_size=st.just("low")),
    safety_identifier=st.none() | TEXT,
)


def texts(value: Any) -> list[str]:
    """Every text a person or tool said, in order."""
    if isinstance(value, str):
        return [value] if value else []
    parts = cast("list[dict[str, Any]]", value or [])
    return [text for part in parts if (text := part.get("text") or part.get("refusal"))]


@UNHURRIED
@given(REQUEST)
def test_a_request_of_the_sdk_s_types_is_read(request: dict[str, Any]) -> None:
    call = CHAT.read(json.dumps(request).encode(), STAMP)
    conversation = call.conversation
    assert conversation.model == request["model"]
    heard = "".join(conversation.system) + repr(conversation.turns)
    for message in request["messages"]:
        for text in texts(message.get("content")):
            assert text in heard or repr(text)[1:-1] in heard
    assert all(name.isascii() and name.isprintable() for name in call.ignored)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        [
            "text",
            "user",
            "assistant",
            "tool",
            "system",
            "function",
            "custom",
            "image_url",
            "data:image/png;base64,A",
            "",
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "role",
                    "content",
                    "text",
                    "image_url",
                    "url",
                    "id",
                    "tool_calls",
                    "function",
                    "name",
                    "arguments",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@UNHURRIED
@given(
    st.fixed_dictionaries(
        {"model": st.just("m"), "messages": st.lists(JUNK, max_size=3)},
        optional={"tools": JUNK, "tool_choice": JUNK, "stop": JUNK, "functions": JUNK},
    )
)
def test_junk_is_read_or_refused(request: dict[str, Any]) -> None:
    error = fault(json.dumps(request).encode())
    assert error is None or (error.code is ErrorCode.request_invalid and error.param)


@UNHURRIED
@given(st.binary(max_size=60))
def test_bytes_are_read_or_refused(body: bytes) -> None:
    error = fault(body)
    assert error is None or error.code is ErrorCode.request_invalid


def fault(body: bytes) -> RelayError | None:
    try:
        CHAT.read(body, STAMP)
    except RelayError as error:
        return error
    return None
