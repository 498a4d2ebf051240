"""The rules about tools: the list, their schemas, uses and results (PROTOCOL.md §2.6 rules 5 to 8, 11 to 13). Pure."""

from collections.abc import Iterator
from typing import cast

from msgspec import UNSET

from qrelay.simulator import schema
from qrelay.simulator.errors import validation
from qrelay.simulator.schema import context_of, given
from qrelay.simulator.violation import Violation, bad_schema, invalid, mismatch


def tool_list(current: schema.UserInputMessage) -> Iterator[Violation]:
    names: set[str] = set()
    for tool in given(context_of(current).tools, []):
        if tool.toolSpecification is UNSET:
            yield invalid("schema_strictness", "a cache point stands among the tools")
            continue
        name, document = tool.toolSpecification.name, tool.toolSpecification.inputSchema.json
        if name in names:
            yield Violation("tool_duplicate", f"{name} is declared twice", validation("TOOL_DUPLICATE"))
        names.add(name)
        if document.get("type") != "object" or not isinstance(document.get("properties", {}), dict):
            yield bad_schema("tool_schema", f"{name}'s schema is not of an object")
        for problem in _schema_problems(document):
            yield bad_schema("schema_strictness", f"{name}'s schema {problem}")


def _schema_problems(document: object) -> Iterator[str]:
    """Walks a JSON schema, so that a property that happens to be called `required` is no problem."""
    if isinstance(document, list):
        for item in cast("list[object]", document):
            yield from _schema_problems(item)
    if not isinstance(document, dict):
        return
    members = cast("dict[str, object]", document)
    if members.get("required") == []:
        yield "has an empty `required`"
    if "additionalProperties" in members:
        yield "has `additionalProperties`"
    for name, value in members.items():
        if name in _OF_NAMED_SCHEMAS and isinstance(value, dict):
            for named in cast("dict[str, object]", value).values():
                yield from _schema_problems(named)
        elif name in _OF_SCHEMAS:
            yield from _schema_problems(value)


_OF_NAMED_SCHEMAS = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
_OF_SCHEMAS = {"items", "prefixItems", "contains", "anyOf", "oneOf", "allOf", "not", "if", "then", "else"}


def tool_pairs(turns: list[schema.Message]) -> Iterator[Violation]:
    open_uses: set[str] = set()
    for turn in turns:
        if turn.assistantResponseMessage is not UNSET:
            ids = [use.toolUseId for use in given(turn.assistantResponseMessage.toolUses, [])]
            open_uses = set(ids)
            if len(open_uses) < len(ids):
                yield mismatch("tool_results_match", "a message uses one tool-use id twice")
            continue
        if turn.userInputMessage is UNSET:
            continue
        answered = [result.toolUseId for result in given(context_of(turn.userInputMessage).toolResults, [])]
        if len(set(answered)) < len(answered):
            yield mismatch("tool_result_duplicate", "a tool use is answered twice")
        if missing := open_uses - set(answered):
            yield mismatch("tool_results_match", f"not answered: {', '.join(sorted(missing))}")
        if surplus := set(answered) - open_uses:
            yield mismatch("tool_results_match", f"answered, but not used just before: {', '.join(sorted(surplus))}")
        open_uses = set()


def declared_tools(
    users: list[schema.UserInputMessage],
    assistants: list[schema.AssistantResponseMessage],
    current: schema.UserInputMessage,
) -> Iterator[Violation]:
    declared = {
        tool.toolSpecification.name
        for tool in given(context_of(current).tools, [])
        if tool.toolSpecification is not UNSET
    }
    used = {use.name for assistant in assistants for use in given(assistant.toolUses, [])}
    if (used or any(context_of(user).toolResults for user in users)) and not declared:
        yield Violation("tools_missing", "the history used tools, none are declared", validation("TOOL_CONFIG_MISSING"))
    elif unknown := used - declared:
        yield Violation(
            "tool_unknown",
            f"used in the history, but not declared: {', '.join(sorted(unknown))}",
            validation("REQUEST_BODY_INVALID", "Invalid tool use format."),
        )
