"""Which reasoning signatures came from the service: only those may go back to it (PROTOCOL.md §2.6 rule 20)."""

from collections import OrderedDict
from hashlib import blake2b


class Signatures:
    """The last signatures seen, as digests. After a restart none is known, and old reasoning is simply not replayed."""

    def __init__(self, limit: int = 50_000) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._limit = limit

    def remember(self, signature: str) -> None:
        self._seen[_digest(signature)] = None
        if len(self._seen) > self._limit:
            self._seen.popitem(last=False)

    def known(self, signature: str) -> bool:
        return _digest(signature) in self._seen


def _digest(signature: str) -> bytes:
    return blake2b(signature.encode("utf-8", "surrogatepass"), digest_size=16).digest()
