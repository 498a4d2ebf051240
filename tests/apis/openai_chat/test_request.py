"""How each form of a request is understood, what is refused and by which name, and what is reported."""

import base64
import json
from typing import Any

import pytest

from qrelay.apis.openai_chat import CHAT
from qrelay.conversation import (
    Conversation,
    Document,
    Image,
    Part,
    Reasoning,
    Text,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from qrelay.errors import ErrorCode, RelayError
from tests.apis.loopback import STAMP
from tests.apis.openai_chat.streams import ask

USER = {"role": "user", "content": "hi"}


def turns(*messages: dict[str, Any]) -> tuple[Turn, ...]:
    return ask(messages=messages).conversation.turns


def parts(message: dict[str, Any]) -> tuple[Part, ...]:
    (turn,) = turns(message)
    return turn.parts


def refused(body: bytes) -> RelayError:
    with pytest.raises(RelayError) as caught:
        CHAT.read(body, STAMP)
    assert caught.value.code is ErrorCode.request_invalid
    return caught.value


def refused_param(**members: Any) -> str | None:
    return refused(json.dumps({"model": "m", "messages": [USER]} | members).encode()).param


# --- what is refused


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"model":"\xff"}', b"nothing", b"[" * 100_000])
def test_what_is_not_json(body: bytes) -> None:
    assert "JSON" in refused(body).message


@pytest.mark.parametrize("body", [b"[]", b'"hi"', b"null", b"5"])
def test_what_is_not_an_object(body: bytes) -> None:
    assert refused(body).message == "The request body is not a JSON object."


def test_text_that_is_not_utf8_inside_a_schema() -> None:
    refused(b'{"model":"m","messages":[{"role":"user"}],"tools":[{"function":{"name":"t","parameters":{"x":"\xff"}}}]}')


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"model": None}, "model"),
    ({"model": ""}, "model"),
    ({"model": 5}, "model"),
    ({"messages": None}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": [{"content": "hi"}]}, "messages[0].role"),
    ({"messages": [USER, {"role": None}]}, "messages[1].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "messages[0].content[0].text"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].image_url"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///x/y"}}]}]},
        "messages[0].content[0].image_url.url",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
        "messages[0].content[0].file.file_data",
    ),
    ({"messages": [USER, {"role": "tool", "content": "x"}]}, "messages[1].tool_call_id"),
    ({"messages": [USER, {"role": "function", "content": "x"}]}, "messages[1].name"),
    (
        {"messages": [USER, {"role": "assistant", "tool_calls": [{"id": "a", "type": "function"}]}]},
        "messages[1].tool_calls[0].function",
    ),
    ({"n": 2}, "n"),
    ({"n": 0}, "n"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_completion_tokens": -1}, "max_completion_tokens"),
    ({"max_tokens": "many"}, "max_tokens"),
    ({"stop": 5}, "stop"),
    ({"stream": "yes"}, "stream"),
    ({"temperature": "hot"}, "temperature"),
    ({"tools": {}}, "tools"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    (
        {"tools": [{"type": "function", "function": {"name": "t", "parameters": []}}]},
        "tools[0].function.parameters",
    ),
    ({"tools": [{"type": "function", "name": "t", "parameters": "{}"}]}, "tools[0].parameters"),
    ({"tools": [{"type": "custom"}]}, "tools[0].custom"),
    ({"tool_choice": "sometimes"}, "tool_choice"),
    ({"tool_choice": {"type": "function", "function": {"name": "absent"}}}, "tool_choice"),
]


@pytest.mark.parametrize(("members", "param"), FAULTS)
def test_a_fault_is_named(members: dict[str, Any], param: str) -> None:
    assert refused_param(**members) == param


@pytest.mark.parametrize("member", ["model", "messages"])
def test_a_missing_member_is_named(member: str) -> None:
    body: dict[str, Any] = {"model": "m", "messages": [USER]}
    del body[member]
    assert refused(json.dumps(body).encode()).param == member


# --- what never is


@pytest.mark.parametrize(
    "part",
    [
        {"type": "video_url", "video_url": {"url": "https://x"}},
        {"type": "thinking", "text": {"not": "a string"}},
        {"type": "novel", "image_url": 5, "file": [], "refusal": {}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
    ],
)
def test_an_unknown_part_is_left_out_and_reported(part: dict[str, Any]) -> None:
    call = ask(messages=[{"role": "user", "content": [{"type": "text", "text": "a"}, part]}])
    assert call.conversation.turns == (Turn("user", (Text("a"),)),)
    assert call.ignored == (f"messages.content.{part['type']}",)


def test_a_word_that_could_break_a_header_is_not_repeated() -> None:
    call = ask(messages=[{"role": "user", "content": [{"type": "x\r\nset-cookie: a"}]}])
    assert call.ignored == ("messages.content",)


def test_an_unknown_role_speaks_as_the_user() -> None:
    call = ask(messages=[USER, {"role": "critic", "content": "no"}, {"role": "oracle", "content": {"deep": 1}}])
    assert call.conversation.turns[1:] == (Turn("user", (Text("no"),)), Turn("user", ()))
    assert call.ignored == ("messages.role.critic", "messages.role.oracle")


def test_unknown_members_and_cache_marks_are_passed_over() -> None:
    call = ask(
        messages=[{"role": "user", "content": "hi", "cache_control": {"type": "ephemeral"}, "weight": 3}],
        new_member={"a": 1},
    )
    assert call.conversation.turns == (Turn("user", (Text("hi"),)),)
    assert call.ignored == ()


def test_an_unknown_kind_of_tool_or_call_is_left_out_and_reported() -> None:
    call = ask(
        messages=[USER, {"role": "assistant", "tool_calls": [{"id": "a", "type": "browser", "function": "open"}]}],
        tools=[{"type": "web_search", "function": 5, "name": {"odd": 1}}],
    )
    assert call.conversation.tools == ()
    assert call.conversation.turns[1] == Turn("assistant", ())
    assert call.ignored == ("messages.tool_calls.browser", "tools.web_search")


# --- messages


def test_leading_instructions_are_the_system() -> None:
    call = ask(
        messages=[
            {"role": "system", "content": "a"},
            {"role": "developer", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]},
            USER,
            {"role": "system", "content": "later"},
        ]
    )
    assert call.conversation.system == ("a", "b", "c")
    assert call.conversation.turns == (Turn("user", (Text("hi"),)), Turn("system", (Text("later"),)))


def test_an_image_in_the_system_is_reported() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    call = ask(messages=[{"role": "system", "content": [{"type": "text", "text": "a"}, image]}, USER])
    assert call.conversation.system == ("a",)
    assert call.ignored == ("messages.system.content",)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a", (Text("a"),)),
        ("", ()),
        (None, ()),
        ([], ()),
        (["a", {"type": "text", "text": "b"}], (Text("a"), Text("b"))),
        ([{"text": "a"}], (Text("a"),)),
        ([{"type": "input_text", "text": "a"}], (Text("a"),)),
        ([{"type": "text", "text": ""}], ()),
        (
            [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}],
            (Image("AA==", "image/png", "messages[0].content[0].image_url.url"),),
        ),
        (
            [{"type": "image_url", "image_url": "data:image/gif;base64,AA=="}],
            (Image("AA==", "image/gif", "messages[0].content[0].image_url"),),
        ),
        (
            [{"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"}}],
            (Document("a.pdf", "JVBE", "application/pdf"),),
        ),
        ([{"type": "file", "file": {"file_data": "JVBERi0x"}}], (Document("document", "JVBERi0x"),)),
        ([{"type": "file", "file": {"file_data": "AAE="}}], (Document("document", "AAE="),)),
        ([{"type": "file", "file": {"file_data": "aGV5", "filename": "a.txt"}}], (Text("a.txt\n\nhey"),)),
        ([{"type": "file", "file": {"file_data": "data:text/csv;charset=utf-8;base64,aGV5"}}], (Text("hey"),)),
        ([{"type": "file", "file": {"file_data": "data:application/json;base64,aGV5"}}], (Text("hey"),)),
        (
            [{"type": "file", "file": {"file_data": "data:text/markdown;base64,aGV5", "filename": "notes.md"}}],
            (Text("notes.md\n\nhey"),),
        ),
        (
            [{"type": "file", "file": {"file_data": "data:image/png;base64,iVBO", "filename": "a.png"}}],
            (Image("iVBO", "image/png", "messages[0].content[0].file.file_data"),),
        ),
        (
            [{"type": "file", "file": {"file_data": f"data:text/plain;base64,{base64.b64encode(b'hey').decode()}"}}],
            (Text("hey"),),
        ),
        ([{"type": "refusal", "refusal": "no"}], (Text("no"),)),
    ],
)
def test_content(content: Any, expected: tuple[Part, ...]) -> None:
    assert parts({"role": "user", "content": content}) == expected


@pytest.mark.parametrize("data", ["data:text/plain;base64,!", "data:text/plain;base64,/w=="])
def test_plain_text_that_is_none(data: str) -> None:
    message = {"role": "user", "content": [{"type": "file", "file": {"file_data": data}}]}
    assert refused_param(messages=[message]) == "messages[0].content[0].file.file_data"


def call_of(arguments: Any) -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": "t", "arguments": arguments}}


@pytest.mark.parametrize("content", [None, "", []])
def test_an_assistant_that_only_calls(content: Any) -> None:
    (use,) = parts({"role": "assistant", "content": content, "tool_calls": [call_of('{"a": 1}')]})
    assert isinstance(use, ToolUse)
    assert (use.id, use.name, bytes(use.input)) == ("c1", "t", b'{"a": 1}')


@pytest.mark.parametrize(
    ("arguments", "kept", "ignored"),
    [
        ('{"a": 1}', b'{"a": 1}', ()),
        ("", b"{}", ()),
        (" \n", b"{}", ()),
        (None, b"{}", ()),
        ({"a": 1.5}, b'{"a":1.5}', ()),
        ("[1]", b'{"arguments":"[1]"}', ("messages.tool_calls.arguments",)),
        ('{"a": ', b'{"arguments":"{\\"a\\": "}', ("messages.tool_calls.arguments",)),
        ("null", b'{"arguments":"null"}', ("messages.tool_calls.arguments",)),
    ],
)
def test_arguments_become_an_object(arguments: Any, kept: bytes, ignored: tuple[str, ...]) -> None:
    call = ask(messages=[USER, {"role": "assistant", "tool_calls": [call_of(arguments)]}])
    (use,) = call.conversation.turns[1].parts
    assert isinstance(use, ToolUse)
    assert bytes(use.input) == kept
    assert call.ignored == ignored


def test_the_order_within_an_assistant_turn() -> None:
    message = {
        "role": "assistant",
        "reasoning_content": "hm",
        "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}],
        "refusal": "c",
        "audio": {"id": "audio_1"},
        "tool_calls": [
            {"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "*** é\n"}},
        ],
    }
    call = ask(messages=[USER, message])
    *told, use = call.conversation.turns[1].parts
    assert told == [Reasoning("hm"), Text("a"), Text("b"), Text("c")]
    assert isinstance(use, ToolUse)
    assert (use.id, use.name, json.loads(bytes(use.input))) == ("c1", "patch", {"input": "*** é\n"})
    assert call.ignored == ("messages.audio",)


def test_reasoning_in_another_form_is_no_fault() -> None:
    assert parts({"role": "assistant", "content": "a", "reasoning_content": {"odd": 1}}) == (Text("a"),)


def test_results_in_a_row_are_one_turn() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    read = turns(
        USER,
        {"role": "assistant", "tool_calls": [call_of("{}"), call_of("{}") | {"id": "c2"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "two"}, image]},
        {"role": "user", "content": "go on"},
        {"role": "tool", "tool_call_id": "c3", "content": None},
    )
    assert read[2:] == (
        Turn(
            "user",
            (
                ToolResult("c1", (Text("one"),)),
                ToolResult("c2", (Text("two"), Image("AA==", "image/png", "messages[3].content[1].image_url.url"))),
            ),
        ),
        Turn("user", (Text("go on"),)),
        Turn("user", (ToolResult("c3", ()),)),
    )


def test_legacy_functions_pair_by_name() -> None:
    called = {"role": "assistant", "content": None, "function_call": {"name": "now", "arguments": "{}"}}
    answer = {"role": "function", "name": "now", "content": "noon"}
    read = turns(USER, called, answer, called, answer, answer)
    ids: list[str] = []
    for turn in read[1:]:
        for part in turn.parts:
            assert isinstance(part, ToolUse | ToolResult)
            ids.append(part.id if isinstance(part, ToolUse) else part.tool_use_id)
    assert ids[0] == ids[1]
    assert ids[2] == ids[3]
    assert len({ids[0], ids[2], ids[4]}) == 3


# --- tools


def test_tools() -> None:
    call = ask(
        tools=[
            {"type": "function", "function": {"name": "a", "description": "A", "parameters": {"type": "object"}}},
            {"type": "function", "function": {"name": "b", "description": None, "parameters": None, "strict": True}},
            {"type": "function", "name": "c", "description": "C", "parameters": {"type": "object", "x": 1e2}},
            {"type": "custom", "custom": {"name": "d", "description": "D"}},
        ]
    )
    assert [(spec.name, spec.description, bytes(spec.schema), spec.custom) for spec in call.conversation.tools] == [
        ("a", "A", b'{"type": "object"}', False),
        ("b", "", b'{"type":"object","properties":{}}', False),
        ("c", "C", b'{"type": "object", "x": 100.0}', False),
        ("d", "D", b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}', True),
    ]
    assert call.ignored == ("tools.strict",)


@pytest.mark.parametrize(("description", "kept"), [("D", "D\n\n"), (None, "")])
def test_a_grammar_goes_into_the_description(description: str | None, kept: str) -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}}
    custom = {"name": "d", "description": description, "format": grammar}
    call = ask(tools=[{"type": "custom", "custom": custom}])
    (spec,) = call.conversation.tools
    assert spec.description == f"{kept}The input must follow this regex grammar:\na+"
    assert call.ignored == ("tools.format",)


TWO = [{"type": "function", "function": {"name": name}} for name in ("a", "b")]


@pytest.mark.parametrize(
    ("asked", "choice"),
    [
        (None, ToolChoice()),
        ("auto", ToolChoice()),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("any")),
        ({"type": "function", "function": {"name": "b"}}, ToolChoice("named", "b")),
        ({"type": "custom", "custom": {"name": "b"}}, ToolChoice("named", "b")),
    ],
)
def test_tool_choice(asked: Any, choice: ToolChoice) -> None:
    assert ask(tools=TWO, tool_choice=asked).conversation.tool_choice == choice


@pytest.mark.parametrize(("mode", "choice"), [("auto", ToolChoice()), ("required", ToolChoice("any"))])
def test_allowed_tools_are_the_only_ones(mode: str, choice: ToolChoice) -> None:
    allowed = {"mode": mode, "tools": [{"type": "function", "function": {"name": "b"}}]}
    conversation = ask(tools=TWO, tool_choice={"type": "allowed_tools", "allowed_tools": allowed}).conversation
    assert [spec.name for spec in conversation.tools] == ["b"]
    assert conversation.tool_choice == choice


@pytest.mark.parametrize("asked", ["required", {"type": "web_search"}])
def test_a_choice_that_can_not_be_honoured_is_reported(asked: Any) -> None:
    call = ask(tool_choice=asked)
    assert call.conversation.tool_choice == ToolChoice()
    assert call.ignored[0].startswith("tool_choice")


def test_legacy_functions_are_tools() -> None:
    conversation = ask(functions=[{"name": "now"}], function_call={"name": "now"}).conversation
    assert [spec.name for spec in conversation.tools] == ["now"]
    assert conversation.tool_choice == ToolChoice("named", "now")
    assert conversation.parallel_tool_uses is False


# --- the rest


def settings(**members: Any) -> Conversation:
    return ask(**members).conversation


def test_what_is_honoured() -> None:
    assert settings(parallel_tool_calls=False).parallel_tool_uses is False
    assert settings(parallel_tool_calls=True).parallel_tool_uses is True
    assert settings(max_tokens=5).max_tokens == 5
    assert settings(max_tokens=5, max_completion_tokens=6).max_tokens == 6
    assert settings(stop="a").stop_sequences == ("a",)
    assert settings(stop=["a", "", "b"]).stop_sequences == ("a", "b")
    assert settings(stop=None).stop_sequences == ()
    assert settings(reasoning_effort="high").effort == "high"
    assert settings(user="u").session == "u"
    assert settings(user="u", prompt_cache_key="k").session == "k"
    assert ask().stream is False
    assert ask(stream=True).stream is True
    assert ask(n=1).ignored == ()


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("temperature", 0),
        ("top_p", 0.5),
        ("presence_penalty", 1),
        ("frequency_penalty", -1),
        ("seed", 0),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("response_format", {"type": "json_object"}),
        ("modalities", ["text", "audio"]),
        ("service_tier", "flex"),
        ("verbosity", "low"),
        ("store", True),
        ("logit_bias", {"5": 1}),
        ("audio", {"voice": "x", "format": "wav"}),
        ("prediction", {"type": "content", "content": "x"}),
        ("web_search_options", {}),
        ("moderation", {"model": "x"}),
        ("metadata", {"a": "b"}),
    ],
)
def test_what_is_not_honoured_is_reported(member: str, value: Any) -> None:
    assert ask(**{member: value}).ignored == (member,)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("temperature", 1.0),
        ("top_p", 1),
        ("presence_penalty", 0),
        ("frequency_penalty", 0.0),
        ("logprobs", False),
        ("top_logprobs", 0),
        ("response_format", {"type": "text"}),
        ("modalities", ["text"]),
        ("service_tier", "auto"),
        ("verbosity", "medium"),
        ("store", False),
        ("logit_bias", {}),
        ("metadata", {}),
    ],
)
def test_what_changes_nothing_is_not_reported(member: str, value: Any) -> None:
    assert ask(**{member: value}).ignored == ()
    assert ask(**{member: None}).ignored == ()
