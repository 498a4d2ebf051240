"""Which reasoning the service has signed: only that may go back to it, word for word (PROTOCOL.md §2.6 rule 20)."""

from collections import OrderedDict
from hashlib import blake2b


class Signatures:
    """The last pieces seen, as digests. After a restart none is known, and old reasoning is simply not replayed."""

    def __init__(self, limit: int = 50_000) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._limit = limit

    def remember(self, text: str, signature: str) -> None:
        """A text and what the service signed it with; for redacted reasoning "" and its data."""
        digest = _digest(text, signature)
        self._seen[digest] = None
        self._seen.move_to_end(digest)
        if len(self._seen) > self._limit:
            self._seen.popitem(last=False)

    def known(self, text: str, signature: str) -> bool:
        return _digest(text, signature) in self._seen


def _digest(text: str, signature: str) -> bytes:
    return blake2b(f"{len(text)} {text}{signature}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
