"""Turns in the service's order (PROTOCOL.md §2.6 rules 1 to 6 and 10): each rule and each adjustment has its test."""

import re

import pytest
from msgspec import Raw

from qrelay.conversation import (
    Document,
    Image,
    Part,
    Reasoning,
    RedactedReasoning,
    Role,
    Text,
    ToolResult,
    ToolUse,
    Turn,
)
from qrelay.upstream.history import BEGIN, CANCELLED, CONTINUE, EMPTY, arrange, flatten

IMAGE = Image("AAAA", "image/png")
DOCUMENT = Document("d.pdf", "AAAA")


def turn(role: Role, *parts: Part | str) -> Turn:
    return Turn(role, tuple(Text(part) if isinstance(part, str) else part for part in parts))


def user(*parts: Part | str) -> Turn:
    return turn("user", *parts)


def assistant(*parts: Part | str) -> Turn:
    return turn("assistant", *parts)


def system(*parts: Part | str) -> Turn:
    return turn("system", *parts)


def use(id_: str = "a", name: str = "ls") -> ToolUse:
    return ToolUse(id_, name, Raw(b"{}"))


def result(id_: str = "a", text: str = "r", *, is_error: bool = False) -> ToolResult:
    return ToolResult(id_, (Text(text),), is_error)


def cancelled(id_: str) -> ToolResult:
    return result(id_, CANCELLED, is_error=True)


def arranged(*turns: Turn, adjustments: str = "") -> list[Turn]:
    """The turns, after a look at which adjustments were told (names, in order, separated by spaces)."""
    history = arrange(turns)
    assert " ".join(history.adjustments) == adjustments
    return history.turns


# --- rules ------------------------------------------------------------------------------------------------------------


def test_what_is_in_order_stays_as_it_is() -> None:
    turns = [user("q"), assistant("a", use()), user(result(), "more"), assistant("b"), user("q2", IMAGE)]
    assert arranged(*turns) == turns


def test_rule_1_the_first_turn_is_the_user_s() -> None:
    assert arranged(assistant("Hi"), user("q"), adjustments="first_turn_added") == [
        user(BEGIN),
        assistant("Hi"),
        user("q"),
    ]


def test_rule_2_the_last_turn_is_the_user_s() -> None:
    assert arranged(user("q"), assistant("a"), adjustments="last_turn_added") == [
        user("q"),
        assistant("a"),
        user(CONTINUE),
    ]


def test_rule_3_neighbours_of_a_role_become_one_turn() -> None:
    assert arranged(user("a"), user("b"), assistant("c"), assistant("d"), user("e"), adjustments="turns_merged") == [
        user("a", "b"),
        assistant("c", "d"),
        user("e"),
    ]


def test_rule_3_merging_loses_no_results() -> None:
    assert arranged(
        user("q"),
        assistant(use("a"), use("b")),
        user(result("b")),
        user(result("a"), "go on"),
        adjustments="turns_merged",
    ) == [user("q"), assistant(use("a"), use("b")), user(result("b"), result("a"), "go on")]


def test_rule_4_the_first_turn_has_no_results() -> None:
    (first,) = arranged(user(result("a", "ok"), "q"), adjustments="tool_result_inlined")
    assert first == user("Result of the tool use a:\nok", "q")


def test_rule_5_a_use_without_a_result_is_cancelled() -> None:
    assert arranged(
        user("q"), assistant(use("a"), use("b")), user(result("b"), "go on"), adjustments="tool_use_cancelled"
    ) == [
        user("q"),
        assistant(use("a"), use("b")),
        user(result("b"), "go on", cancelled("a")),
    ]


def test_rule_5_a_use_at_the_very_end_is_cancelled() -> None:
    assert arranged(user("q"), assistant(use()), adjustments="last_turn_added tool_use_cancelled") == [
        user("q"),
        assistant(use()),
        user(CONTINUE, cancelled("a")),
    ]


def test_rule_5_a_result_must_answer_the_turn_before_it() -> None:
    late = [user("q"), assistant(use()), user("wait"), assistant("ok"), user(result("a", "late"))]
    assert arranged(*late, adjustments="tool_use_cancelled tool_result_inlined") == [
        user("q"),
        assistant(use()),
        user("wait", cancelled("a")),
        assistant("ok"),
        user("Result of the tool use a:\nlate"),
    ]


def test_rule_5_a_result_of_a_use_nobody_made_becomes_text() -> None:
    turns = [user("q"), assistant(use()), user(result("x", "odd"), result("a"))]
    assert arranged(*turns, adjustments="tool_result_inlined")[2] == user("Result of the tool use x:\nodd", result("a"))


def test_rule_6_a_second_result_for_a_use_becomes_text() -> None:
    turns = [user("q"), assistant(use()), user(result(), result("a", "again", is_error=True))]
    assert arranged(*turns, adjustments="tool_result_inlined")[2] == user(
        result(), "Result of the tool use a (it failed):\nagain"
    )


@pytest.mark.parametrize("parts", [(), ("",), (" \n", "\t")])
def test_rule_10_a_user_turn_says_something(parts: tuple[str, ...]) -> None:
    assert arranged(user(*parts), adjustments="empty_turn_filled") == [user(EMPTY)]


@pytest.mark.parametrize("part", [IMAGE, DOCUMENT])
def test_rule_10_an_image_or_a_document_is_something(part: Part) -> None:
    assert arranged(user(part)) == [user(part)]


def test_rule_10_results_are_something() -> None:
    turns = [user("q"), assistant(use()), user("", result())]
    assert arranged(*turns) == turns


# --- adjustments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [(), ("",), (" \n",), (Reasoning("hm", "sig"),), (RedactedReasoning("x"), "")])
def test_empty_turn_dropped(parts: tuple[Part | str, ...]) -> None:
    assert arranged(user("a"), assistant(*parts), user("b"), adjustments="empty_turn_dropped turns_merged") == [
        user("a", "b")
    ]


def test_a_conversation_of_nothing() -> None:
    assert arranged(adjustments="empty_turn_filled") == [user(EMPTY)]
    assert arranged(assistant(""), adjustments="empty_turn_dropped empty_turn_filled") == [user(EMPTY)]


def test_system_turn_inlined() -> None:
    noted = [user("q"), assistant("a"), system("Be brief.", " ", "Be kind."), user("q2")]
    assert arranged(*noted, adjustments="system_turn_inlined turns_merged") == [
        user("q"),
        assistant("a"),
        user("<system>\nBe brief.\n\nBe kind.\n</system>", "q2"),
    ]


def test_a_note_between_a_use_and_its_result_parts_them_not() -> None:
    noted = [user("q"), assistant(use()), system("Note."), user(result())]
    assert arranged(*noted, adjustments="system_turn_inlined turns_merged")[2] == user(
        "<system>\nNote.\n</system>", result()
    )


def test_a_conversation_of_system_turns_only() -> None:
    assert arranged(system("a"), system(""), system("b"), adjustments="system_turn_inlined turns_merged") == [
        user("<system>\na\n</system>", "<system>\nb\n</system>")
    ]


def test_an_image_in_a_system_turn_stays() -> None:
    assert arranged(system("See:", IMAGE), adjustments="system_turn_inlined turns_merged") == [
        user("<system>\nSee:\n</system>", IMAGE)
    ]


@pytest.mark.parametrize("id_", ["", "x y", "call|1", "é", "\ud83d", "z" * 65, "toolu:1\n"])
def test_tool_id_renamed_for_its_characters_or_length(id_: str) -> None:
    _, assistants, answer = arranged(user("q"), assistant(use(id_)), user(result(id_)), adjustments="tool_id_renamed")
    (renamed,) = assistants.parts
    assert isinstance(renamed, ToolUse)
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", renamed.id)
    assert answer == user(result(renamed.id))


def test_tool_id_renamed_twice_in_one_turn() -> None:
    """Pairing goes by position: the first result answers the first use."""
    turns = [user("q"), assistant(use("a"), use("a", "cat")), user(result("a", "1"), result("a", "2"))]
    _, assistants, answers = arranged(*turns, adjustments="tool_id_renamed")
    first, second = (part.id for part in assistants.parts if isinstance(part, ToolUse))
    assert first == "a" != second
    assert answers == user(result(first, "1"), result(second, "2"))


def test_an_id_that_returns_in_a_later_turn_is_another_use() -> None:
    turns = [user("q"), assistant(use("a")), user(result("a", "1")), assistant(use("a")), user(result("a", "2"))]
    later = arranged(*turns, adjustments="tool_id_renamed")
    (again,) = (part for part in later[3].parts if isinstance(part, ToolUse))
    assert later[4] == user(result(again.id, "2"))
    assert again.id != "a"


def test_an_id_that_looks_like_a_renamed_one() -> None:
    (renamed,) = arranged(user("q"), assistant(use("x y")), user(result("x y")), adjustments="tool_id_renamed")[1].parts
    assert isinstance(renamed, ToolUse)
    turns = [user("q"), assistant(use("x y"), use(renamed.id)), user(result(renamed.id, "2"), result("x y", "1"))]
    _, assistants, answers = arranged(*turns, adjustments="tool_id_renamed")
    first, second = (part.id for part in assistants.parts if isinstance(part, ToolUse))
    assert first == renamed.id != second
    assert answers == user(result(second, "2"), result(first, "1"))


def test_ids_are_renamed_the_same_way_every_time() -> None:
    turns = [user("q"), assistant(use("x y")), user(result("x y"))]
    assert arrange(turns) == arrange(turns)


def test_tool_result_inlined_keeps_its_images() -> None:
    orphan = ToolResult("x", (Text("see"), IMAGE, Text("so")))
    assert arranged(user(orphan), adjustments="tool_result_inlined") == [
        user("Result of the tool use x:\nsee\nso", IMAGE)
    ]


def test_misplaced_part_inlined() -> None:
    turns = [user("q", use("a")), assistant("ok", result("a", "r")), user("q2")]
    assert arranged(*turns, adjustments="misplaced_part_inlined") == [
        user("q", "(Used the tool ls as a with {})"),
        assistant("ok", "Result of the tool use a:\nr"),
        user("q2"),
    ]


def test_misplaced_part_dropped() -> None:
    turns = [user("q", Reasoning("hm", "sig")), assistant("ok", IMAGE, ToolResult("a", (DOCUMENT,))), user("q2")]
    assert arranged(*turns, adjustments="misplaced_part_dropped misplaced_part_inlined") == [
        user("q"),
        assistant("ok", "Result of the tool use a:\n"),
        user("q2"),
    ]


def test_flatten_tells_what_tools_did() -> None:
    reasoned = Reasoning("hm", "sig")
    assert flatten([user("q"), assistant("ok", reasoned, use()), user(result(), IMAGE)]) == [
        user("q"),
        assistant("ok", reasoned, "(Used the tool ls as a with {})"),
        user("Result of the tool use a:\nr", IMAGE),
    ]


def test_a_session_that_uses_one_id_for_everything() -> None:
    rounds = [part for n in range(3000) for part in (assistant(use("call_0")), user(result("call_0", str(n))))]
    turns = arranged(user("q"), *rounds, adjustments="tool_id_renamed")
    ids = [part.id for turn in turns for part in turn.parts if isinstance(part, ToolUse)]
    assert len(set(ids)) == 3000
    assert [turn.parts for turn in turns[2::2]] == [(result(id_, str(n)),) for n, id_ in enumerate(ids)]
