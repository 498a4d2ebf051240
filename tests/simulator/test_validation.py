"""Every rule of PROTOCOL.md §2.6: what breaks it, and what each style of host answers."""

import json
from base64 import b64encode
from typing import Any

import httpx
import pytest

from qrelay.simulator.model import is_signed, sign
from qrelay.simulator.server import Simulator
from qrelay.simulator.validation import Limits, check
from qrelay.simulator.violation import Violation

from .asking import Caller, assistant, request, result, tool, tool_round, use, user

Body = dict[str, Any]
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + (1).to_bytes(4, "big") * 2
IMPROPER = "Improperly formed request."


def image(raw: bytes = PNG, form: str = "png") -> Body:
    return {"format": form, "source": {"bytes": b64encode(raw).decode()}}


def with_images(*images: Body) -> Body:
    turn = user("Look")
    turn["userInputMessage"]["images"] = list(images)
    return request(turn)


def with_tools(*tools: Body) -> Body:
    return request(user("Hi", tools=list(tools)))


def with_schema(schema: Body) -> Body:
    broken = tool("t")
    broken["toolSpecification"]["inputSchema"]["json"] = schema
    return with_tools(broken)


def with_current(**members: object) -> Body:
    body = request(user())
    body["conversationState"]["currentMessage"]["userInputMessage"].update(members)
    return body


def with_state(**members: object) -> Body:
    body = request(user())
    body["conversationState"].update(members)
    return body


def without_state(name: str) -> Body:
    body = request(user())
    del body["conversationState"][name]
    return body


def with_specification(**members: object) -> Body:
    broken = tool("t")
    broken["toolSpecification"].update(members)
    return with_tools(broken)


def round_with(results: list[Body], uses: list[Body] | None = None, tools: list[Body] | None = None) -> Body:
    return request(
        user(),
        assistant(toolUses=[use()] if uses is None else uses),
        user("", toolResults=results, tools=[tool("ls")] if tools is None else tools),
    )


MISMATCH = "TOOL_USE_RESULT_MISMATCH"
INVALID = "REQUEST_BODY_INVALID"
SCHEMA = "TOOL_SCHEMA_INVALID"

BROKEN: dict[str, tuple[Body, str, str]] = {
    # name: (body, rule, the newer hosts' reason)
    "1 assistant first": (request(assistant(), user()), "first_entry_user", INVALID),
    "2 user last": (request(user(), assistant(), user(), user()), "last_entry_assistant", INVALID),
    "2 user only": (request(user(), user()), "last_entry_assistant", INVALID),
    "3 two users": (request(user(), user(), assistant(), user()), "alternation", INVALID),
    "3 two assistants": (request(user(), assistant(), assistant(), user()), "alternation", INVALID),
    "4 results first": (
        request(user(toolResults=[result()]), assistant(), user(tools=[tool("ls")])),
        "first_user_tool_results",
        MISMATCH,
    ),
    "5 unanswered": (round_with([], [use()]), "tool_results_match", MISMATCH),
    "5 one of two": (round_with([result()], [use(), use("tooluse_2")]), "tool_results_match", MISMATCH),
    "5 wrong id": (round_with([result("tooluse_9")]), "tool_results_match", MISMATCH),
    "5 surplus": (round_with([result(), result("tooluse_9")]), "tool_results_match", MISMATCH),
    "5 orphan": (request(user(toolResults=[result()], tools=[tool("ls")])), "tool_results_match", MISMATCH),
    "5 too late": (
        request(
            user(), assistant(toolUses=[use()]), user(toolResults=[result()]), assistant(),
            user(toolResults=[result()], tools=[tool("ls")]),
        ),
        "tool_results_match",
        MISMATCH,
    ),
    "5 one id twice": (round_with([result()], [use(), use()]), "tool_results_match", MISMATCH),
    "6 twice": (round_with([result(), result()]), "tool_result_duplicate", MISMATCH),
    "7 no tools": (round_with([result()], tools=[]), "tools_missing", "TOOL_CONFIG_MISSING"),
    "8 not declared": (round_with([result()], tools=[tool("other")]), "tool_unknown", INVALID),
    "9 input is text": (
        round_with([result()], [{"toolUseId": "tooluse_1", "name": "ls", "input": "{}"}]), "tool_input_object", INVALID,
    ),
    "9 input is a list": (
        round_with([result()], [{"toolUseId": "tooluse_1", "name": "ls", "input": []}]), "tool_input_object", INVALID,
    ),
    "10 empty": (request(user("")), "empty_content", INVALID),
    "10 blank": (request(user(" \n")), "empty_content", INVALID),
    "10 empty in history": (request(user(""), assistant(), user()), "empty_content", INVALID),
    "11 empty required": (with_schema({"type": "object", "required": []}), "schema_strictness", SCHEMA),
    "11 nested": (
        with_schema({"type": "object", "properties": {"a": {"type": "object", "additionalProperties": False}}}),
        "schema_strictness",
        SCHEMA,
    ),
    "11 in items": (
        with_schema({"type": "object", "properties": {"a": {"type": "array", "items": {"required": []}}}}),
        "schema_strictness",
        SCHEMA,
    ),
    "11 cache point": (with_tools(tool("t"), {"cachePoint": {"type": "default"}}), "schema_strictness", INVALID),
    "12 dot in name": (with_tools(tool("a.b")), "tool_format", INVALID),
    "12 long name": (with_tools(tool("a" * 65)), "tool_format", INVALID),
    "12 name ends in a newline": (with_tools(tool("a\n")), "tool_format", INVALID),
    "12 no description": (
        with_specification(description=""),
        "tool_format",
        INVALID,
    ),
    "12 long description": (
        with_specification(description="x" * 10_241),
        "tool_format",
        INVALID,
    ),
    "12 long id": (round_with([result("a" * 65)], [use("a" * 65)]), "tool_format", INVALID),
    "12 odd id": (round_with([result("a|b")], [use("a|b")]), "tool_format", INVALID),
    "13 twice": (with_tools(tool("t"), tool("t")), "tool_duplicate", "TOOL_DUPLICATE"),
    "13 no type": (with_schema({"properties": {}}), "tool_schema", SCHEMA),
    "13 not an object's": (with_schema({"type": "string"}), "tool_schema", SCHEMA),
    "13 no schema": (
        with_specification(inputSchema={"json": "{}"}),
        "tool_schema",
        SCHEMA,
    ),
    "14 long": (request(user("x" * 600_001)), "message_size", "CONTENT_LENGTH_EXCEEDS_THRESHOLD"),
    "14 long result": (
        round_with([result(text="x" * 800_001)]), "message_size", "CONTENT_LENGTH_EXCEEDS_THRESHOLD",
    ),
    "15 long history": (request(*[user(), assistant()] * 5001, user()), "history_length", INVALID),
    "16 large": (request(*[user("x" * 500_000), assistant()] * 3, user()), "body_size", INVALID),
    "17 eleven": (with_images(*[image()] * 11), "image_count", "IMAGE_COUNT_EXCEEDED"),
    "17 mismatch": (with_images(image(form="jpeg")), "image_mime", "IMAGE_MIME_MISMATCH"),
    "17 not one": (with_images(image(b"hello")), "image_format", "IMAGE_FORMAT_UNSUPPORTED"),
    "17 unknown format": (with_images(image(form="bmp")), "image_format", "IMAGE_FORMAT_UNSUPPORTED"),
    "17 large": (with_images(image(PNG + b"x" * 3_932_160)), "image_size", "IMAGE_SIZE_EXCEEDED"),
    "17 wide": (
        with_images(image(PNG[:16] + (8001).to_bytes(4, "big") * 2)), "image_dimension", "IMAGE_DIMENSION_EXCEEDED",
    ),
    "17 wide jpeg": (
        with_images(
            image(b"\xff\xd8\xff\xe0\x00\x04\x00\x00\xff\xc0\x00\x11\x08" + (8001).to_bytes(2, "big") * 2, "jpeg")
        ),
        "image_dimension",
        "IMAGE_DIMENSION_EXCEEDED",
    ),
    "17 not base64": (with_images({"format": "png", "source": {"bytes": "no base64!"}}), "image_base64", INVALID),
    "17 data url": (
        with_images({"format": "png", "source": {"bytes": "data:image/png;base64,AAAA"}}), "image_base64", INVALID,
    ),
    "18 long directory": (
        request(user(envState={"operatingSystem": "linux", "currentWorkingDirectory": "/" * 257})), "shape", INVALID,
    ),
    "20 signature": (
        request(
            user(), assistant(reasoningContent={"reasoningText": {"text": "Hm.", "signature": "forged"}}), user()
        ),
        "thinking_signature",
        "THINKING_SIGNATURE_INVALID",
    ),
    "unknown member": (request(user(), temperature=0.5), "shape", INVALID),
    "unknown inner member": (with_current(role="user"), "shape", INVALID),
    "null member": (with_current(images=None), "shape", INVALID),
    "no state": ({}, "shape", INVALID),
    "not an object": ([], "shape", INVALID),  # pyright: ignore[reportAssignmentType] -- that is what is tested
    "no trigger": (without_state("chatTriggerType"), "shape", INVALID),
    "unknown origin": (with_current(origin="ME"), "shape", INVALID),
    "long conversation id": (
        with_state(conversationId="c" * 129),
        "shape",
        "INVALID_CONVERSATION_ID",
    ),
    "both members": (request({**user(), **assistant()}, assistant(), user()), "shape", INVALID),
    "neither member": (request({}, assistant(), user()), "shape", INVALID),
    "assistant is current": (
        with_state(currentMessage=assistant()), "shape", INVALID,
    ),
    "two kinds of reasoning": (
        request(
            user(), assistant(reasoningContent={"reasoningText": {"text": "a"}, "redactedContent": "YQ=="}), user()
        ),
        "shape",
        INVALID,
    ),
    "result with nothing": (
        round_with([{"toolUseId": "tooluse_1", "status": "success", "content": [{}]}]), "shape", INVALID,
    ),
    "odd arn": (request(user(), profileArn="arn:aws:iam::1:role/x"), "shape", INVALID),
    "short workspace": (
        with_state(workspaceId="w"), "shape", INVALID,
    ),
}  # fmt: skip


def broken_rule(body: object, limits: Limits | None = None) -> Violation | None:
    return check(body, len(json.dumps(body)), limits=limits, signed=is_signed)


@pytest.mark.parametrize("case", BROKEN)
def test_rule(case: str) -> None:
    body, rule, reason = BROKEN[case]
    violation = broken_rule(body)
    assert violation is not None
    assert (violation.rule, violation.error.reason) == (rule, reason)
    assert violation.detail
    old = violation.in_style("old")
    if reason == "CONTENT_LENGTH_EXCEEDS_THRESHOLD":
        assert (old.message, old.reason) == ("Input is too long.", reason)
    else:
        assert (old.type, old.status, old.message, old.reason) == ("ValidationException", 400, IMPROPER, None)


GOOD: dict[str, Body] = {
    "least": request(user()),
    "tool round": tool_round(),
    "no history": without_state("history"),
    "several results": round_with([result("b"), result("a")], [use("a"), use("b")]),
    "text beside results": request(
        user(), assistant(toolUses=[use()]), user("And now?", toolResults=[result()], tools=[tool("ls")])
    ),
    "empty assistant": request(user(), assistant(""), user()),
    "json result": round_with([{"toolUseId": "tooluse_1", "content": [{"json": {"a": 1}}], "status": "error"}]),
    "ten images": with_images(*[image()] * 10),
    "every format": with_images(
        image(), image(b"\xff\xd8\xff\xe0", "jpeg"), image(b"GIF89a", "gif"), image(b"RIFF\x00\x00\x00\x00WEBP", "webp")
    ),
    "large images": with_images(*[image(PNG + b"x" * 3_000_000)] * 3),
    "properties with telling names": with_schema(
        {"type": "object", "properties": {"required": {"type": "array"}, "additionalProperties": {"type": "string"}}}
    ),
    "signed reasoning": request(
        user(), assistant(reasoningContent={"reasoningText": {"text": "Hm.", "signature": sign("Hm.")}}), user()
    ),
    "redacted reasoning": request(user(), assistant(reasoningContent={"redactedContent": "YQ=="}), user()),
    "everything in a context": request(
        user(
            envState={"operatingSystem": "linux", "currentWorkingDirectory": "/w", "timezoneOffset": -60},
            additionalContext=[{"name": "a-b", "description": "d", "innerContext": "i"}],
            editorState={"useRelevantDocuments": False},
        )
    ),
    "agent mode": request(user(), agentMode="vibe"),
    "longest message": request(user("x" * 600_000)),
    "limits of a tool": with_tools(tool("a" * 64)),
    "twenty-odd turns": request(*[user(), assistant()] * 12, user()),
}


@pytest.mark.parametrize("case", GOOD)
def test_what_is_accepted(case: str) -> None:
    assert broken_rule(GOOD[case]) is None


def test_a_rule_can_be_left_out() -> None:
    body, rule, _ = BROKEN["11 empty required"]
    assert broken_rule(body, Limits(without=frozenset({rule}))) is None


@pytest.mark.parametrize(
    ("user_agent", "accepted"),
    [("KiroIDE-6a1b2c3d", False), ("x KiroIDE-0.11.4-6a1b2c3d", True), ("qrelay/1.0", True), ("", True)],
)
def test_user_agents_that_shorten_the_history(user_agent: str, accepted: bool) -> None:
    body = request(*[user(), assistant()] * 100, user())
    violation = check(body, 100, user_agent=user_agent)
    assert (violation is None) is accepted
    assert violation is None or violation.rule == "history_length"


def test_a_tool_is_answered_only_once_even_where_users_may_follow_users() -> None:
    last = user(toolResults=[result()], tools=[tool("ls")])
    body = request(user(), assistant(toolUses=[use()]), user(toolResults=[result()]), last)
    violation = broken_rule(body, Limits(without=frozenset({"alternation", "last_entry_assistant"})))
    assert violation is not None
    assert violation.rule == "tool_results_match"


def test_send_message_has_members_of_its_own() -> None:
    body = request(user(), source="CLI", dryRun=False)
    assert check(body, 100, send_message=True) is None
    assert check(body, 100) is not None
    assert check(request(user(), agentMode="vibe"), 100, send_message=True) is not None


@pytest.mark.anyio
@pytest.mark.parametrize("style", ["new", "old"])
async def test_both_styles_over_the_wire(http: httpx.AsyncClient, style: str) -> None:
    async with Simulator.serve(validation=style) as sim:
        response = await Caller(sim, http).chat(BROKEN["7 no tools"][0])
        assert response.status_code == 400
        told = response.json()
        assert told["__type"] == "com.amazon.aws.codewhisperer#ValidationException"
        assert told["reason"] == ("TOOL_CONFIG_MISSING" if style == "new" else None)
        assert told["message"].startswith("The toolConfig field must be defined" if style == "new" else IMPROPER)
        recorded = sim.requests[-1]
        assert recorded.refusal == "tools_missing"
        assert recorded.violation is not None


@pytest.mark.anyio
async def test_limits_are_options(http: httpx.AsyncClient) -> None:
    async with Simulator.serve(limits=Limits(body_bytes=300)) as sim:
        await Caller(sim, http).chat(request(user("x" * 400)))
        assert sim.requests[-1].refusal == "body_size"
