"""The fuzz targets on a fixed set of inputs: seeds, inputs that once failed, and some mutations of both."""

import random

import pytest

from tests.fuzz.run import TARGETS, load

MUTATIONS = {"frames": 800, "reply": 400, "requests": 800, "configuration": 150, "importing": 500, "parsers": 800}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
def test_known_inputs_and_mutations_pass(name: str) -> None:
    target = load(name)
    inputs = [*target.seeds(), *target.corpus()]
    assert inputs
    for data in inputs:
        target.check(data)
    chance = random.Random(name)
    for _ in range(MUTATIONS[name]):
        data = target.mutate(chance.choice(inputs), chance)
        try:
            target.check(data)
        except Exception as error:
            raise AssertionError(f"{name} failed with {data!r}") from error
