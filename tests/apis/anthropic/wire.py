"""Our bytes as the official SDK reads them."""

from typing import Any, cast

import msgspec
from anthropic._streaming import SSEDecoder  # its own reader of the stream, not offered under a public name
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from qrelay.apis.anthropic.reply import Writer
from qrelay.events import Event, Finish, StopReason, Usage

EVENTS: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)
Frame = tuple[str | None, dict[str, Any]]


def finish(stop_reason: StopReason = "end_turn", stop_sequence: str | None = None) -> Finish:
    return Finish(stop_reason, Usage(input_tokens=12, output_tokens=3), stop_sequence)


def stream(*events: Event) -> bytes:
    """A whole streamed reply, written one event at a time."""
    writer = Writer("msg_1", "claude-x")
    return writer.start() + b"".join(writer.feed([event]) for event in events) + writer.close()


def frames(sse: bytes) -> list[Frame]:
    """Every event's name and data."""
    return [(each.event, cast("dict[str, Any]", each.json())) for each in SSEDecoder().iter_bytes(iter([sse]))]


def datas(sse: bytes, kind: str) -> list[dict[str, Any]]:
    """The data of each event of one kind."""
    return [data for name, data in frames(sse) if name == kind]


def accumulated(sse: bytes) -> Message:
    """The message that the SDK makes of a stream, every event of which its strict types accept."""
    message: Message | None = None
    buffers: dict[int, bytes] = {}
    for _, data in frames(sse):
        event = EVENTS.validate_json(msgspec.json.encode(data), strict=True)
        message = accumulate_event(
            event=event,
            current_snapshot=message,  # pyright: ignore[reportArgumentType]: a Message without an output format
            json_bufs=buffers,
        )
    assert message is not None
    return message


def as_dict(message: Message) -> dict[str, Any]:
    """A message without the one empty member that the SDK adds to streamed ones only."""
    return {name: value for name, value in message.to_dict().items() if name != "stop_details"}
