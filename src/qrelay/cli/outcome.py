"""How a command that didn't do its work says so."""


class Failed(Exception):  # noqa: N818 - an outcome told to people, not a fault in the program
    """A command could not do what it is for. `remedies` are lines to type or changes to make."""

    def __init__(self, message: str, *remedies: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedies = remedies
