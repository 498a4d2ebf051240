"""A process that has loaded what commands load, and forks one off for each: whole as any other, and a second sooner.

    a line in     words, folder, variables, where its output goes      JSON
    a line out    its exit code

What a command does before its first own line (the interpreter's start, loading) is done once for all of them here;
`test_commands.py` starts commands from nothing too, and compares. Not for what is signalled or goes on.
"""

import importlib
import json
import os
import pkgutil
import sys
import threading
from typing import Any

import qrelay.cli
from qrelay.cli.main import run

LOADED_LATER = (
    "qrelay.http.app",
    "alembic.command",
    "alembic.config",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "uvloop",
)


def main() -> None:
    commands = [module.name for module in pkgutil.iter_modules(qrelay.cli.__path__, "qrelay.cli.")]
    for name in (*commands, *LOADED_LATER):
        importlib.import_module(name)
    assert threading.active_count() == 1, "what forks has one thread"
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(asked)
            run()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _become(asked: dict[str, Any]) -> None:
    """Folder, variables, words and files as a new process would have been given them."""
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environ"])
    sys.argv = ["qrelay", *asked["words"]]
    for number, (path, flags) in enumerate(
        ((os.devnull, os.O_RDONLY), (asked["out"], os.O_WRONLY), (asked["err"], os.O_WRONLY))
    ):
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)


if __name__ == "__main__":
    main()
