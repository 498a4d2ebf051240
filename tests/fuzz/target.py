"""A fuzz target: seeds, one check, one mutator."""

import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

CORPUS = Path(__file__).parent / "corpus"

Mutate = Callable[[bytes, random.Random], bytes]


class Target(NamedTuple):
    """`check` raises for a fault. `seeds` returns valid inputs; `mutate` changes one and keeps what it is made of."""

    name: str
    seeds: Callable[[], Iterable[bytes]]
    check: Callable[[bytes], None]
    mutate: Mutate

    def corpus(self) -> list[bytes]:
        """Return inputs that once failed."""
        return [path.read_bytes() for path in sorted((CORPUS / self.name).glob("*"))]


def numbered(number: int, data: bytes) -> bytes:
    """Put the number of a variant before an input; `split` takes it off."""
    return bytes((number,)) + data


def split(data: bytes, variants: int) -> tuple[int, bytes]:
    """Return the number of the variant and the input without it."""
    return (data[0] % variants if data else 0), data[1:]
