"""A conversation to a request: goldens, and a test for each rule of PROTOCOL.md §2.6 and each adjustment's name."""

import json
from typing import Any

import pytest
from inline_snapshot import snapshot
from msgspec import Raw

from qrelay.conversation import (
    Conversation,
    Document,
    Image,
    Reasoning,
    RedactedReasoning,
    Text,
    ToolChoice,
    ToolResult,
    ToolSpec,
    ToolUse,
    Turn,
)
from qrelay.errors import ErrorCode, RelayError
from qrelay.events import ToolUseStart
from qrelay.simulator.validation import check
from qrelay.upstream.models import Effort
from qrelay.upstream.request import Addressing, Limits, Payload, to_payload
from qrelay.upstream.signatures import Signatures

from .frames import END, read, tool_steps
from .pictures import gif, image, png
from .test_history import assistant, result, system, use, user

ADDRESSING = Addressing("c-1", "claude-sonnet-4.5", "CLI", None)
LS = ToolSpec("ls", "Lists.", Raw(b'{"type":"object","properties":{"path":{"type":"string"}}}'))


def payload(*turns: Turn, addressing: Addressing = ADDRESSING, **members: Any) -> Payload:
    """The request, which the simulator's rules accept."""
    made = to_payload(Conversation(model="any", turns=turns, **members), addressing)
    assert check(json.loads(made.body), len(made.body)) is None
    return made


def state(*turns: Turn, **members: Any) -> Any:
    return json.loads(payload(*turns, **members).body)["conversationState"]


def current(*turns: Turn, **members: Any) -> Any:
    return state(*turns, **members)["currentMessage"]["userInputMessage"]


def refusal(*turns: Turn, limits: Limits | None = None, **members: Any) -> RelayError:
    with pytest.raises(RelayError) as caught:
        to_payload(Conversation(model="any", turns=turns, **members), ADDRESSING, limits=limits or Limits())
    return caught.value


# --- goldens ----------------------------------------------------------------------------------------------------------


def test_plain_text() -> None:
    assert json.loads(payload(user("Hi")).body) == snapshot(
        {
            "conversationState": {
                "conversationId": "c-1",
                "history": [],
                "currentMessage": {
                    "userInputMessage": {"content": "Hi", "origin": "CLI", "modelId": "claude-sonnet-4.5"}
                },
                "chatTriggerType": "MANUAL",
            }
        }
    )


def test_with_a_profile() -> None:
    arn = "arn:aws:codewhisperer:us-east-1:123456789012:profile/ABCDEFGHIJKL"
    assert json.loads(payload(user("Hi"), addressing=ADDRESSING._replace(profile_arn=arn)).body)["profileArn"] == arn


def test_a_system_text() -> None:
    assert state(user("Hi"), system=("Be brief.", " ", "Be kind.")) == snapshot(
        {
            "conversationId": "c-1",
            "history": [
                {
                    "userInputMessage": {
                        "content": """\
--- CONTEXT ENTRY BEGIN ---
Be brief.

Be kind.
--- CONTEXT ENTRY END ---\
""",
                        "origin": "CLI",
                    }
                },
                {"assistantResponseMessage": {"content": "Understood. I will follow these instructions."}},
            ],
            "currentMessage": {"userInputMessage": {"content": "Hi", "origin": "CLI", "modelId": "claude-sonnet-4.5"}},
            "chatTriggerType": "MANUAL",
        }
    )


def test_several_turns() -> None:
    turns = [user("One", "Two"), assistant("Three"), system("Note."), user("Four"), assistant("Five"), user("Six")]
    assert state(*turns) == snapshot(
        {
            "conversationId": "c-1",
            "history": [
                {
                    "userInputMessage": {
                        "content": """\
One

Two\
""",
                        "origin": "CLI",
                    }
                },
                {"assistantResponseMessage": {"content": "Three"}},
                {
                    "userInputMessage": {
                        "content": """\
<system>
Note.
</system>

Four\
""",
                        "origin": "CLI",
                    }
                },
                {"assistantResponseMessage": {"content": "Five"}},
            ],
            "currentMessage": {"userInputMessage": {"content": "Six", "origin": "CLI", "modelId": "claude-sonnet-4.5"}},
            "chatTriggerType": "MANUAL",
        }
    )


def test_a_tool_and_its_result() -> None:
    listed = ToolUse("tooluse_1", "ls", Raw(b'{"path": "/tmp"}'))
    turns = [user("What is in /tmp?"), assistant("Let me look.", listed), user(result("tooluse_1", "a.txt"))]
    assert state(*turns, tools=(LS,)) == snapshot(
        {
            "conversationId": "c-1",
            "history": [
                {"userInputMessage": {"content": "What is in /tmp?", "origin": "CLI"}},
                {
                    "assistantResponseMessage": {
                        "content": "Let me look.",
                        "toolUses": [{"toolUseId": "tooluse_1", "name": "ls", "input": {"path": "/tmp"}}],
                    }
                },
            ],
            "currentMessage": {
                "userInputMessage": {
                    "content": "",
                    "origin": "CLI",
                    "modelId": "claude-sonnet-4.5",
                    "userInputMessageContext": {
                        "toolResults": [
                            {"toolUseId": "tooluse_1", "content": [{"text": "a.txt"}], "status": "success"}
                        ],
                        "tools": [
                            {
                                "toolSpecification": {
                                    "name": "ls",
                                    "description": "Lists.",
                                    "inputSchema": {
                                        "json": {"type": "object", "properties": {"path": {"type": "string"}}}
                                    },
                                }
                            }
                        ],
                    },
                }
            },
            "chatTriggerType": "MANUAL",
        }
    )


def test_parallel_results_over_several_turns() -> None:
    turns = [user("q"), assistant(use("a"), use("b")), user(result("b", "2")), user(result("a", "1")), user("And now?")]
    assert state(*turns, tools=(LS,)) == snapshot(
        {
            "conversationId": "c-1",
            "history": [
                {"userInputMessage": {"content": "q", "origin": "CLI"}},
                {
                    "assistantResponseMessage": {
                        "content": "",
                        "toolUses": [
                            {"toolUseId": "a", "name": "ls", "input": {}},
                            {"toolUseId": "b", "name": "ls", "input": {}},
                        ],
                    }
                },
            ],
            "currentMessage": {
                "userInputMessage": {
                    "content": "And now?",
                    "origin": "CLI",
                    "modelId": "claude-sonnet-4.5",
                    "userInputMessageContext": {
                        "toolResults": [
                            {"toolUseId": "b", "content": [{"text": "2"}], "status": "success"},
                            {"toolUseId": "a", "content": [{"text": "1"}], "status": "success"},
                        ],
                        "tools": [
                            {
                                "toolSpecification": {
                                    "name": "ls",
                                    "description": "Lists.",
                                    "inputSchema": {
                                        "json": {"type": "object", "properties": {"path": {"type": "string"}}}
                                    },
                                }
                            }
                        ],
                    },
                }
            },
            "chatTriggerType": "MANUAL",
        }
    )


def test_orphaned_unanswered_and_doubled() -> None:
    turns = [
        user("q", result("lost", "from before")),
        assistant("ok", use("a"), use("b")),
        user(result("a", "1"), result("a", "2", is_error=True), result("c", "?")),
        assistant(use("d")),
        user("Stop."),
    ]
    made = payload(*turns, tools=(LS,))
    assert json.loads(made.body)["conversationState"] == snapshot(
        {
            "conversationId": "c-1",
            "history": [
                {
                    "userInputMessage": {
                        "content": """\
q

Result of the tool use lost:
from before\
""",
                        "origin": "CLI",
                    }
                },
                {
                    "assistantResponseMessage": {
                        "content": "ok",
                        "toolUses": [
                            {"toolUseId": "a", "name": "ls", "input": {}},
                            {"toolUseId": "b", "name": "ls", "input": {}},
                        ],
                    }
                },
                {
                    "userInputMessage": {
                        "content": """\
Result of the tool use a (it failed):
2

Result of the tool use c:
?\
""",
                        "origin": "CLI",
                        "userInputMessageContext": {
                            "toolResults": [
                                {"toolUseId": "a", "content": [{"text": "1"}], "status": "success"},
                                {
                                    "toolUseId": "b",
                                    "content": [{"text": "The tool use was cancelled before it returned a result."}],
                                    "status": "error",
                                },
                            ]
                        },
                    }
                },
                {
                    "assistantResponseMessage": {
                        "content": "",
                        "toolUses": [{"toolUseId": "d", "name": "ls", "input": {}}],
                    }
                },
            ],
            "currentMessage": {
                "userInputMessage": {
                    "content": "Stop.",
                    "origin": "CLI",
                    "modelId": "claude-sonnet-4.5",
                    "userInputMessageContext": {
                        "toolResults": [
                            {
                                "toolUseId": "d",
                                "content": [{"text": "The tool use was cancelled before it returned a result."}],
                                "status": "error",
                            }
                        ],
                        "tools": [
                            {
                                "toolSpecification": {
                                    "name": "ls",
                                    "description": "Lists.",
                                    "inputSchema": {
                                        "json": {"type": "object", "properties": {"path": {"type": "string"}}}
                                    },
                                }
                            }
                        ],
                    },
                }
            },
            "chatTriggerType": "MANUAL",
        }
    )
    assert made.adjustments == snapshot(("tool_result_inlined", "tool_use_cancelled"))


def test_images_of_the_user_and_of_tools() -> None:
    shot = ToolResult("a", (Text("Taken."), image(gif(2, 2)), image(png(3, 3))))
    turns = [user("See", image(png())), assistant(use("a")), user(shot, "What is it?", image(png(4, 4)))]
    assert state(*turns, tools=(LS,)) == snapshot(
        {
            "conversationId": "c-1",
            "history": [
                {
                    "userInputMessage": {
                        "content": "See",
                        "origin": "CLI",
                        "images": [{"format": "png", "source": {"bytes": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAA="}}],
                    }
                },
                {
                    "assistantResponseMessage": {
                        "content": "",
                        "toolUses": [{"toolUseId": "a", "name": "ls", "input": {}}],
                    }
                },
            ],
            "currentMessage": {
                "userInputMessage": {
                    "content": "What is it?",
                    "origin": "CLI",
                    "modelId": "claude-sonnet-4.5",
                    "images": [
                        {"format": "gif", "source": {"bytes": "R0lGODlhAgACAAAAADs="}},
                        {"format": "png", "source": {"bytes": "iVBORw0KGgoAAAANSUhEUgAAAAMAAAADCAYAAAA="}},
                        {"format": "png", "source": {"bytes": "iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAYAAAA="}},
                    ],
                    "userInputMessageContext": {
                        "toolResults": [{"toolUseId": "a", "content": [{"text": "Taken."}], "status": "success"}],
                        "tools": [
                            {
                                "toolSpecification": {
                                    "name": "ls",
                                    "description": "Lists.",
                                    "inputSchema": {
                                        "json": {"type": "object", "properties": {"path": {"type": "string"}}}
                                    },
                                }
                            }
                        ],
                    },
                }
            },
            "chatTriggerType": "MANUAL",
        }
    )


def test_renamed_tools() -> None:
    odd = ToolSpec("fs/read file", "Reads.", Raw(b'{"type":"object","properties":{}}'))
    turns = [user("q"), assistant(use("x y", "fs/read file")), user(result("x y"))]
    made = payload(*turns, tools=(odd,))
    assert json.loads(made.body)["conversationState"] == snapshot(
        {
            "conversationId": "c-1",
            "history": [
                {"userInputMessage": {"content": "q", "origin": "CLI"}},
                {
                    "assistantResponseMessage": {
                        "content": "",
                        "toolUses": [
                            {
                                "toolUseId": "tooluse_dee0fea55905782d87e50506",
                                "name": "fs_read_file_c5764884",
                                "input": {},
                            }
                        ],
                    }
                },
            ],
            "currentMessage": {
                "userInputMessage": {
                    "content": "",
                    "origin": "CLI",
                    "modelId": "claude-sonnet-4.5",
                    "userInputMessageContext": {
                        "toolResults": [
                            {
                                "toolUseId": "tooluse_dee0fea55905782d87e50506",
                                "content": [{"text": "r"}],
                                "status": "success",
                            }
                        ],
                        "tools": [
                            {
                                "toolSpecification": {
                                    "name": "fs_read_file_c5764884",
                                    "description": "Reads.",
                                    "inputSchema": {"json": {"type": "object", "properties": {}}},
                                }
                            }
                        ],
                    },
                }
            },
            "chatTriggerType": "MANUAL",
        }
    )
    assert made.original == snapshot({"fs_read_file_c5764884": "fs/read file"})
    assert made.adjustments == snapshot(("tool_id_renamed", "tool_renamed"))


def test_a_name_comes_back_as_it_was() -> None:
    names = ["fs/read file", "ls", "t" * 65]
    specs = tuple(ToolSpec(name, "d", Raw(b"{}")) for name in names)
    made = payload(user("q"), tools=specs)
    told = json.loads(made.body)["conversationState"]["currentMessage"]["userInputMessage"]["userInputMessageContext"]
    frames = [tool_steps(f"t{n}", tool["toolSpecification"]["name"], "{}") for n, tool in enumerate(told["tools"])]
    starts = [event for event in read(*frames, END, original=made.original) if isinstance(event, ToolUseStart)]
    assert [start.name for start in starts] == names


# --- rules ------------------------------------------------------------------------------------------------------------


def test_rule_1_the_history_starts_with_the_user() -> None:
    assert "userInputMessage" in state(assistant("Hi"), user("q"))["history"][0]


def test_rule_2_the_history_ends_with_the_assistant() -> None:
    assert "assistantResponseMessage" in state(user("q"), assistant("a"))["history"][-1]


def test_rule_3_the_history_alternates() -> None:
    turns = [user("a"), user("b"), assistant("c"), assistant("d"), assistant("e"), user("f"), system("g"), user("h")]
    kinds = [next(iter(entry)) for entry in state(*turns, system=("s",))["history"]]
    assert kinds == ["userInputMessage", "assistantResponseMessage"] * 2


def test_rule_4_the_first_message_has_no_results() -> None:
    assert "toolResults" not in current(user(result())).get("userInputMessageContext", {})


def test_rule_5_each_use_is_answered_next() -> None:
    first = state(user("q"), assistant(use("a")), user("no"), assistant("b"), user("c"), tools=(LS,))["history"][2]
    (answer,) = first["userInputMessage"]["userInputMessageContext"]["toolResults"]
    assert (answer["toolUseId"], answer["status"]) == ("a", "error")


def test_rule_6_no_use_is_answered_twice() -> None:
    message = current(user("q"), assistant(use()), user(result(), result()), tools=(LS,))
    assert len(message["userInputMessageContext"]["toolResults"]) == 1


def test_rule_7_tools_are_declared_when_the_history_used_any() -> None:
    (declared,) = current(user("q"), assistant(use()), user(result()))["userInputMessageContext"]["tools"]
    assert declared["toolSpecification"]["name"] == "ls"


def test_rule_7_tools_stand_only_in_the_current_message() -> None:
    turns = [user("q"), assistant(use()), user(result()), assistant("ok"), user("q2")]
    assert json.dumps(state(*turns, tools=(LS,))["history"]).count("toolSpecification") == 0


def test_rule_8_every_tool_of_the_history_is_declared() -> None:
    turns = [user("q"), assistant(use("a", "old one")), user(result())]
    context = current(*turns, tools=(LS,))["userInputMessageContext"]
    used = state(*turns, tools=(LS,))["history"][1]["assistantResponseMessage"]["toolUses"][0]["name"]
    assert [tool["toolSpecification"]["name"] for tool in context["tools"]] == ["ls", used]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (b"[1]", {"value": [1]}),
        (b"null", {"value": None}),
        (b'"x"', {"value": "x"}),
        (b"", {"value": ""}),
        (b'{"a":', {"value": '{"a":'}),
        (b'{"a":"\xff"}', {"value": '{"a":"\ufffd"}'}),
        (b"[" * 2000, {"value": "[" * 2000}),
    ],
)
def test_rule_9_a_tool_s_input_is_an_object(given: bytes, sent: Any) -> None:
    made = payload(user("q"), assistant(ToolUse("a", "ls", Raw(given))), user(result()), tools=(LS,))
    message = json.loads(made.body)["conversationState"]["history"][1]["assistantResponseMessage"]
    assert message["toolUses"][0]["input"] == sent
    assert made.adjustments == ("tool_input_wrapped",)


def test_rule_9_an_object_goes_as_it_was_written() -> None:
    raw = b'{"a" : 1.0, "a": "\\u4f60"}'
    made = payload(user("q"), assistant(ToolUse("a", "ls", Raw(raw))), user(result()), tools=(LS,))
    assert raw in made.body
    assert made.adjustments == ()


@pytest.mark.parametrize("turn", [user(), user(""), user(" \n"), user(image(png())), user(Document("d", "AAAA"))])
def test_rule_10_no_message_is_empty(turn: Turn) -> None:
    assert current(turn)["content"].strip()


def test_rule_10_results_need_no_text() -> None:
    assert current(user("q"), assistant(use()), user(result()), tools=(LS,))["content"] == ""


def test_rule_11_schemas_are_plain() -> None:
    strict = b'{"type":"object","properties":{},"required":[],"additionalProperties":false}'
    made = payload(user("q"), tools=(ToolSpec("ls", "d", Raw(strict)),))
    assert made.adjustments == ("schema_required_dropped", "schema_additional_dropped")


def test_rule_12_names_and_descriptions_are_within_their_limits() -> None:
    made = payload(user("q"), tools=(ToolSpec("my.tool", "", Raw(b"{}")), ToolSpec("l", "x" * 20_000, Raw(b"{}"))))
    assert set(made.adjustments) >= {"tool_renamed", "tool_description_added", "tool_description_moved"}


def test_rule_12_a_long_description_goes_on_in_the_instructions() -> None:
    message = state(user("q"), tools=(ToolSpec("l", "x" * 10_240 + "the end", Raw(b"{}")),))["history"][0]
    assert message["userInputMessage"]["content"].endswith("the end\n--- CONTEXT ENTRY END ---")


def test_rule_13_no_tool_is_declared_twice() -> None:
    assert len(current(user("q"), tools=(LS, LS))["userInputMessageContext"]["tools"]) == 1


@pytest.mark.parametrize(
    "members",
    [
        {"turns": (user("x" * 601),)},
        {"turns": (user("x" * 300, "y" * 300),)},
        {"turns": (user("x" * 300), user("y" * 300))},
        {"turns": (user("x" * 601), assistant("a"), user("b"))},
        {"turns": (user("q"),), "system": ("x" * 600,)},
    ],
)
def test_rule_14_a_message_is_not_too_long(members: dict[str, Any]) -> None:
    turns = members.pop("turns")
    error = refusal(*turns, limits=Limits(message_characters=600), **members)
    assert error.code is ErrorCode.context_too_long
    assert "characters; the service takes 600" in error.message


def test_rule_14_the_limits_are_the_service_s() -> None:
    assert len(current(user("x" * 600_000))["content"]) == 600_000
    assert refusal(user("x" * 600_001)).code is ErrorCode.context_too_long
    assert payload(user("q"), assistant(use()), user(result("a", "x" * 800_000)), tools=(LS,))
    error = refusal(user("q"), assistant(use()), user(result("a", "x" * 800_001)), tools=(LS,))
    assert error.code is ErrorCode.context_too_long
    assert error.message.startswith("A tool's result has 800001 characters")


def test_rule_15_the_history_is_not_too_long() -> None:
    turns = [turn for n in range(5000) for turn in (user(str(n)), assistant("a"))]
    assert len(state(*turns, user("q"))["history"]) == 10_000
    error = refusal(*turns, user("q"), assistant("a"), user("q"))
    assert error.code is ErrorCode.context_too_long
    assert error.message.startswith("The conversation has 10002 turns")


def test_rule_16_the_body_is_not_too_long() -> None:
    turns = [turn for _ in range(3) for turn in (user("x" * 400_000), assistant("a"))]
    assert len(payload(*turns, user("y" * 40_000)).body) < 1_250_000
    error = refusal(*turns, user("y" * 60_000))
    assert error.code is ErrorCode.context_too_long
    assert "bytes besides its images" in error.message


def test_rule_16_images_do_not_count() -> None:
    large = image(png() + b"\x00" * 1_500_000)
    assert len(payload(user("q", large)).body) > 2_000_000


@pytest.mark.parametrize("limits", [Limits(message_characters=10), Limits(body_bytes=100), Limits(history_entries=1)])
def test_what_is_too_long_says_how_much(limits: Limits) -> None:
    """Clients compact by these numbers: what there is must be more than what there may be."""
    error = refusal(user("x" * 500), assistant("a"), user("b"), limits=limits)
    assert error.tokens is not None
    assert error.tokens[0] > error.tokens[1] >= 0


def test_rule_17_an_image_just_attached_that_cannot_be_sent_is_refused() -> None:
    error = refusal(user("q"), assistant("a"), user("See", image(b"BM")))
    assert error.code is ErrorCode.request_invalid
    assert error.message == "An image can't be sent: the image's bytes are neither PNG, JPEG, GIF nor WebP."
    error = refusal(user("See", Image("Qk0=", "image/png", "messages[0].content[1]")))
    assert error.message.startswith("The image in 'messages[0].content[1]' can't be sent: ")
    assert error.param == "messages[0].content[1]"


def test_rule_20_reasoning_goes_back_only_if_the_service_signed_it() -> None:
    signatures = Signatures()
    signatures.remember("thought", "good")
    signatures.remember("", "AAEC")
    turns = (
        user("1"), assistant(Reasoning("thought", "good"), "a"),
        user("2"), assistant(Reasoning("another", "good"), "b"),
        user("3"), assistant(Reasoning("thought", "forged"), "c"),
        user("4"), assistant(RedactedReasoning("AAEC"), "d"),
        user("5"), assistant(RedactedReasoning("AAED"), "e"),
        user("6"), assistant(Reasoning("thought"), "f"),
        user("7"),
    )  # fmt: skip
    made = to_payload(Conversation(model="m", turns=turns), ADDRESSING, signatures.known)
    history = json.loads(made.body)["conversationState"]["history"]
    assert [entry["assistantResponseMessage"].get("reasoningContent") for entry in history[1::2]] == [
        {"reasoningText": {"text": "thought", "signature": "good"}},
        None,
        None,
        {"redactedContent": "AAEC"},
        None,
        None,
    ]
    assert made.adjustments == ("reasoning_dropped",)


@pytest.mark.parametrize("model", ["", "a/b", "claude-sonnet-4.5[1m]", "x" * 1025, "ü"])
def test_a_name_that_can_be_no_model_s_is_refused(model: str) -> None:
    with pytest.raises(RelayError) as caught:
        to_payload(Conversation(model="m", turns=(user("q"),)), ADDRESSING._replace(model=model))
    assert caught.value.code is ErrorCode.model_unknown


# --- tool choice ------------------------------------------------------------------------------------------------------

CAT = ToolSpec("cat", "Reads.", LS.schema)


def offered(message: Any) -> list[str]:
    context = message.get("userInputMessageContext", {})
    return [tool["toolSpecification"]["name"] for tool in context.get("tools", [])]


def test_tool_history_flattened() -> None:
    turns = [user("q"), assistant("Look.", use()), user(result("a", "r"))]
    made = payload(*turns, tools=(LS,), tool_choice=ToolChoice("none"))
    body = json.loads(made.body)["conversationState"]
    assert body["history"][1] == {"assistantResponseMessage": {"content": "Look.\n\n(Used the tool ls as a with {})"}}
    assert offered(body["currentMessage"]["userInputMessage"]) == []
    assert made.adjustments == ("tool_history_flattened",)


def test_no_tool_without_a_history_of_tools() -> None:
    made = payload(user("q"), tools=(LS,), tool_choice=ToolChoice("none"))
    assert b"toolSpecification" not in made.body
    assert made.adjustments == ()


def test_tool_choice_instructed_for_any_tool() -> None:
    made = payload(user("q"), tools=(LS, CAT), tool_choice=ToolChoice("any"))
    assert b"by calling one of the tools" in made.body
    assert made.adjustments == ("tool_choice_instructed",)


def test_tool_choice_instructed_for_one_tool() -> None:
    turns = [user("q"), assistant(use("a", "cat")), user(result())]
    odd = ToolSpec("my tool", "d", LS.schema)
    made = payload(*turns, tools=(LS, CAT, odd), tool_choice=ToolChoice("named", "my tool"))
    names = offered(json.loads(made.body)["conversationState"]["currentMessage"]["userInputMessage"])
    assert [made.original.get(name, name) for name in names] == ["cat", "my tool"]
    assert f"by calling the tool {names[1]}.".encode() in made.body
    assert made.adjustments == ("tool_renamed", "tool_choice_instructed")


def test_answer_format_instructed() -> None:
    made = payload(user("q"), answer_schema=Raw(b'{"type":"object","properties":{"a":{}}}'))
    told = json.loads(made.body)["conversationState"]["history"][0]["userInputMessage"]["content"]
    assert 'JSON Schema:\n{"type":"object","properties":{"a":{}}}' in told
    assert made.adjustments == ("answer_format_instructed",)


def test_a_choice_of_a_tool_that_is_not_offered_is_refused() -> None:
    turns = [user("q"), assistant(use("a", "gone")), user(result())]
    error = refusal(*turns, tools=(LS,), tool_choice=ToolChoice("named", "gone"))
    assert (error.code, error.param) == (ErrorCode.request_invalid, "tool_choice")
    assert "'gone'" in error.message


def test_any_tool_where_there_is_none_is_reported() -> None:
    assert payload(user("q"), tool_choice=ToolChoice("any")).ignored == ("tool_choice",)


def test_effort_is_reported_where_the_model_does_not_take_it() -> None:
    assert payload(user("q"), effort="high").ignored == ("effort",)


def test_effort_goes_to_a_model_that_takes_it() -> None:
    for_model = ADDRESSING._replace(effort=Effort("output_config", ("low", "high")))
    told = to_payload(Conversation(model="m", turns=(user("q"),), effort="high"), for_model)
    assert told.ignored == ()
    assert json.loads(told.body)["additionalModelRequestFields"] == {"output_config": {"effort": "high"}}
    told = to_payload(Conversation(model="m", turns=(user("q"),), effort="extreme"), for_model)
    assert told.ignored == ("effort",)
    assert "additionalModelRequestFields" not in json.loads(told.body)


# --- adjustments ------------------------------------------------------------------------------------------------------


def test_reasoning_dropped_when_there_is_a_second_one() -> None:
    made = payload(user("q"), assistant(Reasoning("1", "s"), "a", Reasoning("2", "s"), "b"), user("c"))
    message = json.loads(made.body)["conversationState"]["history"][1]["assistantResponseMessage"]
    assert message["reasoningContent"]["reasoningText"]["text"] == "2"
    assert made.adjustments == ("reasoning_dropped",)


def test_a_turn_of_reasoning_alone_leaves_no_turn() -> None:
    made = payload(user("q"), assistant(Reasoning("1", "s")), user("c"))
    assert json.loads(made.body)["conversationState"]["history"] == []
    assert made.adjustments == ("empty_turn_dropped", "turns_merged")


def test_image_dropped_over_count() -> None:
    old, new = [image(png(n + 1)) for n in range(4)], [image(png(n + 5)) for n in range(8)]
    made = payload(user("old", *old), assistant("a"), user("new", *new))
    body = json.loads(made.body)["conversationState"]
    message = body["history"][0]["userInputMessage"]
    assert [block["source"]["bytes"] for block in message["images"]] == [kept.data for kept in old[2:]]
    assert message["content"].count("An image was left out: the service takes 10") == 2
    assert len(body["currentMessage"]["userInputMessage"]["images"]) == 8
    assert made.adjustments == ("image_dropped_over_count",)


def test_image_dropped_over_count_within_one_turn() -> None:
    message = current(user("See", *(image(png(n + 1)) for n in range(12))))
    assert [block["source"]["bytes"] for block in message["images"]] == [image(png(n + 1)).data for n in range(2, 12)]


@pytest.mark.parametrize("bad", [image(b"BM"), image(png(9000, 1)), Image("?"), Image("é")])
def test_image_dropped_unusable(bad: Image) -> None:
    """Once it is history, refusing it would refuse the conversation for ever."""
    shot = ToolResult("a", (bad,))
    for turns in (
        [user("See", bad), assistant("a"), user("b")],
        [user("See", bad), user("b")],
        [user("q"), assistant(use()), user(shot)],
    ):
        made = payload(*turns, tools=(LS,))
        assert b"(An image was left out: the image" in made.body
        assert "image_dropped_unusable" in made.adjustments


def test_image_captioned() -> None:
    made = payload(user(image(png())))
    assert b"(See the attached image.)" in made.body
    assert made.adjustments == ("image_captioned",)


@pytest.mark.parametrize(("cached_from", "marked"), [(None, False), (0, True), (10, True), (1024, False)])
def test_tools_end_with_a_cache_point_where_it_is_worth_one(cached_from: int | None, marked: bool) -> None:
    """Only where the model's row says how many tokens that takes (PROTOCOL.md §2.3, §5)."""
    tool = ToolSpec("ls", "Lists what is in a folder, hidden files too.", LS.schema)
    conversation = Conversation(model="m", turns=(user("q"),), tools=(tool,))
    made = to_payload(conversation, ADDRESSING._replace(cached_from=cached_from))
    message = json.loads(made.body)["conversationState"]["currentMessage"]["userInputMessage"]
    first, *rest = message["userInputMessageContext"]["tools"]
    assert first["toolSpecification"]["name"] == "ls"
    assert rest == ([{"cachePoint": {"type": "default"}}] if marked else [])


def test_document_dropped() -> None:
    made = payload(user("q", Document("a.pdf", "AAAA", "application/pdf")))
    assert "The document 'a.pdf' of application/pdf was left out" in made.body.decode()
    assert made.adjustments == ("document_dropped",)


def test_document_as_text() -> None:
    made = payload(user("q", Document("a.pdf", "AAAA", "application/pdf", text="[page 1]\nIt rains.")))
    content = json.loads(made.body)["conversationState"]["currentMessage"]["userInputMessage"]["content"]
    assert content.startswith("q\n\n(The text of the document 'a.pdf'")
    assert content.endswith("[page 1]\nIt rains.")
    assert made.adjustments == ("document_as_text",)


def test_a_document_that_was_not_readable_says_why() -> None:
    made = payload(user("q", Document("a.pdf", "AAAA", "application/pdf", unreadable="it is damaged")))
    assert "The document 'a.pdf' of application/pdf was left out: it is damaged." in made.body.decode()
    assert made.adjustments == ("document_dropped",)


def test_surrogate_replaced() -> None:
    broken = ToolSpec("ls", "half \ud83d", LS.schema)
    turns = [user("a\ud83db", "\ud83d\ude00"), assistant(use("x", "ls")), user(ToolResult("x", (Text("\udc00"),)))]
    made = payload(*turns, tools=(broken,), system=("\ud800",))
    body = json.loads(made.body)["conversationState"]
    assert body["history"][2]["userInputMessage"]["content"] == "a\ufffdb\n\n😀"
    assert made.adjustments == ("surrogate_replaced",)


def test_all_adjustments_of_a_request_are_told_once() -> None:
    turns = [user("a"), user(result()), user(result()), assistant("", use("x y")), assistant("c")]
    assert payload(*turns, tools=(LS, LS, LS)).adjustments == (
        "turns_merged",
        "last_turn_added",
        "tool_result_inlined",
        "tool_id_renamed",
        "tool_use_cancelled",
        "tool_duplicate_dropped",
    )
