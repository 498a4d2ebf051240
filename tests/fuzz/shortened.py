"""Captured requests of real clients, made small: long texts cut, long lists with their first and last items."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

CAPTURES = Path(__file__).parents[1] / "captures"


def requests(ending: str) -> Iterator[bytes]:
    """Return the bodies of captured requests to paths with this ending, each once."""
    seen: set[bytes] = set()
    for path in sorted(CAPTURES.rglob("*.json")):
        capture = json.loads(path.read_bytes())
        if str(capture["path"]).partition("?")[0].endswith(ending) and isinstance(capture["body"], dict):
            body = json.dumps(_short(capture["body"])).encode()
            if body not in seen:
                seen.add(body)
                yield body


def _short(value: Any) -> Any:
    match value:
        case str():
            return value if len(value) <= 120 else value[:100] + value[-20:]
        case list():
            items = [_short(item) for item in cast("list[Any]", value)]
            return items if len(items) <= 6 else [*items[:3], *items[-3:]]
        case dict():
            return {name: _short(item) for name, item in list(cast("dict[str, Any]", value).items())[:12]}
        case _:
            return value
