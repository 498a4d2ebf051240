"""What every group of commands uses: the option `--json`, and the settings as they are."""

from typing import Annotated

import typer

from qrelay.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask; only a terminal is asked.")]


def load() -> Settings:
    """The settings of this process. Raises SettingsRefused."""
    return Settings.load()
