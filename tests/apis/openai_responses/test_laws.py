"""The laws of a reply writer and of a reader, over generated replies and requests."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseInputItemParam, ResponseStreamEvent, ToolParam
from openai.types.responses.response_create_params import ToolChoice
from pydantic import TypeAdapter

from qrelay.apis.openai_responses import RESPONSES
from qrelay.completion import fold
from qrelay.errors import ErrorCode, RelayError
from qrelay.events import Event, ToolUseStart
from tests.apis.loopback import STAMP
from tests.apis.openai_responses.streams import added_up, ask, payloads
from tests.strategies import replies

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How fast a machine is, is no law."""

FAILURE = RelayError(ErrorCode.upstream_failed, "It failed.")
EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)


@st.composite
def requests_and_replies(draw: st.DrawFn) -> tuple[dict[str, Any], list[Event]]:
    """A reply, and a request in which some of its tools are custom ones or in a namespace."""
    events = draw(replies())
    tools: dict[str, dict[str, Any]] = {}
    for event in events:
        if isinstance(event, ToolUseStart):
            match draw(st.sampled_from(["absent", "function", "custom", "namespace"])):
                case "function":
                    tools[event.name] = {"type": "function", "name": event.name}
                case "custom":
                    tools[event.name] = {"type": "custom", "name": event.name}
                case "namespace" if "__" in event.name[1:-1]:
                    space, _, name = event.name.partition("__")
                    if space and name:
                        inner = {"type": "custom", "name": name}
                        tools[event.name] = {"type": "namespace", "name": space, "description": "", "tools": [inner]}
                case _:
                    pass
    include = draw(st.sampled_from([None, ["reasoning.encrypted_content"]]))
    return {"tools": list(tools.values()), "include": include}, events


@UNHURRIED
@given(requests_and_replies(), st.lists(st.integers(0, 40), max_size=6))
def test_whole_equals_streamed_however_it_is_fed(given: tuple[dict[str, Any], list[Event]], cuts: list[int]) -> None:
    members, events = given
    call = ask(**members)
    writer = call.writer()
    at_once = writer.start() + writer.feed(events) + writer.close()

    writer = call.writer()
    out, start = [writer.start()], 0
    for cut in sorted(cuts):
        out.append(writer.feed(events[start:cut]))
        start = max(start, cut)
    assert b"".join([*out, writer.feed(events[start:]), writer.close()]) == at_once

    whole = json.loads(call.whole(fold(events)))
    told = payloads(at_once)
    assert told[-1]["response"] == whole
    assert added_up(told) == whole["output"]
    assert [event["item"] for event in told if event["type"] == "response.output_item.done"] == whole["output"]


@UNHURRIED
@given(requests_and_replies())
def test_what_is_written_is_of_the_sdk_s_own_types(given: tuple[dict[str, Any], list[Event]]) -> None:
    members, events = given
    call = ask(**members)
    writer = call.writer()
    for event in payloads(writer.start() + writer.feed(events) + writer.close()):
        EVENT.validate_python(event, strict=True)
    Response.model_validate(json.loads(call.whole(fold(events))), strict=True)


@UNHURRIED
@given(requests_and_replies(), st.integers(0, 40))
def test_a_failure_at_any_point_is_the_only_end(given: tuple[dict[str, Any], list[Event]], cut: int) -> None:
    members, events = given
    writer = ask(**members).writer()
    told = payloads(writer.start() + writer.feed(events[:cut]) + writer.fail(FAILURE))
    ends = ("response.completed", "response.incomplete", "response.failed")
    assert [event["type"] for event in told if event["type"] in ends] == ["response.failed"]
    assert told[-1]["type"] == "response.failed"
    EVENT.validate_python(told[-1], strict=True)
    begun = {event["item"]["id"]: event["item"]["type"] for event in told if event["type"].endswith("item.added")}
    done = {event["item"]["id"] for event in told if event["type"] == "response.output_item.done"}
    open_items = [kind for item, kind in begun.items() if item not in done]
    assert open_items in ([], ["function_call"], ["custom_tool_call"]), "only a call that was cut is not told as done"
    assert [item["id"] for item in told[-1]["response"]["output"]] == [item for item in begun if item in done]


# --- requests, by the SDK's own parameter types

TEXT = st.text(max_size=8)
NAME = st.text("abcXYZ019_-", min_size=1, max_size=12)
OBJECT = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers() | TEXT, max_size=3)


def some(required: dict[str, Any], **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


def kind(type_: str, optional: dict[str, Any] | None = None, /, **members: Any) -> st.SearchStrategy[dict[str, Any]]:
    return some({"type": st.just(type_)} | members, **(optional or {}))


STATUS = st.sampled_from(["in_progress", "completed", "incomplete"])
INPUT_TEXT = kind("input_text", text=TEXT)
IMAGE = kind("input_image", image_url=st.just("data:image/png;base64,AA=="), detail=st.just("auto"))
FILE = kind("input_file", {"filename": TEXT}, file_data=st.just("data:application/pdf;base64,AA=="))
CONTENT = st.lists(INPUT_TEXT | IMAGE | FILE, max_size=3)
OUTPUT_TEXT = kind("output_text", text=TEXT, annotations=st.just([]))
REFUSAL = kind("refusal", refusal=TEXT)
ITEM = st.one_of(
    some(
        {"role": st.sampled_from(["user", "assistant", "system", "developer"]), "content": TEXT | CONTENT},
        type=st.just("message"),
        phase=st.none() | st.just("commentary"),
    ),
    kind(
        "message",
        id=NAME,
        role=st.just("assistant"),
        status=STATUS,
        content=st.lists(OUTPUT_TEXT | REFUSAL, max_size=2),
    ),
    kind(
        "function_call",
        {"id": NAME, "status": STATUS, "namespace": NAME},
        call_id=NAME,
        name=NAME,
        arguments=TEXT | OBJECT.map(json.dumps),
    ),
    kind("function_call_output", {"id": NAME, "status": STATUS}, call_id=NAME, output=TEXT | CONTENT),
    kind("custom_tool_call", {"id": NAME, "namespace": NAME}, call_id=NAME, name=NAME, input=TEXT),
    kind("custom_tool_call_output", {"id": NAME}, call_id=NAME, output=TEXT | CONTENT),
    kind(
        "reasoning",
        {"encrypted_content": st.none() | TEXT | TEXT.map("signed.".__add__), "status": STATUS},
        id=NAME,
        summary=st.lists(kind("summary_text", text=TEXT), max_size=2),
    ),
    kind(
        "local_shell_call",
        id=NAME,
        call_id=NAME,
        status=STATUS,
        action=kind("exec", command=st.lists(TEXT), env=st.dictionaries(NAME, TEXT, max_size=1)),
    ),
    kind("local_shell_call_output", {"status": STATUS}, id=NAME, output=TEXT),
    kind("web_search_call", id=NAME, status=st.just("completed"), action=kind("search", query=TEXT)),
    kind("compaction", encrypted_content=TEXT),
    kind("mcp_approval_response", approval_request_id=NAME, approve=st.booleans()),
)
FUNCTION = kind("function", {"description": TEXT}, name=NAME, parameters=st.none() | OBJECT, strict=st.booleans())
CUSTOM = kind(
    "custom",
    {
        "description": TEXT,
        "format": st.one_of(kind("text"), kind("grammar", definition=TEXT, syntax=st.sampled_from(["lark", "regex"]))),
    },
    name=NAME,
)
TOOL = st.one_of(
    FUNCTION,
    CUSTOM,
    kind("namespace", name=NAME, description=TEXT, tools=st.lists(FUNCTION | CUSTOM, max_size=3)),
    kind("web_search"),
    kind("local_shell"),
)
NUMBER = st.none() | st.floats(-2, 2) | st.integers(-2, 2)
REQUEST = some(
    {"model": NAME, "input": st.text(min_size=1, max_size=8) | st.lists(ITEM, min_size=1, max_size=6)},
    stream=st.none() | st.booleans(),
    instructions=st.none() | TEXT,
    tools=st.lists(TOOL, max_size=3),
    tool_choice=st.sampled_from(["none", "auto", "required"])
    | kind("web_search_preview")
    | kind("allowed_tools", mode=st.just("auto"), tools=st.lists(kind("function", name=NAME), max_size=2)),
    parallel_tool_calls=st.none() | st.booleans(),
    max_output_tokens=st.none() | st.integers(1, 9999),
    max_tool_calls=st.none() | st.integers(1, 9),
    metadata=st.none() | st.dictionaries(NAME, TEXT, max_size=2),
    include=st.none() | st.lists(st.sampled_from(["reasoning.encrypted_content", "message.output_text.logprobs"])),
    reasoning=st.none()
    | some(
        {},
        effort=st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max", None]),
        summary=st.sampled_from(["auto", "concise", "detailed", None]),
    ),
    text=some(
        {},
        format=st.one_of(kind("text"), kind("json_object"), kind("json_schema", name=NAME, schema=OBJECT)),
        verbosity=st.sampled_from(["low", "medium", "high", None]),
    ),
    temperature=NUMBER,
    top_p=NUMBER,
    top_logprobs=st.none() | st.integers(0, 20),
    truncation=st.sampled_from(["auto", "disabled", None]),
    service_tier=st.sampled_from(["auto", "default", "flex", None]),
    store=st.none() | st.booleans(),
    background=st.just(False),
    prompt_cache_key=st.none() | TEXT,
    safety_identifier=st.none() | TEXT,
    user=TEXT,
)
ITEMS: TypeAdapter[Any] = TypeAdapter(list[ResponseInputItemParam])
TOOLS: TypeAdapter[Any] = TypeAdapter(list[ToolParam])
CHOICE: TypeAdapter[Any] = TypeAdapter(ToolChoice)


@UNHURRIED
@given(REQUEST)
def test_a_request_of_the_sdk_s_types_is_read_and_told_again(request: dict[str, Any]) -> None:
    call = RESPONSES.read(json.dumps(request).encode(), STAMP)
    assert call.conversation.model == request["model"]
    assert all(name.isascii() and name.isprintable() for name in call.ignored)
    writer = call.writer()
    created, _ = payloads(writer.start())
    EVENT.validate_python(created, strict=True)


@UNHURRIED
@given(REQUEST)
def test_the_generated_requests_are_the_sdk_s(request: dict[str, Any]) -> None:
    """Or the law above says less than it seems to."""
    if isinstance(request["input"], list):
        ITEMS.validate_python(request["input"])
    TOOLS.validate_python(request.get("tools", []))
    CHOICE.validate_python(request.get("tool_choice", "auto"))


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(
        [
            "message",
            "user",
            "assistant",
            "function_call",
            "function_call_output",
            "reasoning",
            "input_text",
            "namespace",
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "role", "content", "text", "image_url", "id", "call_id", "output", "summary", "tools", "name"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@UNHURRIED
@given(
    some({"model": st.just("m"), "input": JUNK | st.lists(JUNK, max_size=3)}, tools=JUNK, tool_choice=JUNK, text=JUNK)
)
def test_junk_is_read_or_refused(request: dict[str, Any]) -> None:
    error = fault(json.dumps(request).encode())
    assert error is None or error.param


@UNHURRIED
@given(st.binary(max_size=60))
def test_bytes_are_read_or_refused(body: bytes) -> None:
    error = fault(body)
    assert error is None or error.code is ErrorCode.request_invalid


def fault(body: bytes) -> RelayError | None:
    try:
        RESPONSES.read(body, STAMP)
    except RelayError as error:
        return error
    return None
