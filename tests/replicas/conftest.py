"""`qrelay serve` several times on one PostgreSQL: processes of their own, on one simulated service."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from qrelay.simulator.server import Simulator
from tests.cli.process import Command, Running

KEY = "c2FtZSBmb3IgZXZlcnlib2R5LCBhbmQgMzIgYnl0ZXM="

Replicas = Callable[..., Command]


@pytest.fixture
def service() -> Iterator[Simulator]:
    with Simulator.serve_in_thread() as simulator:
        yield simulator


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """Which database they have; with "" each a SQLite file of its own."""
    return postgres_url


@pytest.fixture
def replica(tmp_path: Path, service: Simulator, database_url: str) -> Replicas:
    """Makes a `Command` of its own folder, on the test's database and service, with the variables it is given."""

    def make(name: str = "one", **variables: str) -> Command:
        folder = tmp_path / name
        folder.mkdir()
        given = {
            "QRELAY_DATABASE_URL": database_url,
            "QRELAY_MASTER_KEY": KEY,
            "QRELAY_LOG_FORMAT": "json",
            "AMAZONQ_API_ENDPOINT": service.url,
            "AMAZONQ_TOKEN_ENDPOINT": f"{service.url}/token",
        }
        return Command(folder, given | variables)

    return make


@pytest.fixture
def started() -> Iterator[Callable[[Command], Running]]:
    """Starts `qrelay serve`; what still runs at the end is killed."""
    with ExitStack() as stack:
        yield lambda command: stack.enter_context(command.running("serve", "--port", "0"))
