"""Tools as the service accepts them: names, descriptions, the history's (PROTOCOL.md §2.6 rules 7, 8, 12, 13)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from qrelay.conversation import ToolSpec
from qrelay.upstream.tools import DESCRIPTION_LIMIT, legal_names, toolbox

SCHEMA = Raw(b'{"type":"object","properties":{"p":{"type":"string"}}}')
LEGAL = r"[a-zA-Z0-9_-]{1,64}"


def spec(name: str = "ls", description: str = "Lists.", schema: Raw = SCHEMA) -> ToolSpec:
    return ToolSpec(name, description, schema)


def test_what_is_acceptable_stays_as_it_is() -> None:
    box = toolbox([spec("ls"), spec("mcp__fs__read-file")], ["ls"])
    told = [tool.toolSpecification for tool in box.tools]
    assert [(tool.name, tool.description, bytes(tool.inputSchema.json)) for tool in told] == [
        ("ls", "Lists.", bytes(SCHEMA)),
        ("mcp__fs__read-file", "Lists.", bytes(SCHEMA)),
    ]
    assert (box.original, box.overflow, box.adjustments) == ({}, (), ())


@pytest.mark.parametrize("name", ["my tool", "a.b/c", "ü", "你好", "", " ", "\ud83d", "t" * 65, "t" * 100_000, "a\n"])
def test_tool_renamed(name: str) -> None:
    box = toolbox([spec(name)], [])
    (tool,) = box.tools
    assert re.fullmatch(LEGAL, tool.toolSpecification.name)
    assert box.original == {tool.toolSpecification.name: name}
    assert box.adjustments == ("tool_renamed",)


def test_a_renamed_tool_can_be_recognised() -> None:
    assert legal_names(["mcp/server: read file"])["mcp/server: read file"].startswith("mcp_server_read_file_")


def test_names_that_come_to_the_same_stay_apart() -> None:
    names = ["a.b", "a/b", "a b", "a_b", "t" * 65, "t" * 66]
    assert len(set(legal_names(names).values())) == len(names)


def test_a_tool_that_is_called_as_another_is_renamed() -> None:
    renamed = legal_names(["a.b"])["a.b"]
    alias = legal_names(["a.b", renamed])
    assert alias[renamed] == renamed
    assert alias["a.b"] != renamed


@given(st.lists(st.text(max_size=80) | st.sampled_from(["a.b", "a/b", "ls"]), unique=True, max_size=8))
def test_names_are_legal_different_and_lead_back(names: list[str]) -> None:
    alias = legal_names(names)
    assert list(alias) == names
    assert all(re.fullmatch(LEGAL, legal) for legal in alias.values())
    assert len(set(alias.values())) == len(names)
    assert alias == legal_names(names)


def test_tool_duplicate_dropped() -> None:
    box = toolbox([spec("ls", "the first"), spec("ls", "the second")], [])
    assert [tool.toolSpecification.description for tool in box.tools] == ["the first"]
    assert box.adjustments == ("tool_duplicate_dropped",)


@pytest.mark.parametrize(
    ("name", "description", "added"),
    [("ls", "", "ls"), ("ls", " \n", "ls"), ("my tool", "", "my tool"), ("t" * 20_000, "", "t" * DESCRIPTION_LIMIT)],
)
def test_tool_description_added(name: str, description: str, added: str) -> None:
    box = toolbox([spec(name, description)], [])
    assert box.tools[0].toolSpecification.description == added
    assert "tool_description_added" in box.adjustments


def test_a_nameless_tool_is_described_all_the_same() -> None:
    assert toolbox([spec("", "")], []).tools[0].toolSpecification.description


def test_a_description_at_the_limit_stays() -> None:
    box = toolbox([spec("ls", "x" * DESCRIPTION_LIMIT)], [])
    assert (len(box.tools[0].toolSpecification.description), box.adjustments) == (DESCRIPTION_LIMIT, ())


def test_tool_description_moved() -> None:
    description = "".join(f"{n:05}" for n in range(2100))
    box = toolbox([spec("ls", description)], [])
    kept = box.tools[0].toolSpecification.description
    start, _, _ = kept.partition("\n\n(The rest")
    assert len(kept) == DESCRIPTION_LIMIT
    assert box.overflow == (f"The rest of the description of the tool ls:\n{description[len(start) :]}",)
    assert description.startswith(start)
    assert box.adjustments == ("tool_description_moved",)


def test_tool_synthesised() -> None:
    box = toolbox([spec("ls")], ["ls", "gone away", "gone away"])
    assert [tool.toolSpecification.name for tool in box.tools] == ["ls", box.alias["gone away"]]
    assert "Do not call it" in box.tools[1].toolSpecification.description
    assert box.adjustments == ("tool_synthesised", "tool_renamed")


def test_schema_rules_are_told() -> None:
    assert toolbox([spec(schema=Raw(b'{"type":"object","properties":{},"required":[]}'))], []).adjustments == (
        "schema_required_dropped",
    )
