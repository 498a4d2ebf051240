"""The list of what a request asked for and doesn't get (`x-qrelay-ignored`). Names of fields, never their values."""

import re

_MOST = 64  # they end in a header and in the request log
_SAFE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Ignored:
    """Names in the order they were met, each once."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def add(self, name: str) -> None:
        if len(self._names) < _MOST:
            self._names[name] = None

    def add_kind(self, place: str, kind: str) -> None:
        """A kind of thing that we don't know. The client chose the word, and this ends in a header: so only if safe."""
        self.add(f"{place}.{kind}" if _SAFE.fullmatch(kind) else place)

    def names(self) -> tuple[str, ...]:
        return tuple(self._names)
