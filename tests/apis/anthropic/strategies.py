"""Generated requests: any that the SDK's types allow (`bodies`), and any JSON at all in their places (`noise`)."""

from typing import Any, TypeAlias

from hypothesis import strategies as st

from tests.strategies import BASE64, JSON, LETTERS, WORDS, spoiled

Json: TypeAlias = dict[str, Any]

TEXTS = st.one_of(WORDS, st.just(""))
NAMES = st.text(LETTERS, min_size=1, max_size=70)
IDS = st.one_of(st.sampled_from(["toolu_1", "toolu_2", "toolu_3"]), NAMES)
CACHE = st.fixed_dictionaries({}, optional={"cache_control": st.sampled_from([None, {"type": "ephemeral"}])})
OBJECTS = st.dictionaries(st.text(max_size=5), JSON, max_size=3)


def _block(kind: str, required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]) -> Any:
    return st.tuples(_members(required, **optional), CACHE).map(lambda pair: {"type": kind, **pair[0], **pair[1]})


def _members(required: Any, **optional: Any) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(required, optional=optional)


def _source(kind: str, **required: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(required).map(lambda members: {"type": kind, **members})


PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
TEXT = _block("text", {"text": TEXTS}, citations=st.none())
IMAGE = _block("image", {"source": _source("base64", media_type=st.just("image/png"), data=st.just(PNG))})
DOCUMENT = _block(
    "document",
    {
        "source": st.one_of(
            _source("base64", media_type=st.just("application/pdf"), data=BASE64),
            _source("text", media_type=st.just("text/plain"), data=TEXTS),
            _source("content", content=st.one_of(TEXTS, st.lists(st.one_of(TEXT, IMAGE), max_size=2))),
        )
    },
    title=st.none() | TEXTS,
    context=st.none() | TEXTS,
)
SEARCH_RESULT = _block("search_result", {"title": TEXTS, "source": TEXTS, "content": st.lists(TEXT, max_size=2)})
TOOL_REFERENCE = _block("tool_reference", {"tool_name": NAMES})
TOOL_USE = _block("tool_use", {"id": IDS, "name": NAMES, "input": OBJECTS})
TOOL_RESULT = _block(
    "tool_result",
    {"tool_use_id": IDS},
    content=st.one_of(TEXTS, st.lists(st.one_of(TEXT, IMAGE, DOCUMENT, SEARCH_RESULT, TOOL_REFERENCE), max_size=3)),
    is_error=st.booleans(),
)
THINKING = st.fixed_dictionaries({"type": st.just("thinking"), "thinking": TEXTS, "signature": TEXTS})
REDACTED = st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": BASE64})
SERVER_TOOLS = st.one_of(
    _block("server_tool_use", {"id": IDS, "name": st.just("web_search"), "input": OBJECTS}),
    _block(
        "web_search_tool_result",
        {
            "tool_use_id": IDS,
            "content": st.just([
                {"type": "web_search_result", "title": "T", "url": "https://example.org", "encrypted_content": "AA"}
            ]),
        },
    ),
    _block("container_upload", {"file_id": IDS}),
)  # fmt: skip
BLOCK = st.one_of(
    TEXT, TOOL_USE, TOOL_RESULT, IMAGE, DOCUMENT, SEARCH_RESULT, THINKING, REDACTED, SERVER_TOOLS, TOOL_USE, TOOL_RESULT
)
MESSAGE = st.one_of(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant"]), "content": st.one_of(TEXTS, st.lists(BLOCK, max_size=4))}
    ),
    st.fixed_dictionaries({"role": st.just("system"), "content": st.one_of(TEXTS, st.lists(TEXT, max_size=2))}),
)
TOOL: st.SearchStrategy[Json] = st.one_of(
    _members(
        {"name": NAMES, "input_schema": OBJECTS.map(lambda members: {**members, "type": "object"})},
        description=TEXTS,
        defer_loading=st.booleans(),
        strict=st.booleans(),
    ),
    st.sampled_from([{"type": "web_search_20250305", "name": "web_search"}, {"type": "bash_20250124", "name": "bash"}]),
)
TOOL_CHOICE = st.one_of(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["auto", "any"])}, optional={"disable_parallel_tool_use": st.booleans()}
    ),
    st.fixed_dictionaries({"type": st.just("tool"), "name": NAMES}),
    st.just({"type": "none"}),
)


def bodies() -> st.SearchStrategy[Json]:
    """Requests that `anthropic.types.MessageCreateParams` allows and that hold all they speak of."""
    return st.fixed_dictionaries(
        {"model": NAMES, "max_tokens": st.integers(1, 10**6), "messages": st.lists(MESSAGE, min_size=1, max_size=6)},
        optional={
            "system": st.one_of(TEXTS, st.lists(TEXT, max_size=3)),
            "tools": st.lists(TOOL, max_size=4),
            "tool_choice": TOOL_CHOICE,
            "stop_sequences": st.lists(TEXTS, max_size=3),
            "temperature": st.floats(0, 1),
            "thinking": st.sampled_from([{"type": "adaptive"}, {"type": "enabled", "budget_tokens": 1024}]),
            "output_config": st.fixed_dictionaries({}, optional={"effort": st.sampled_from(["low", "max", None])}),
            "metadata": st.fixed_dictionaries({}, optional={"user_id": st.none() | TEXTS}),
        },
    )


def noise() -> st.SearchStrategy[Json]:
    """A request with anything at all in one or two places of it."""
    return spoiled(bodies(), JSON)
