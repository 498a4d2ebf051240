"""Requests that real clients really sent (tests/captures), by API."""

import json
from pathlib import Path
from typing import Any

CAPTURES = Path(__file__).parent.parent / "captures"


def of(path: str) -> dict[str, dict[str, Any]]:
    """ "client/file" -> the request's body, for every capture sent to `path`."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(CAPTURES.glob("*/*.json")):
        capture = json.loads(file.read_text())
        if capture["method"] == "POST" and capture["path"].partition("?")[0] == path:
            found[f"{file.parent.name}/{file.stem}"] = capture["body"]
    return found
