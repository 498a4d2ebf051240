"""What every group of commands uses: the option `--json`, and the settings as they are."""

from typing import Annotated, Any

import typer

from qrelay.core_dumps import forbid_core_dumps
from qrelay.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask; only a terminal is asked.")]


def load(host: str | None = None, port: int | None = None) -> Settings:
    """Load the settings, and forbid core dumps unless they allow them. Raises SettingsRefused."""
    given: dict[str, Any] = {"host": host, "port": port}
    chosen = Settings.load(**{name: value for name, value in given.items() if value is not None})
    if not chosen.core_dumps:
        forbid_core_dumps()
    return chosen
