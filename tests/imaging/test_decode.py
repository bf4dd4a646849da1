"""Bytes to RGB: every colour mode, orientation and format, and what is refused."""

import struct
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.support import empty_png, encode, photo

from viewfinder.errors import (
    ImageTooLargeError,
    InvalidImageError,
    RequestError,
    UnsupportedMediaTypeError,
)
from viewfinder.imaging.decode import decode, sniff
from viewfinder.settings import Limits

LIMITS = Limits()
CAT = Image.open(BytesIO(photo("cat.jpg"))).convert("RGB")


def _difference(image: Image.Image, other: Image.Image) -> float:
    assert image.mode == "RGB"
    assert image.size == other.size
    return float(np.abs(np.asarray(image, np.int16) - np.asarray(other, np.int16)).mean())


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "WEBP", "JPEG"])
def test_every_format_is_decoded(kind: str) -> None:
    options: dict[str, Any] = (
        {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    )
    data = encode(CAT, kind, **options)
    assert sniff(data) == kind
    near = {"JPEG": 3.0, "GIF": 8.0}.get(kind, 0.0)
    assert _difference(decode(data, limits=LIMITS), CAT) <= near


@pytest.mark.parametrize("mode", ["L", "1", "LA", "P", "RGBA"])
def test_every_colour_mode_becomes_the_right_rgb(mode: str) -> None:
    image = CAT.convert(mode)
    assert _difference(decode(encode(image), limits=LIMITS), image.convert("RGB")) == 0


def test_cmyk_is_not_inverted() -> None:
    data = encode(CAT.convert("CMYK"), "JPEG", quality=95)
    assert _difference(decode(data, limits=LIMITS), CAT) < 4


def test_16_bit_grey_keeps_its_brightness() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    got = np.asarray(decode(encode(Image.fromarray(ramp)), limits=LIMITS))[:, :, 0]
    assert np.abs(got.astype(int) - (ramp >> 8)).max() == 0


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(mode: str) -> None:
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0)).convert(mode)
    options: dict[str, Any] = {"transparency": 0} if mode == "P" else {}
    got = np.asarray(decode(encode(image, **options), limits=LIMITS))
    assert (got == 255).all()


def test_half_transparent_is_half_white() -> None:
    data = encode(Image.new("RGBA", (4, 4), (0, 0, 0, 128)))
    assert np.asarray(decode(data, limits=LIMITS))[0, 0].tolist() == [127, 127, 127]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_obeyed(orientation: int) -> None:
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = CAT.transpose(turn[orientation]) if orientation > 1 else CAT
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(stored, "JPEG", quality=95, exif=exif)
    assert _difference(decode(data, limits=LIMITS), CAT) < 3


def test_broken_exif_counts_as_none() -> None:
    data = encode(CAT, "JPEG", quality=95, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff garbage")
    assert _difference(decode(data, limits=LIMITS), CAT) < 3


def test_orientation_is_obeyed_where_another_tag_is_broken() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    block = bytearray(exif.tobytes())
    block[6 + 8 : 6 + 10] = (2).to_bytes(2, "little")  # two tags, the second one nonsense
    end = block[-4:]
    block[-4:] = struct.pack("<HHI4s", 0x0100, 2, 0xFFFF, b"\xff" * 4) + end
    stored = CAT.transpose(Image.Transpose.ROTATE_90)
    data = encode(stored, "JPEG", quality=95, exif=bytes(block))
    assert _difference(decode(data, limits=LIMITS), CAT) < 3


def test_a_jpeg_of_a_thousand_scans_is_refused_before_it_is_decoded() -> None:
    data = encode(CAT, "JPEG", progressive=True)
    assert _difference(decode(data, limits=LIMITS), CAT) < 5
    first = data.index(b"\xff\xda")
    scan = data[first : data.index(b"\xff\xda", first + 2)]
    # A comment that holds the mark of the end, and a mark without a length, hide nothing.
    for cover in (b"", b"\xff\xfe\x00\x04\xff\xd9", b"\xff\x01"):
        flood = data[:-2] + cover + scan * 1000 + data[-2:]
        with pytest.raises(InvalidImageError, match="scans"):
            decode(flood, limits=LIMITS)


@pytest.mark.parametrize("flood", [b"\xff\xe0\x00\x02" * 100_000, b"\xff" * 1_000_000])
def test_a_flood_of_segments_or_fill_is_refused(flood: bytes) -> None:
    data = encode(CAT, "JPEG")
    with pytest.raises(InvalidImageError, match="segments"):
        decode(data[:2] + flood + data[2:], limits=LIMITS)


def test_what_follows_the_image_is_ignored() -> None:
    data = encode(CAT, "JPEG", quality=95)
    for trailer in (b"\xff\xda\x00\x02" * 100_000, data, b"PK\x03\x04" + bytes(9_000_000)):
        assert _difference(decode(data + trailer, limits=LIMITS), CAT) < 3


def test_a_photo_with_a_thumbnail_profile_and_comments_is_accepted() -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    data = encode(CAT, "JPEG", exif=exif, icc_profile=bytes(3_000_000), comment=b"\xff\xda" * 9000)
    assert _difference(decode(data, limits=LIMITS), CAT) < 5


def test_a_large_jpeg_is_decoded_smaller_but_never_under_what_is_needed() -> None:
    data = encode(CAT.resize((2000, 1600)), "JPEG", quality=90)
    small = decode(data, limits=LIMITS, enough=(448, 448))
    assert small.size == (1000, 800)
    assert decode(data, limits=LIMITS, enough=(3000, 3000)).size == (2000, 1600)


def test_a_photo_on_its_side_is_decoded_as_large_as_it_must_be() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.new("RGB", (4000, 1000)), "JPEG", exif=exif)
    assert decode(data, limits=LIMITS, enough=(200, 1500)).size == (500, 2000)


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    for kind in ("GIF", "WEBP"):
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
        assert np.asarray(decode(data, limits=LIMITS))[0, 0].argmax() == 0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"<svg/>",
        b"%PDF-1.7",
        b"BM is how this text begins",
        b"II*\0",
        b"RIFF0000WAVE",
        b"\0\0\0\x1cftypavif",
        b"\0\0\0\x1cftypmp42",
    ],
)
def test_what_is_not_an_accepted_image_is_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedMediaTypeError, match="JPEG, PNG, WebP, HEIC, GIF or BMP"):
        decode(data, limits=LIMITS)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "WEBP", "JPEG"])
def test_a_truncated_image_is_invalid(kind: str) -> None:
    data = encode(CAT, kind)
    with pytest.raises(InvalidImageError, match=f"The {kind} image is damaged"):
        decode(data[: len(data) // 2], limits=LIMITS)


def test_a_size_of_50_000_by_50_000_is_refused_from_its_header() -> None:
    with pytest.raises(ImageTooLargeError):
        decode(empty_png(50_000, 50_000), limits=LIMITS)


@pytest.mark.parametrize("size", [(1, 16_385), (16_385, 1)])
def test_a_side_over_the_limit_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ImageTooLargeError, match="16384"):
        decode(empty_png(*size), limits=LIMITS)


def test_the_limit_itself_is_accepted_and_one_pixel_more_is_not() -> None:
    limits = Limits(pixels=100, jpeg_pixels=200, side=100)
    assert decode(encode(Image.new("RGB", (10, 10))), limits=limits).size == (10, 10)
    assert decode(encode(Image.new("RGB", (10, 20)), "JPEG"), limits=limits).size == (10, 20)
    for image, kind in ((Image.new("RGB", (101, 1)), "PNG"), (Image.new("RGB", (3, 67)), "JPEG")):
        with pytest.raises(ImageTooLargeError):
            decode(encode(image, kind), limits=limits)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["PNG", "BMP", "GIF", "WEBP", "JPEG"]),
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_a_mutated_image_is_decoded_or_refused_never_anything_else(
    kind: str, edits: list[tuple[int, int]]
) -> None:
    data = bytearray(encode(CAT.resize((64, 48)), kind))
    for place, value in edits:
        data[place % len(data)] = value
    try:
        image = decode(bytes(data), limits=LIMITS)
    except RequestError:
        return
    assert image.mode == "RGB"
