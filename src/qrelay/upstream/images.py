"""Images as the service takes them: the bytes decide the format, and what it would refuse is found before it is sent.

Limits: PROTOCOL.md §2.6 rule 17. A refused image would stay in the conversation's history and break every later turn.
"""

import binascii
from collections.abc import Sequence
from typing import Literal, TypeAlias

from qrelay.conversation import Image
from qrelay.upstream.schema import BytesSource, ImageBlock

MAX_IMAGES = 10
MAX_IMAGE_BYTES = 3_932_160  # 3.75 MiB, which is 5 MiB of base64
MAX_IMAGE_SIDE = 8000
_Format: TypeAlias = Literal["png", "jpeg", "gif", "webp"]
_HEAD = 256 * 1024  # letters of base64 that are decoded: the format and the dimensions stand at the beginning
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_REMOTE = (
    "it is at a remote URL, and this gateway does not fetch any (QRELAY_REMOTE_IMAGES=reject); send the image itself, "
    "as base64 or a data: URL"
)
_FROM_URL_SAFE = str.maketrans("-_", "+/")
_NO_SIZE = frozenset({0xC4, 0xC8, 0xCC})  # JPEG markers among the frame headers that are none


class ImageUnusableError(ValueError):
    """Says why, in words for the person who attached it."""


def to_block(image: Image) -> ImageBlock:
    """An image's wire form. Raises ImageUnusableError."""
    if image.unusable:
        raise ImageUnusableError(image.unusable)
    if image.url and not image.data:
        raise ImageUnusableError(_REMOTE)
    data = image.data if _is_base64(image.data) else _mended(image.data)
    size = len(data) // 4 * 3 - data[-2:].count("=")
    head = binascii.a2b_base64(data[:_HEAD])
    kind = _format(head)
    if kind is None:
        raise ImageUnusableError("the image's bytes are neither PNG, JPEG, GIF nor WebP")
    if size > MAX_IMAGE_BYTES:
        raise ImageUnusableError(f"the image has {size} bytes; the service takes {MAX_IMAGE_BYTES}")
    width, height = _dimensions(kind, head)
    if max(width, height) > MAX_IMAGE_SIDE:
        raise ImageUnusableError(f"the image has {width} x {height} pixels; the service takes {MAX_IMAGE_SIDE} a side")
    return ImageBlock(kind, BytesSource(data))


def is_too_large(image: Image) -> bool:
    """Whether it has more bytes or pixels than the service takes."""
    if len(image.data) > (MAX_IMAGE_BYTES + 2) // 3 * 4:
        return True
    try:
        head = binascii.a2b_base64(image.data[:_HEAD])
    except ValueError:  # `to_block` says what is wrong with it
        return False
    kind = _format(head)
    return kind is not None and max(_dimensions(kind, head)) > MAX_IMAGE_SIDE


def choose(images: Sequence[Image]) -> list[ImageBlock | ImageUnusableError | None]:
    """What becomes of each image of a request: its block, why it can't be sent, or None: newer ones fill the limit."""
    chosen: list[ImageBlock | ImageUnusableError | None] = []
    left = MAX_IMAGES
    for image in reversed(images):
        try:
            block = to_block(image) if left else None
        except ImageUnusableError as error:
            chosen.append(error)
        else:
            chosen.append(block)
            left -= block is not None
    chosen.reverse()
    return chosen


def _is_base64(data: str) -> bool:
    """As a decoder would find, but in a sixth of its time: an agent sends its screenshots again with every turn."""
    try:
        letters = data.encode("ascii")
    except UnicodeEncodeError:
        return False
    body = letters.rstrip(b"=")
    return len(letters) % 4 == 0 and len(letters) - len(body) <= 2 and not body.translate(None, _ALPHABET)


def _mended(data: str) -> str:
    """Base64 with its line breaks, URL-safe letters or lost padding put right."""
    mended = "".join(data.split()).translate(_FROM_URL_SAFE).rstrip("=")
    mended += "=" * (-len(mended) % 4)
    if not _is_base64(mended):
        raise ImageUnusableError("the image is not valid base64")
    return mended


def _format(raw: bytes) -> _Format | None:
    if raw.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if raw.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if raw.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if raw[:4] == b"RIFF" and raw[8:12] == b"WEBP":
        return "webp"
    return None


def _dimensions(kind: _Format, raw: bytes) -> tuple[int, int]:
    """Width and height in pixels; 0, or less than they are, where the bytes end before they say it."""

    def number(at: int, size: int, order: Literal["big", "little"]) -> int:
        return int.from_bytes(raw[at : at + size], order)

    match kind:
        case "png":
            return number(16, 4, "big"), number(20, 4, "big")
        case "gif":
            return number(6, 2, "little"), number(8, 2, "little")
        case "jpeg":
            at = _jpeg_frame_header(raw)
            return number(at + 7, 2, "big"), number(at + 5, 2, "big")
        case "webp" if raw[12:16] == b"VP8X":
            return number(24, 3, "little") + 1, number(27, 3, "little") + 1
        case "webp" if raw[12:16] == b"VP8L":
            bits = number(21, 4, "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case "webp":
            return number(26, 2, "little") & 0x3FFF, number(28, 2, "little") & 0x3FFF


def _jpeg_frame_header(raw: bytes) -> int:
    """Where a JPEG's SOF marker stands; the end if there is none."""
    at = 2
    while at + 4 <= len(raw) and raw[at] == 0xFF:
        marker = raw[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in _NO_SIZE:
            return at
        else:
            at += 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
    return len(raw)
