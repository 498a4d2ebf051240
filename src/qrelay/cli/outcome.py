"""How a command that didn't do its work says so."""

from typing import Final

FAILED: Final = 1
REFUSED: Final = 78
"""What was chosen can't be used: the same again ends the same. The system's EX_CONFIG."""


class Failed(Exception):  # noqa: N818 - an outcome told to people, not a fault in the program
    """A command could not do what it is for. `remedies` are lines to type or changes to make."""

    def __init__(self, message: str, *remedies: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedies = remedies
