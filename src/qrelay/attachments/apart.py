"""Processes of their own that read what strangers made, and what they answered, remembered.

    ask("pdf", base64, 100) ──> python confined.py pdf 100  <base64  >{"result": "…"} or {"reason": "…"}

A conversation brings its attachments again with every turn: the same question is asked once.
"""

import asyncio
import os
import sys
from collections import OrderedDict
from hashlib import blake2b
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

import msgspec
import structlog
from msgspec import Struct

from qrelay.json_errors import JSON_ERRORS

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_CONFINED: Final = str(Path(__file__).with_name("confined.py"))
_SECONDS: Final = 60
"""How long a process may take; it is ended long before unless it hangs (`confined.CPU_SECONDS`)."""
_AT_ONCE: Final = 2
_REMEMBERED_LETTERS: Final = 24_000_000
_EACH: Final = 400
"""What is remembered of an answer beside its letters, in letters."""


class _Answer(Struct, frozen=True):
    result: str = ""
    reason: str = ""


_ANSWER = msgspec.json.Decoder(_Answer)


class Apart:
    """Asks, and remembers the answers; two processes at once."""

    def __init__(self) -> None:
        self._remembered: OrderedDict[bytes, _Answer] = OrderedDict()
        self._letters = 0
        self._asking: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def ask(self, program: str, data: str, *words: int) -> tuple[str, str]:
        """What the program makes of base64 `data`, or "" and the reason why there is nothing. Raises nothing."""
        given = data.encode("ascii", "replace")
        name = blake2b(given, digest_size=16, person=program.encode()).digest()
        async with self._asking.setdefault(name, asyncio.Lock()):  # who asks the same waits, and finds it answered
            answer = self._remembered.get(name)
            if answer is not None:
                self._remembered.move_to_end(name)
            else:
                try:
                    async with self._room:
                        answer = await _run(program, given, *words)
                except OSError as error:
                    log.warning("an attachment was not read: no process could be started", why=str(error))
                    return "", "what reads it could not be started"
                self._remember(name, answer)
        return answer.result, answer.reason

    def _remember(self, name: bytes, answer: _Answer) -> None:
        self._remembered[name] = answer
        self._letters += _EACH + len(answer.result)
        while self._letters > _REMEMBERED_LETTERS and len(self._remembered) > 1:
            _, oldest = self._remembered.popitem(last=False)
            self._letters -= _EACH + len(oldest.result)


async def _run(program: str, data: bytes, *words: int) -> _Answer:
    """It ends by itself, when its time is over, or with who waits for it."""
    pipe = asyncio.subprocess.PIPE
    own = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}  # without it, no Python on Windows
    command = (sys.executable, "-I", _CONFINED, program, *map(str, words))
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, env=own
    )
    try:
        async with asyncio.timeout(_SECONDS):
            said, _ = await process.communicate(data)
        return _ANSWER.decode(said)
    except (TimeoutError, *JSON_ERRORS):  # it was ended by a limit, and has said nothing
        return _Answer(reason="it takes too much time or memory to read")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
