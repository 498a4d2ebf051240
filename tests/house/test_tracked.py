"""Nothing git keeps names somebody's machine, a package registry's host, or holds what looks like a real credential."""

import re

import pytest

from tests.house.repository import ROOT, texts, tracked

# Written with a gap, so that this file doesn't hold what it looks for.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w.$}/-])/(?:wo{}rk/(?:main|shared)|ro{}ot/[\w.])",
    "a package registry's host": r"pypi\.o{}rg|python{}hosted\.org|registry\.np{}mjs",
    "an AWS access key": r"\bAK{}IA[0-9A-Z]{{16}}\b",
    "a private key": r"-----BE{}GIN [A-Z ]*PRIVATE KEY",
    "a provider's key": r"\b(?:sk-{}ant-[\w-]{{20,}}|sk-{}proj-[\w-]{{20,}}|gh{}p_\w{{30,}})",
    "a service token": r"\bao[ar]{}AAAAA[\w:/+-]{{60,}}",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_none_of_it_is_kept(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what].replace("{}", "").replace("{{", "{").replace("}}", "}"))
    found = {f"{path.relative_to(ROOT)}: {match[0]}" for path, text in texts() for match in pattern.finditer(text)}
    assert not found, sorted(found)


def test_nothing_generated_is_kept() -> None:
    parts = {part for path in tracked() for part in path.relative_to(ROOT).parts}
    assert not parts & {"__pycache__", ".venv", ".cache", ".env", ".pytest_cache", ".ruff_cache", "dist"}
