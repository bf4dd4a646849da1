"""What photos look like, in four numbers."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageEnhance, ImageFilter
from tests.support import EXPECTED, PHOTOS, encode

from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.imaging.preprocess import prepare
from viewfinder.imaging.statistics import ImageStatistics, image_statistics
from viewfinder.settings import Limits

SPEC = PreprocessSpec(width=224, height=224)


def _look(image: Image.Image, spec: PreprocessSpec = SPEC) -> ImageStatistics:
    return image_statistics(prepare(image, spec, Limits()).pixels)


@pytest.fixture(params=sorted(EXPECTED))
def image(request: pytest.FixtureRequest) -> Image.Image:
    with Image.open(PHOTOS / request.param) as found:
        return found.convert("RGB")


def test_a_dark_photo_is_dark_and_neither_blurred_nor_pale(image: Image.Image) -> None:
    usual, dark = _look(image), _look(ImageEnhance.Brightness(image).enhance(0.3))
    assert dark.brightness == pytest.approx(0.3 * usual.brightness, rel=0.05)
    assert dark.contrast == pytest.approx(0.3 * usual.contrast, rel=0.05)
    assert dark.sharpness == pytest.approx(usual.sharpness, rel=0.1)
    assert dark.saturation == pytest.approx(usual.saturation, rel=0.1)


def test_a_blurred_photo_is_less_sharp_and_as_bright(image: Image.Image) -> None:
    usual, blurred = _look(image), _look(image.filter(ImageFilter.GaussianBlur(6)))
    assert blurred.sharpness < 0.7 * usual.sharpness
    assert blurred.brightness == pytest.approx(usual.brightness, abs=0.01)


def test_a_photo_without_colour_has_no_saturation(image: Image.Image) -> None:
    pale, grey = (_look(ImageEnhance.Color(image).enhance(part)) for part in (0.5, 0.0))
    assert grey.saturation < pale.saturation < _look(image).saturation
    assert grey.saturation == pytest.approx(0, abs=0.01)


def test_the_order_of_the_channels_changes_nothing(image: Image.Image) -> None:
    assert _look(image) == _look(image, SPEC.model_copy(update={"channels": "bgr"}))


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.zeros((8, 8, 3)), ImageStatistics(0, 0, 0, 0)),
        (np.full((224, 224, 3), 255), ImageStatistics(1, 0, 0, 0)),
        (np.tile([[[0] * 3, [255] * 3]], (6, 3, 1)), ImageStatistics(0.5, 1, 1, 0)),
        (np.full((3, 3, 3), [255, 0, 0]), ImageStatistics(1 / 3, 0, 0, 1)),
    ],
)
def test_the_ends_of_each_scale(pixels: np.ndarray, expected: ImageStatistics) -> None:
    found = image_statistics(pixels.astype(np.uint8))
    assert asdict(found) == pytest.approx(asdict(expected))


@given(arrays(np.uint8, st.tuples(st.integers(1, 80), st.integers(1, 80), st.just(3))))
def test_whatever_the_pixels_each_number_is_from_0_to_1(pixels: np.ndarray) -> None:
    assert all(0 <= value <= 1 for value in asdict(image_statistics(pixels)).values())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photo_is_as_large_as_its_file_says(kind: str) -> None:
    photo = Image.new("RGB", (1600, 1200), (90, 80, 70))
    exif = Image.Exif()
    exif[0x0112] = 6  # on its side
    prepared = prepare(encode(photo, kind, exif=exif), SPEC, Limits())
    assert prepared.size == (1600, 1200)
    assert prepared.pixels.shape == (224, 224, 3)
    assert prepare(photo, SPEC, Limits()).size == (1600, 1200)
