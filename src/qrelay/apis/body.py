"""A request body to a room's wire type, or a fault that names the field. Not what the fields mean.

Two looks: the room's own typed decoder first, which is all that an ordinary request costs; if a value has a type it
doesn't expect, the body is decoded again without types, the room strips what it doesn't know (`forgive`), and only
then is a wrong type the caller's fault. So an unknown kind of part never fails a request, whatever it holds.

Half a surrogate pair, which is what a client leaves when it cuts a text inside an emoji, is no Unicode text and can't
be sent on: it becomes U+FFFD, as in every other decoder.
"""

import codecs
import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from qrelay.apis.json_scan import SLICE, SurrogateMender, may_hold_surrogates
from qrelay.errors import ErrorCode, RelayError

Wire = TypeVar("Wire")

_LONGEST_MESSAGE = 1_000
_utf8 = codecs.getincrementaldecoder("utf-8")
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
    """Return JSON text with U+FFFD in place of each half of a surrogate pair."""
    if not may_hold_surrogates(json) or b"\xff" in json:  # nothing to replace, or no UTF-8 anyway
        return json
    mender = SurrogateMender()
    pieces = [mender.feed(json[start : start + SLICE]) for start in range(0, len(json), SLICE)]
    return b"".join([*pieces, mender.close()])


def _decode(body: bytes, decoder: msgspec.json.Decoder[Wire], forgive: Callable[[dict[str, Any]], None]) -> Wire:
    try:
        _check_utf8(body)  # members kept as Raw are passed on unread, so nothing later would notice
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
        mended_body = msgspec.json.encode(untyped)
        del untyped  # of a large body there are copies enough
        return decoder.decode(mended_body)
    except msgspec.ValidationError as error:
        raise _wrong(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(error) from None


def _check_utf8(body: bytes) -> None:
    """Raises UnicodeDecodeError. In slices: the text of a large body would take four times its size."""
    if body.isascii():
        return
    decoder = _utf8()
    for start in range(0, len(body), SLICE):
        decoder.decode(body[start : start + SLICE])
    decoder.decode(b"", final=True)


def _round(request: dict[str, Any]) -> None:
    """`16.0` is an integer to JSON, and how some languages write 16."""
    for name, value in request.items():
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            request[name] = int(value)


def invalid(message: str, param: str | None = None, remedy: str | None = None) -> RelayError:
    """The fault of a request that reads well but says something we can't do, in the field `param`."""
    if len(message) > _LONGEST_MESSAGE:  # it may repeat what the client wrote
        message = f"{message[:_LONGEST_MESSAGE]}…"
    return RelayError(ErrorCode.request_invalid, message, param=param and param[:_LONGEST_MESSAGE], remedy=remedy)


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
