"""A Responses request: bytes to a `Call`. Not the reply (`reply.py`), the items (`items.py`) or the tools (`tools.py`).

A request whose input holds a `compaction_trigger`, and every one of `/v1/responses/compact`, asks for a summary instead
of an answer (`compaction.py`).

`previous_response_id`, `item_reference` and `store` need a memory of what was answered before. It is passed in:
without one nothing is kept, and a reference to something kept is a `previous_response_unknown`.
Sources: CLIENTS.md A2 and (b) "OpenAI Responses", DESIGN.md §4 rule 2.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import msgspec
from msgspec import Raw

from qrelay.apis import answer_formats
from qrelay.apis.body import invalid
from qrelay.apis.dialect import Call, Stamp
from qrelay.apis.ignored import Ignored
from qrelay.apis.openai_responses import compaction, items, response, tools
from qrelay.apis.openai_responses.reply import Envelope, Writer, whole
from qrelay.apis.openai_responses.responses_store import Memory
from qrelay.apis.openai_responses.schema import Item, Request, Told, decode, decode_stored
from qrelay.apis.request_limits import LIMITS, RequestLimits, check_messages, check_parts, check_tools
from qrelay.conversation import Conversation
from qrelay.errors import ErrorCode, RelayError

_MOST_STORED = 32 * 1024 * 1024
_REPEATED = ("metadata", "previous_response_id", "prompt_cache_key", "safety_identifier", "text", "tool_choice", "user")
_MOST_REPEATED = 256 * 1024
SEALED = "reasoning.encrypted_content"


class _Asked(NamedTuple):
    conversation: Conversation
    stream: bool
    compacting: bool
    ignored: tuple[str, ...]
    envelope: Envelope


def read(body: bytes, stamp: Stamp, memory: Memory | None = None, *, limits: RequestLimits = LIMITS) -> Call:
    """Raises RelayError: request_invalid naming the field, or previous_response_unknown."""
    asked = _read(body, stamp, memory, limits)
    if asked.compacting:
        conversation = compaction.summarising(asked.conversation)
        envelope = msgspec.structs.replace(asked.envelope, before=())  # what is shortened isn't carried on with
        writer, told = partial(compaction.CompactionWriter, envelope), partial(compaction.whole, envelope)
        return Call(conversation, asked.stream, asked.ignored, writer, told)
    writer, told = partial(Writer, asked.envelope), partial(whole, asked.envelope)
    return Call(asked.conversation, asked.stream, asked.ignored, writer, told)


def read_compact(body: bytes, stamp: Stamp, memory: Memory | None = None, *, limits: RequestLimits = LIMITS) -> Call:
    """A request of `/v1/responses/compact`, which is never streamed. Raises as `read` does."""
    asked = _read(body, stamp, memory, limits)
    envelope = msgspec.structs.replace(asked.envelope, memory=None)
    writer = partial(compaction.CompactionWriter, envelope)
    conversation = compaction.summarising(asked.conversation)
    return Call(conversation, False, asked.ignored, writer, partial(compaction.compacted, envelope))


def _read(body: bytes, stamp: Stamp, memory: Memory | None, limits: RequestLimits) -> _Asked:
    request, told = decode(body)
    _refuse(request, told)
    ignored = Ignored()
    before = _before(request, memory)
    stored_bytes = sum(map(len, before))
    if stored_bytes > _MOST_STORED:
        raise _too_much_stored(stored_bytes)
    everything = [(item, "input") for stored in before for item in decode_stored(stored)]
    own = _own_items(request)
    everything += [(item, f"input[{index}]") for index, item in enumerate(own)]
    find = _Found(memory).find
    _check_counts(request, [item for item, _ in everything], find, limits)
    toolbox, choice = tools.read(request, (item for item, _ in everything), ignored)
    system, turns = items.read(everything, request.instructions, toolbox, find, ignored)
    _report(request, ignored, memory)
    conversation = Conversation(
        model=request.model,
        turns=turns,
        system=system,
        tools=tuple(toolbox.specs.values()),
        tool_choice=choice,
        parallel_tool_uses=request.parallel_tool_calls is not False,
        max_tokens=request.max_output_tokens,
        answer_schema=_answer_schema(request),
        effort=request.reasoning.effort if request.reasoning else None,
        session=request.prompt_cache_key or request.user or "",
        size=stored_bytes,
    )
    keep = memory if request.store is not False else None
    envelope = Envelope(
        head=response.Head(
            id=f"resp_{stamp.id}",
            stamp=stamp.id,
            created=int(stamp.now()),
            now=stamp.now,
            model=request.model,
            echo=response.echo(request, told, toolbox, choice, stored=keep is not None),
        ),
        toolbox=toolbox,
        seal=SEALED in (request.include or ()),
        memory=keep,
        before=(*before, _input(request, told)) if keep is not None else (),
    )
    compacting = any(item.type == compaction.TRIGGER for item in own)
    return _Asked(conversation, request.stream is True, compacting, ignored.names(), envelope)


def _refuse(request: Request, told: Told) -> None:
    """Refuse fields that would change the meaning of the answer if ignored, or that are too long to repeat in it."""
    for name in _REPEATED:
        if memoryview(getattr(told, name)).nbytes > _MOST_REPEATED:
            raise invalid(f"'{name}' is longer than {_MOST_REPEATED} bytes.", name)
    if not request.model:
        raise invalid("The model's name is empty.", "model")
    if not request.input and request.previous_response_id is None:
        raise invalid("There is no input to answer.", "input")
    if request.max_output_tokens is not None and request.max_output_tokens < 1:
        raise invalid("max_output_tokens must be at least 1.", "max_output_tokens")
    if request.background:
        raise invalid("This gateway runs nothing in the background: wait for the answer, or stream it.", "background")
    for name, value in (("conversation", request.conversation), ("prompt", request.prompt)):
        if bytes(value) not in {b"", b"null"}:
            raise invalid(f"This gateway keeps no {name} to refer to: send what it holds as input.", name)


def _before(request: Request, memory: Memory | None) -> tuple[bytes, ...]:
    """The conversation that the request goes on with. Instructions and tools are not carried over: OpenAI's rule."""
    if request.previous_response_id is None:
        return ()
    kept = memory.get(request.previous_response_id) if memory is not None else None
    if kept is None:
        raise RelayError(
            ErrorCode.previous_response_unknown,
            f"Previous response with id '{request.previous_response_id[:200]}' not found.",
            param="previous_response_id",
        )
    return kept.items


class _Found:
    """The stored items that a request refers to, each decoded once."""

    def __init__(self, memory: Memory | None) -> None:
        self._memory = memory
        self._items: dict[str, Item | None] = {}

    def find(self, item_id: str) -> Item | None:
        if item_id not in self._items:
            found = self._memory.find_item(item_id) if self._memory is not None else None
            self._items[item_id] = None if found is None else decode_stored(b"[%b]" % found)[0]
        return self._items[item_id]


def _check_counts(
    request: Request, everything: list[Item], find: Callable[[str], Item | None], limits: RequestLimits
) -> None:
    check_messages("input", len(everything), limits)
    parts, tool_count = 0, tools.count(request.tools)
    for item in everything:
        if item.type in {None, "item_reference"} and item.role is None and item.id:
            item = find(item.id) or item  # noqa: PLW2901 - what it refers to
        parts += 1
        if item.content.__class__ is list:
            parts += len(item.content or ())
        if (output := bytes(item.output)).startswith(b"["):
            parts += output.count(b'"type"')
        if item.tools:
            tool_count += tools.count(item.tools)
    check_parts("input", parts, limits)
    check_tools("tools", tool_count, limits)


def _too_much_stored(size: int) -> RelayError:
    return RelayError(
        ErrorCode.context_too_long,
        f"The stored conversation has {size} bytes; this gateway goes on with {_MOST_STORED}.",
        param="previous_response_id",
    )


def _own_items(request: Request) -> list[Item]:
    match request.input:
        case None:
            return []
        case str() as text:
            return [Item(role="user", content=text)]
        case own:
            return own


def _input(request: Request, told: Told) -> bytes:
    """The request's own input as an array of items."""
    match request.input:
        case None:
            return b"[]"
        case str() as text:
            return msgspec.json.encode([{"type": "message", "role": "user", "content": text}])
        case _:
            return bytes(told.input)


def _answer_schema(request: Request) -> Raw | None:
    asked = request.text.format if request.text else None
    return None if asked is None else answer_formats.schema_of(asked.type, asked.schema)


def _report(request: Request, ignored: Ignored, memory: Memory | None) -> None:
    text = request.text
    for name, asked in (
        ("text.format", text is not None and text.format is not None and text.format.type != "text"),
        ("text.verbosity", text is not None and text.verbosity not in {None, "medium"}),
        ("include", any(each != SEALED for each in request.include or ())),
        ("store", request.store is True and memory is None),
        ("temperature", request.temperature not in {None, 1}),
        ("top_p", request.top_p not in {None, 1}),
        ("presence_penalty", bool(request.presence_penalty)),
        ("frequency_penalty", bool(request.frequency_penalty)),
        ("top_logprobs", bool(request.top_logprobs)),
        ("max_tool_calls", request.max_tool_calls is not None),
        ("truncation", request.truncation not in {None, "disabled"}),
        ("service_tier", request.service_tier not in {None, "auto", "default"}),
        ("context_management", bytes(request.context_management) not in {b"", b"null", b"[]"}),
        ("moderation", bytes(request.moderation) not in {b"", b"null"}),
    ):
        if asked:
            ignored.add(name)
