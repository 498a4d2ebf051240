"""PDFs that clients attach, read: the service takes text and images only, so the model gets their text.

    conversation ── its PDFs ──> `pdf.py` in a process of its own ── texts ──> the same conversation, each with its text

A conversation brings its documents again with every turn, so what was read is remembered. What can't be read keeps the
reason; the model is told either way (`upstream.request`). Needs the extra `pdf`.
Not files of plain text: those are text from the start (`apis.files`).
"""

import asyncio
import os
import sys
from collections import OrderedDict
from collections.abc import Iterator
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from qrelay.conversation import Conversation, Document, Image, attached, with_attached

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_READER: Final = str(Path(__file__).with_name("pdf.py"))
_PDF_BASE64: Final = "JVBERi0"  # %PDF-
_SECONDS: Final = 60
"""How long a process may take; it stops by itself long before, unless it hangs (`pdf.CPU_SECONDS`)."""
_AT_ONCE: Final = 2
_REMEMBERED_CHARACTERS: Final = 8_000_000
_EACH: Final = 400
"""What is remembered of one, in characters, beside its text."""


class _Read(Struct, frozen=True):
    """What `pdf.py` answers: the text, or why there is none."""

    text: str = ""
    unreadable: str = ""


_ANSWER = msgspec.json.Decoder(_Read)


class Documents:
    """Reads the PDFs of conversations, the first `pages` pages of each; none with 0."""

    def __init__(self, *, pages: int) -> None:
        self._pages = pages
        self._installed = find_spec("pypdf") is not None
        self._remembered: OrderedDict[bytes, _Read] = OrderedDict()
        self._characters = 0
        self._reading: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def read(self, conversation: Conversation) -> Conversation:
        """The same conversation, its PDFs with their text or the reason why they have none. Raises nothing."""
        if not self._pages or not (found := [*_pdfs(conversation)]):
            return conversation
        answers = {document.data: await self._answer(document.data) for document in found}

        def read(piece: Image | Document) -> Image | Document:
            if isinstance(piece, Document) and (answer := answers.get(piece.data)):
                return replace(piece, text=answer.text, unreadable=answer.unreadable)
            return piece

        return replace(conversation, turns=with_attached(conversation.turns, read))

    async def _answer(self, data: str) -> _Read:
        if not self._installed:
            return _Read(unreadable="to read PDFs, this gateway needs pypdf (make extras, in qrelay's folder)")
        name = blake2b(data.encode("ascii", "replace"), digest_size=16).digest()
        async with self._reading.setdefault(name, asyncio.Lock()):  # who has the same waits, and finds it read
            if (answer := self._remembered.get(name)) is not None:
                self._remembered.move_to_end(name)
                return answer
            try:
                async with self._room:
                    answer = await _extract(data, self._pages)
            except OSError as error:
                log.warning("a document was not read: no process could be started for it", why=str(error))
                return _Read(unreadable="what reads it could not be started")
            self._remembered[name] = answer
        self._characters += _EACH + len(answer.text)
        while self._characters > _REMEMBERED_CHARACTERS and len(self._remembered) > 1:
            _, oldest = self._remembered.popitem(last=False)
            self._characters -= _EACH + len(oldest.text)
        return answer


def _pdfs(conversation: Conversation) -> Iterator[Document]:
    for piece in attached(conversation.turns):
        if isinstance(piece, Document) and (
            piece.media_type == "application/pdf" or piece.data.startswith(_PDF_BASE64)
        ):
            yield piece


async def _extract(data: str, pages: int) -> _Read:
    """Ask a process of its own. It ends by itself, when its time is over, or with who waits for it."""
    words = (sys.executable, "-I", _READER, str(pages))
    pipe = asyncio.subprocess.PIPE
    own = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}  # without it, no Python on Windows
    process = await asyncio.create_subprocess_exec(
        *words, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, env=own
    )
    try:
        async with asyncio.timeout(_SECONDS):
            answer, _ = await process.communicate(data.encode("ascii", "replace"))
        return _ANSWER.decode(answer)
    except (TimeoutError, msgspec.DecodeError):  # it was ended by a limit, and has said nothing
        return _Read(unreadable="it takes too much time or memory to read")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
