"""What is read in PDFs, good and hostile, by the process that users' gateways start for it."""

import asyncio
import os
import subprocess
import sys
import zlib
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qrelay.attachments import Attachments
from qrelay.attachments.remote_images import RemoteImages
from qrelay.conversation import Conversation, Document, Text, ToolResult, Turn
from qrelay.outward.http1 import Connections
from tests.attachments.pdfs import in_base64, locked, pdf

if TYPE_CHECKING:
    from qrelay.conversation import Part

_CONFINED = str(files("qrelay.attachments") / "confined.py")

pytestmark = pytest.mark.anyio


def attachments(*, pages: int) -> Attachments:
    return Attachments(RemoteImages("reject", (), Connections()), pdf_pages=pages)


def asked(*parts: "Part") -> Conversation:
    return Conversation(model="claude-sonnet-4.5", turns=(Turn("user", (*parts, Text("What is it?"))),))


async def read(data: bytes | str, media_type: str = "application/pdf", *, pages: int = 100) -> Document:
    text = data if isinstance(data, str) else in_base64(data)
    conversation = await attachments(pages=pages).ready(asked(Document("a.pdf", text, media_type)))
    (document, question) = conversation.turns[0].parts
    assert question == Text("What is it?")
    assert isinstance(document, Document)
    assert (document.name, document.data, document.media_type) == ("a.pdf", text, media_type)
    return document


async def test_the_text_of_its_pages() -> None:
    document = await read(pdf("It rains in Lisbon", "It is dry in Rome"))
    assert document.text == "[page 1]\nIt rains in Lisbon\n\n[page 2]\nIt is dry in Rome"
    assert document.unreadable == ""


async def test_the_bytes_win_over_the_declared_type() -> None:
    assert "Lisbon" in (await read(pdf("Lisbon"), "application/octet-stream")).text


async def test_no_more_pages_than_it_may_have() -> None:
    document = await read(pdf("one", "two", "three"), pages=2)
    assert document.text == "[page 1]\none\n\n[page 2]\ntwo\n\n(It has 3 pages; only the first 2 are here.)"


async def test_inside_a_tools_result() -> None:
    document = Document("a.pdf", in_base64(pdf("Lisbon")), "application/pdf")
    conversation = await attachments(pages=9).ready(asked(ToolResult("t1", (Text("Read:"), document))))
    result = conversation.turns[0].parts[0]
    assert isinstance(result, ToolResult)
    assert result.content[0] == Text("Read:")
    assert isinstance(read := result.content[1], Document)
    assert "Lisbon" in read.text


async def test_only_the_newest_of_very_many_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qrelay.attachments._MOST_READ", 2)
    first, second, third = (
        Document(f"{name}.pdf", in_base64(pdf(name)), "application/pdf") for name in ("one", "two", "three")
    )
    conversation = await attachments(pages=9).ready(asked(first, second, third, first))
    again, unread, newer, newest, _ = conversation.turns[0].parts
    assert isinstance(unread, Document)
    assert (unread.text, unread.unreadable) == ("", "of the files in a conversation the newest 100 are read")
    for document, text in ((again, "one"), (newer, "three"), (newest, "one")):
        assert isinstance(document, Document)
        assert text in document.text


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"%PDF-1.4\n" + bytes(range(256)) * 9, "it is damaged"),
        ("JVBERi0!", "it is damaged"),
        ("JVBERi0\N{PILE OF POO}", "it is damaged"),
        (pdf("secret")[:-200], "it is damaged"),
        (pdf(""), "there is no text in it, only pictures"),
        (pdf(), "there is no text in it, only pictures"),
        (locked(pdf("secret"), "password"), "it is protected by a password"),
    ],
)
async def test_what_can_not_be_read_says_why(data: bytes | str, why: str) -> None:
    document = await read(data)
    assert (document.text, document.unreadable) == ("", why)


async def test_one_that_is_locked_for_changes_only() -> None:
    assert "open" in (await read(locked(pdf("open"), ""))).text


async def test_a_bomb_ends_the_process_and_not_the_gateway() -> None:
    """A hundred megabytes of blanks in a hundred kilobytes."""
    packer = zlib.compressobj(9)
    blank = bytes(1 << 24)
    bomb = b"".join(packer.compress(blank) for _ in range(6)) + packer.flush()
    document = await read(pdf("x", compressed=bomb))
    assert document.text == ""
    assert document.unreadable


def test_the_process_has_little_memory() -> None:
    words = f"import runpy; runpy.run_path({_CONFINED!r})['confine'](); bytes(1 << 30)"
    done = subprocess.run([sys.executable, "-I", "-c", words], capture_output=True, text=True, check=False)
    assert done.stderr.endswith("MemoryError\n")


async def test_read_once_for_all_turns_and_callers() -> None:
    reader = attachments(pages=9)
    asking = asked(Document("a.pdf", in_base64(pdf("Lisbon")), "application/pdf"))
    first, *others = [_text(read) for read in await asyncio.gather(*(reader.ready(asking) for _ in range(8)))]
    assert all(text is first for text in others)  # the very same: it was read once
    assert _text(await attachments(pages=9).ready(asking)) is not first


async def test_who_leaves_takes_the_process_along() -> None:
    packer = zlib.compressobj(9)
    slow = pdf(*["x"] * 50, compressed=packer.compress(b"BT (x) Tj ET " * 2_000_000) + packer.flush())
    reading = asyncio.create_task(read(slow))
    while not _child():
        assert not reading.done()
        await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert not _child()


async def test_without_pages_or_pdfs_nothing_is_touched() -> None:
    conversation = asked(Document("a.docx", "UEsDBA==", "application/msword"))
    assert await attachments(pages=9).ready(conversation) is conversation
    conversation = asked(Document("a.pdf", in_base64(pdf("Lisbon")), "application/pdf"))
    assert await attachments(pages=0).ready(conversation) is conversation


def _text(conversation: Conversation) -> str:
    document = conversation.turns[0].parts[0]
    assert isinstance(document, Document)
    assert document.text
    return document.text


def _child() -> bool:
    """Whether a process of ours reads a PDF."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended since
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            if parent == str(os.getpid()) and b"attachments/confined.py" in (process / "cmdline").read_bytes():
                return True
    return False
