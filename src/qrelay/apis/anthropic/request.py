"""A Messages request: bytes to a `Call`. Not the reply (`reply.py`) and not the messages in it (`messages.py`).

What can't be honoured is reported in `Call.ignored` if it would have changed anything. Cache hints, metadata and betas
change nothing. Sources: CLIENTS.md A1 and (b) "Anthropic Messages", DESIGN.md §4 rules 2 and 3.
"""

from functools import partial

import msgspec
from msgspec import Raw

from qrelay.apis import answer_formats
from qrelay.apis.anthropic import messages, tools
from qrelay.apis.anthropic.reply import Writer, whole
from qrelay.apis.anthropic.schema import NULL, Prompt, Request, decode
from qrelay.apis.body import invalid
from qrelay.apis.dialect import Call, Stamp
from qrelay.apis.ignored import Ignored
from qrelay.apis.request_limits import (
    LIMITS,
    RequestLimits,
    check_messages,
    check_parts,
    check_stop_sequences,
    check_tools,
)
from qrelay.conversation import Conversation
from qrelay.errors import RelayError

_REQUEST = msgspec.json.Decoder(Request)
_COUNT = msgspec.json.Decoder(Prompt)
_USUAL: dict[str, tuple[bytes, ...]] = {
    "temperature": (b"1", b"1.0"),
    "top_p": (b"1", b"1.0"),
    "top_k": (),
    "service_tier": (b'"auto"',),
    "speed": (b'"standard"',),
    "inference_geo": (),
    "container": (),
    "mcp_servers": (b"[]",),
    "thread": (),
    "context_management": (),
    "compaction": (),
    "fallbacks": (),
    "diagnostics": (),
    "output_format": (),
}
"""Fields that are not honoured, with the values that ask for nothing."""


def read(body: bytes, stamp: Stamp, *, limits: RequestLimits = LIMITS, stream_default: bool = False) -> Call:
    """Raises RelayError(request_invalid), its `param` naming the field, if the request can't be read or served.

    `stream_default` holds for a request that doesn't say `stream`; False is Anthropic's own.
    """
    try:
        return _read(body, stamp, limits, stream_default=stream_default)
    except RecursionError:
        raise _too_deep() from None


def _read(body: bytes, stamp: Stamp, limits: RequestLimits, *, stream_default: bool) -> Call:
    request = decode(body, _REQUEST)
    _check_counts(request, len(body), limits)
    if request.stop_sequences:
        check_stop_sequences("stop_sequences", request.stop_sequences, limits)
    if request.max_tokens < 1:
        raise invalid("'max_tokens' must be at least 1: there is no prompt cache here to warm with 0.", "max_tokens")
    ignored = Ignored()
    stop_sequences = tuple(each for each in request.stop_sequences or () if each)
    if len(stop_sequences) < len(request.stop_sequences or ()):
        ignored.add("stop_sequences")  # an empty one would stop every reply before its first word
    conversation = _conversation(
        request,
        ignored,
        max_tokens=request.max_tokens,
        stop_sequences=stop_sequences,
        session=_session(request.metadata),
    )
    for name, usual in _USUAL.items():
        value = getattr(request, name)
        if value is not NULL and (said := bytes(value)) != b"null" and said not in usual:
            ignored.add(name)
    id_ = f"msg_{stamp.id}"
    return Call(
        conversation,
        stream_default if request.stream is None else request.stream,
        ignored.names(),
        partial(Writer, id_, request.model),
        partial(whole, id_, request.model),
    )


def read_count(body: bytes, *, limits: RequestLimits = LIMITS) -> Conversation:
    """What `/v1/messages/count_tokens` asks to count. Raises RelayError as `read` does."""
    try:
        request = decode(body, _COUNT)
        _check_counts(request, len(body), limits)
        return _conversation(request, Ignored())
    except RecursionError:
        raise _too_deep() from None


def _check_counts(request: Prompt, size: int, limits: RequestLimits) -> None:
    """`size`: of the body, which is larger than the number of its parts."""
    check_messages("messages", len(request.messages), limits)
    check_tools("tools", len(request.tools or ()), limits)
    if size <= limits.parts:
        return
    check_parts("system", messages.count_parts(request.system), limits)
    check_parts("messages", sum(messages.count_parts(each.content) for each in request.messages), limits)


def _too_deep() -> RelayError:
    return invalid("The request is nested too deeply.")


def _conversation(
    request: Prompt,
    ignored: Ignored,
    max_tokens: int | None = None,
    stop_sequences: tuple[str, ...] = (),
    session: str = "",
) -> Conversation:
    if not request.model:
        raise invalid("'model' is empty.", "model")
    system, turns, effort = messages.read(request, ignored)
    specs, choice, parallel = tools.read(request, ignored)
    _report_thinking(request.thinking, ignored)
    match msgspec.json.decode(request.output_config):
        case {"format": format_} if format_ is not None:
            ignored.add("output_config.format")  # it is asked for, and nothing makes sure of it
        case _:
            pass
    return Conversation(
        model=request.model,
        turns=turns,
        system=system,
        tools=specs,
        tool_choice=choice,
        parallel_tool_uses=parallel,
        max_tokens=max_tokens,
        stop_sequences=stop_sequences,
        answer_schema=_answer_schema(request.output_config),
        effort=effort or messages.effort_of(request.output_config),
        session=session,
    )


def _answer_schema(output_config: Raw) -> Raw | None:
    """The schema of `output_config.format`. Never a fault: Claude Code gives up if an output_config is refused."""
    match msgspec.json.decode(output_config):
        case {"format": {"type": str(kind), **beside}}:
            schema = beside.get("schema")
            return answer_formats.schema_of(kind, Raw() if schema is None else Raw(msgspec.json.encode(schema)))
        case _:
            return None


def _report_thinking(thinking: Raw, ignored: Ignored) -> None:
    """The model decides how long it thinks. What it thought is always shown: hidden, it could not be sent back."""
    asked = msgspec.json.decode(thinking)
    match asked:
        case {"budget_tokens": int()}:
            ignored.add("thinking.budget_tokens")
        case _:
            pass
    match asked:
        case {"display": "omitted"}:
            ignored.add("thinking.display")
        case _:
            pass


def _session(metadata: Raw) -> str:
    """The client's name for the conversation. Claude Code puts JSON with a `session_id` into `user_id`."""
    match msgspec.json.decode(metadata):
        case {"user_id": str(user_id)}:
            pass
        case _:
            return ""
    if user_id.startswith("{"):
        try:
            match msgspec.json.decode(user_id):
                case {"session_id": str(session_id)}:
                    return session_id
                case _:
                    pass
        except (msgspec.DecodeError, RecursionError):  # a name may look like anything
            pass
    return user_id
