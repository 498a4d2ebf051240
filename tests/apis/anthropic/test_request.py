"""Requests to meaning: every form of a message, and every fault named."""

import json
from typing import Any

import pytest

from qrelay.apis.anthropic import MESSAGES, read_count
from qrelay.apis.dialect import Call
from qrelay.conversation import (
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

Body = dict[str, Any]
BASH: Body = {"name": "Bash", "description": "Runs.", "input_schema": {"type": "object"}}


def read(**members: Any) -> Call:
    body: Body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]} | members
    return read_bytes(json.dumps(body).encode())


def read_bytes(body: bytes) -> Call:
    return MESSAGES.read(body, STAMP)


def parts(*blocks: Any, role: str = "user") -> tuple[Part, ...]:
    return read(messages=[{"role": role, "content": list(blocks)}]).conversation.turns[0].parts


def refused(**members: Any) -> RelayError:
    with pytest.raises(RelayError) as caught:
        read(**members)
    assert caught.value.code is ErrorCode.request_invalid
    return caught.value


def test_the_smallest_request() -> None:
    call = read()
    assert call.conversation.turns == (Turn("user", (Text("hi"),)),)
    assert (call.conversation.model, call.conversation.max_tokens) == ("m", 9)
    assert call.stream is False
    assert call.ignored == ()
    assert read(stream=True).stream is True
    assert read(stream=None).stream is False


# System text


def test_system_as_text_and_as_blocks() -> None:
    assert read(system="Be brief.").conversation.system == ("Be brief.",)
    blocks = [{"type": "text", "text": "A", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "B"}]
    assert read(system=blocks).conversation.system == ("A", "B")
    assert read(system=None).conversation.system == ()


def test_the_billing_header_is_no_instruction() -> None:
    header = "x-anthropic-billing-header: cc_version=2.1.329; cc_entrypoint=sdk-cli"
    blocks = [{"type": "text", "text": text} for text in (header, "You are Claude Code.")]
    assert read(system=blocks).conversation.system == ("You are Claude Code.",)
    assert read(system=f"{header}\nBe brief.").conversation.system == ("Be brief.",)
    assert read(system=[*reversed(blocks)]).conversation.system == ("You are Claude Code.", header)


def test_system_messages_first_join_the_system_text_and_later_ones_keep_their_place() -> None:
    call = read(
        system="A",
        messages=[
            {"role": "system", "content": "B"},
            {"role": "user", "content": "hi"},
            {"role": "system", "content": [{"type": "text", "text": "C"}], "output_config": {"effort": "high"}},
            {"role": "assistant", "content": "ho"},
            {"role": "system", "content": "D"},
        ],
    )
    assert call.conversation.system == ("A", "B")
    assert [(turn.role, turn.parts) for turn in call.conversation.turns] == [
        ("user", (Text("hi"),)),
        ("system", (Text("C"),)),
        ("assistant", (Text("ho"),)),
        ("system", (Text("D"),)),
    ]
    assert call.conversation.effort == "high"


def test_a_system_message_alone_is_a_turn() -> None:
    call = read(messages=[{"role": "system", "content": "A"}, {"role": "system", "content": "B"}])
    assert call.conversation.system == ("A",)
    assert call.conversation.turns == (Turn("system", (Text("B"),)),)


def test_a_system_message_may_have_no_content_but_others_may_not() -> None:
    hi = {"role": "user", "content": "hi"}
    call = read(messages=[hi, {"role": "system", "output_config": {"effort": "low"}}])
    assert call.conversation.effort == "low"
    assert len(call.conversation.turns) == 1
    assert refused(messages=[hi, {"role": "user"}]).param == "messages.1.content"


def test_a_note_for_one_turn_is_gone_after_it() -> None:
    hi = {"role": "user", "content": "hi"}
    note = {"role": "system", "content": "note", "clear_at": "next_user_message"}
    assert len(read(messages=[hi, note]).conversation.turns) == 2
    assert len(read(messages=[hi, note, {"role": "assistant", "content": "ho"}]).conversation.turns) == 3
    roles = [turn.role for turn in read(messages=[hi, note, hi]).conversation.turns]
    assert roles == ["user", "user"]


def test_a_role_that_nobody_knows_is_the_users() -> None:
    assert read(messages=[{"role": "critic", "content": "hi"}]).conversation.turns[0].role == "user"


# Blocks


def test_text_image_and_document_blocks() -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}
    assert parts(
        {"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}, "citations": None},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
        {"type": "image", "source": {"type": "url", "url": "data:image/gif;base64,R0lG"}},
        {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
        {"type": "document", "source": pdf, "title": None, "context": None},
        {"type": "document", "source": pdf, "title": "a.pdf", "context": "last year's"},
        {"type": "document", "source": {"type": "base64", "media_type": "text/csv", "data": "YSxi"}},
    ) == (
        Text("look"),
        Image("iVBO", "image/png", "messages.0.content.1.source"),
        Image("R0lG", "image/gif", "messages.0.content.2.source.url"),
        Text("T\n\nwords"),
        Document("document", "JVBERg==", "application/pdf"),
        Text("last year's"),
        Document("a.pdf", "JVBERg==", "application/pdf"),
        Text("a,b"),
    )


def test_a_document_of_content_is_its_content() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
    content = [{"type": "text", "text": "one"}, image]
    assert parts(
        {"type": "document", "title": "T", "source": {"type": "content", "content": content}},
        {"type": "document", "source": {"type": "content", "content": "plain"}},
    ) == (
        Text("T"),
        Text("one"),
        Image("iVBO", "image/png", "messages.0.content.0.source.content.1.source"),
        Text("plain"),
    )


@pytest.mark.parametrize(
    ("block", "param"),
    [
        ({"type": "image", "source": {"type": "url", "url": "file:///a.png"}}, "source.url"),
        ({"type": "image", "source": {"type": "file", "file_id": "file_1"}}, "source"),
        ({"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}}, "source"),
        ({"type": "tool_use", "id": "1", "name": "Bash", "input": "ls"}, "input"),
        ({"type": "tool_use", "id": "1", "name": "Bash", "input": ["ls"]}, "input"),
        ({"type": "tool_use", "id": 1, "name": "Bash", "input": {}}, "id"),
        ({"type": "text", "text": None}, "text"),
        ({"type": "text"}, "text"),
        ({"type": "tool_result", "content": "a"}, "tool_use_id"),
        ({"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": 1}]}, "content.0.text"),
        (
            {
                "type": "tool_result",
                "tool_use_id": "1",
                "content": [{"type": "image", "source": {"type": "url", "url": "ftp://a/"}}],
            },
            "content.0.source.url",
        ),
    ],
)
def test_a_block_that_cannot_be_read_is_named(block: Body, param: str) -> None:
    hi = {"role": "user", "content": "hi"}
    error = refused(messages=[hi, {"role": "user", "content": [{"type": "text", "text": "a"}, block]}])
    assert error.param == f"messages.1.content.1.{param}"
    assert f"messages.1.content.1.{param}" in error.message
    assert error.remedy


def test_tool_use_keeps_its_input_as_it_was_written() -> None:
    body = b"""{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[
        {"type":"tool_use","id":"t1","name":"Bash","input":{"a" : 1.50, "b":"\\u00e9"}},
        {"type":"tool_use","id":"t2","name":"Bash"}, {"type":"tool_use","id":"t3","name":"Bash","input":null}]}]}"""
    uses = [part for part in read_bytes(body).conversation.turns[0].parts if isinstance(part, ToolUse)]
    assert [(use.id, use.name, bytes(use.input)) for use in uses] == [
        ("t1", "Bash", rb'{"a" : 1.50, "b":"\u00e9"}'),
        ("t2", "Bash", b"{}"),
        ("t3", "Bash", b"{}"),
    ]


def test_tool_results_in_every_form() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
    found = {"type": "search_result", "title": "T", "source": "a://b", "content": [{"type": "text", "text": "c"}]}
    reference = {"type": "tool_reference", "tool_name": "WebFetch"}
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}}
    rich = [{"type": "text", "text": "a"}, image, found, reference, document, {"type": "odd", "text": "e"}]
    assert parts(
        {"type": "tool_result", "tool_use_id": "1", "content": "done"},
        {"type": "tool_result", "tool_use_id": "2", "is_error": True},
        {"type": "tool_result", "tool_use_id": "3", "content": None, "is_error": None},
        {"type": "tool_result", "tool_use_id": "4", "content": rich},
        {"type": "text", "text": "and then"},
    ) == (
        ToolResult("1", (Text("done"),)),
        ToolResult("2", (), is_error=True),
        ToolResult("3", ()),
        ToolResult(
            "4",
            (
                Text("a"),
                Image("iVBO", "image/png", "messages.0.content.3.content.1.source"),
                Text("T\na://b"),
                Text("c"),
                Text("Tool WebFetch is available."),
                Text("d"),
                Text("e"),
            ),
        ),
        Text("and then"),
    )


def test_thinking_is_replayed_with_its_signature() -> None:
    assert parts(
        {"type": "thinking", "thinking": "hm", "signature": "s=="},
        {"type": "thinking", "thinking": "hm"},
        {"type": "redacted_thinking", "data": "AA=="},
        role="assistant",
    ) == (Reasoning("hm", "s=="), Reasoning("hm"), RedactedReasoning("AA=="))


def test_what_server_tools_left_in_history_becomes_text() -> None:
    found = {
        "type": "web_search_result",
        "title": "T",
        "url": "https://example.org",
        "encrypted_content": "EqgfCioIARgB",
    }
    pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}}
    assert parts(
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [found]},
        {"type": "web_fetch_tool_result", "tool_use_id": "2", "content": {"type": "web_fetch_result", "content": pdf}},
        {"type": "compaction", "content": "So far: nothing.", "signature": None},
        role="assistant",
    ) == (
        Text('server_tool_use: web_search {"query":"q"}'),
        Text('web_search_tool_result: [{"type":"web_search_result","title":"T","url":"https://example.org"}]'),
        Text(
            'web_fetch_tool_result: {"type":"web_fetch_result","content":{"type":"document",'
            '"source":{"type":"base64","media_type":"application/pdf"}}}'
        ),
        Text("So far: nothing."),
    )


def test_tools_that_come_and_go_are_told_at_their_place() -> None:
    tool = {"type": "tool_reference", "name": "Grep"}
    content = [{"type": "tool_removal", "tool": tool}, {"type": "tool_addition", "tool": tool}]
    call = read(messages=[{"role": "user", "content": "hi"}, {"role": "system", "content": content}])
    assert call.conversation.turns[1].parts == (
        Text("Tool Grep is no longer available."),
        Text("Tool Grep is available."),
    )
    assert call.ignored == ()


UNHEARD_OF: list[Body] = [
    {"type": "container_upload", "file_id": "f"},
    {"type": "odd", "id": {}, "name": [], "input": "x", "content": 5, "source": "s", "text": 5},
    {"type": "qrelay:other", "value": 5},
    {"type": ["text"]},
    {"type": None, "content": [[]]},
    {"no": "type"},
    {},
]


@pytest.mark.parametrize("block", UNHEARD_OF)
def test_a_block_that_nobody_knows_fails_nothing_and_is_reported(block: Body) -> None:
    hi = {"type": "text", "text": "hi"}
    call = read(
        system=[hi, block],
        messages=[
            {"role": "user", "content": [block, hi]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": [block, hi]}]},
            {"role": "user", "content": [{"type": "document", "source": {"type": "content", "content": [block, hi]}}]},
        ],
    )
    assert call.conversation.system == ("hi",)
    assert call.conversation.turns[0].parts == (Text("hi"),)
    assert call.conversation.turns[1].parts == (ToolResult("1", (Text("hi"),)),)
    assert call.conversation.turns[2].parts == (Text("hi"),)
    assert {name.partition(".")[0] for name in call.ignored} == {"system", "messages"}


def test_a_strange_kind_is_reported_without_its_name() -> None:
    assert read(messages=[{"role": "user", "content": [{"type": "a\r\nSet-Cookie: b"}]}]).ignored == ("messages",)


# Tools


def test_tools_are_kept_as_they_were_written() -> None:
    body = b"""{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}],"tools":[
        {"name":"Bash","description":"Runs.","input_schema":{ "type":"object" },"cache_control":{"type":"ephemeral"}},
        {"type":"custom","name":"Late","input_schema":{},"defer_loading":true,"eager_input_streaming":true}]}"""
    call = read_bytes(body)
    assert [(tool.name, tool.description, bytes(tool.schema)) for tool in call.conversation.tools] == [
        ("Bash", "Runs.", b'{ "type":"object" }'),
        ("Late", "", b"{}"),
    ]
    assert call.ignored == ()


def test_server_tools_are_left_out_and_reported() -> None:
    call = read(
        tools=[
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
            BASH,
            {"type": "bash_20250124", "name": "bash"},
            {"type": "mcp_toolset", "mcp_server_name": "x", "name": 5, "description": {}},
        ]
    )
    assert [tool.name for tool in call.conversation.tools] == ["Bash"]
    assert call.ignored == ("tools.web_search_20250305", "tools.bash_20250124", "tools.mcp_toolset")


def test_what_a_tool_asks_for_and_does_not_get_is_reported() -> None:
    assert read(tools=[BASH | {"strict": True}, BASH | {"strict": False}]).ignored == ("tools.strict",)
    assert read(tools=[BASH | {"input_examples": [{"a": 1}]}]).ignored == ("tools.input_examples",)
    assert read(tools=[BASH | {"allowed_callers": ["direct"]}]).ignored == ()


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"name": "a"}, "tools.1.input_schema"),
        ({"name": "a", "input_schema": None}, "tools.1.input_schema"),
        ({"name": "a", "input_schema": "{}"}, "tools.1.input_schema"),
        ({"input_schema": {}}, "tools.1.name"),
        ({"name": 5, "input_schema": {}}, "tools.1.name"),
        ("Bash", "tools.1"),
    ],
)
def test_a_tool_that_cannot_be_read_is_named(tool: Any, param: str) -> None:
    assert refused(tools=[BASH, tool]).param == param


@pytest.mark.parametrize(
    ("asked", "choice", "ignored"),
    [
        ({"type": "auto"}, ToolChoice(), ()),
        ({"type": "none"}, ToolChoice("none"), ()),
        ({"type": "any"}, ToolChoice("any"), ()),
        ({"type": "tool", "name": "Bash"}, ToolChoice("named", "Bash"), ()),
        ({"type": "tool", "name": "web_search"}, ToolChoice(), ("tool_choice",)),
        ({"type": "tool"}, ToolChoice(), ("tool_choice",)),
        ({"type": "whim"}, ToolChoice(), ("tool_choice",)),
        (None, ToolChoice(), ()),
    ],
)
def test_tool_choice(asked: Any, choice: ToolChoice, ignored: tuple[str, ...]) -> None:
    call = read(tools=[BASH], tool_choice=asked)
    assert call.conversation.tool_choice == choice
    assert call.conversation.parallel_tool_uses is True
    assert call.ignored == ignored


def test_one_tool_at_a_time() -> None:
    call = read(tools=[BASH], tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    assert call.conversation.parallel_tool_uses is False


# The rest of the request


def test_effort_and_session() -> None:
    assert read(output_config={"effort": "low"}).conversation.effort == "low"
    assert read(output_config={"effort": 5}).conversation.effort is None
    session = json.dumps({"device_id": "d", "session_id": "s-1"})
    assert read(metadata={"user_id": session}).conversation.session == "s-1"
    assert read(metadata={"user_id": "user_1"}).conversation.session == "user_1"
    assert read(metadata={"user_id": "{broken"}).conversation.session == "{broken"
    assert read(metadata={"user_id": 5}).conversation.session == ""
    assert read(metadata="?").conversation.session == ""


def test_stop_sequences() -> None:
    assert read(stop_sequences=["X", "\n"]).conversation.stop_sequences == ("X", "\n")
    assert read(stop_sequences=None).conversation.stop_sequences == ()
    call = read(stop_sequences=["", "X"])
    assert (call.conversation.stop_sequences, call.ignored) == (("X",), ("stop_sequences",))


def test_what_is_not_honoured_is_reported_if_it_would_change_anything() -> None:
    asked: Body = {
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 3,
        "service_tier": "standard_only",
        "container": "c",
        "mcp_servers": [{"type": "url"}],
        "thread": {"type": "create"},
        "context_management": {"edits": []},
        "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"},
        "output_config": {"format": {"type": "json_schema", "schema": {}}},
    }
    assert set(read(**asked).ignored) == {
        *(asked.keys() - {"thinking", "output_config"}),
        "thinking.budget_tokens",
        "thinking.display",
        "output_config.format",
    }


def test_what_changes_nothing_is_not_reported() -> None:
    assert (
        read(
            temperature=1.0,
            service_tier="auto",
            mcp_servers=[],
            thinking={"type": "adaptive"},
            metadata={"user_id": "u"},
            cache_control={"type": "ephemeral"},
            output_config={},
            container=None,
            unheard_of={"a": 1},
        ).ignored
        == ()
    )


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": ["hi"]}, "messages.0"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": ["hi"]}]}, "messages.0.content.0"),
        ({"messages": [{"role": None, "content": "hi"}]}, "messages.0.role"),
        ({"messages": [{"content": "hi"}]}, "messages.0.role"),
        ({"system": 5}, "system"),
        ({"tools": {}}, "tools"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"stop_sequences": "X"}, "stop_sequences"),
        ({"stop_sequences": [5]}, "stop_sequences.0"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(members: Body, param: str) -> None:
    error = refused(**members)
    assert error.param == param
    assert param in error.message


@pytest.mark.parametrize("field", ["model", "messages", "max_tokens"])
def test_a_missing_field_is_named(field: str) -> None:
    body: Body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    del body[field]
    with pytest.raises(RelayError) as caught:
        read_bytes(json.dumps(body).encode())
    assert caught.value.param == field


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"a"', b"\xff", b'{"model":"\xff"}', b"[" * 100_000, b'{"a":' * 100_000, b"{} {}"],
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(RelayError) as caught:
        read_bytes(body)
    assert caught.value.code is ErrorCode.request_invalid


@pytest.mark.parametrize("depth", range(100, 1100, 50))
def test_however_deep_a_request_is_nested_it_is_read_or_refused(depth: int) -> None:
    """How deep is too deep differs between the decoder and what reads after it."""
    nested = "[" * depth + "]" * depth
    block = f'{{"type":"odd_tool_result","content":{nested}}}'
    body = f'{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":[{block}]}}]}}'
    try:
        call = read_bytes(body.encode())
    except RelayError as error:
        assert error.code is ErrorCode.request_invalid  # noqa: PT017 - or nothing is raised at all
    else:
        assert call.conversation.turns[0].parts == (Text(f"odd_tool_result: {nested}"),)


def test_half_an_emoji_fails_nothing() -> None:
    body = rb'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a\ud83d \ud83d\ude00 \\ud83d \ude00"}]}'
    assert read_bytes(body).conversation.turns[0].parts == (Text("a\ufffd 😀 \\ud83d \ufffd"),)


def test_the_reply_echoes_the_model_and_carries_the_stamp() -> None:
    start = MESSAGES.read(
        b'{"model":"claude-opus-5-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}',
        STAMP._replace(id="abc"),
    ).writer()
    assert b'"id":"msg_abc"' in start.start()
    assert b'"model":"claude-opus-5-5"' in start.start()


def test_counting_needs_no_max_tokens() -> None:
    body = {"model": "m", "system": "A", "messages": [{"role": "user", "content": "hi"}], "tools": [BASH]}
    conversation = read_count(json.dumps(body).encode())
    assert conversation.system == ("A",)
    assert len(conversation.tools) == 1
    with pytest.raises(RelayError):
        read_count(b'{"model":"m"}')
