"""What clients attach, made into what the service takes: text, and images of at most so many bytes and pixels.

    image at a URL     fetched, where that is allowed (`remote_images`)
    PDF                its text (`pdf.py`; needs pypdf)
    image too large    a smaller one (`picture.py`; needs Pillow)

Files are made by anybody, so they are read in processes of their own (`apart`). What can't be had or read keeps the
reason; the model is told, or who has just attached it (`upstream.request`). Plain text files are text from the start
(`apis.files`).
"""

import asyncio
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Final, TypeVar

from msgspec.structs import replace

from qrelay.attachments.apart import Apart
from qrelay.attachments.remote_images import RemoteImages
from qrelay.conversation import LARGE, Conversation, Document, Image, attached, with_attached
from qrelay.upstream.images import MAX_IMAGE_BYTES, MAX_IMAGE_SIDE, is_too_large

_PDF_BASE64: Final = "JVBERi0"  # %PDF-
Result = TypeVar("Result")

_MOST_READ: Final = 100
"""Files of one conversation, the newest ones, that a process is started for."""
_TOO_MANY: Final = f"of the files in a conversation the newest {_MOST_READ} are read"
_NO_READER: Final = "to read PDFs, this gateway needs pypdf (make extras, in qrelay's folder)"


class Attachments:
    """Readies the attachments of conversations; of PDFs the first `pdf_pages` pages, none with 0."""

    def __init__(self, remote_images: RemoteImages, *, pdf_pages: int) -> None:
        self._remote_images = remote_images
        self._pdf_pages = pdf_pages
        self._reads = find_spec("pypdf") is not None
        self._shrinks = find_spec("PIL") is not None
        self._apart = Apart()

    async def ready(self, conversation: Conversation) -> Conversation:
        """The same conversation with all that can be had of its attachments. Raises nothing."""
        if not await _beside(conversation, lambda: any(True for _ in attached(conversation.turns))):
            return conversation
        return await self._shrunk(await self.read(await self._remote_images.fetch(conversation)))

    async def read(self, conversation: Conversation) -> Conversation:
        """Its PDFs with their text, or the reason why they have none."""
        found = await _beside(
            conversation, lambda: _distinct(piece for piece in attached(conversation.turns) if _is_pdf(piece))
        )
        if not found or not self._pdf_pages:
            return conversation
        answers = dict.fromkeys(found[:-_MOST_READ], ("", _TOO_MANY))
        answers |= {data: await self._text(data) for data in found[-_MOST_READ:]}

        def with_text(piece: Image | Document) -> Image | Document:
            if isinstance(piece, Document) and (answer := answers.get(piece.data)):
                text, unreadable = answer
                return replace(piece, text=text, unreadable=unreadable)
            return piece

        return replace(
            conversation, turns=await _beside(conversation, lambda: with_attached(conversation.turns, with_text))
        )

    async def _text(self, data: str) -> tuple[str, str]:
        return await self._apart.ask("pdf", data, self._pdf_pages) if self._reads else ("", _NO_READER)

    async def _shrunk(self, conversation: Conversation) -> Conversation:
        """Its images that are too large made smaller; what can't be is left as it is, and refused for its size."""
        found = await _beside(
            conversation,
            lambda: _distinct(
                piece for piece in attached(conversation.turns) if isinstance(piece, Image) and is_too_large(piece)
            ),
        )
        if not found or not self._shrinks:
            return conversation
        limits = (MAX_IMAGE_BYTES, MAX_IMAGE_SIDE)
        answers = {data: await self._apart.ask("picture", data, *limits) for data in found[-_MOST_READ:]}

        def smaller(piece: Image | Document) -> Image | Document:
            if isinstance(piece, Image) and (answer := answers.get(piece.data)) and answer[0]:
                return replace(piece, data=answer[0], shrunk=True)
            return piece

        return replace(
            conversation, turns=await _beside(conversation, lambda: with_attached(conversation.turns, smaller))
        )


async def _beside(conversation: Conversation, work: Callable[[], Result]) -> Result:
    """Do it, beside the event loop if the conversation is large."""
    return work() if conversation.size <= LARGE else await asyncio.to_thread(work)


def _distinct(pieces: Iterable[Image | Document]) -> list[str]:
    """Return the data of each piece once, where it stands last."""
    newest_first = dict.fromkeys(piece.data for piece in reversed(list(pieces)))
    return list(newest_first)[::-1]


def _is_pdf(piece: Image | Document) -> bool:
    """By its type, or by its bytes, which win over a declared type."""
    return isinstance(piece, Document) and (piece.media_type == "application/pdf" or piece.data.startswith(_PDF_BASE64))
