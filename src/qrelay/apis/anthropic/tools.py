"""The tools of a Messages request and how they may be chosen. Not what the upstream makes of them."""

from qrelay.apis.anthropic.schema import NULL, Prompt
from qrelay.apis.body import invalid
from qrelay.apis.ignored import Ignored
from qrelay.conversation import ToolChoice, ToolSpec

_EXTRAS = ("strict", "allowed_callers", "input_examples")
_USUAL = (b"null", b"false", b"[]", b'["direct"]')


def read(request: Prompt, ignored: Ignored) -> tuple[tuple[ToolSpec, ...], ToolChoice, bool]:
    """The tools, the choice among them, and whether several may be used at once.

    Tools that run on Anthropic's servers or whose schema only Anthropic's models know (`web_search_…`, `bash_…`) are
    left out and reported. `defer_loading` changes nothing: a deferred tool is shown from the start. Raises RelayError.
    """
    specs: list[ToolSpec] = []
    for n, tool in enumerate(request.tools or ()):
        schema = bytes(tool.input_schema)
        if schema == b"null" and tool.type is not None and tool.type != "custom":
            ignored.add_kind("tools", tool.type)
            continue
        if not tool.name:
            raise invalid(f"The request has no 'tools.{n}.name', which is required.", f"tools.{n}.name")
        if schema == b"null":
            field = f"tools.{n}.input_schema"
            raise invalid(f"The request has no '{field}', which is required.", field)
        if schema[:1] != b"{":
            field = f"tools.{n}.input_schema"
            raise invalid(f"'{field}' has the wrong type: expected `object`.", field)
        for name in _EXTRAS:
            value = getattr(tool, name)
            if value is not NULL and bytes(value) not in _USUAL:
                ignored.add(f"tools.{name}")
        specs.append(ToolSpec(tool.name, tool.description or "", tool.input_schema))
    offered = tuple(specs)
    asked = request.tool_choice
    if asked is None:
        return offered, ToolChoice(), True
    return offered, _choice(request, offered, ignored), asked.disable_parallel_tool_use is not True


def _choice(request: Prompt, offered: tuple[ToolSpec, ...], ignored: Ignored) -> ToolChoice:
    """The choice, if it can be made among the tools that are left."""
    asked = request.tool_choice
    match asked.type if asked else "auto":
        case "auto":
            return ToolChoice()
        case "none":
            return ToolChoice("none")
        case "any" if offered:
            return ToolChoice("any")
        case "tool" if asked and asked.name and any(spec.name == asked.name for spec in offered):
            return ToolChoice("named", asked.name)
        case _:
            ignored.add("tool_choice")
            return ToolChoice()
