"""One target under atheris: `python -m tests.fuzz.guided TARGET [libFuzzer's options]`. `run` starts it."""

import logging
import random
import sys
import warnings
from importlib import import_module
from typing import Any, Final

atheris: Any = import_module("atheris")
"""In .cache/fuzz, where `make fuzz` puts it."""

_OWN_SHARE: Final = 0.8
"""Share of mutations that the target makes; libFuzzer makes the others."""


def main() -> None:
    name = sys.argv.pop(1)
    logging.disable()
    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=["qrelay"]):
        from tests.fuzz.run import load

        target = load(name)

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.random() >= _OWN_SHARE:
            return atheris.Mutate(data, longest)
        return target.mutate(data, chance)[:longest]

    options: dict[str, Any] = {"custom_mutator": mutate}
    atheris.Setup(sys.argv, target.check, **options)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
