"""Whole requests for each client API: the SDKs' own shapes, and rounds of tools as agents have them.

A round is calls and their answers, a few of them lost, doubled, put off or in another order: of the shapes alone they
would hardly ever come together.
"""

import json
from typing import Any

from anthropic.types import message_param
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessageParam
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses import ResponseInputItemParam
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming

from tests.conformance.shapes import IDS, NAMES, OBJECTS, TEXTS, Body, members, mostly, sequence, strategy

STREAM = st.booleans()


@st.composite
def rounds(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """(ids called, ids answered)."""
    called = draw(st.lists(IDS, min_size=1, max_size=3))
    answered = draw(st.permutations([*called, *draw(st.lists(IDS, max_size=1))]))
    return called, answered[draw(st.integers(0, 1)) :]


# --- Anthropic Messages


@st.composite
def _messages_round(draw: st.DrawFn) -> list[Body]:
    called, answered = draw(rounds())
    uses = [{"type": "tool_use", "id": id_, "name": draw(NAMES), "input": draw(OBJECTS)} for id_ in called]
    results = [{"type": "tool_result", "tool_use_id": id_, "content": draw(TEXTS)} for id_ in answered]
    said = [{"type": "text", "text": draw(TEXTS)}] if draw(st.booleans()) else []
    at = draw(st.integers(0, len(results)))
    turns = [
        {"role": "assistant", "content": [*said, *uses]},
        {"role": "user", "content": results[:at] or draw(TEXTS)},
        {"role": "user", "content": [*results[at:], *said]},
    ]
    return turns if draw(st.booleans()) else [turns[0], {"role": "user", "content": [*results, *said]}]


def messages() -> st.SearchStrategy[Body]:
    one: st.SearchStrategy[list[Any]] = strategy(message_param.MessageParam).map(lambda message: [message])
    return members(
        MessageCreateParamsNonStreaming,
        messages=sequence([one, one, _messages_round()]),
        stream=STREAM,
        tool_choice=_choice("tool"),
    )


def _choice(named: str) -> st.SearchStrategy[Body]:
    return st.one_of(
        st.sampled_from([{"type": "auto"}, {"type": "any"}, {"type": "none"}]),
        st.fixed_dictionaries({"type": st.just(named), "name": NAMES}),
        st.just({"type": "auto", "disable_parallel_tool_use": True}),
    )


# --- OpenAI Chat Completions


@st.composite
def _chat_round(draw: st.DrawFn) -> list[Body]:
    called, answered = draw(rounds())
    calls: list[Body] = []
    for id_ in called:
        function = {"name": draw(NAMES), "arguments": json.dumps(draw(OBJECTS))}
        calls.append({"id": id_, "type": "function", "function": function})
    results = [{"role": "tool", "tool_call_id": id_, "content": draw(TEXTS)} for id_ in answered]
    between = [{"role": "user", "content": draw(TEXTS)}] if draw(st.booleans()) else []
    at = draw(st.integers(0, len(results)))
    said = draw(st.none() | TEXTS)
    return [{"role": "assistant", "content": said, "tool_calls": calls}, *results[:at], *between, *results[at:]]


def chat() -> st.SearchStrategy[Body]:
    one: st.SearchStrategy[list[Any]] = strategy(ChatCompletionMessageParam).map(lambda message: [message])
    return members(CompletionCreateParamsNonStreaming, messages=sequence([one, one, _chat_round()]), stream=STREAM)


# --- OpenAI Responses


@st.composite
def _responses_round(draw: st.DrawFn) -> list[Body]:
    called, answered = draw(rounds())
    items: list[Body] = []
    custom = draw(st.booleans())
    kind = "custom_tool_call" if custom else "function_call"
    for id_ in called:
        given = {"input": draw(TEXTS)} if custom else {"arguments": json.dumps(draw(OBJECTS))}
        space = {"namespace": "files"} if draw(st.booleans()) else {}
        items.append({"type": kind, "call_id": id_, "name": draw(NAMES), **given, **space})
    results = [{"type": f"{kind}_output", "call_id": id_, "output": draw(TEXTS)} for id_ in answered]
    between = [{"role": "user", "content": draw(TEXTS)}] if draw(st.booleans()) else []
    at = draw(st.integers(0, len(results)))
    return [*items, *results[:at], *between, *results[at:]]


def responses() -> st.SearchStrategy[Body]:
    one: st.SearchStrategy[list[Any]] = strategy(ResponseInputItemParam).map(lambda item: [item])
    whole = members(
        ResponseCreateParamsNonStreaming,
        input=None,
        stream=STREAM,
    )
    given = mostly(sequence([one, one, _responses_round()]), TEXTS)
    return st.tuples(whole, given).map(lambda pair: {"model": "auto", "input": pair[1]} | pair[0])
