"""Mutations that keep the form: JSON stays JSON, so that a change reaches the code behind the decoder."""

import json
import random
from typing import Any, cast

from tests.fuzz.target import Mutate

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.5, -0.0, 1e308, 2**31, 2**53, 2**63, 2**64, 10**400, "", " ", "\x00", "\ud800",
    "\udc00x", "\u2028", "😀", "a" * 300, "1", "null", "{", "{}", "[]", "http://[", "https://a:b@c:99999/",
    "~no-such-user/x", "data:image/png;base64,", "=====", [], {}, [[]], {"": None}, [None], {"type": "text"},
    {"type": None},
)  # fmt: skip
_DEEP = 2_000


def json_mutator(data: bytes, chance: random.Random) -> bytes:
    """Change one to four places of a JSON document; what isn't JSON has bytes changed."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return byte_mutator(data, chance)
    if chance.random() < 0.1:
        return byte_mutator(data, chance)
    try:
        for _ in range(chance.randrange(1, 5)):
            document = _changed(document, chance)
        return _written(document, chance)
    except (RecursionError, ValueError):
        return byte_mutator(data, chance)


def byte_mutator(data: bytes, chance: random.Random) -> bytes:
    """Flip, cut, insert or repeat bytes."""
    raw = bytearray(data or b"\0")
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(raw)) if raw else 0
        match chance.randrange(6):
            case 0 if raw:
                raw[at] ^= 1 << chance.randrange(8)
            case 1 if raw:
                raw[at] = chance.choice((0, 0x0A, 0x22, 0x2C, 0x5C, 0x7F, 0x80, 0xFF))
            case 2:
                del raw[at : at + chance.randrange(1, 9)]
            case 3:
                raw[at:at] = chance.randbytes(chance.randrange(1, 5))
            case 4:
                raw[at:at] = raw[at : at + chance.randrange(1, 40)]
            case _:
                raw[at:at] = chance.choice((b"[" * _DEEP, b'{"a":' * _DEEP, b"\xed\xa0\x80", b"\\ud800", b"9" * 400))
    return bytes(raw)


def after_number(mutate: Mutate) -> Mutate:
    """Mutate what follows the number of the variant, and now and then the number."""

    def mutated(data: bytes, chance: random.Random) -> bytes:
        number = data[:1] if chance.random() < 0.95 else chance.randbytes(1)
        return number + mutate(data[1:], chance)

    return mutated


def _written(document: Any, chance: random.Random) -> bytes:
    text = json.dumps(document, ensure_ascii=chance.random() < 0.7)
    return text.encode("utf-8", "surrogatepass")


def _changed(document: Any, chance: random.Random) -> Any:
    """The document with one place changed: a random walk down, then one edit."""
    if not isinstance(document, dict | list) or not document or chance.random() < 0.15:
        return _other(document, chance)
    if isinstance(document, dict):
        members = dict(cast("dict[str, Any]", document))
        name = chance.choice(list(members))
        match chance.randrange(10):
            case 0:
                del members[name]
            case 1:
                members[chance.choice((name + "x", "type", "content", "id", ""))] = members[name]
            case 2:
                members[name] = _other(members[name], chance)
            case 3:
                members[name], members[other] = members[other := chance.choice(list(members))], members[name]
            case _:
                members[name] = _changed(members[name], chance)
        return members
    items = list(cast("list[Any]", document))
    at = chance.randrange(len(items))
    match chance.randrange(10):
        case 0:
            del items[at]
        case 1:
            items.insert(at, items[chance.randrange(len(items))])
        case 2:
            chance.shuffle(items)
        case 3:
            items[at:at] = items[at : at + 3] * chance.randrange(1, 20)
        case _:
            items[at] = _changed(items[at], chance)
    return items


def _other(value: Any, chance: random.Random) -> Any:
    match chance.randrange(6):
        case 0:
            return [value]
        case 1:
            return {chance.choice(("type", "text", "value", "")): value}
        case 2 if isinstance(value, str):
            at = chance.randrange(len(value) + 1)
            return value[:at] + chance.choice(("\x00", "\ud83d", "\n", '"', "\\", "é", "x" * 70, "")) + value[at:]
        case 3 if isinstance(value, int | float):
            return chance.choice((-value, value + 1, float(value) if abs(value) < 1e300 else 0, str(value)))
        case _:
            return chance.choice(VALUES)
