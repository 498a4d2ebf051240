"""The first bytes of images of any size: enough for whoever reads formats and dimensions, no picture to look at."""

import base64
import struct

from qrelay.conversation import Image


def png(width: int = 1, height: int = 1) -> bytes:
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", width, height) + b"\x08\x06\x00\x00\x00"


def gif(width: int = 1, height: int = 1) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\x00\x00\x00;"


def jpeg(width: int = 1, height: int = 1) -> bytes:
    """With an application segment, a table and a filler before the frame header."""
    segments = b"\xff\xe0\x00\x06JFIF" + b"\xff\xc4\x00\x05abc" + b"\xff\xff\xdb\x00\x03a"
    return b"\xff\xd8" + segments + b"\xff\xc2\x00\x0b\x08" + struct.pack(">HH", height, width) + b"\x01\x01\x11\x00"


def _riff(kind: bytes, data: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(data) + 12) + b"WEBP" + kind + struct.pack("<I", len(data)) + data


def webp(width: int = 1, height: int = 1) -> bytes:
    return _riff(b"VP8 ", b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", width, height))


def webp_lossless(width: int = 1, height: int = 1) -> bytes:
    return _riff(b"VP8L", b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14))


def webp_extended(width: int = 1, height: int = 1) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return _riff(b"VP8X", b"\x00\x00\x00\x00" + size)


def image(raw: bytes, media_type: str = "image/png") -> Image:
    return Image(base64.b64encode(raw).decode(), media_type)
