"""Which stored responses a request goes on with, by their ids. Not the responses (`responses_store.py`)."""

from collections.abc import Iterable
from typing import Final

from qrelay.apis.openai_responses.responses_store import Kept
from qrelay.apis.openai_responses.schema import Item, decode, decode_stored

_MOST: Final = 100


def references(body: bytes) -> list[str]:
    """Those that a request names, itself or by one of their items. Raises RelayError(request_invalid)."""
    request, _ = decode(body)
    named = [request.previous_response_id] if request.previous_response_id is not None else []
    return _some([*named, *_of_items(request.input if isinstance(request.input, list) else ())])


def references_of(kept: Kept) -> list[str]:
    """Those that were named in the conversation of a stored response."""
    return _some([id_ for items in kept.items for id_ in _of_items(decode_stored(items))])


def _of_items(items: Iterable[Item]) -> list[str]:
    """An item's id has its response's in it: `Output.new_id`."""
    named = [item.id for item in items if item.type in {None, "item_reference"} and item.role is None and item.id]
    parts = [id_.split("_") for id_ in named]
    return [f"resp_{stamp}" for _, stamp, _ in (part for part in parts if len(part) == 3)]


def _some(ids: list[str]) -> list[str]:
    return list(dict.fromkeys(ids))[:_MOST]
