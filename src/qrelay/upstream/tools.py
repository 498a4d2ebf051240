"""Tool specifications as the service accepts them: names and descriptions; schemas by `tool_schema`. Pure.

Every change has a rule name, which the request log and `x-qrelay-adjusted` show:

    tool_renamed              the name had characters or a length the service refuses (§2.3); undone in the reply
    tool_duplicate_dropped    a second tool of the same name (TOOL_DUPLICATE)
    tool_description_added    an empty description is invalid
    tool_description_moved    over 10,240 characters: the rest goes to the system text, nothing is lost
    tool_synthesised          the history uses a tool that the request does not offer (rules 7 and 8)
    schema_*                  see `tool_schema`
"""

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import NamedTuple

from msgspec import Raw

from qrelay.conversation import ToolSpec
from qrelay.upstream.schema import Tool, ToolInputSchema, ToolSpecification
from qrelay.upstream.tool_schema import NOTHING, normalise

NAME_LIMIT = 64
DESCRIPTION_LIMIT = 10_240
_LEGAL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]+")
_GONE = "Used earlier in this conversation; no longer available. Do not call it."
_MOVED = "\n\n(The rest of this description is in the instructions at the start of the conversation.)"


class Toolbox(NamedTuple):
    """The tools of one request. `alias` maps a client's name to the service's; `overflow` is for the system text."""

    tools: list[Tool]
    alias: Mapping[str, str]
    overflow: tuple[str, ...]
    adjustments: tuple[str, ...]

    @property
    def original(self) -> dict[str, str]:
        """The service's name to the client's, for the reply; only names that differ."""
        return {theirs: ours for ours, theirs in self.alias.items() if theirs != ours}


class TooManyToolsError(ValueError):
    """The tools are larger than any request may be; `size` is what was counted, in bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"tools of more than {size} bytes")
        self.size = size


def toolbox(specs: Iterable[ToolSpec], used_names: Iterable[str], most_bytes: int = 2**63) -> Toolbox:
    """Make the service's tool list from what the request offers and what its history has used.

    Raises TooManyToolsError once it has more than `most_bytes`: inlining references can make schemas much larger.
    """
    adjustments: list[str] = []
    offered: dict[str, ToolSpec] = {}
    for spec in specs:
        if spec.name in offered:
            adjustments.append("tool_duplicate_dropped")
        else:
            offered[spec.name] = spec
    for name in used_names:
        if name not in offered:
            adjustments.append("tool_synthesised")
            offered[name] = ToolSpec(name, _GONE, Raw(NOTHING))
    alias = legal_names(offered)
    tools: list[Tool] = []
    overflow: list[str] = []
    size = 0
    for name, spec in offered.items():
        theirs = alias[name]
        if theirs != name:
            adjustments.append("tool_renamed")
        description = spec.description
        if not description or description.isspace():
            description = name.strip()[:DESCRIPTION_LIMIT] or theirs
            adjustments.append("tool_description_added")
        elif len(description) > DESCRIPTION_LIMIT:
            cut = DESCRIPTION_LIMIT - len(_MOVED)
            overflow.append(f"The rest of the description of the tool {theirs}:\n{description[cut:]}")
            description = description[:cut] + _MOVED
            adjustments.append("tool_description_moved")
        schema, rules = normalise(bytes(spec.schema))
        size += len(description) + len(schema)
        if size > most_bytes:
            raise TooManyToolsError(size)
        adjustments.extend(rules)
        tools.append(Tool(ToolSpecification(theirs, description, ToolInputSchema(Raw(schema)))))
    return Toolbox(tools, alias, tuple(overflow), tuple(dict.fromkeys(adjustments)))


def legal_names(names: Iterable[str]) -> dict[str, str]:
    """Give every name one the service accepts: itself if it can be, else a short form with a digest, never twice."""
    names = list(names)
    taken = {name for name in names if _LEGAL_NAME.fullmatch(name)}
    alias: dict[str, str] = {}
    for name in names:
        if name in taken:
            alias[name] = name
            continue
        digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        readable = _ILLEGAL.sub("_", name).strip("_") or "tool"
        length = 8
        while (legal := f"{readable[: NAME_LIMIT - length - 1]}_{digest[:length]}") in taken:
            length += 1
        taken.add(legal)
        alias[name] = legal
    return alias
