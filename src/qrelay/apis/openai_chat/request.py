"""A Chat Completions request: bytes to a `Call`. Not the reply (`reply.py`) and not the messages (`messages.py`).

What this upstream has no field for is reported in `Call.ignored` if it would have changed anything: temperature 1,
`n` 1 or a text format change nothing. Sources: CLIENTS.md (b) "OpenAI Chat Completions", DESIGN.md §4 rule 2.
"""

from functools import partial

from msgspec import Raw

from qrelay.apis import answer_formats
from qrelay.apis.body import invalid
from qrelay.apis.dialect import Call, Stamp
from qrelay.apis.ignored import Ignored
from qrelay.apis.openai_chat import messages, tools
from qrelay.apis.openai_chat.reply import Envelope, Writer, whole
from qrelay.apis.openai_chat.schema import ABSENT, Request, decode
from qrelay.apis.request_limits import (
    LIMITS,
    RequestLimits,
    check_messages,
    check_parts,
    check_stop_sequences,
    check_tools,
)
from qrelay.conversation import Conversation


def read(body: bytes, stamp: Stamp, *, limits: RequestLimits = LIMITS) -> Call:
    """Raises RelayError(request_invalid), its `param` naming the field, if the request can't be read or served."""
    request = decode(body)
    if not request.model:
        raise invalid("The model's name is empty.", "model")
    if not request.messages:
        raise invalid("There are no messages to answer.", "messages")
    if request.n is not None and request.n != 1:
        raise invalid(
            "This service gives one reply at a time: n can only be 1.", "n", "Send the request again for more."
        )
    _check_counts(request, len(body), limits)
    ignored = Ignored()
    system, turns = messages.read(request.messages, ignored)
    specs, choice = tools.read(request, ignored)
    legacy = bool(request.functions) and not request.tools
    _report(request, ignored)
    conversation = Conversation(
        model=request.model,
        turns=turns,
        system=system,
        tools=specs,
        tool_choice=choice,
        parallel_tool_uses=not legacy and request.parallel_tool_calls is not False,
        max_tokens=_max_tokens(request),
        stop_sequences=_stop_sequences(request.stop, limits),
        answer_schema=_answer_schema(request),
        effort=request.reasoning_effort,
        session=request.prompt_cache_key or request.user or "",
    )
    envelope = Envelope(
        id=f"chatcmpl-{stamp.id}",
        created=int(stamp.now()),
        model=request.model,
        include_usage=request.stream_options is not None and request.stream_options.include_usage is True,
        custom=frozenset(spec.name for spec in specs if spec.custom),
        legacy=legacy,
    )
    return Call(
        conversation, request.stream is True, ignored.names(), partial(Writer, envelope), partial(whole, envelope)
    )


def _max_tokens(request: Request) -> int | None:
    for name, value in (
        ("max_completion_tokens", request.max_completion_tokens),
        ("max_tokens", request.max_tokens),
    ):
        if value is not None:
            if value < 1:
                raise invalid(f"{name} must be at least 1.", name)
            return value
    return None


def _check_counts(request: Request, size: int, limits: RequestLimits) -> None:
    """`size`: of the body, which is larger than the number of its parts."""
    check_messages("messages", len(request.messages), limits)
    check_tools("tools", len(request.tools or ()), limits)
    check_tools("functions", len(request.functions or ()), limits)
    if size <= limits.parts:
        return
    parts = 0
    for message in request.messages:
        parts += len(message.tool_calls or ())
        if message.content.__class__ is list:
            parts += len(message.content or ())
    check_parts("messages", parts, limits)


def _stop_sequences(stop: str | list[str] | None, limits: RequestLimits) -> tuple[str, ...]:
    if stop is None:
        return ()
    sequences = [stop] if isinstance(stop, str) else stop
    check_stop_sequences("stop", sequences, limits)
    return tuple(each for each in sequences if each)


def _answer_schema(request: Request) -> Raw | None:
    asked = request.response_format
    return None if asked is None else answer_formats.schema_of(asked.type, answer_formats.inside(asked.json_schema))


def _report(request: Request, ignored: Ignored) -> None:
    for name, asked in (
        ("temperature", request.temperature not in {None, 1}),
        ("top_p", request.top_p not in {None, 1}),
        ("presence_penalty", bool(request.presence_penalty)),
        ("frequency_penalty", bool(request.frequency_penalty)),
        ("seed", request.seed is not None),
        ("logprobs", bool(request.logprobs)),
        ("top_logprobs", bool(request.top_logprobs)),
        ("response_format", request.response_format is not None and request.response_format.type != "text"),
        ("modalities", request.modalities not in (None, [], ["text"])),
        ("service_tier", request.service_tier not in {None, "auto", "default"}),
        ("verbosity", request.verbosity not in {None, "medium"}),
        ("store", bool(request.store)),
    ):
        if asked:
            ignored.add(name)
    for name, nothing in _OBJECTS.items():
        value = getattr(request, name)
        if value is not ABSENT and bytes(value) not in nothing:
            ignored.add(name)


_NOTHING = frozenset({b"null", b"{}"})
_OBJECTS = {
    "logit_bias": _NOTHING,
    "audio": _NOTHING,
    "prediction": _NOTHING,
    "web_search_options": frozenset({b"null"}),  # an empty one switches it on
    "moderation": _NOTHING,
    "metadata": _NOTHING,
}
"""Members that are objects, with the values that ask for nothing."""
