"""The built-in model plays coding agents' tool loops to their end, with the tools real agents really sent."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from qrelay.simulator import agent, schema
from qrelay.simulator.model import answer, is_signed
from qrelay.simulator.scenario import Event
from qrelay.simulator.validation import check

from .asking import Caller, assistant, request, result, stop_reason, text_of, tool, tool_uses, use, user

CAPTURES = Path(__file__).parent.parent / "captures"
Specification = schema.ToolSpecification


def specification(name: str, properties: dict[str, Any], required: list[str] | None = None) -> Specification:
    document = {"type": "object", "properties": properties, "required": required or []}
    return Specification(name, f"It is {name}.", schema.ToolInputSchema(document))


def captured_tools(name: str) -> list[Specification]:
    """The tools of a capture, in the service's words: nested namespaces opened, what isn't a function left out."""
    body: dict[str, Any] = json.loads((CAPTURES / name).read_text())["body"]
    flat: list[dict[str, Any]] = []
    for declared in body["tools"]:
        flat += declared.get("tools", [declared.get("function", declared)])
    return [
        Specification(entry["name"], entry.get("description") or entry["name"], schema.ToolInputSchema(document))
        for entry in flat
        if (document := entry.get("input_schema") or entry.get("parameters"))
    ]


TEXT = {"type": "string"}
WRITE = specification("write", {"path": TEXT, "content": TEXT}, ["path", "content"])
SHELL = specification("shell", {"command": {"type": "array", "items": TEXT}}, ["command"])
PATCH = specification("apply_patch", {"input": TEXT}, ["input"])


def test_a_question_that_names_what_a_tool_gets_calls_it() -> None:
    tools = [WRITE, specification("get_weather", {"location": TEXT}, ["location"]), specification("get_time", {})]
    [call] = agent.orders("What's the weather like in San Francisco?", "", tools)
    assert call.name == "get_weather"
    assert set(call.arguments) == {"location"}
    assert agent.orders("The weather is fine.", "", tools) == []
    assert agent.orders("What is your name?", "", tools) == []


class TestRealTools:
    CWD = "Environment\n - Primary working directory: /home/jo/my project\n - Platform: linux\n"

    @pytest.mark.parametrize("capture", ["claude-code/cc-agent-01.json", "claude-code-2.1.197/claude-code-02.json"])
    def test_claude_code(self, capture: str) -> None:
        calls = agent.orders("Write the marker file.", self.CWD, captured_tools(capture))
        expected = {"file_path": "/home/jo/my project/marker.txt", "content": "qrelay was here\n"}
        assert calls == [agent.Call("Write", expected)]

    @pytest.mark.parametrize("capture", ["opencode/opencode-anthropic-02.json", "opencode/opencode-oaicompat-02.json"])
    def test_opencode(self, capture: str) -> None:
        tools = captured_tools(capture)
        said = "<env>\n  Working directory: /project\n  Is directory a git repo: no\n</env>"
        write = agent.orders('"Write the marker file"', said, tools)
        assert write == [agent.Call("write", {"filePath": "/project/marker.txt", "content": "qrelay was here\n"})]
        shell = agent.orders('"Write the marker file with bash"', said, tools)
        assert [call.name for call in shell] == ["bash"]
        assert shell[0].arguments["command"] == "printf 'qrelay was here\\n' > marker.txt"

    def test_codex(self) -> None:
        tools = [
            specification("exec_command", {"cmd": TEXT, "workdir": TEXT}, ["cmd"]),
            specification("write_stdin", {"session_id": {"type": "number"}, "chars": TEXT}, ["session_id"]),
            specification("multi_agent_v1__spawn_agent", {"message": TEXT}),
        ]
        calls = agent.orders("Write the marker file using the shell.", "<cwd>/x</cwd>", tools)
        assert calls == [agent.Call("exec_command", {"cmd": "printf 'qrelay was here\\n' > marker.txt"})]


class TestOrders:
    @pytest.mark.parametrize(
        "said",
        [
            "Write the marker file.",
            "please write the marker file now",
            "Create a file",
            "**Write a file**",
            "Can you write a file for me?",
            "A long prompt about nothing.\n\nWrite a new file.\n\n<system-reminder>\nBe kind.\n</system-reminder>",
        ],
    )
    def test_are_understood(self, said: str) -> None:
        assert [call.name for call in agent.orders(said, "", [WRITE])] == ["write"]

    @pytest.mark.parametrize(
        "said",
        [
            "Hello",
            "Why did you write a file yesterday?",
            "- NEVER write a file unless asked to",
            "<system-reminder>\nWrite a file\n</system-reminder>\nHello",
            "Write a file " + "very " * 100 + "soon",
            "use the tool nonesuch",
            "Never use the tool to write things",
        ],
    )
    def test_are_not_invented(self, said: str) -> None:
        assert agent.orders(said, "", [WRITE]) == []

    def test_a_name_is_taken(self) -> None:
        call = agent.orders("Create a file called notes/today.md please", "", [WRITE])[0]
        assert call.arguments["path"] == "notes/today.md"

    def test_no_tool_fits(self) -> None:
        assert agent.orders("Write the marker file", "", [specification("ls", {"path": TEXT})]) == []

    def test_writers_come_before_shells_before_patches(self) -> None:
        assert agent.orders("Write a file", "", [PATCH, SHELL, WRITE])[0].name == "write"
        shell = agent.orders("Write a file", "", [PATCH, SHELL])[0]
        assert shell.arguments["command"][:2] == ["bash", "-lc"]
        patch = agent.orders("Write a file", "", [PATCH])[0]
        assert patch.arguments["input"].startswith("*** Begin Patch\n*** Add File: marker.txt\n+qrelay was here\n")

    def test_an_editor_that_does_several_things(self) -> None:
        editor = specification(
            "str_replace_based_edit_tool",
            {"command": {"type": "string", "enum": ["view", "create"]}, "path": TEXT, "file_text": TEXT},
            ["command", "path"],
        )
        call = agent.orders("Create a file", "", [editor])[0]
        assert call.arguments == {"command": "create", "path": "marker.txt", "file_text": "qrelay was here\n"}

    def test_a_relative_path_if_that_is_asked_for(self) -> None:
        relative = specification(
            "write_to_file", {"path": {"type": "string", "description": "relative to the cwd"}, "content": TEXT}
        )
        call = agent.orders("Write a file", "<cwd>/x</cwd>", [relative])[0]
        assert call.arguments["path"] == "marker.txt"

    def test_tools_by_name(self) -> None:
        calls = agent.orders("Now use the tools `shell`, then `write`, in this order.", "", [WRITE, SHELL])
        assert [call.name for call in calls] == ["shell", "write"]

    def test_arguments_satisfy_the_schema(self) -> None:
        document: dict[str, Any] = {
            "type": "object",
            "$defs": {"place": {"type": "object", "properties": {"city": TEXT}, "required": ["city"]}},
            "properties": {
                "unit": {"enum": ["C", "F"]},
                "days": {"type": "integer", "minimum": 3},
                "share": {"type": "number", "maximum": 0.5},
                "deep": {"type": "boolean"},
                "place": {"$ref": "#/$defs/place"},
                "tags": {"type": "array", "items": TEXT, "minItems": 2},
                "link": {"type": "string", "format": "uri"},
                "maybe": {"type": ["string", "null"]},
                "either": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                "fixed": {"const": 7},
                "optional": TEXT,
            },
        }
        document["required"] = [name for name in document["properties"] if name != "optional"]
        call = agent.orders("use the tool t", "", [Specification("t", "d", schema.ToolInputSchema(document))])[0]
        assert call.arguments == {
            "unit": "C",
            "days": 3,
            "share": 0,
            "deep": False,
            "place": {"city": "city"},
            "tags": ["tags", "tags"],
            "link": "https://example.com/",
            "maybe": "maybe",
            "either": 1,
            "fixed": 7,
        }

    def test_a_schema_that_refers_to_itself_ends(self) -> None:
        document: dict[str, Any] = {
            "type": "object",
            "properties": {"node": {"$ref": "#"}},
            "required": ["node"],
        }
        assert agent.orders("use the tool t", "", [Specification("t", "d", schema.ToolInputSchema(document))])


@pytest.mark.parametrize(
    ("said", "directory"),
    [
        ("Primary working directory: /a/b", "/a/b"),
        ("# Environment\n- Working directory: /a\n", "/a"),
        ("<environment_context>\n  <cwd>/a/b c</cwd>\n</environment_context>", "/a/b c"),
        ("Current Working Directory (/a/b) Files", "/a/b"),
        ("cwd: /a", "/a"),
        ("Working directory: C:\\Users\\jo", "C:\\Users\\jo"),
        ("Working directory: /old\nWorking directory: /new", "/new"),
        ("nothing of the kind", None),
    ],
)
def test_working_directory(said: str, directory: str | None) -> None:
    assert agent.working_directory(said) == directory


@pytest.mark.anyio
class TestLoop:
    TOOLS = [tool("Write", {"file_path": TEXT, "content": TEXT}, ["file_path", "content"])]  # noqa: RUF012 - read only

    async def test_to_its_end(self, caller: Caller) -> None:
        system = user("You are an agent.\n\nPrimary working directory: /w")
        asked = user("Write the marker file.", tools=self.TOOLS)
        first = await caller.events(request(system, assistant("Understood."), asked))
        uses = tool_uses(first)
        assert stop_reason(first) == "TOOL_USE"
        assert uses[0]["input"] == {"file_path": "/w/marker.txt", "content": "qrelay was here\n"}
        done = user("", toolResults=[result(uses[0]["toolUseId"], "File created")], tools=self.TOOLS)
        plain = user("Write the marker file.")
        second = await caller.events(
            request(system, assistant("Understood."), plain, assistant(text_of(first), toolUses=uses), done)
        )
        assert stop_reason(second) == "END_TURN"
        assert text_of(second) == "Done. The tool answered: File created"
        assert tool_uses(second) == []

    async def test_an_error_is_told_and_not_tried_again(self, caller: Caller) -> None:
        uses = [use("tooluse_1", "Write", file_path="/w/marker.txt", content="x")]
        failed = user("", toolResults=[result(text="Permission denied", status="error")], tools=self.TOOLS)
        events = await caller.events(request(user("Write the marker file."), assistant(toolUses=uses), failed))
        assert stop_reason(events) == "END_TURN"
        assert "failed" in text_of(events)
        assert "Permission denied" in text_of(events)

    async def test_an_agent_that_repeats_its_order_is_not_followed_for_ever(self, caller: Caller) -> None:
        turns = [user("Write the marker file.", tools=self.TOOLS)]
        rounds = 0
        while True:
            events = await caller.events(request(*turns))
            if stop_reason(events) == "END_TURN":
                break
            rounds += 1
            del turns[-1]["userInputMessage"]["userInputMessageContext"]["tools"]
            turns.append(assistant("…", toolUses=tool_uses(events)))
            answers = [result(made["toolUseId"]) for made in tool_uses(events)]
            turns.append(user("Write the marker file.", toolResults=answers, tools=self.TOOLS))
        assert rounds == 2

    async def test_several_tools_in_one_turn(self, caller: Caller) -> None:
        events = await caller.events(request(user("use the tools a and b", tools=[tool("a"), tool("b")])))
        assert [made["name"] for made in tool_uses(events)] == ["a", "b"]
        assert len({made["toolUseId"] for made in tool_uses(events)}) == 2
        assert stop_reason(events) == "TOOL_USE"

    async def test_without_tools_there_is_only_text(self, caller: Caller) -> None:
        events = await caller.events(request(user("Generate a title for this conversation:\n\nWrite the marker file")))
        assert stop_reason(events) == "END_TURN"
        assert len(text_of(events)) < 200

    async def test_thinking(self, caller: Caller) -> None:
        events = await caller.events(request(user("Think about it.")))
        thoughts = [payload for kind, payload in events if kind == "reasoningContentEvent"]
        said = "".join(thought.get("text", "") for thought in thoughts)
        assert is_signed(said, thoughts[-1]["signature"])
        kept = {"reasoningText": {"text": said, "signature": thoughts[-1]["signature"]}}
        turns = (user("Think about it."), assistant(text_of(events), reasoningContent=kept), user("And now?"))
        assert (await caller.chat(request(*turns))).status_code == 200

    async def test_images_are_seen(self, caller: Caller) -> None:
        turn = user("Look")
        turn["userInputMessage"]["images"] = [{"format": "gif", "source": {"bytes": "R0lGODlhAQABAA=="}}]
        assert text_of(await caller.events(request(turn))).endswith("I can see that you sent an image.")


def test_the_same_request_and_seed_give_the_same_reply() -> None:
    state = schema.ConversationState(
        schema.Message(schema.UserInputMessage("use the tool t", userInputMessageContext=_with_tool())), "MANUAL"
    )
    one, two, other = answer(state, "auto", "1"), answer(state, "auto", "1"), answer(state, "auto", "2")
    assert one == two
    assert one != other
    assert all(isinstance(event, Event) for event in one.events)


def _with_tool() -> schema.UserInputMessageContext:
    return schema.UserInputMessageContext(tools=[schema.Tool(specification("t", {}))])


def test_the_captures_tools_pass_validation_once_cleaned() -> None:
    """What rule 11 asks for is all that stands between these schemas and the service."""
    for entry in captured_tools("claude-code/cc-agent-01.json"):
        document = json.loads(json.dumps(entry.inputSchema.json))
        _clean(document)
        cleaned = {
            "toolSpecification": {
                "name": entry.name,
                "description": entry.description[:10_240],
                "inputSchema": {"json": document},
            }
        }
        body = request(user("Hi", tools=[cleaned]))
        assert check(body, len(json.dumps(body))) is None


def _clean(document: Any) -> None:
    if isinstance(document, dict):
        members = cast("dict[str, Any]", document)
        members.pop("additionalProperties", None)
        if members.get("required") == []:
            del members["required"]
        for value in members.values():
            _clean(value)
    if isinstance(document, list):
        for value in cast("list[Any]", document):
            _clean(value)
