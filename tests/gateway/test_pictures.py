"""Pictures that are too large for the service, made smaller by the process that users' gateways start for it."""

import base64
import io
import random
from typing import Any

import pytest
from PIL import Image as Pictures

from qrelay.upstream.images import MAX_IMAGE_BYTES, MAX_IMAGE_SIDE
from tests.attachments.pdfs import in_base64
from tests.gateway.conftest import Bench

pytestmark = pytest.mark.anyio


def picture(width: int, height: int, kind: str = "PNG", mode: str = "RGB", *, noise: bool = False) -> bytes:
    """Noise doesn't pack: its file is about as large as its pixels are."""
    if noise:
        made = Pictures.frombytes(mode, (width, height), random.Random(7).randbytes(width * height * len(mode)))
    else:
        made = Pictures.new(mode, (width, height), "teal")
    out = io.BytesIO()
    made.save(out, kind, quality=95)
    return out.getvalue()


async def sent(relay: Bench, data: bytes | str) -> tuple[Any, Any]:
    """The answer to a request with this image, and the image as the service got it."""
    text = data if isinstance(data, str) else in_base64(data)
    source = {"type": "base64", "media_type": "image/png", "data": text}
    content = [{"type": "text", "text": "What is it?"}, {"type": "image", "source": source}]
    answer = await relay.messages(messages=[{"role": "user", "content": content}])
    if answer.status_code != 200:
        return answer, None
    message = relay.sim.chats[-1].body["conversationState"]["currentMessage"]["userInputMessage"]
    (block,) = message["images"]
    raw = base64.b64decode(block["source"]["bytes"])
    assert len(raw) <= MAX_IMAGE_BYTES
    return answer, Pictures.open(io.BytesIO(raw))


@pytest.mark.parametrize(
    ("data", "becomes"),
    [
        (picture(9000, 300), ("PNG", 3000, 100)),
        (picture(300, 9000, "JPEG"), ("JPEG", 100, 3000)),
        (picture(9000, 30, "WEBP"), ("JPEG", 3000, 10)),
        (picture(1400, 1400, noise=True), ("JPEG", 1400, 1400)),
        (picture(1400, 1400, mode="RGBA", noise=True), ("JPEG", 1400, 1400)),
    ],
    ids=["wide", "high", "webp", "heavy", "see-through"],
)
async def test_made_smaller_and_told(relay: Bench, data: bytes, becomes: tuple[str, int, int]) -> None:
    answer, image = await sent(relay, data)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-qrelay-adjusted"] == "image_shrunk"
    assert (image.format, image.width, image.height) == becomes


async def test_what_fits_is_not_touched(relay: Bench) -> None:
    data = picture(MAX_IMAGE_SIDE, 20)
    answer, image = await sent(relay, data)
    assert "x-qrelay-adjusted" not in answer.headers
    assert (image.width, image.height) == (MAX_IMAGE_SIDE, 20)


@pytest.mark.parametrize(
    "data",
    [
        picture(9000, 20)[:60],
        picture(9000, 9000, mode="L"),
        b"\x89PNG\r\n\x1a\n" + bytes(5_000_000),
        bytes(5_000_000),
    ],
    ids=["cut", "eighty million pixels", "only begins like one", "none"],
)
async def test_what_can_not_be_made_smaller_is_refused(relay: Bench, data: bytes) -> None:
    answer, _ = await sent(relay, data)
    assert answer.status_code == 400
    assert "can't be sent" in answer.text
    assert relay.sim.chats == []
