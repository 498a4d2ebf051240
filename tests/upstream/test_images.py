"""Images: the bytes decide, and what the service would refuse is found first (PROTOCOL.md §2.6 rule 17)."""

import base64
from collections.abc import Callable

import pytest

from qrelay.conversation import Image
from qrelay.upstream.images import MAX_IMAGE_BYTES, MAX_IMAGES, ImageUnusableError, choose, to_block
from qrelay.upstream.schema import ImageBlock

from .pictures import gif, image, jpeg, png, webp, webp_extended, webp_lossless

FORMATS = [
    (png, "png"),
    (gif, "gif"),
    (jpeg, "jpeg"),
    (webp, "webp"),
    (webp_lossless, "webp"),
    (webp_extended, "webp"),
]


@pytest.mark.parametrize(("make", "kind"), FORMATS)
@pytest.mark.parametrize("declared", ["image/png", "image/jpeg", "application/pdf", ""])
def test_the_bytes_decide_the_format(make: Callable[[], bytes], kind: str, declared: str) -> None:
    given = image(make(), declared)
    block = to_block(given)
    assert (block.format, block.source.bytes) == (kind, given.data)


@pytest.mark.parametrize(("make", "kind"), FORMATS)
@pytest.mark.parametrize(("width", "height", "fits"), [(8000, 8000, True), (8001, 1, False), (1, 8001, False)])
def test_dimensions(make: Callable[[int, int], bytes], kind: str, width: int, height: int, fits: bool) -> None:
    given = image(make(width, height))
    if fits:
        assert to_block(given).format == kind
    else:
        with pytest.raises(ImageUnusableError, match=f"{width} x {height} pixels"):
            to_block(given)


@pytest.mark.parametrize("make", [make for make, _ in FORMATS])
def test_an_image_that_ends_early_is_left_to_the_service(make: Callable[[], bytes]) -> None:
    for length in range(16, len(make())):
        to_block(image(make()[:length]))


@pytest.mark.parametrize(
    "segments", [b"", b"\xff", b"\xff\xe0", b"\xff\xe0\x00\x00" * 3, b"\xff\xe0\xff\xff", b"\xff" * 50, b"abcdefgh"]
)
def test_a_strange_jpeg_is_left_to_the_service(segments: bytes) -> None:
    assert to_block(image(b"\xff\xd8\xff" + segments)).format == "jpeg"


@pytest.mark.parametrize("raw", [b"", b"BM\x00\x00", b"%PDF-1.7", b"<svg/>", b"RIFF\x00\x00\x00\x00WAVE", b"\x89PNG"])
def test_other_formats_are_refused(raw: bytes) -> None:
    with pytest.raises(ImageUnusableError, match="neither PNG"):
        to_block(image(raw))


def test_the_size_that_fits() -> None:
    largest = png() + b"\x00" * (MAX_IMAGE_BYTES - len(png()))
    assert to_block(image(largest)).format == "png"
    for more in (1, 2, 3):
        with pytest.raises(ImageUnusableError, match=f"{MAX_IMAGE_BYTES + more} bytes"):
            to_block(image(largest + b"\x00" * more))


WITH_ODD_LETTERS = png() + b"\xff\xfe\xfb\xff\xff"


@pytest.mark.parametrize(
    "data",
    [
        base64.urlsafe_b64encode(WITH_ODD_LETTERS).decode(),
        base64.b64encode(WITH_ODD_LETTERS).decode().rstrip("="),
        base64.encodebytes(WITH_ODD_LETTERS).decode(),
        "\r\n  " + base64.b64encode(WITH_ODD_LETTERS).decode() + " ",
        base64.b64encode(WITH_ODD_LETTERS).decode() + "====",
    ],
)
def test_base64_that_can_be_mended(data: str) -> None:
    assert "-_" not in base64.b64encode(WITH_ODD_LETTERS).decode()
    assert to_block(Image(data)).source.bytes == base64.b64encode(WITH_ODD_LETTERS).decode()


@pytest.mark.parametrize(
    "data", ["not base64!", "AAAAA", "é", "\ud83d", "data:image/png;base64,AAAA", "AA=A", "=", "A==="]
)
def test_what_is_not_base64_is_refused(data: str) -> None:
    with pytest.raises(ImageUnusableError, match=r"not valid base64|neither PNG"):
        to_block(Image(data))


def test_the_newest_images_are_chosen() -> None:
    images = [image(png(n + 1)) for n in range(MAX_IMAGES + 2)]
    chosen = choose(images)
    assert chosen[:2] == [None, None]
    assert [block.source.bytes for block in chosen[2:] if isinstance(block, ImageBlock)] == [i.data for i in images[2:]]


def test_an_unusable_image_takes_no_place() -> None:
    images = [image(png()) for _ in range(MAX_IMAGES)]
    chosen = choose([*images, image(b"?")])
    assert all(isinstance(block, ImageBlock) for block in chosen[:-1])
    assert isinstance(chosen[-1], ImageUnusableError)
