"""`python -m qrelay` is `qrelay`."""

from qrelay.cli.main import run

run()
