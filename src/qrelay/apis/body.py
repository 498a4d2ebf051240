"""A request body to a room's wire type, or a fault that names the field. Not what the fields mean.

Two looks: the room's own typed decoder first, which is all that an ordinary request costs; if a value has a type it
doesn't expect, the body is decoded again without types, the room strips what it doesn't know (`forgive`), and only
then is a wrong type the caller's fault. So an unknown kind of part never fails a request, whatever it holds.

Half a surrogate pair, which is what a client leaves when it cuts a text inside an emoji, is no Unicode text and can't
be sent on: it becomes U+FFFD, as in every other decoder.
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from qrelay.errors import ErrorCode, RelayError

Wire = TypeVar("Wire")

_LONE_SURROGATE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair: fine
    rb"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|.)",  # any other escape, so that the second half of `\\` never starts one
    re.DOTALL,
)
_SEND_JSON = "Send one JSON object, in UTF-8."
_PLACE = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<place>.*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]*)`")


def decode(body: bytes, decoder: msgspec.json.Decoder[Wire], forgive: Callable[[dict[str, Any]], None]) -> Wire:
    """Decode `body`. `forgive` edits the untyped JSON in place before the second look.

    Raises RelayError(request_invalid) with `param` such as "messages[2].role" where there is a field to name.
    """
    try:
        return _decode(body, decoder, forgive)
    except RelayError:
        whole = mended(body)
        if whole == body:
            raise
    return _decode(whole, decoder, forgive)


def mended(json: bytes) -> bytes:
    """JSON text without halves of surrogate pairs."""
    return _LONE_SURROGATE.sub(lambda match: rb"\ufffd" if match["lone"] else match[0], json)


def _decode(body: bytes, decoder: msgspec.json.Decoder[Wire], forgive: Callable[[dict[str, Any]], None]) -> Wire:
    try:
        if not body.isascii():
            body.decode()  # members kept as Raw are passed on unread, so nothing later would notice
        return decoder.decode(body)
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(error) from None
    try:
        untyped = msgspec.json.decode(body)
        if not isinstance(untyped, dict):
            raise invalid("The request body is not a JSON object.", remedy=_SEND_JSON)
        _round(untyped)  # pyright: ignore[reportUnknownArgumentType]: as below
        forgive(untyped)  # pyright: ignore[reportUnknownArgumentType]: a JSON object's keys are strings
        return decoder.decode(msgspec.json.encode(untyped))
    except msgspec.ValidationError as error:
        raise _wrong(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(error) from None


def _round(request: dict[str, Any]) -> None:
    """`16.0` is an integer to JSON, and how some languages write 16."""
    for name, value in request.items():
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            request[name] = int(value)


def invalid(message: str, param: str | None = None, remedy: str | None = None) -> RelayError:
    """The fault of a request that reads well but says something we can't do, in the field `param`."""
    return RelayError(ErrorCode.request_invalid, message, param=param, remedy=remedy)


def _not_json(error: Exception) -> RelayError:
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    return invalid(f"The request body is not valid JSON: {reason}.", remedy=_SEND_JSON)


def _wrong(told: str) -> RelayError:
    """The decoder's sentence, as ours: "Expected `str`, got `null` - at `$.model`"."""
    match = _PLACE.fullmatch(told)
    what, place = (match["what"], match["place"] or "") if match else (told, "")
    if missing := _MISSING.fullmatch(what):
        place = f"{place}.{missing['field']}" if place else missing["field"]
        return invalid(f"The request has no '{place}', which is required.", place)
    if not place:
        return invalid(f"The request body is not what this API takes: {what}.")
    return invalid(f"'{place}' has the wrong type: {what[:1].lower()}{what[1:]}.", place)
