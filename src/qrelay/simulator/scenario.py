"""What the service answers next, as data: a list of steps that can be read from and written to JSON. Not the playing.

    {"steps": [{"do": "event", "type": "assistantResponseEvent", "payload": {"content": "Hi"}},
               {"do": "pause", "seconds": 1.5},
               {"do": "damaged", "how": "message_crc"},
               {"do": "tail"}]}

A scenario plays after the request was accepted: authentication and validation come first, as for real.
"""

from typing import Any, Literal, TypeAlias

from msgspec import Struct, field, json

from qrelay.simulator.errors import CATALOGUE, Placement


class Refuse(Struct, frozen=True, tag_field="do", tag="refuse"):
    """A row of the error catalogue as the whole answer. `placement` None means the simulator's own setting."""

    error: str
    placement: Placement | None = None
    headers: dict[str, str] = {}


class Respond(Struct, frozen=True, tag_field="do", tag="respond"):
    """Any other HTTP answer: a proxy's 502 page, a 200 of the wrong type."""

    status: int
    headers: dict[str, str] = {}
    body: str = ""


class Event(Struct, frozen=True, tag_field="do", tag="event"):
    """One `event` frame; the payload is the event's own body (PROTOCOL.md §3.1)."""

    type: str
    payload: dict[str, Any] = {}


class ExceptionFrame(Struct, frozen=True, tag_field="do", tag="exception"):
    """A modelled failure after the 200."""

    type: str
    payload: dict[str, Any] = {}


class ErrorFrame(Struct, frozen=True, tag_field="do", tag="error"):
    """An unmodelled failure after the 200: two headers, no payload."""

    code: str
    message: str


class Raw(Struct, frozen=True, tag_field="do", tag="raw"):
    """Bytes as they are (base64 in JSON)."""

    data: bytes


class Damaged(Struct, frozen=True, tag_field="do", tag="damaged"):
    """A frame with something wrong. `truncated` sends only its first half; `length` announces
    more than there is, with a right checksum.
    """

    how: Literal["message_crc", "prelude_crc", "truncated", "length"]
    type: str = "assistantResponseEvent"
    payload: dict[str, Any] = field(default_factory=lambda: {"content": "damaged"})


class Pause(Struct, frozen=True, tag_field="do", tag="pause"):
    seconds: float


class Silence(Struct, frozen=True, tag_field="do", tag="silence"):
    """Nothing more, and the connection stays open until the client leaves or the simulator stops."""


class Cut(Struct, frozen=True, tag_field="do", tag="cut"):
    """The connection ends inside the HTTP body: closed after what was written, or reset (which may drop it)."""

    how: Literal["close", "reset"] = "close"


class Tail(Struct, frozen=True, tag_field="do", tag="tail"):
    """The events after the text (PROTOCOL.md §3.3). Each may be missing, and so may the two halves of the first."""

    stop_reason: str | None = "END_TURN"
    metadata: bool = True
    token_usage: bool = True
    context_usage: bool = True
    metering: bool = True


class Model(Struct, frozen=True, tag_field="do", tag="model"):
    """What the built-in model answers, and its tail."""


Step: TypeAlias = (
    Refuse | Respond | Event | ExceptionFrame | ErrorFrame | Raw | Damaged | Pause | Silence | Cut | Tail | Model
)


class Scenario(Struct, frozen=True):
    """One answer. Refuse and Respond are an answer alone; in a stream the end of the steps is a clean HTTP end.

    `delay` is in seconds, before the status line. `initial_response` False leaves out the frame that awsJson answers
    start with.
    """

    steps: list[Step] = field(default_factory=list[Step])
    name: str = ""
    delay: float = 0.0
    bytes_per_write: int | None = None
    initial_response: bool = True
    headers: dict[str, str] = {}


def from_json(text: bytes | str) -> Scenario:
    """Raises msgspec.ValidationError or DecodeError if it isn't a scenario, KeyError for an unknown error's name."""
    scenario = json.decode(text, type=Scenario)
    check_names(scenario)
    return scenario


def check_names(scenario: Scenario) -> None:
    """Raises KeyError if a step names an error that isn't in the catalogue."""
    for step in scenario.steps:
        if isinstance(step, Refuse) and step.error not in CATALOGUE:
            raise KeyError(step.error)


def to_json(scenario: Scenario) -> bytes:
    return json.encode(scenario)


def text(content: str) -> Event:
    return Event("assistantResponseEvent", {"content": content})


def refusal(error: str, placement: Placement | None = None) -> Scenario:
    """The row `error` of the catalogue as an answer. Raises KeyError if there is none."""
    if error not in CATALOGUE:
        raise KeyError(error)
    return Scenario([Refuse(error, placement)], name=error)
