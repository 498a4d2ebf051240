"""Browser pages that may call the client routes (QRELAY_CORS_ORIGINS). Which those are: `doors`."""

from starlette.types import Message, Scope, Send

from qrelay.http.asked import header


def origin_of(scope: Scope) -> str | None:
    """The page a browser asks for, None where no browser says."""
    return header(scope, b"origin") or None


def _headers(origin: str) -> list[tuple[bytes, bytes]]:
    return [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"origin")]


async def preflight(origin: str, send: Send) -> None:
    """Answer what a browser asks before it sends the request itself."""
    headers = [
        *_headers(origin),
        (b"access-control-allow-methods", b"GET, POST, DELETE"),
        (b"access-control-allow-headers", b"*, authorization, x-api-key, content-type, anthropic-version"),
        (b"access-control-max-age", b"600"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def with_cors(origin: str, send: Send) -> Send:
    """`send`, with the headers that let the page read the answer."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_headers(origin)]
        await send(message)

    return sending
