"""Photos made smaller before they are sent."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.client.asking import KINDS, asker
from tests.support import DATA, PHOTOS, Server, empty_png, encode, photo, same_pixels

from viewfinder.client.photos.files import to_bytes
from viewfinder.client.photos.shrinking import encode as encoded
from viewfinder.client.photos.shrinking import shrink
from viewfinder.errors import UnsupportedMediaTypeError
from viewfinder.imaging.decode import decode
from viewfinder.settings import Limits

CAT = photo("cat.jpg")
TURNED = 0x0112
NAMED = 0x010E


@pytest.fixture(scope="module")
def large() -> Image.Image:
    """A real photo, four times as large: 1804 x 1200."""
    with Image.open(io.BytesIO(CAT)) as cat:
        return cat.resize((1804, 1200), Image.Resampling.BICUBIC)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def alike(image: Image.Image, other: Image.Image) -> float:
    """The mean distance of two images, in grey levels of 255."""
    pair = [np.asarray(one.convert("RGB").resize((64, 64)), np.float32) for one in (image, other)]
    return float(np.abs(pair[0] - pair[1]).mean())


@pytest.mark.parametrize("shorter", [64, 256, 512, 900])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_a_large_photo_becomes_a_small_jpeg_of_the_same_shape(
    large: Image.Image, kind: str, shorter: int
) -> None:
    small = opened(shrink(encode(large, kind, quality=95), shorter))
    assert small.format == "JPEG"
    assert min(small.size) == shorter
    assert abs(small.size[0] - shorter * 1804 / 1200) <= 1
    assert alike(small, large) < 3


def test_a_tall_photo_keeps_its_shape(large: Image.Image) -> None:
    tall = large.transpose(Image.Transpose.ROTATE_90)
    small = opened(shrink(encode(tall, "JPEG"), 300))
    assert small.size == (300, 451)


@pytest.mark.parametrize("path", sorted(PHOTOS.glob("*.jpg")), ids=lambda path: path.name)
def test_what_is_small_goes_as_it_is(path: Path) -> None:
    data = path.read_bytes()
    with Image.open(path) as image:
        assert shrink(data, min(image.size)) is data
        assert len(shrink(data, 256)) < len(data)


@pytest.mark.parametrize("turn", range(1, 9))
def test_the_turn_that_exif_says_is_carried_out(large: Image.Image, turn: int) -> None:
    exif = Image.Exif()
    exif[TURNED] = turn
    data = encode(large, "JPEG", exif=exif)
    small = opened(shrink(data, 256))
    upright = decode(data, limits=Limits())
    assert (small.size[0] > small.size[1]) == (upright.size[0] > upright.size[1])
    assert alike(small, upright) < 3
    assert not small.getexif()


def test_nothing_of_the_file_goes_along_but_its_pixels(large: Image.Image) -> None:
    exif = Image.Exif()
    exif[NAMED] = "the-secret-place"
    data = encode(large, "JPEG", exif=exif, comment=b"the-secret-place", icc_profile=b"secret" * 9)
    assert b"secret" in data
    small = shrink(data, 256)
    assert b"secret" not in small
    assert opened(small).info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


@pytest.mark.parametrize("mode", ["CMYK", "L", "1", "P", "RGBA", "LA", "I;16"])
def test_every_kind_of_colour_becomes_what_the_server_sees(large: Image.Image, mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    if mode == "I;16":
        grey = np.asarray(large.convert("L"), np.uint16) * 257
        image = Image.fromarray(grey)
    else:
        image = large.convert(mode)
    data = encode(image, kind)
    small = opened(shrink(data, 256))
    assert small.mode == "RGB"
    assert alike(small, decode(data, limits=Limits())) < 4


def test_what_is_transparent_is_laid_on_white() -> None:
    clear = Image.new("RGBA", (800, 600), (255, 0, 0, 0))
    clear.paste((0, 0, 255, 255), (0, 0, 400, 600))
    noise = np.random.default_rng(1).integers(0, 30, (600, 400, 1), np.uint8)
    pixels = np.asarray(clear).copy()
    pixels[:, :400, :2] = noise
    small = opened(shrink(encode(Image.fromarray(pixels)), 300)).convert("RGB")
    assert small.getpixel((390, 150)) == (255, 255, 255)
    blue = small.getpixel((10, 150))
    assert isinstance(blue, tuple)
    assert blue[2] > 200
    assert blue[0] < 60


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_what_moves_goes_as_it_is(large: Image.Image, kind: str) -> None:
    frames = [large, large.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    assert shrink(data, 256) is data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no photo",
        b"\xff\xd8\xff",
        CAT[:2000],
        b"%PDF-1.7",
        b"II*\0" + bytes(100),
        empty_png(8000, 8000),
        empty_png(60_000, 60_000),
        empty_png(0, 5),
        DATA.joinpath("photo.heic").read_bytes()[:300],
    ],
    ids=lambda data: f"{data[:8]!r}-{len(data)}",
)
def test_what_cannot_be_decoded_goes_as_it_is(data: bytes) -> None:
    assert shrink(data, 256) is data


def test_what_would_not_take_fewer_bytes_goes_as_it_is() -> None:
    flat = encode(Image.new("L", (2000, 2000), 7), "PNG", optimize=True)
    few = encode(Image.new("RGB", (520, 520)), "WEBP")
    assert shrink(few, 512) is few
    assert len(shrink(flat, 512)) <= len(flat)


def test_an_image_in_memory_goes_without_loss_unless_it_is_made_smaller(
    large: Image.Image,
) -> None:
    whole = opened(encoded(large, None))
    assert whole.format == "PNG"
    assert same_pixels(whole, large)
    assert same_pixels(opened(encoded(np.asarray(large), None)), large)
    assert opened(encoded(np.asarray(large), 256)).size[1] == 256
    assert opened(encoded(large, 2000)).format == "PNG"


def test_files_are_made_smaller_too(large: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(encode(large, "JPEG"))
    for given in (path, str(path), path.read_bytes()):
        assert min(opened(to_bytes(given, 256)).size) == 256
        assert to_bytes(given, None) == path.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_answers_what_was_made_smaller(
    kind: str, server: Server, large: Image.Image
) -> None:
    data = encode(large, "JPEG", quality=95)
    with asker(kind, server.url, timeout_s=60) as plain:
        expected = plain.classify(data).top
    with asker(kind, server.url, timeout_s=60, resize=512) as ask:
        found = ask.classify(data)
        assert found.top.label == expected.label
        assert found.top.confidence == pytest.approx(expected.confidence, abs=0.1)
        assert ask.result(found.id).image.bytes < len(data) / 3
        assert ask.result(ask.classify(CAT).id).image.bytes == len(CAT)
        many: list[Any] = ask.classify_many([data, b"no", large], on_error="return")
        assert isinstance(many[1], UnsupportedMediaTypeError)
        assert many[0].classes == found.classes
        (alone,) = ask.classify_batch([data])
        assert alone.classes == found.classes
