"""A long conversation made short: the model is asked for a summary, which comes back as one `compaction` item.

    POST /v1/responses/compact                       -> {"object": "response.compaction", "output": [item], …}
    POST /v1/responses, input ends with a trigger    -> a response, whole or streamed, whose output is that one item
    a later request with the item in its input       -> the summary, where the conversation was (`items.py`)

Nothing but the item is told: Codex wants exactly one. Reasoning on the way to it is left out, and a summary that was
cut is an error, because it would take the place of all that it leaves out. The types are `CompactedResponse` and
`ResponseCompactionItem` of the openai package; the streamed form is PEERS.md §B row 8's.
"""

from collections.abc import Sequence

import msgspec

from qrelay.apis.openai_responses import response, seals
from qrelay.apis.openai_responses.reply import Envelope, Output, Writer
from qrelay.completion import Completion
from qrelay.conversation import Conversation, Text, ToolChoice, Turn
from qrelay.errors import ErrorCode, RelayError
from qrelay.events import Event, Finish, TextDelta

TRIGGER = "compaction_trigger"

SUMMARISE = (
    "Stop here: this conversation has grown too long and is about to be replaced by a summary that you now write. "
    "Whoever goes on will have your summary and nothing else. Write down, in this order: what the user asked for, in "
    "their own words, with every rule and wish they stated; what was done so far, with the names of files, functions "
    "and commands and with the values that matter; what was found out and decided, and why; what is not finished, and "
    "the next step. Write the summary only: no greeting, no question, no call of a tool."
)


def summarising(conversation: Conversation) -> Conversation:
    """The conversation, asked for its summary: no tool may be called, and what tools did before is kept."""
    return msgspec.structs.replace(
        conversation,
        turns=(*conversation.turns, Turn("user", (Text(SUMMARISE),))),
        tools=(),
        tool_choice=ToolChoice("none"),
        max_tokens=None,
        answer_schema=None,
    )


def _item(item_id: str, summary: str) -> bytes:
    sealed = seals.sealed_summary(summary) if summary else ""
    return response.encode({"id": item_id, "type": "compaction", "encrypted_content": sealed})


def _checked(summary: str, finish: Finish | Completion) -> str:
    if finish.stop_reason in response.INCOMPLETE:
        raise RelayError(ErrorCode.upstream_protocol, f"The summary was cut by the model ({finish.stop_reason}).")
    if not summary.strip():
        raise RelayError(ErrorCode.upstream_protocol, "The model wrote no summary.")
    return summary


class CompactionWriter(Writer):
    """The summary as it comes makes one item, which is told when it is whole."""

    def __init__(self, envelope: Envelope) -> None:
        super().__init__(envelope)
        self._summary: list[str] = []
        self._id, self._index = self._output.new_id("cmp")

    def feed(self, events: Sequence[Event]) -> bytes:
        out = b""
        for event in events:
            if isinstance(event, TextDelta):
                if not self._summary:
                    begun = b'"output_index":%d,"item":%b' % (self._index, _item(self._id, ""))
                    out += self._event("response.output_item.added", begun)
                self._summary.append(event.text)
            elif isinstance(event, Finish):
                self._finish = event
        return out

    def close(self) -> bytes:
        if self._finish is None:
            raise ValueError("close() before Finish")
        try:
            summary = _checked("".join(self._summary), self._finish)
        except RelayError as error:
            return self.fail(error)
        out: list[bytes] = []
        self._done(self._index, self._output.add(self._id, _item(self._id, summary)), out)
        _, body = self._output.end(self._finish.stop_reason, self._finish.usage, b"")
        return b"".join(out) + self._event("response.completed", b'"response":' + body)


def whole(envelope: Envelope, completion: Completion) -> bytes:
    """The response to a trigger in one body. Raises RelayError if there is no whole summary."""
    output = Output(envelope)
    item_id, _ = output.new_id("cmp")
    output.add(item_id, _item(item_id, _checked(completion.text, completion)))
    return output.end(completion.stop_reason, completion.usage, b"")[1]


def compacted(envelope: Envelope, completion: Completion) -> bytes:
    """The answer of `/v1/responses/compact`. Raises RelayError if there is no whole summary."""
    head = envelope.head
    item = _item(f"cmp_{head.stamp}_0", _checked(completion.text, completion))
    return b'{"id":%b,"object":"response.compaction","created_at":%d,"output":[%b],"usage":%b}' % (
        response.encode(head.id),
        head.created,
        item,
        response.encode(response.token_usage(completion.usage)),
    )
