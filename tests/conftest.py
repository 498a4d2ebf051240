"""What every test may use."""

import pytest
from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # how fast a machine is, is no law
settings.load_profile("unhurried")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
