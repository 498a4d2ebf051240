"""Named steps at which a test can make this process die, stand still or fail. Nothing happens there otherwise.

    refresh.lease_taken     the account is this process's, nothing was asked yet
    refresh.response_read   the token service has answered, nothing is stored yet
    refresh.before_commit   written, not yet committed
    refresh.after_commit    committed, nobody was told yet
    refresh.spill_written   the database refused, a file has the tokens

`arm` is called once, when a process starts, and only under QRELAY_TESTING; until then `reach` does nothing.
"""

import os
import signal
from collections.abc import Callable, Mapping
from typing import Final

POINTS: Final = (
    "refresh.lease_taken",
    "refresh.response_read",
    "refresh.before_commit",
    "refresh.after_commit",
    "refresh.spill_written",
)


class Reached(Exception):  # noqa: N818 - what a test asked for
    """Raised at a point that was armed with `raise`. No code but a test expects it."""


_armed: str = ""
_act: Callable[[], None] | None = None


def reach(point: str) -> None:
    """Say that a step is reached."""
    if _act is not None and point == _armed:
        _act()


def arm(spec: str) -> None:
    """From here on a point acts; an empty text disarms. Raises ValueError as `read` does."""
    global _armed, _act
    _armed, _act = read(spec) if spec else ("", None)


def read(spec: str) -> tuple[str, Callable[[], None]]:
    """What `point:kill9`, `point:stop` or `point:raise` names. Raises ValueError for anything else."""
    point, _, action = spec.partition(":")
    if point not in POINTS or action not in _ACTIONS:
        raise ValueError(f"it should be one of {', '.join(POINTS)}, followed by :{', :'.join(_ACTIONS)}")
    return point, _ACTIONS[action]


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _raise() -> None:
    raise Reached(_armed)


_ACTIONS: Final[Mapping[str, Callable[[], None]]] = {"kill9": _kill, "stop": _stop, "raise": _raise}
