"""The hands of the built-in model: which of a request's own tools to call for an order, and with what. Pure.

It understands three kinds of order, in a line of the user's text:

    use the tool NAME, use the tools A and B          those tools, with arguments made from their schemas
    what's the weather like?                          a tool called get_weather, if that is the question's word
    write the marker file, create a file, …           a tool that writes files, else a shell, else one that patches
"""

import re
from collections.abc import Iterator
from typing import Any, cast

from msgspec import Struct

from qrelay.simulator import schema
from qrelay.simulator.arguments import Schema, fill, properties

MARKER = "marker.txt"
CONTENT = "qrelay was here\n"
LONGEST_ORDER = 400
"""Orders are short lines: a system prompt that a gateway puts before them talks about writing files too."""

_USE = re.compile(r"\buse the tools?\b:?\s*(?P<names>[^\n]*)", re.IGNORECASE)
_MARKER = re.compile(r"\b(?:write|create|make) (?:the|a) marker file\b", re.IGNORECASE)
_FILE = re.compile(
    r"^[\W_]*(?:please,? |now,? |can you |could you )*(?:write|create|make) (?:a|an|the)(?: new| small| text)* file\b",
    re.IGNORECASE,
)
_NAMED = re.compile(r"\bfile (?:called |named |at )?[`\"']?(?P<name>[\w./-]*\w\.\w{1,8})\b")
_WITH = re.compile(r"\b(?:with|using|by) (?:the |your )?(?:tool )?[`\"']?(?P<tool>[\w-]+)", re.IGNORECASE)
_BLOCK = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)
_CWD = (
    re.compile(r"<cwd>\s*(?P<path>[^<\n]+?)\s*</cwd>"),
    re.compile(r"primary working directory:\s*[`\"']?(?P<path>(?:/|[a-z]:\\)[^\n<`\"']*)", re.IGNORECASE),
    re.compile(r"working directory\W{1,3}(?:is )?[`\"']?(?P<path>(?:/|[a-z]:\\)[^\n<`\"')]*)", re.IGNORECASE),
    re.compile(r"\bcwd[:=]\s*[`\"']?(?P<path>/[^\n<`\"']*)", re.IGNORECASE),
)

_PATHS = ("file_path", "filepath", "path", "filename", "file", "target_file", "absolute_path")
_CONTENTS = ("content", "contents", "file_text", "text", "file_content", "code_edit")
_COMMANDS = ("command", "cmd", "script", "input")
_WRITERS = re.compile(r"write|create|save|edit|file", re.IGNORECASE)
_SHELLS = re.compile(r"bash|shell|exec|command|terminal|run", re.IGNORECASE)
_PATCHES = re.compile(r"patch|apply", re.IGNORECASE)


class Call(Struct, frozen=True):
    name: str
    arguments: dict[str, Any]


def orders(turn: str, conversation: str, tools: list[schema.ToolSpecification]) -> list[Call]:
    """The calls that the text `turn` asks for; none if it asks for none or no tool fits.

    `conversation` is everything said so far: the working directory may be in it.
    """
    for line in _lines(turn):
        if named := _named(line, tools):
            return [Call(tool.name, fill(tool.inputSchema.json, {})) for tool in named]
        if _MARKER.search(line) or _FILE.search(line):
            found = _NAMED.search(line)
            call = _write(found["name"] if found else MARKER, line, conversation, tools)
            return [call] if call else []
        if line.endswith("?"):
            asked = {f"get_{word}" for word in re.findall(r"\w+", line.lower())}
            return [Call(tool.name, fill(tool.inputSchema.json, {})) for tool in tools if tool.name in asked][:1]
    return []


def _lines(turn: str) -> Iterator[str]:
    """Short lines, the last first: what was said last counts."""
    lines = [line.strip() for line in _BLOCK.sub("\n", turn).splitlines()]
    return (line for line in reversed(lines) if 0 < len(line) <= LONGEST_ORDER)


def _named(line: str, tools: list[schema.ToolSpecification]) -> list[schema.ToolSpecification]:
    found = _USE.search(line)
    if not found:
        return []
    exact = {tool.name: tool for tool in tools}
    named: list[schema.ToolSpecification] = []
    for word in re.findall(r"[\w-]+", found["names"]):
        if word in exact and exact[word] not in named:
            named.append(exact[word])
        elif word not in ("and", "then"):
            break  # "use the tool to read files" names none, though there may be one called read
    return named


def _write(name: str, line: str, conversation: str, tools: list[schema.ToolSpecification]) -> Call | None:
    wished = _WITH.search(line)
    wish = wished["tool"].lower() if wished else ""
    calls = [call for maker in (_by_writer, _by_shell, _by_patch) for call in maker(name, conversation, tools)]
    if wish:
        alike = _SHELLS if _SHELLS.search(wish) else re.compile(re.escape(wish), re.IGNORECASE)
        for call in calls:
            if alike.search(call.name):
                return call
    return calls[0] if calls else None


def _by_writer(name: str, conversation: str, tools: list[schema.ToolSpecification]) -> Iterator[Call]:
    for tool in sorted(tools, key=lambda tool: not re.search("write|create", tool.name, re.IGNORECASE)):
        document = tool.inputSchema.json
        path, content = _property(document, _PATHS), _property(document, _CONTENTS)
        if _WRITERS.search(tool.name) and path and content:
            told = str(properties(document)[path].get("description", "")).lower()
            relative = "relative" in told and "absolute" not in told
            where = name if relative else _absolute(name, conversation)
            yield Call(tool.name, fill(document, _command_member(document) | {path: where, content: CONTENT}))


def _by_shell(name: str, _conversation: str, tools: list[schema.ToolSpecification]) -> Iterator[Call]:
    script = f"printf '{CONTENT.strip()}\\n' > {name}"
    for tool in tools:
        document = tool.inputSchema.json
        command = _property(document, _COMMANDS)
        if command and _SHELLS.search(tool.name):
            as_list = properties(document)[command].get("type") == "array"
            yield Call(tool.name, fill(document, {command: ["bash", "-lc", script] if as_list else script}))


def _by_patch(name: str, _conversation: str, tools: list[schema.ToolSpecification]) -> Iterator[Call]:
    patch = f"*** Begin Patch\n*** Add File: {name}\n+{CONTENT.strip()}\n*** End Patch\n"
    for tool in tools:
        document = tool.inputSchema.json
        member = _property(document, ("patch", "input", "patchtext", "diff"))
        if member and _PATCHES.search(tool.name):
            yield Call(tool.name, fill(document, {member: patch}))


def _property(document: Schema, names: tuple[str, ...]) -> str | None:
    """The schema's own spelling of the first of `names` it has, as text or a list of texts."""
    known = {name.lower().replace("_", ""): name for name in properties(document)}
    for name in names:
        spelling = known.get(name.replace("_", ""))
        if spelling and properties(document)[spelling].get("type") in ("string", "array", None):
            return spelling
    return None


def _command_member(document: Schema) -> dict[str, Any]:
    """Editors that do several things by a `command` (str_replace_based_edit_tool) have one that creates."""
    choices = properties(document).get("command", {}).get("enum")
    if isinstance(choices, list):
        for choice in cast("list[object]", choices):
            if isinstance(choice, str) and re.search("create|write", choice):
                return {"command": choice}
    return {}


def _absolute(name: str, conversation: str) -> str:
    if name.startswith("/"):
        return name
    directory = working_directory(conversation)
    if directory is None:
        return name
    return directory.rstrip("/\\") + ("\\" if "\\" in directory else "/") + name


def working_directory(conversation: str) -> str | None:
    """The directory the conversation says the user works in, the last one said."""
    for pattern in _CWD:
        found = pattern.findall(conversation)
        if found:
            return str(found[-1]).strip().rstrip(".,")
    return None
