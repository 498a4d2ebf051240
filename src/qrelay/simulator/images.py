"""Is an image one the service takes (PROTOCOL.md §2.2, §2.6 rule 17)? Its first bytes are read, never decoded."""

import binascii
from base64 import b64decode

MAX_RAW = 3_932_160
"""3.75 MiB before base64."""

MAX_SIDE = 8000


def check_image(said: str, data: str) -> tuple[str, str, str] | None:
    """None, or (rule, what is wrong, the service's reason)."""
    try:
        raw = b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return "image_base64", "an image's bytes are not base64", "REQUEST_BODY_INVALID"
    if len(raw) > MAX_RAW:
        return "image_size", f"an image has {len(raw)} bytes, more than {MAX_RAW}", "IMAGE_SIZE_EXCEEDED"
    found = format_of(raw)
    if found is None:
        return "image_format", "an image is of no known format", "IMAGE_FORMAT_UNSUPPORTED"
    if found != said:
        return "image_mime", f"an image said to be {said} is {found}", "IMAGE_MIME_MISMATCH"
    width, height = dimensions(raw, found)
    if max(width, height) > MAX_SIDE:
        return "image_dimension", f"an image of {width} x {height} is over {MAX_SIDE}", "IMAGE_DIMENSION_EXCEEDED"
    return None


def format_of(raw: bytes) -> str | None:
    if raw.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if raw.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if raw.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if raw.startswith(b"RIFF") and raw[8:12] == b"WEBP":
        return "webp"
    return None


def dimensions(raw: bytes, form: str) -> tuple[int, int]:
    """Width and height in pixels; (0, 0) if the bytes don't say it where they should, and for the simpler WebPs."""
    if form == "png" and len(raw) >= 24:
        return int.from_bytes(raw[16:20], "big"), int.from_bytes(raw[20:24], "big")
    if form == "gif" and len(raw) >= 10:
        return int.from_bytes(raw[6:8], "little"), int.from_bytes(raw[8:10], "little")
    if form == "webp" and raw[12:16] == b"VP8X" and len(raw) >= 30:
        return int.from_bytes(raw[24:27], "little") + 1, int.from_bytes(raw[27:30], "little") + 1
    if form == "jpeg":
        return _jpeg_dimensions(raw)
    return 0, 0


def _jpeg_dimensions(raw: bytes) -> tuple[int, int]:
    """From the start-of-frame segment: marker C0 to CF but for three; length, precision, height, width."""
    at = 2
    while at + 9 <= len(raw) and raw[at] == 0xFF:
        marker = raw[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(raw[at + 7 : at + 9], "big"), int.from_bytes(raw[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
    return 0, 0
