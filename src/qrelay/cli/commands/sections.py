"""`qrelay --help`: the commands under headings, in the order in which somebody new needs them."""

from typing import Any, Final

import typer
from typer.core import TyperGroup

SECTIONS: Final = {
    "Serve": ("serve", "demo", "simulate"),
    "Accounts": ("login", "accounts", "import", "export", "models"),
    "Clients": ("claude", "codex", "opencode", "statusline", "keys"),
    "What was done": ("requests", "usage", "audit"),
    "Look after it": ("doctor", "health", "settings", "db", "master-key"),
}


class Sections(TyperGroup):
    """The commands of `SECTIONS`; those that are in none are hidden ones."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer passes it
        """All of them, the hidden ones last."""
        told = [name for names in SECTIONS.values() for name in names]
        return [
            *(name for name in told if name in self.commands),
            *(name for name in self.commands if name not in told),
        ]

    def invoke(self, ctx: Any) -> Any:
        """Run the command that is named. What is wrong with an option is told as it is of a setting."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ").replace("Input should", "it should")
            raise

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the same
        """A list under each heading, all of one width."""
        width = max(len(name) for names in SECTIONS.values() for name in names)
        for heading, names in SECTIONS.items():
            with formatter.section(heading):
                room = formatter.width - width - 6
                formatter.write_dl(
                    [(f"{name:<{width}}", self.commands[name].get_short_help_str(room)) for name in names]
                )
