"""Images as the service takes them: the bytes decide the format, and what it would refuse is found before it is sent.

Limits: PROTOCOL.md §2.6 rule 17. A refused image would stay in the conversation's history and break every later turn.
"""

import binascii
from typing import Literal, TypeAlias

from qrelay.conversation import Image
from qrelay.upstream.schema import BytesSource, ImageBlock

MAX_IMAGES = 10
MAX_IMAGE_BYTES = 3_932_160  # 3.75 MiB, which is 5 MiB of base64
_Format: TypeAlias = Literal["png", "jpeg", "gif", "webp"]


class ImageUnusableError(ValueError):
    """Says why, in words for the person who attached it."""


def to_block(image: Image) -> ImageBlock:
    """An image's wire form. Raises ImageUnusableError."""
    try:
        raw = binascii.a2b_base64(image.data)
    except binascii.Error as error:
        raise ImageUnusableError(f"the image is not valid base64 ({error})") from None
    kind = _format(raw)
    if kind is None:
        raise ImageUnusableError("the image's bytes are neither PNG, JPEG, GIF nor WebP")
    if len(raw) > MAX_IMAGE_BYTES:
        raise ImageUnusableError(f"the image has {len(raw)} bytes; the service takes {MAX_IMAGE_BYTES}")
    return ImageBlock(kind, BytesSource(binascii.b2a_base64(raw, newline=False).decode()))


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
