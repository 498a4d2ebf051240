"""`qrelay claude`, `qrelay codex`, `qrelay opencode`: all that follows is the client's own."""

from collections.abc import Callable
from typing import Annotated, Final

import typer

from qrelay.cli.commands.shared import load

TITLES: Final = {"claude": "Claude Code", "codex": "Codex", "opencode": "opencode"}
PASS_ON: Final = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}


def command(program: str) -> Callable[..., None]:
    """The command that starts a client."""

    def start(
        context: typer.Context,
        *,
        show: Annotated[bool, typer.Option("--print", help="Print the lines that do it, and start nothing.")] = False,
    ) -> None:
        from qrelay.cli.launch import launch

        launch(load(), program, context.args, show=show)

    start.__doc__ = f"""Start {TITLES[program]} on the gateway.

    What follows is given to it; after -- everything is. A gateway is started with it if none runs. Its own
    configuration is not touched.
    """
    return start
