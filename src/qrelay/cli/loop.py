"""The event loop a command runs on. Nothing slow is loaded here: a short command is as quick as what it imports."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any


def run_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run it on uvloop where there is one."""
    if sys.platform == "win32":
        factory = None
    else:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work)
