"""How each form of a request is understood, what is refused and by which name, and what is reported."""

import json
from typing import Any

import pytest

from qrelay.apis.openai_responses import RESPONSES
from qrelay.conversation import (
    Conversation,
    Document,
    Image,
    Part,
    Reasoning,
    RedactedReasoning,
    Text,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from qrelay.errors import ErrorCode, RelayError
from tests.apis.loopback import STAMP
from tests.apis.openai_responses.streams import USER, ask

IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"}


def turns(*items: dict[str, Any]) -> tuple[Turn, ...]:
    return ask(input=items).conversation.turns


def refused(body: bytes) -> RelayError:
    with pytest.raises(RelayError) as caught:
        RESPONSES.read(body, STAMP)
    return caught.value


# --- what is refused


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b"5"])
def test_what_is_no_request(body: bytes) -> None:
    assert refused(body).code is ErrorCode.request_invalid


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"model": None}, "model"),
    ({"model": ""}, "model"),
    ({"input": None}, "input"),
    ({"input": ""}, "input"),
    ({"input": []}, "input"),
    ({"input": 5}, "input"),
    ({"input": [5]}, "input[0]"),
    ({"input": [USER, {"type": "message", "content": "x"}]}, "input[1].role"),
    ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
    ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
        "input[0].content[0].image_url",
    ),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "file:///x/y"}]}]},
        "input[0].content[0].image_url",
    ),
    (
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "https://x"}]}]},
        "input[0].content[0].file_data",
    ),
    ({"input": [{"type": "function_call", "call_id": "c", "arguments": "{}"}]}, "input[0].name"),
    ({"input": [{"type": "function_call", "name": "t", "arguments": "{}"}]}, "input[0].call_id"),
    ({"input": [{"type": "custom_tool_call", "call_id": "c"}]}, "input[0].name"),
    ({"input": [{"type": "local_shell_call"}]}, "input[0].call_id"),
    ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"max_output_tokens": "many"}, "max_output_tokens"),
    ({"metadata": {"a": 5}}, "metadata[...]"),
    ({"background": True}, "background"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"prompt": {"id": "p"}}, "prompt"),
    ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ({"tools": [{"type": "function", "name": "t", "parameters": []}]}, "tools[0].parameters"),
    ({"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "function"}]}]}, "tools[0].tools[0].name"),
    ({"tool_choice": "sometimes"}, "tool_choice"),
    ({"tool_choice": {"type": "function", "name": "absent"}}, "tool_choice"),
]


@pytest.mark.parametrize(("members", "param"), FAULTS)
def test_a_fault_is_named(members: dict[str, Any], param: str) -> None:
    error = refused(json.dumps({"model": "m", "input": "hi"} | members).encode())
    assert error.code is ErrorCode.request_invalid
    assert error.param == param


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].id"),
        ({"input": [{"id": "msg_1"}]}, "input[0].id"),
    ],
)
def test_what_was_not_kept_is_unknown(members: dict[str, Any], param: str) -> None:
    error = refused(json.dumps({"model": "m", "input": "hi"} | members).encode())
    assert error.code is ErrorCode.previous_response_unknown
    assert error.param == param


# --- what never is


@pytest.mark.parametrize(
    "item",
    [
        {"type": "web_search_call", "id": "ws_1", "action": {"type": "search"}, "status": "completed"},
        {"type": "compaction", "encrypted_content": "x"},
        {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}},
        {"type": "novel", "role": 5, "content": {"deep": 1}, "summary": "x", "name": []},
    ],
)
def test_an_unknown_item_is_left_out_and_reported(item: dict[str, Any]) -> None:
    call = ask(input=[USER, item])
    assert call.conversation.turns == (Turn("user", (Text("hi"),)),)
    assert call.ignored == (f"input.{item['type']}",)


@pytest.mark.parametrize("part", [{"type": "input_audio", "input_audio": {}}, {"type": "novel", "text": {}}])
def test_an_unknown_part_is_left_out_and_reported(part: dict[str, Any]) -> None:
    call = ask(input=[{"role": "user", "content": [{"type": "input_text", "text": "a"}, part]}])
    assert call.conversation.turns == (Turn("user", (Text("a"),)),)
    assert call.ignored == (f"input.content.{part['type']}",)


def test_an_unknown_role_speaks_as_the_user() -> None:
    call = ask(input=[{"role": "critic", "content": "no"}])
    assert call.conversation.turns == (Turn("user", (Text("no"),)),)
    assert call.ignored == ("input.role.critic",)


# --- items


def test_a_string_is_the_user_s() -> None:
    assert ask(input="hello").conversation.turns == (Turn("user", (Text("hello"),)),)


def test_leading_instructions_are_the_system() -> None:
    call = ask(
        instructions="first",
        input=[
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "a"}]},
            {"role": "system", "content": "b"},
            USER,
            {"role": "developer", "content": "later"},
        ],
    )
    assert call.conversation.system == ("first", "a", "b")
    assert call.conversation.turns == (Turn("user", (Text("hi"),)), Turn("system", (Text("later"),)))


def test_an_image_in_the_system_is_reported() -> None:
    call = ask(input=[{"role": "system", "content": [{"type": "input_text", "text": "a"}, IMAGE]}, USER])
    assert call.conversation.system == ("a",)
    assert call.ignored == ("input.system.content",)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a", (Text("a"),)),
        ("", ()),
        (None, ()),
        (["a"], (Text("a"),)),
        ([{"type": "input_text", "text": "a"}, {"type": "output_text", "text": "b"}], (Text("a"), Text("b"))),
        ([{"text": "a"}], (Text("a"),)),
        ([{"type": "refusal", "refusal": "no"}], (Text("no"),)),
        ([IMAGE], (Image("AA==", "image/png", "input[0].content[0].image_url"),)),
        (
            [{"type": "input_image", "image_url": {"url": "data:image/gif;base64,AA=="}}],
            (Image("AA==", "image/gif", "input[0].content[0].image_url"),),
        ),
        (
            [{"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}],
            (Document("a.pdf", "JVBE", "application/pdf"),),
        ),
    ],
)
def test_content(content: Any, expected: tuple[Part, ...]) -> None:
    assert turns({"role": "user", "content": content}) == (Turn("user", expected),)


def test_a_round_trip() -> None:
    read = turns(
        USER,
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "signed.c2ln",
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "wait", "annotations": []}],
        },
        {
            "type": "function_call",
            "call_id": "c1",
            "name": "t",
            "arguments": '{"a": 1}',
            "id": "fc_1",
            "status": "completed",
        },
        {"type": "function_call", "call_id": "c2", "name": "t", "arguments": ""},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "two"}, IMAGE]},
        {"role": "assistant", "content": "done"},
        {"role": "user", "content": "go on"},
    )
    assert [turn.role for turn in read] == ["user", "assistant", "user", "assistant", "user"]
    reasoning, text, one, two = read[1].parts
    assert reasoning == Reasoning("hm", "c2ln")
    assert text == Text("wait")
    assert isinstance(one, ToolUse)
    assert (one.id, one.name, bytes(one.input)) == ("c1", "t", b'{"a": 1}')
    assert isinstance(two, ToolUse)
    assert bytes(two.input) == b"{}"
    assert read[2].parts == (
        ToolResult("c1", (Text("one"),)),
        ToolResult("c2", (Text("two"), Image("AA==", "image/png", "input[6].output[1].image_url"))),
    )


@pytest.mark.parametrize(
    ("item", "part"),
    [
        ({"summary": [{"text": "a"}], "encrypted_content": "signed.AA=="}, Reasoning("a", "AA==")),
        ({"summary": [], "encrypted_content": "signed.AA=="}, Reasoning("", "AA==")),
        ({"summary": [], "encrypted_content": "redacted.AA=="}, RedactedReasoning("AA==")),
        ({"summary": [{"text": "a"}], "encrypted_content": "gAAAAAB"}, Reasoning("a")),
        ({"summary": [{"text": "a"}, {"text": "b"}]}, Reasoning("a\n\nb")),
        ({"summary": [], "content": [{"type": "reasoning_text", "text": "a"}]}, Reasoning("a")),
        ({"summary": [], "encrypted_content": "gAAAAAB"}, None),
        ({"summary": []}, None),
    ],
)
def test_reasoning_comes_back_with_its_seal(item: dict[str, Any], part: Part | None) -> None:
    read = turns(USER, {"type": "reasoning", "id": "rs_1"} | item)
    assert read[1:] == (() if part is None else (Turn("assistant", (part,)),))


@pytest.mark.parametrize(
    ("output", "content"),
    [
        ("x", (Text("x"),)),
        ("", ()),
        (None, ()),
        ([], ()),
        ([{"type": "output_text", "text": "x"}], (Text("x"),)),
        ([{"stdout": "x", "stderr": ""}], (Text('[{"stdout": "x", "stderr": ""}]'),)),
        ({"a": 1}, (Text('{"a": 1}'),)),
    ],
)
def test_outputs_of_any_form(output: Any, content: tuple[Text, ...]) -> None:
    for kind in ("function_call_output", "custom_tool_call_output", "shell_call_output"):
        assert turns({"type": kind, "call_id": "c", "output": output}) == (Turn("user", (ToolResult("c", content),)),)


def test_calls_of_openai_s_own_tools() -> None:
    read = turns(
        {"type": "local_shell_call", "id": "i", "call_id": "c1", "action": {"type": "exec", "command": ["ls"]}},
        {"type": "apply_patch_call", "call_id": "c2", "operation": {"type": "delete_file"}},
        {"type": "local_shell_call_output", "id": "c1", "output": "a.txt"},
    )
    first, second = read[0].parts
    assert isinstance(first, ToolUse)
    assert isinstance(second, ToolUse)
    assert (first.name, json.loads(bytes(first.input))["command"]) == ("local_shell", ["ls"])
    assert (second.name, bytes(second.input)) == ("apply_patch", b'{"type": "delete_file"}')
    assert read[1].parts == (ToolResult("c1", (Text("a.txt"),)),)


def test_an_output_without_its_call_s_id_answers_the_call_that_waits() -> None:
    *_, results = turns(
        {"type": "function_call", "call_id": "c1", "name": "a", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "b", "namespace": "n", "arguments": "{}"},
        {"type": "function_call", "call_id": "c3", "name": "a", "arguments": "{}"},
        {"type": "function_call_output", "name": "b", "namespace": "n", "output": "of b"},
        {"type": "function_call_output", "output": "of the first"},
        {"type": "function_call_output", "name": "a", "output": "of a"},
    )
    assert results.parts == (
        ToolResult("c2", (Text("of b"),)),
        ToolResult("c1", (Text("of the first"),)),
        ToolResult("c3", (Text("of a"),)),
    )


def test_arguments_that_are_no_object_are_kept_and_reported() -> None:
    call = ask(input=[{"type": "function_call", "call_id": "c", "name": "t", "arguments": '{"a'}])
    (use,) = call.conversation.turns[0].parts
    assert isinstance(use, ToolUse)
    assert json.loads(bytes(use.input)) == {"arguments": '{"a'}
    assert call.ignored == ("input.function_call.arguments",)


# --- tools


def named(*tools: dict[str, Any], **members: Any) -> list[str]:
    return [spec.name for spec in ask(tools=tools, **members).conversation.tools]


def function(name: str, **members: Any) -> dict[str, Any]:
    return {"type": "function", "name": name} | members


def namespace(name: str, *tools: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"type": "namespace", "name": name, "tools": tools} | members


def test_tools() -> None:
    call = ask(
        tools=[
            function("a", description="A", parameters={"type": "object"}, strict=False),
            function("b", parameters=None, strict=True),
            {"type": "custom", "name": "c", "description": "C", "format": {"type": "text"}},
            {"type": "web_search", "external_web_access": True},
        ]
    )
    assert [(spec.name, spec.description, bytes(spec.schema), spec.custom) for spec in call.conversation.tools] == [
        ("a", "A", b'{"type": "object"}', False),
        ("b", "", b'{"type":"object","properties":{}}', False),
        ("c", "C", b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}', True),
    ]
    assert call.ignored == ("tools.strict", "tools.web_search")


def test_an_unknown_tool_may_hold_anything() -> None:
    call = ask(tools=[{"type": "novel", "name": {"odd": 1}, "tools": 5}, function("a")])
    assert [spec.name for spec in call.conversation.tools] == ["a"]
    assert call.ignored == ("tools.novel",)


def test_a_grammar_goes_into_the_description() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": 'start: "a"'}
    call = ask(tools=[{"type": "custom", "name": "d", "description": "D", "format": grammar}])
    (spec,) = call.conversation.tools
    assert spec.description == 'D\n\nThe input must follow this lark grammar:\nstart: "a"'
    assert call.ignored == ("tools.format",)


def test_namespaces_are_flat_upstream() -> None:
    tools = [
        function("spawn"),
        namespace("agents", function("spawn", description="S"), function("wait"), description="Sub-agents."),
        namespace("functions", function("exec")),
        namespace("mcp", namespace("deep", function("x"))),
    ]
    specs = ask(tools=tools).conversation.tools
    assert [(spec.name, spec.namespace) for spec in specs] == [
        ("spawn", None),
        ("agents__spawn", "agents"),
        ("agents__wait", "agents"),
        ("exec", None),
        ("deep__x", "deep"),
    ]
    assert [spec.description for spec in specs[1:3]] == ["S\n\nagents: Sub-agents.", ""]


def test_a_flat_name_that_is_taken_gets_another() -> None:
    assert named(function("a__b"), namespace("a", function("b"))) == ["a__b", "a__b_"]


def test_a_tool_offered_twice_counts_once() -> None:
    call = ask(tools=[function("a", description="old"), function("b"), function("a", description="new")])
    assert [(spec.name, spec.description) for spec in call.conversation.tools] == [("a", "new"), ("b", "")]


def test_additional_tools_are_tools() -> None:
    odd = {"type": "novel", "name": {"odd": 1}}
    item = {"type": "additional_tools", "role": "developer", "tools": [odd, namespace("functions", function("exec"))]}
    call = ask(input=[item, USER], tools=[function("a")])
    assert [spec.name for spec in call.conversation.tools] == ["a", "exec"]
    assert call.conversation.turns == (Turn("user", (Text("hi"),)),)


def test_history_calls_the_flat_name() -> None:
    called = {"type": "function_call", "call_id": "c", "arguments": "{}"}
    conversation = ask(
        tools=[namespace("agents", function("spawn"))],
        input=[
            called | {"name": "spawn", "namespace": "agents"},
            called | {"name": "gone", "namespace": "agents"},
            called | {"name": "plain"},
            called | {"name": "exec", "namespace": "functions"},
        ],
    ).conversation
    names = [part.name for part in conversation.turns[0].parts if isinstance(part, ToolUse)]
    assert names == ["agents__spawn", "agents__gone", "plain", "exec"]


@pytest.mark.parametrize(
    ("asked", "choice"),
    [
        (None, ToolChoice()),
        ("auto", ToolChoice()),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("any")),
        ({"type": "function", "name": "b"}, ToolChoice("named", "b")),
        ({"type": "custom", "name": "b"}, ToolChoice("named", "b")),
        ({"type": "function", "name": "c", "namespace": "n"}, ToolChoice("named", "n__c")),
    ],
)
def test_tool_choice(asked: Any, choice: ToolChoice) -> None:
    tools = [function("a"), function("b"), namespace("n", function("c"))]
    assert ask(tools=tools, tool_choice=asked).conversation.tool_choice == choice


@pytest.mark.parametrize(("mode", "choice"), [("auto", ToolChoice()), ("required", ToolChoice("any"))])
def test_allowed_tools_are_the_only_ones(mode: str, choice: ToolChoice) -> None:
    asked = {"type": "allowed_tools", "mode": mode, "tools": [{"type": "function", "name": "b"}]}
    conversation = ask(tools=[function("a"), function("b")], tool_choice=asked).conversation
    assert [spec.name for spec in conversation.tools] == ["b"]
    assert conversation.tool_choice == choice


@pytest.mark.parametrize("asked", ["required", {"type": "web_search_preview"}])
def test_a_choice_that_can_not_be_honoured_is_reported(asked: Any) -> None:
    call = ask(tool_choice=asked)
    assert call.conversation.tool_choice == ToolChoice()
    assert call.ignored[0].startswith("tool_choice")


# --- the rest


def settings(**members: Any) -> Conversation:
    return ask(**members).conversation


def test_what_is_honoured() -> None:
    assert settings(parallel_tool_calls=False).parallel_tool_uses is False
    assert settings().parallel_tool_uses is True
    assert settings(max_output_tokens=5).max_tokens == 5
    assert settings(reasoning={"effort": "high"}).effort == "high"
    assert settings(reasoning={"summary": "auto"}).effort is None
    assert settings(user="u").session == "u"
    assert settings(user="u", prompt_cache_key="k").session == "k"
    assert ask(stream=True).stream is True
    assert ask(stream=None).stream is False


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({"text": {"format": {"type": "json_schema", "name": "P", "schema": {}}}}, "text.format"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"store": True}, "store"),
        ({"temperature": 0}, "temperature"),
        ({"top_p": 0.5}, "top_p"),
        ({"presence_penalty": 1}, "presence_penalty"),
        ({"frequency_penalty": 1}, "frequency_penalty"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"max_tool_calls": 2}, "max_tool_calls"),
        ({"truncation": "auto"}, "truncation"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"moderation": {"model": "x"}}, "moderation"),
    ],
)
def test_what_is_not_honoured_is_reported(members: dict[str, Any], name: str) -> None:
    assert ask(**members).ignored == (name,)


@pytest.mark.parametrize(
    "members",
    [
        {"text": {"format": {"type": "text"}}},
        {"include": ["reasoning.encrypted_content"]},
        {"store": False},
        {"temperature": 1},
        {"truncation": "disabled"},
        {"client_metadata": {"a": "b"}, "metadata": {}, "service_tier": "auto"},
    ],
)
def test_what_changes_nothing_is_not_reported(members: dict[str, Any]) -> None:
    assert ask(**members).ignored == ()
