"""What `qrelay demo` shows: one streamed request through each client API, over HTTP like any client's, then what to
type next. It goes by the routes alone and knows nothing of what is behind them.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import aiohttp
import msgspec
from pydantic import SecretStr

from qrelay.cli.printing import print_line, print_text

_QUESTION = "Hello! Which way did these words come?"
_MODEL = "claude-sonnet-4.5"
_NOT_FOUND = 404


class _Stop(NamedTuple):
    """One client API: its route, and a request of it that is answered as a stream."""

    route: str
    request: dict[str, Any]


_MESSAGES = [{"role": "user", "content": _QUESTION}]
_STOPS = (
    _Stop("/v1/messages", {"model": _MODEL, "max_tokens": 500, "stream": True, "messages": _MESSAGES}),
    _Stop("/v1/chat/completions", {"model": _MODEL, "stream": True, "messages": _MESSAGES}),
    _Stop("/v1/responses", {"model": _MODEL, "stream": True, "input": _QUESTION}),
)


async def show(url: str, keys: Sequence[SecretStr], *, console: bool) -> None:
    """Print each route and its answer as it arrives, then how to go on. A failure is printed like an answer."""
    headers = {"authorization": f"Bearer {keys[0].get_secret_value()}"} if keys else {}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=60)) as session:
        for stop in _STOPS:
            try:
                await _visit(session, url, stop)
            except (aiohttp.ClientError, TimeoutError) as error:
                print_line(f"did not work: {error}")
    print_line(_next_steps(url, keyed=bool(keys), console=console))


async def _visit(session: aiohttp.ClientSession, url: str, stop: _Stop) -> None:
    async with session.post(url + stop.route, json=stop.request) as answer:
        if answer.status == _NOT_FOUND:
            return
        print_line(f"\nPOST {stop.route} -> {answer.status}")
        if answer.content_type == "text/event-stream":
            async for words in _words(answer):
                print_text(words)
            print_line()
        else:
            print_line(await answer.text())


async def _words(answer: aiohttp.ClientResponse) -> AsyncIterator[str]:
    async for line in answer.content:
        payload = line.removeprefix(b"data:").strip()
        if line.startswith(b"data:") and payload != b"[DONE]":
            yield _text(msgspec.json.decode(payload))


def _text(event: Any) -> str:
    """The words in one event, whichever API it is of; an error's words too."""
    match event:
        case {"error": {"message": str(message)}} | {"response": {"error": {"message": str(message)}}}:
            return f"[{message}]"
        case {"type": "content_block_delta", "delta": {"text": str(text)}}:
            return text
        case {"choices": [{"delta": {"content": str(text)}}]}:
            return text
        case {"type": "response.output_text.delta", "delta": str(text)}:
            return text
        case _:
            return ""


def _next_steps(url: str, *, keyed: bool, console: bool) -> str:
    key = "$QRELAY_API_KEY" if keyed else "any"
    page = f"\nThe console, in your browser: {url}/\n" if console else ""
    return f"""{page}
Use it from another terminal, until Ctrl-C here:
  ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY={key} claude
  OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY={key} python your_program.py

For answers from your own account, end this and log in with your browser:
  .venv/bin/qrelay login
or start `.venv/bin/qrelay serve` and give it what another log-in left you:
  curl {url}/v2/accounts -H 'content-type: application/json' \\
    -d '{{"clientId":"...","clientSecret":"...","refreshToken":"..."}}'
From then on `make run` serves it."""
