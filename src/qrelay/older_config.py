"""aq2api's `config.json` in the working folder, as values of our settings (SWITCHING.md, aq2api). Nothing else is read.

    logging.level                              log_level
    performance.token_refresh_margin_seconds   refresh_lead_seconds
    ssl.verify_oidc, ssl.ca_bundle             verify_oidc_tls, ca_bundle

Request and response logging is what our log does anyway, without anybody's text. Buffer sizes have no meaning here. Any
program may have a file of that name: one without any member that aq2api knew is not looked at.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

FILE: Final = "config.json"

_TAKEN: Final = {
    "logging.level": "log_level",
    "performance.token_refresh_margin_seconds": "refresh_lead_seconds",
    "ssl.verify_oidc": "verify_oidc_tls",
    "ssl.ca_bundle": "ca_bundle",
}
_DONE_ANYWAY: Final = frozenset({f"logging.log_{what}" for what in ("requests", "responses", "token_refresh")})
_IDLE: Final = frozenset(
    {"logging.max_log_length", "performance.stream_chunk_size", "performance.buffer_max_size"}
)  # fmt: skip
_LEVELS: Final = {"DEBUG": "debug", "INFO": "info", "WARNING": "warning", "WARN": "warning", "ERROR": "error"} | {
    "CRITICAL": "error",
    "FATAL": "error",
}


class OlderConfig(NamedTuple):
    """`values`: by our field, the member's name and its value as text. `idle`: members that have no effect here."""

    values: Mapping[str, tuple[str, str]]
    idle: tuple[str, ...]


def read(path: Path) -> OlderConfig:
    """What the file says, nothing if there is none, or if it is another program's."""
    try:
        whole = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return OlderConfig({}, ())
    members = _members(whole)
    if not members.keys() & {*_TAKEN, *_DONE_ANYWAY, *_IDLE}:
        return OlderConfig({}, ())
    values: dict[str, tuple[str, str]] = {}
    idle = [name for name in members if name in _IDLE]
    for name, field in _TAKEN.items():
        if (value := members.get(name)) in {None, ""}:
            continue
        if (text := _text(name, value)) is None:
            idle.append(name)
        else:
            values[field] = name, text
    return OlderConfig(values, tuple(idle))


def _members(whole: object) -> dict[str, Any]:
    """`section.name` to value."""
    if not isinstance(whole, dict):
        return {}
    sections = cast("dict[str, object]", whole)
    return {
        f"{section}.{name}": value
        for section, held in sections.items()
        if isinstance(held, dict)
        for name, value in cast("dict[str, object]", held).items()
        if isinstance(value, str | int | float | bool) or value is None
    }


def _text(name: str, value: object) -> str | None:
    """A value as a variable would say it, None if it can't be meant."""
    match name, value:
        case "logging.level", str():
            return _LEVELS.get(value.strip().upper())
        case "performance.token_refresh_margin_seconds", int() | float() if not isinstance(value, bool):
            return str(int(value)) if 0 <= value <= 86_400 else None
        case "ssl.verify_oidc", bool():
            return str(value).lower()
        case "ssl.ca_bundle", str():
            return value
        case _:
            return None
