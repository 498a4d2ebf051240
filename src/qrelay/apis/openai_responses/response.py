"""The response object and the output items in it, as JSON bytes. Not their order in a stream (`reply.py`).

All members that CLIENTS.md (b) lists are always there: Vercel's and Open Responses' readers want them even when they
say nothing. `completed_at` has a time where the response is completed, and only there: OpenAI's rule. A service tier,
penalties and the like are told as what they are here, the defaults; what was asked for and isn't honoured is in
`x-qrelay-ignored`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct

from qrelay.apis import errors
from qrelay.apis.openai_responses import seals
from qrelay.apis.openai_responses.schema import Request, TextConfig, Told
from qrelay.apis.openai_responses.schema import ToolChoice as WireChoice
from qrelay.apis.openai_responses.tools import Caller, Toolbox
from qrelay.conversation import Reasoning, RedactedReasoning, ToolChoice
from qrelay.errors import RelayError
from qrelay.events import Reference, StopReason, Usage, WebLink

Status: TypeAlias = Literal["in_progress", "completed", "incomplete"]

encode = msgspec.json.Encoder().encode

INCOMPLETE: dict[StopReason, str] = {
    "max_tokens": "max_output_tokens",
    "context_window": "max_output_tokens",
    "refusal": "content_filter",
}

_ACTED_ON = {"context_length_exceeded", "insufficient_quota", "rate_limit_exceeded", "server_is_overloaded"}
"""Codes of a failed response that Codex acts on, as OpenAI's service sends them; its types list some of them only."""

_members = msgspec.json.Decoder(dict[str, Raw])


class Head(Struct, frozen=True, kw_only=True):
    """What every rendering of one response repeats. `echo` is the request's own part, rendered once.

    `now` gives epoch seconds, for when it is completed.
    """

    id: str
    stamp: str
    created: int
    now: Callable[[], float]
    model: str
    echo: bytes


def render(
    head: Head,
    status: Literal["in_progress", "completed", "incomplete", "failed"],
    *,
    output: Sequence[bytes] = (),
    usage: Usage | None = None,
    reason: str | None = None,
    error: RelayError | None = None,
    beside: bytes = b"",
) -> bytes:
    """The response object. `reason`: why it is incomplete; `beside`: further members, each with a comma in front."""
    return (
        b'{"id":%b,"object":"response","created_at":%d,"completed_at":%b,"status":"%b","error":%b,'
        b'"incomplete_details":%b,"model":%b,"output":[%b],"usage":%b,%b%b}'
    ) % (
        encode(head.id),
        head.created,
        b"%d" % head.now() if status == "completed" else b"null",
        status.encode(),
        encode(None if error is None else _failure(error)),
        encode(None if reason is None else {"reason": reason}),
        encode(head.model),
        b",".join(output),
        encode(None if usage is None else token_usage(usage)),
        head.echo,
        beside,
    )


def echo(request: Request, told: Told, toolbox: Toolbox, choice: ToolChoice, *, stored: bool) -> bytes:
    """The members that repeat the request, with OpenAI's defaults for those that weren't sent."""
    reasoning = request.reasoning
    members: dict[str, Any] = {
        "background": False,
        "instructions": _or(told.instructions, b"null"),
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "metadata": _or(told.metadata, b"{}"),
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": _or(told.previous_response_id, b"null"),
        "prompt_cache_key": _or(told.prompt_cache_key, b"null"),
        "reasoning": {
            "effort": reasoning.effort if reasoning else None,
            "summary": reasoning.summary if reasoning else None,
        },
        "safety_identifier": _or(told.safety_identifier, b"null"),
        "service_tier": "default",
        "store": stored,
        "temperature": _or(told.temperature, b"1.0"),
        "presence_penalty": _or(told.presence_penalty, b"0.0"),
        "frequency_penalty": _or(told.frequency_penalty, b"0.0"),
        "text": _text(request.text, told.text),
        "tool_choice": _choice(request.tool_choice, told.tool_choice, choice),
        "tools": [_tool((told.tools or [])[index]) for index in toolbox.honoured],
        "top_logprobs": request.top_logprobs or 0,
        "top_p": _or(told.top_p, b"1.0"),
        "truncation": told.truncation if request.truncation in {"auto", "disabled"} else "disabled",
        "user": _or(told.user, b"null"),
    }
    return encode(members)[1:-1]


def deleted(response_id: str) -> bytes:
    """The answer to DELETE /v1/responses/{id}."""
    return encode({"id": response_id, "object": "response", "deleted": True})


def _is_there(raw: Raw) -> bool:
    return bytes(raw) not in {b"", b"null"}


def _or(raw: Raw, default: bytes) -> Raw:
    return raw if _is_there(raw) else Raw(default)


def _text(asked: TextConfig | None, raw: Raw) -> dict[str, Any]:
    told: dict[str, Any] = {"format": {"type": "text"}}
    if asked is not None and asked.format is not None and asked.format.type in {"json_object", "json_schema"}:
        told["format"] = _members.decode(raw)["format"]
    if asked is not None and asked.verbosity in {"low", "medium", "high"}:
        told["verbosity"] = asked.verbosity
    return told


def _choice(asked: str | WireChoice | None, raw: Raw, honoured: ToolChoice) -> Any:
    """As it was asked for where it is honoured."""
    if isinstance(asked, WireChoice) and asked.type in {"function", "custom", "allowed_tools"}:
        return raw
    return "required" if honoured.mode == "any" else honoured.mode


def _tool(raw: Raw) -> Any:
    """A tool as it was offered; a function with every member that readers look for, `strict` above all."""
    members = _members.decode(raw)
    if bytes(members.get("type", Raw(b'"function"'))) != b'"function"':
        return raw
    absent = {name: Raw(b"null") for name in ("description", "parameters") if name not in members}
    strict = members.get("strict", Raw())
    return {"type": "function"} | members | absent | {"strict": _or(strict, b"false")}


def _failure(error: RelayError) -> dict[str, Any]:
    """Codex waits as long as "try again in Ns" says, if a rate limit says it (CLIENTS.md (b), "Failure")."""
    row, text = error.row, errors.text(error, "openai")
    if error.retry_after is not None:
        text += f" Please try again in {max(1, round(error.retry_after))}s."
    if row.openai_code in _ACTED_ON:
        return {"code": row.openai_code, "message": text}
    return {"code": "server_error" if row.openai_type == "server_error" else "invalid_prompt", "message": text}


def token_usage(usage: Usage) -> dict[str, Any]:
    told: dict[str, Any] = {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt_tokens + usage.output_tokens,
    }
    if usage.estimated:
        told["estimated"] = True
    return told


# --- output items


def message(item_id: str, status: Status, content: Sequence[dict[str, Any]]) -> bytes:
    return encode({"id": item_id, "type": "message", "status": status, "role": "assistant", "content": content})


def text_part(text: str, links: Sequence[WebLink] = ()) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [citation(link) for link in links], "logprobs": []}


def citation(link: WebLink) -> dict[str, Any]:
    """Its span is 0 to 0: the service doesn't say which text a link is for."""
    return {"type": "url_citation", "url": link.url, "title": link.title, "start_index": 0, "end_index": 0}


def reasoning(item_id: str, status: Status, part: Reasoning | RedactedReasoning | None, *, seal: bool) -> bytes:
    """`seal`: whether `encrypted_content` is told; None is an item that has only begun."""
    text = part.text if isinstance(part, Reasoning) else ""
    item: dict[str, Any] = {"id": item_id, "type": "reasoning", "status": status, "summary": []}
    if text:
        item["summary"] = [{"type": "summary_text", "text": text}]
    if seal:
        item["encrypted_content"] = None if part is None else seals.sealed(part)
    return encode(item)


def call(item_id: str, status: Status, caller: Caller, call_id: str, given: str) -> bytes:
    """`given` is the arguments' JSON, or a custom tool's text."""
    kind, member = ("custom_tool_call", "input") if caller.custom else ("function_call", "arguments")
    item = {"id": item_id, "type": kind, "status": status, "call_id": call_id, "name": caller.name, member: given}
    if caller.namespace is not None:
        item["namespace"] = caller.namespace
    return encode(item)


def beside(references: Sequence[Reference], links: Sequence[WebLink]) -> bytes:
    """What has no place in OpenAI's shape: licensed code that the reply resembles, links without a text to be on."""
    told: dict[str, Any] = {}
    if references:
        told["references"] = references
    if links:
        told["web_links"] = links
    return b',"qrelay":%b' % encode(told) if told else b""
