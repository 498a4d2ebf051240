"""The sentences that both families' errors are made of."""

import pytest

from qrelay.apis import errors
from qrelay.apis.dialect import Family
from qrelay.errors import ErrorCode, RelayError


@pytest.mark.parametrize("family", ["anthropic", "openai"])
@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("It broke.", "It broke. Mend it."),
        ("The service says: Feature is not supported", "The service says: Feature is not supported. Mend it."),
        ("Did it break?", "Did it break? Mend it."),
    ],
)
def test_what_happened_and_what_to_do_are_two_sentences(family: Family, message: str, told: str) -> None:
    assert errors.text(RelayError(ErrorCode.internal, message, remedy="Mend it."), family) == told


def test_without_a_remedy_there_is_one() -> None:
    assert errors.text(RelayError(ErrorCode.internal, "It broke", remedy=""), "openai") == "It broke"
