"""A program of its own that makes one picture smaller: base64 in, JSON out (`confined`).

python picture.py BYTES SIDE  <base64  >{"result": "base64"} or {"reason": "…"}

Screenshots stay PNG as long as they can, for their text; a photograph stays JPEG. Of an animation the first picture is
kept.
"""

import base64
import io
import json
import sys
from typing import Final

from PIL import Image, ImageOps

PIXELS: Final = {"JPEG": 250_000_000}
"""How many a picture may have, by its format: one is made smaller while it is unpacked."""
OTHER_PIXELS: Final = 70_000_000
SIDES: Final = (3000, 2000, 1500)
"""What is tried, in pixels; models look at about the last."""


def main(size: int, side: int) -> dict[str, str]:
    Image.MAX_IMAGE_PIXELS = None  # there is a limit here, for each format
    try:
        with Image.open(
            io.BytesIO(base64.b64decode(sys.stdin.buffer.read())), formats=["PNG", "JPEG", "GIF", "WEBP"]
        ) as given:
            if given.width * given.height > PIXELS.get(given.format or "", OTHER_PIXELS):
                return {"reason": "it has too many pixels"}
            lossless = given.format in {"PNG", "GIF"}
            given.draft("RGB", (SIDES[0], SIDES[0]))
            picture = ImageOps.exif_transpose(given).convert("RGBA" if given.has_transparency_data else "RGB")
    except Exception:  # noqa: BLE001 - whatever a library says of a file that somebody broke, or made too large
        return {"reason": "it is damaged"}
    for longest in SIDES:
        picture.thumbnail((min(longest, side), min(longest, side)))
        for kind in ("PNG", "JPEG") if lossless else ("JPEG",):
            out = io.BytesIO()
            flat = picture if kind == "PNG" or picture.mode == "RGB" else _on_white(picture)
            flat.save(out, kind, quality=88)
            if out.tell() <= size:
                return {"result": base64.b64encode(out.getvalue()).decode()}
    return {"reason": "it can't be made small enough"}


def _on_white(picture: Image.Image) -> Image.Image:
    """JPEG has no transparency."""
    ground = Image.new("RGB", picture.size, "white")
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground


if __name__ == "__main__":
    json.dump(main(int(sys.argv[1]), int(sys.argv[2])), sys.stdout)
