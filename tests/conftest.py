"""What every test may use."""

import signal

import pytest
from hypothesis import settings

from tests.postgres import either_url, migrated, migrated_url, postgres, postgres_url

__all__ = ["either_url", "migrated", "migrated_url", "postgres", "postgres_url"]  # fixtures

settings.register_profile("unhurried", deadline=None)  # how fast a machine is, is no law
settings.load_profile("unhurried")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was left out is told, a line for each reason."""
    skipped: list[pytest.TestReport] = terminalreporter.stats.get("skipped", [])
    reasons = [report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)]
    for reason in dict.fromkeys(reasons):
        told = reason.removeprefix("Skipped: ")
        terminalreporter.write_line(f"SKIP {reasons.count(reason)} tests: {told}")


# A shell starts what runs in its background with Ctrl-C ignored, which processes that tests start would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
