"""The tools a Responses request offers, under the flat names the upstream sees, and the way back to the client's own.

    function, custom   -> name
    namespace's tools  -> namespace__name, except in "functions", which OpenAI's clients treat as no namespace at all
    everything else    -> left out and reported (web_search and the other tools that OpenAI's servers would run)

A call goes back with the `name` and the `namespace` the client gave: Codex doesn't run it otherwise (CLIENTS.md A2).
"""

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Raw

from qrelay.apis import custom_tools
from qrelay.apis.body import invalid
from qrelay.apis.ignored import Ignored
from qrelay.apis.openai_responses.schema import Item, NamedTool, Request, Tool
from qrelay.apis.openai_responses.schema import ToolChoice as WireChoice
from qrelay.conversation import ToolChoice, ToolSpec

EMPTY_SCHEMA = Raw(b'{"type":"object","properties":{}}')
NO_NAMESPACE = "functions"


class Caller(NamedTuple):
    """How a client knows one of its tools."""

    name: str
    namespace: str | None = None
    custom: bool = False


class Toolbox:
    """The tools of one request, by the name that goes upstream. A tool offered twice counts as it came last.

    `honoured` are the indexes of the request's own `tools` that were not left out.
    """

    def __init__(self, ignored: Ignored) -> None:
        self.specs: dict[str, ToolSpec] = {}
        self.callers: dict[str, Caller] = {}
        self.honoured: list[int] = []
        self._flat: dict[tuple[str | None, str], str] = {}
        self._ignored = ignored

    def add(self, tools: Iterable[Tool] | None, place: str) -> list[int]:
        """Returns the indexes of those that were not left out."""
        return [index for index, tool in enumerate(tools or ()) if self._add(tool, f"{place}[{index}]")]

    def flat(self, name: str, namespace: str | None) -> str:
        """The name upstream of a tool the client calls (namespace, name), also if it isn't offered any more."""
        if namespace == NO_NAMESPACE:
            namespace = None
        return self._flat.get((namespace, name)) or (f"{namespace}__{name}" if namespace else name)

    def caller(self, flat: str) -> Caller:
        return self.callers.get(flat) or Caller(flat)

    def _add(self, tool: Tool, place: str, namespace: str | None = None, about: str = "") -> bool:
        if tool.type not in {"function", "custom", "namespace"}:
            self._ignored.add_kind("tools", tool.type)
            return False
        if tool.name is None:
            raise invalid("A tool must have a name.", f"{place}.name")
        description = tool.description or ""
        if tool.type == "namespace":
            about = f"{tool.name}: {description}" if description else ""
            inner = None if tool.name == NO_NAMESPACE else tool.name
            for index, each in enumerate(tool.tools or ()):
                if self._add(each, f"{place}.tools[{index}]", inner, about):
                    about = ""  # told once, with the namespace's first tool: it has no other place upstream
            return True
        if about:
            description = f"{description}\n\n{about}" if description else about
        name = self._name_for(tool.name, namespace)
        custom = tool.type == "custom"
        if custom:
            description, schema = self._described(tool, description), custom_tools.SCHEMA
        else:
            schema = _schema(tool, place)
            if tool.strict:
                self._ignored.add("tools.strict")
        self.specs[name] = ToolSpec(name, description, schema, custom, namespace)
        self.callers[name] = Caller(tool.name, namespace, custom)
        return True

    def _name_for(self, name: str, namespace: str | None) -> str:
        known = self._flat.get((namespace, name))
        if known is not None:
            return known
        flat = f"{namespace}__{name}" if namespace else name
        while flat in self.callers:
            flat += "_"
        self._flat[namespace, name] = flat
        return flat

    def _described(self, tool: Tool, description: str) -> str:
        if tool.format is None or tool.format.type == "text":
            return description
        self._ignored.add("tools.format")
        return custom_tools.describe(description, tool.format.syntax, tool.format.definition)


def _schema(tool: Tool, place: str) -> Raw:
    match bytes(tool.parameters)[:1]:
        case b"" | b"n":
            return EMPTY_SCHEMA
        case b"{":
            return tool.parameters
        case _:
            raise invalid("The parameters of a function are a JSON Schema object.", f"{place}.parameters")


def count(tools: Iterable[Tool] | None) -> int:
    """Count the tools, including those inside namespaces."""
    return sum(1 + count(tool.tools) for tool in tools or ())


def read(request: Request, items: Iterable[Item], ignored: Ignored) -> tuple[Toolbox, ToolChoice]:
    """The request's own tools and those that `additional_tools` items bring (newer Codex), and the choice among them.

    Raises RelayError(request_invalid) naming the field.
    """
    toolbox = Toolbox(ignored)
    toolbox.honoured = toolbox.add(request.tools, "tools")
    for item in items:
        if item.type == "additional_tools":
            toolbox.add(item.tools, "input.tools")
    asked = request.tool_choice
    if isinstance(asked, WireChoice) and asked.type == "allowed_tools":
        allowed = {_flat(toolbox, tool) for tool in asked.tools or ()}
        toolbox.specs = {name: spec for name, spec in toolbox.specs.items() if name in allowed}
        asked = asked.mode
    return toolbox, _choice(asked, toolbox, ignored)


def _flat(toolbox: Toolbox, tool: NamedTool | WireChoice) -> str:
    return toolbox.flat(tool.name or "", tool.namespace)


def _choice(asked: str | WireChoice | None, toolbox: Toolbox, ignored: Ignored) -> ToolChoice:
    match asked:
        case None | "auto":
            return ToolChoice()
        case "none":
            return ToolChoice("none")
        case "required" | "any":
            if toolbox.specs:
                return ToolChoice("any")
            ignored.add("tool_choice")
            return ToolChoice()
        case str():
            raise invalid("tool_choice is one of 'auto', 'none', 'required', or an object.", "tool_choice")
        case WireChoice(type="function" | "custom"):
            name = _flat(toolbox, asked)
            if name not in toolbox.specs:
                raise invalid(f"tool_choice names '{asked.name}', which is not among the tools.", "tool_choice")
            return ToolChoice("named", name)
        case WireChoice(type=kind):
            ignored.add_kind("tool_choice", kind)
            return ToolChoice()
