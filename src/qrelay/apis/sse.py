"""Server-sent events as bytes: the framing both API families share. Not what is inside."""


def event(name: str, data: bytes) -> bytes:
    """An event with a name, as Anthropic's API and OpenAI's Responses write them."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def data(payload: bytes) -> bytes:
    """An event with data only, as Chat Completions writes them."""
    return b"data: %b\n\n" % payload
