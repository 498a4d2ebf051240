"""The tools a Chat Completions request offers, and which of them the model may or must call."""

from msgspec import Raw

from qrelay.apis import custom_tools
from qrelay.apis.body import invalid
from qrelay.apis.ignored import Ignored
from qrelay.apis.openai_chat.schema import Custom, Function, Name, Request, Tool
from qrelay.apis.openai_chat.schema import ToolChoice as WireChoice
from qrelay.conversation import ToolChoice, ToolSpec

EMPTY_SCHEMA = Raw(b'{"type":"object","properties":{}}')


def read(request: Request, ignored: Ignored) -> tuple[tuple[ToolSpec, ...], ToolChoice]:
    """Tools and choice, with `allowed_tools` applied. Raises RelayError(request_invalid) naming the field."""
    specs = [
        spec
        for index, tool in enumerate(request.tools or ())
        if (spec := _tool(tool, f"tools[{index}]", ignored)) is not None
    ]
    for index, function in enumerate(request.functions or ()):
        specs.append(_function(function, f"functions[{index}]", ignored))
    asked = request.tool_choice
    if asked is None and request.function_call is not None:
        legacy = request.function_call
        asked = legacy if isinstance(legacy, str) else WireChoice(function=legacy)
    if isinstance(asked, WireChoice) and asked.allowed_tools is not None:
        allowed = {named.name for tool in asked.allowed_tools.tools if (named := tool.function or tool.custom)}
        specs = [spec for spec in specs if spec.name in allowed]
        asked = asked.allowed_tools.mode
    return tuple(specs), _choice(asked, specs, ignored)


def _tool(tool: Tool, place: str, ignored: Ignored) -> ToolSpec | None:
    match tool.type:
        case "function":
            if tool.function is not None:
                return _function(tool.function, f"{place}.function", ignored)
            if tool.name is None:
                raise invalid("A function tool must have its function.", f"{place}.function")
            return _function(Function(tool.name, tool.description, tool.parameters), place, ignored)
        case "custom":
            if tool.custom is None:
                raise invalid("A custom tool must have its description.", f"{place}.custom")
            return _custom(tool.custom, ignored)
        case kind:
            ignored.add_kind("tools", kind)
            return None


def _function(function: Function, place: str, ignored: Ignored) -> ToolSpec:
    schema = function.parameters
    match bytes(schema)[:1]:
        case b"" | b"n":
            schema = EMPTY_SCHEMA
        case b"{":
            pass
        case _:
            raise invalid("The parameters of a function are a JSON Schema object.", f"{place}.parameters")
    if function.strict:
        ignored.add("tools.strict")
    return ToolSpec(function.name, function.description or "", schema)


def _custom(custom: Custom, ignored: Ignored) -> ToolSpec:
    description = custom.description or ""
    if custom.format is not None and custom.format.type != "text":
        ignored.add("tools.format")
        grammar = custom.format.grammar
        if grammar is not None:
            description = custom_tools.describe(description, grammar.syntax, grammar.definition)
    return ToolSpec(custom.name, description, custom_tools.SCHEMA, custom=True)


def _choice(asked: str | WireChoice | None, specs: list[ToolSpec], ignored: Ignored) -> ToolChoice:
    match asked:
        case None | "auto":
            return ToolChoice()
        case "none":
            return ToolChoice("none")
        case "required" | "any":
            if specs:
                return ToolChoice("any")
            ignored.add("tool_choice")
            return ToolChoice()
        case str():
            raise invalid("tool_choice is one of 'auto', 'none', 'required', or an object.", "tool_choice")
        case WireChoice(function=Name(name=name)) | WireChoice(custom=Name(name=name)):
            if not any(spec.name == name for spec in specs):
                raise invalid(f"tool_choice names '{name}', which is not among the tools.", "tool_choice")
            return ToolChoice("named", name)
        case WireChoice(type=kind):
            ignored.add_kind("tool_choice", kind)
            return ToolChoice()
