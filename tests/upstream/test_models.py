"""Model names: every spelling of the same model, families, and a list that may hold anything (PROTOCOL.md §5)."""

import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrelay.errors import ErrorCode, RelayError
from qrelay.upstream.models import DEFAULT_WINDOW, STATIC, Effort, Model, find, is_family, newest, read_page, resolve

OWN = [
    Model(id_)
    for id_ in (
        "auto", "claude-sonnet-4", "claude-sonnet-4.5", "claude-opus-4.5", "claude-opus-4.8", "claude-3.7-sonnet",
        "gpt-5.6-sol", "minimax-m2.5", "minimax-m2.1", "CLAUDE_HAIKU_4_20250514_V1_0",
    )
]  # fmt: skip


@pytest.mark.parametrize("model", OWN)
def test_a_name_means_itself(model: Model) -> None:
    assert resolve(model.id, OWN) == model.id


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("claude-sonnet-4-5", "claude-sonnet-4.5"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4.5"),
        ("claude-sonnet-4-5-latest", "claude-sonnet-4.5"),
        ("claude-sonnet-4.5[1m]", "claude-sonnet-4.5"),
        ("claude-sonnet-4-5-20250929[1m]", "claude-sonnet-4.5"),
        ("claude-4.5-sonnet", "claude-sonnet-4.5"),
        ("anthropic/claude-sonnet-4-5", "claude-sonnet-4.5"),
        ("openrouter/anthropic/claude-4.5-sonnet", "claude-sonnet-4.5"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4.5"),
        ("anthropic.claude-sonnet-4-20250514-v1:0", "claude-sonnet-4"),
        ("claude-sonnet-4@20250514", "claude-sonnet-4"),
        ("claude-4-sonnet", "claude-sonnet-4"),
        ("CLAUDE_SONNET_4_20250514_V1_0", "claude-sonnet-4"),
        ("Claude Sonnet 4.5 ", "claude-sonnet-4.5"),
        ("claude-3-7-sonnet-20250219", "claude-3.7-sonnet"),
        ("claude-haiku-4", "CLAUDE_HAIKU_4_20250514_V1_0"),
        ("minimax-m2-5", "minimax-m2.5"),
        ("gpt-5-6-sol", "gpt-5.6-sol"),
    ],
)
def test_another_spelling_of_the_same_model(name: str, id_: str) -> None:
    assert resolve(name, OWN) == id_


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("opus", "claude-opus-4.8"),
        ("sonnet", "claude-sonnet-4.5"),
        ("claude-opus", "claude-opus-4.8"),
        ("claude-opus-latest", "claude-opus-4.8"),
        ("claude-opus-5-5", "claude-opus-4.8"),
        ("claude-sonnet-5-5", "claude-sonnet-4.5"),
        ("claude-haiku-5-5[1m]", "CLAUDE_HAIKU_4_20250514_V1_0"),
    ],
)
def test_a_family_means_its_newest(name: str, id_: str) -> None:
    assert is_family(name)
    assert resolve(name, OWN) == id_


def test_a_family_s_name_that_is_a_model_means_it() -> None:
    assert resolve("claude-opus-5-5", [*OWN, Model("claude-opus-5.5"), Model("claude-opus-6")]) == "claude-opus-5.5"


def test_a_family_without_members() -> None:
    assert newest("haiku", [Model("claude-opus-5")]) is None
    assert resolve("claude-haiku-5-5", [Model("claude-opus-5")]) == "claude-haiku-5-5"


@pytest.mark.parametrize("name", ["claude-opus-9", "gpt-4o", "claude", "opus-sonnet", "my-opus", "auto", ""])
def test_what_is_no_family(name: str) -> None:
    assert not is_family(name)


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("claude-opus-9", "claude-opus-9"),
        ("gpt-4o", "gpt-4o"),
        ("Some.Thing:New_1", "Some.Thing:New_1"),
        ("claude-opus-9[1m]", "claude-opus-9"),
        ("anthropic/claude-opus-9", "claude-opus-9"),
        ("", ""),
    ],
)
def test_anything_else_goes_through(name: str, id_: str) -> None:
    assert resolve(name, OWN) == id_


def test_a_user_s_alias_comes_first() -> None:
    assert resolve("claude-sonnet-4.5", OWN, {"claude-sonnet-4.5": "opus"}) == "claude-opus-4.8"


@pytest.mark.parametrize("name", ["9" * 5000, "claude-" * 50_000, "\ud83d", "²", "٣", "[1m]", "/", "v1:0"])
def test_strange_names_do_no_harm(name: str) -> None:
    assert find(name, OWN) is None
    assert not is_family(name)
    resolve(name, OWN)


@given(st.text(max_size=30))
def test_no_name_is_too_strange(name: str) -> None:
    resolve(name, STATIC)


def test_the_static_list_can_be_told_apart() -> None:
    assert all(find(model.id, STATIC) is model for model in STATIC)


# --- the service's list -----------------------------------------------------------------------------------------------


def test_a_page() -> None:
    body = b"""{"models":[{"modelId":"m-1","modelName":"M 1","description":"d","rateMultiplier":1.3,"rateUnit":"Credit",
        "tokenLimits":{"maxInputTokens":1000000,"maxOutputTokens":64000},"supportedInputTypes":["TEXT","IMAGE"],
        "promptCaching":{"supportsPromptCaching":true}}],"defaultModel":{"modelId":"auto"},"nextToken":"t"}"""
    models, token = read_page(body)
    assert models == [Model("m-1", "M 1", "d", 1_000_000, 64_000, ("TEXT", "IMAGE"), 1.3, cached_from=0)]
    assert models[0].window == 1_000_000
    assert token == "t"


@pytest.mark.parametrize(
    ("caching", "cached_from"),
    [
        ({"supportsPromptCaching": True, "minimumTokensPerCacheCheckpoint": 1024}, 1024),
        ({"supportsPromptCaching": True}, 0),
        ({"supportsPromptCaching": False, "minimumTokensPerCacheCheckpoint": 1024}, None),
        ({"supportsPromptCaching": "yes"}, None),
        (None, None),
        ([], None),
    ],
)
def test_from_where_on_a_model_caches(caching: object, cached_from: int | None) -> None:
    row = {"modelId": "m", "promptCaching": caching}
    [model], _ = read_page(msgspec.json.encode({"models": [row]}))
    assert model.cached_from == cached_from


def effort_in(member: str, effort: object) -> dict[str, Any]:
    return {"type": "object", "properties": {member: {"type": "object", "properties": {"effort": effort}}}}


@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        (effort_in("output_config", {"enum": ["low", "max"]}), Effort("output_config", ("low", "max"))),
        (effort_in("reasoning", {"type": "string", "enum": ["low", None]}), Effort("reasoning", ("low",))),
        (effort_in("reasoning", {"type": "string"}), None),
        (effort_in("other", {"enum": ["low"]}), None),
        ({"properties": [1]}, None),
        ("x", None),
        (None, None),
    ],
)
def test_the_efforts_a_model_takes(fields: object, effort: Effort | None) -> None:
    row = {"modelId": "m", "additionalModelRequestFieldsSchema": fields}
    [model], _ = read_page(msgspec.json.encode({"models": [row]}))
    assert model.effort == effort


def test_rows_with_little_or_nothing_in_them() -> None:
    body = b"""{"models":[{"modelId":"m"},{"modelId":null},{"modelName":"no id"},{"modelId":""},
        {"modelId":"n","modelName":null,"tokenLimits":null,"supportedInputTypes":null,"rateMultiplier":null},
        {"modelId":"o","tokenLimits":{"maxInputTokens":null}}],"nextToken":null}"""
    models, token = read_page(body)
    assert models == [Model("m"), Model("n"), Model("o")]
    assert models[0].window == DEFAULT_WINDOW
    assert token is None


@pytest.mark.parametrize("body", [b"{}", b'{"models":null}', b'{"models":[]}'])
def test_an_empty_page(body: bytes) -> None:
    assert read_page(body) == ([], None)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"<html>", b'{"models":5}', b'{"models":[{"modelId":"\xff"}]}', b"[" * 100_000]
)
def test_a_page_that_cannot_be_read(body: bytes) -> None:
    with pytest.raises(RelayError) as caught:
        read_page(body)
    assert caught.value.code is ErrorCode.upstream_protocol


def test_long_names_are_not_hoarded() -> None:
    tracemalloc.start()
    try:
        for n in range(50):
            assert find(f"{n}" + "x" * 100_000, OWN) is None
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1_000_000
