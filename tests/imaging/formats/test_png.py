"""A PNG's chunks, and how far its pixels are inflated."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from tests.robustness import images
from tests.support import encode, same_pixels

from viewfinder.errors import InvalidImageError
from viewfinder.imaging.decode import decode
from viewfinder.imaging.formats.png import CheckedPng, plain
from viewfinder.settings import Limits

PICTURE = images.picture("cat.jpg")
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
PASSES = (*ADAM7, (0, 1, 1, 2))


def _decode(data: bytes) -> Image.Image:
    return decode(data, limits=Limits())


def _interlaced(image: Image.Image, more: bytes = b"") -> bytes:
    """An interlaced PNG, which Pillow does not write."""
    pixels = np.asarray(image)
    rows = [
        b"\0" + row.tobytes()
        for left, top, across, down in PASSES
        for row in pixels[top::down, left::across]
        if row.size
    ]
    header = struct.pack(">IIBBBBB", *image.size, 8, 2, 0, 0, 1)
    body = zlib.compress(b"".join(rows) + more)
    return images.png_of([(b"IHDR", header), (b"IDAT", body), (b"IEND", b"")])


def test_only_what_the_pixels_need_is_kept() -> None:
    palette = PICTURE.convert("P")
    exif = Image.Exif()
    exif[0x0112] = 6
    full = images.png_with(
        palette,
        before=[(b"iCCP", b"x" * 1000), (b"gAMA", bytes(4)), (b"tEXt", b"a\0b"), (b"acTL", b"")],
        after=[(b"tIME", bytes(7)), (b"eXIf", exif.tobytes()[6:])],
    )
    found = plain(full)
    kinds = [kind for kind, _ in images.png_chunks(found.data)]
    assert kinds == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    assert found.size == PICTURE.size
    assert found.orientation == 6


def test_the_pixels_are_the_same_in_one_chunk_or_in_thousands() -> None:
    header, *_ = images.png_chunks(encode(PICTURE))
    body = b"".join(body for kind, body in images.png_chunks(encode(PICTURE)) if kind == b"IDAT")
    dust = [(b"IDAT", body[place : place + 7]) for place in range(0, len(body), 7)]
    data = images.png_of([header, *dust, (b"IEND", b"")])
    assert len(dust) > 10_000
    assert same_pixels(_decode(data), PICTURE)


def test_more_chunks_than_any_encoder_writes_are_refused() -> None:
    data = images.png_with(PICTURE, before=[(b"IDAT", b"")] * 100_000)
    with pytest.raises(InvalidImageError, match="chunks"):
        _decode(data)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (5, 5), (8, 8), (61, 43)])
def test_an_interlaced_image_may_be_as_long_as_its_passes(size: tuple[int, int]) -> None:
    image = PICTURE.resize(size)
    assert same_pixels(_decode(_interlaced(image)), image)
    with pytest.raises(InvalidImageError, match="more pixels"):
        _decode(_interlaced(image, b"\0"))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("width", [1, 7, 8, 9, 400])
def test_one_byte_too_many_is_found_at_any_width(mode: str, width: int) -> None:
    image = PICTURE.resize((width, 30)).convert(mode)
    assert _decode(encode(image)).size == (width, 30)
    with pytest.raises(InvalidImageError, match="more pixels"):
        _decode(images.png_longer(image, b"\0"))


def test_a_bomb_is_inflated_no_further_than_the_image_is_large() -> None:
    with CheckedPng(io.BytesIO(images.png_longer(PICTURE, 64 << 20))) as image:
        with pytest.raises(InvalidImageError):
            image.load()
        assert image._inflated < 1 << 20


def test_what_follows_the_stream_in_its_chunk_is_no_pixel() -> None:
    header, *_ = images.png_chunks(encode(PICTURE))
    body = b"".join(body for kind, body in images.png_chunks(encode(PICTURE)) if kind == b"IDAT")
    data = images.png_of([header, (b"IDAT", body + bytes(100)), (b"IEND", b"")])
    assert same_pixels(_decode(data), PICTURE)
