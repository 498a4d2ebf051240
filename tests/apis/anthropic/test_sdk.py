"""Replies over a real socket to the official SDK, which checks every byte against its own strict types."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anthropic
import pytest
from anthropic import AsyncAnthropic

from qrelay.apis.anthropic.reply import PING, Writer, whole
from qrelay.completion import fold
from qrelay.errors import ErrorCode, RelayError
from qrelay.events import Event, TextDelta, ToolUseStart

from .test_reply import EVERYTHING
from .wire import as_dict, finish, stream

pytestmark = pytest.mark.anyio

MESSAGE: list[anthropic.types.MessageParam] = [{"role": "user", "content": "hi"}]


@asynccontextmanager
async def answering(content_type: str, body: bytes) -> AsyncGenerator[AsyncAnthropic]:
    """The SDK, connected to a server that gives every request this answer."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        AsyncAnthropic(
            api_key="k", base_url=f"http://127.0.0.1:{port}", max_retries=0, _strict_response_validation=True
        ) as client,
    ):
        yield client


async def test_a_whole_reply() -> None:
    async with answering("application/json", whole("msg_1", "claude-x", fold(EVERYTHING))) as client:
        message = await client.messages.create(model="claude-x", max_tokens=9, messages=MESSAGE)
    assert [block.type for block in message.content] == ["thinking", "redacted_thinking", "text", "tool_use"]
    assert message.usage.input_tokens == 12


async def test_a_streamed_reply_is_the_same_message() -> None:
    async with answering("application/json", whole("msg_1", "claude-x", fold(EVERYTHING))) as client:
        expected = await client.messages.create(model="claude-x", max_tokens=9, messages=MESSAGE)
    sse = stream(*EVERYTHING).replace(b"\n\n", b"\n\n" + PING)  # keep-alives anywhere change nothing
    async with (
        answering("text/event-stream", sse) as client,
        client.messages.stream(model="claude-x", max_tokens=9, messages=MESSAGE) as streamed,
    ):
        text = "".join([piece async for piece in streamed.text_stream])
        message = await streamed.get_final_message()
    assert text == "Hi\n😀😀"
    assert as_dict(message) == as_dict(expected)


@pytest.mark.parametrize("events", [[], [TextDelta("half a sen")], [ToolUseStart("tooluse_1", "Bash")]])
async def test_a_reply_that_fails_raises(events: list[Event]) -> None:
    writer = Writer("msg_1", "claude-x")
    sse = writer.start() + writer.feed(events) + writer.fail(RelayError(ErrorCode.upstream_overloaded, "Too busy."))
    async with (
        answering("text/event-stream", sse) as client,
        client.messages.stream(model="claude-x", max_tokens=9, messages=MESSAGE) as streamed,
    ):
        with pytest.raises(anthropic.APIStatusError, match="Too busy"):
            await streamed.get_final_message()


async def test_a_reply_without_words_is_still_a_message() -> None:
    async with (
        answering("text/event-stream", stream(finish())) as client,
        client.messages.stream(model="claude-x", max_tokens=9, messages=MESSAGE) as streamed,
    ):
        assert (await streamed.get_final_message()).stop_reason == "end_turn"
