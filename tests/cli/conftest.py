"""Commands to run, and a service to run them against."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qrelay.simulator.server import Simulator
from tests.cli.process import Command


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., Command]:
    """Makes a `Command` with the variables it is given."""

    def make(**variables: str) -> Command:
        return Command(tmp_path, variables)

    return make


@pytest.fixture
def service() -> Iterator[Simulator]:
    with Simulator.serve_in_thread() as simulator:
        yield simulator


@pytest.fixture
def on_service(service: Simulator, command: Callable[..., Command]) -> Command:
    """A `Command` whose service is the simulator, with an account it knows."""
    login = service.add_account()
    return command(
        AMAZONQ_API_ENDPOINT=service.url,
        AMAZONQ_TOKEN_ENDPOINT=f"{service.url}/token",
        AMAZONQ_CLIENT_ID=login.client_id,
        AMAZONQ_CLIENT_SECRET=login.client_secret,
        AMAZONQ_REFRESH_TOKEN=login.refresh_token,
    )
