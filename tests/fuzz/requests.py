"""Request readers: any bytes give a call or a RelayError, and what a call becomes obeys the service's rules."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from qrelay.apis import anthropic, openai_chat, openai_responses
from qrelay.apis.dialect import Call, Stamp
from qrelay.apis.openai_responses import ResponsesStore, references
from qrelay.conversation import Conversation
from qrelay.errors import ErrorCode, RelayError
from qrelay.simulator.validation import check as violation
from qrelay.tokens import count_conversation
from qrelay.upstream.request import Addressing, to_payload
from tests.fuzz.mutation import after_number, json_mutator
from tests.fuzz.shortened import requests
from tests.fuzz.target import Target, numbered, split

STAMP = Stamp("0123456789abcdef", lambda: 1_700_000_000.0)
ADDRESSING = Addressing("5a0c5a0c-0000-4000-8000-000000000000", "claude-sonnet-4.5", "CLI", None)
REFUSALS = frozenset(
    {
        ErrorCode.request_invalid, ErrorCode.context_too_long, ErrorCode.request_too_large,
        ErrorCode.previous_response_unknown, ErrorCode.model_unknown,
    }
)  # fmt: skip
MADE = Path(__file__).with_name("requests.json")
"""Requests with what no capture has, each with the number of its reader."""
_COUNTED = 20_000
"""Bytes of the longest body whose tokens are counted."""


def _memory() -> openai_responses.Memory:
    """A store with one response that a request can refer to."""
    memory = ResponsesStore().scoped("owner")
    item = b'{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"Hi"}]}'
    memory.keep("resp_1", b"{}", (b'[{"type":"message","role":"user","content":"Hello"}]',), {"msg_1": item})
    return memory


READERS: tuple[Callable[[bytes], Call | Conversation], ...] = (
    lambda body: anthropic.read(body, STAMP),
    lambda body: openai_chat.CHAT.read(body, STAMP),
    lambda body: openai_responses.read(body, STAMP, _memory()),
    lambda body: openai_responses.read_compact(body, STAMP, _memory()),
    anthropic.read_count,
    lambda body: openai_responses.read(body, STAMP, None),
)


def seeds() -> Iterator[bytes]:
    for number, ending in ((0, "/messages"), (1, "/chat/completions"), (2, "/responses"), (3, "/responses")):
        for body in requests(ending):
            yield numbered(number, body)
    for body in requests("/messages/count_tokens"):
        yield numbered(4, body)
    made: list[tuple[int, dict[str, Any]]] = json.loads(MADE.read_bytes())
    for number, request in made:
        yield numbered(number, json.dumps(request).encode())


def check(data: bytes) -> None:
    number, body = split(data, len(READERS))
    try:
        references(body)
        read = READERS[number](body)
    except RelayError as error:
        _check_refusal(error)
        return
    if isinstance(read, Conversation):
        assert len(body) > _COUNTED or count_conversation(read) > 0
        return
    conversation = read.conversation
    written = read.writer().start()
    assert not written or written.endswith(b"\n\n")
    try:
        payload = to_payload(conversation, ADDRESSING, lambda _text, _signature: False)
    except RelayError as error:
        _check_refusal(error)
        return
    sent = msgspec.json.decode(payload.body)
    assert json.loads(payload.body) is not None
    assert (broken := violation(sent, len(payload.body), signed=lambda _text, _signature: False)) is None, broken


def _check_refusal(error: RelayError) -> None:
    assert error.code in REFUSALS, error
    error.message.encode()


TARGET = Target("requests", seeds, check, after_number(json_mutator))
