"""The built-in "model": a request in, the events of a reply out. It understands nothing, but agents get to their end.

tool results came          says what they were and ends; an error is told, not tried again
an order for tools         calls them (agent.py), at most twice in a row with the same arguments
"think" in the last line   reasons first, with a signature
told to answer in JSON      the smallest value that the schema in its instructions allows
anything else              a sentence that quotes the user's last words
"""

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Iterator

from msgspec import UNSET, Struct

from qrelay.simulator import agent, schema
from qrelay.simulator.arguments import example
from qrelay.simulator.scenario import Event, Step, Tail

QUOTED = 200
FRAGMENT = 12
"""Characters of a tool's input in one frame."""


class Reply(Struct, frozen=True):
    """`events` is everything before the tail."""

    events: list[Event]
    stop_reason: str
    output_tokens: int

    def steps(self, tail: Tail) -> list[Step]:
        ending = Tail(
            self.stop_reason if tail.stop_reason is not None else None,
            tail.metadata,
            tail.token_usage,
            tail.context_usage,
            tail.metering,
        )
        return [*self.events, ending]


def sign(thought: str) -> str:
    """The signature reasoning gets and must come back with (PROTOCOL.md §2.6 rule 20)."""
    return b64encode(hashlib.sha256(b"qrelay simulator " + thought.encode()).digest()).decode()


def is_signed(thought: str, signature: str) -> bool:
    return signature == sign(thought)


def answer(state: schema.ConversationState, model: str, seed: str) -> Reply:
    """`state` was validated. `seed` makes the tool-use ids: the same two give the same reply."""
    current = state.currentMessage.userInputMessage
    if current is UNSET:
        raise ValueError("the request was not validated")
    context = current.userInputMessageContext
    results = [] if context is UNSET or context.toolResults is UNSET else context.toolResults
    tools = [] if context is UNSET or context.tools is UNSET else context.tools
    declared = [tool.toolSpecification for tool in tools if tool.toolSpecification is not UNSET]
    calls = [
        call
        for call in agent.orders(current.content, _everything(state), declared)
        if _in_a_row(state.history, call) < 2
    ]
    words = _last_words(current.content)
    events: list[Event] = []
    if re.search(r"\bthink\b", words, re.IGNORECASE) and not results:
        events += reasoning("The user asks me to think. I do so, briefly.")
    if calls:
        events += _say("I will use " + " and ".join(call.name for call in calls) + ".", model)
        for number, call in enumerate(calls):
            identity = hashlib.sha256(f"{seed} {number} {call.name}".encode()).hexdigest()[:22]
            events += tool_use(f"tooluse_{identity}", call.name, json.dumps(call.arguments, ensure_ascii=False))
        stop_reason = "TOOL_USE"
    else:
        told = _about_results(results) if results else _about(words, bool(current.images))
        events += _say(_as_json(_everything(state)) or told, model)
        stop_reason = "END_TURN"
    return Reply(events, stop_reason, _tokens(events))


def _say(sentence: str, model: str) -> list[Event]:
    return [
        Event("assistantResponseEvent", {"content": word, "modelId": model}) for word in re.findall(r"\s*\S+", sentence)
    ]


def reasoning(thought: str) -> list[Event]:
    """Deltas, then the signature (PROTOCOL.md §3.3)."""
    deltas = [Event("reasoningContentEvent", {"text": word}) for word in re.findall(r"\s*\S+", thought)]
    return [*deltas, Event("reasoningContentEvent", {"signature": sign(thought)})]


def tool_use(identity: str, name: str, arguments: str) -> list[Event]:
    """The four-step form: start, fragments of the JSON text, stop; id and name on every frame (PROTOCOL.md §3.3)."""
    use = {"toolUseId": identity, "name": name}
    fragments = [arguments[at : at + FRAGMENT] for at in range(0, len(arguments), FRAGMENT)]
    return [
        Event("toolUseEvent", use),
        *(Event("toolUseEvent", {**use, "input": fragment}) for fragment in fragments),
        Event("toolUseEvent", {**use, "stop": True}),
    ]


def _about(words: str, images: bool) -> str:
    seen = " I can see that you sent an image." if images else ""
    if not words:
        return "This is the simulated service." + seen
    return f'This is the simulated service. You said: "{words}"' + seen


def _about_results(results: list[schema.ToolResult]) -> str:
    failed = [result for result in results if result.status == "error"]
    told = _shorten(_text_of((failed or results)[0]))
    if failed:
        return f"The tool failed, so I stop here: {told}"
    return f"Done. The tool answered: {told}" if told else "Done. The tool answered nothing."


def _text_of(result: schema.ToolResult) -> str:
    return " ".join(part.text if part.text is not UNSET else json.dumps(part.json) for part in result.content)


def _last_words(content: str) -> str:
    """The last paragraph, without what programs wrap around a user's words."""
    plain = re.sub(r"<system-reminder>.*?</system-reminder>", "", content, flags=re.DOTALL)
    plain = re.sub(r"^--- .* (?:BEGIN|END) ---$", "", plain, flags=re.MULTILINE)
    paragraphs = [paragraph for paragraph in plain.split("\n\n") if paragraph.strip()]
    return _shorten(paragraphs[-1]) if paragraphs else ""


def _as_json(said: str) -> str | None:
    """The answer in JSON, if the instructions hold a JSON Schema for it (the last one counts)."""
    found = list(re.finditer(r"JSON Schema:\s*(?=\{)", said))
    if not found:
        return None
    try:
        document, _ = json.JSONDecoder().raw_decode(said, found[-1].end())
    except ValueError:
        return None
    return json.dumps(example(document, "answer", document), ensure_ascii=False)


def _shorten(words: str) -> str:
    line = " ".join(words.split())
    return line if len(line) <= QUOTED else line[:QUOTED] + "…"


def _everything(state: schema.ConversationState) -> str:
    return "\n".join(_contents(state))


def _contents(state: schema.ConversationState) -> Iterator[str]:
    for turn in (*state.history, state.currentMessage):
        message = turn.userInputMessage
        if message is UNSET:
            continue
        context = message.userInputMessageContext
        if context is not UNSET and context.envState is not UNSET:
            directory = context.envState.currentWorkingDirectory
            if directory is not UNSET:
                yield f"Working directory: {directory}"
        yield message.content


def _in_a_row(history: list[schema.Message], call: agent.Call) -> int:
    """How often this very call was made since the user last spoke without answering a tool."""
    made = 0
    for entry in reversed(history):
        if entry.assistantResponseMessage is not UNSET and entry.assistantResponseMessage.toolUses is not UNSET:
            made += sum(
                use.name == call.name and use.input == call.arguments for use in entry.assistantResponseMessage.toolUses
            )
        elif entry.userInputMessage is not UNSET:
            context = entry.userInputMessage.userInputMessageContext
            if context is UNSET or not context.toolResults:
                break
    return made


def _tokens(events: list[Event]) -> int:
    told = sum(len(str(event.payload.get("content", event.payload.get("input", "")))) for event in events)
    return max(1, round(told / 3.5))
