"""The one geometry."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from tests.support import encode, photo

from viewfinder.imaging.geometry import PreprocessSpec, _central_box, seen_box, to_input
from viewfinder.imaging.preprocess import preprocess
from viewfinder.settings import Limits
from viewfinder.types import Box


def _halves(width: int, height: int) -> Image.Image:
    """Left half red, right half blue."""
    image = Image.new("RGB", (width, height), "blue")
    image.paste("red", (0, 0, width // 2, height))
    return image


def test_crop_looks_at_the_central_part() -> None:
    image = Image.new("RGB", (400, 200), "red")
    image.paste("blue", (100, 0, 300, 200))
    pixels = to_input(image, PreprocessSpec(width=10, height=10))
    assert pixels.shape == (10, 10, 3)
    assert (pixels[:, 1:-1] == (0, 0, 255)).all()


def test_a_smaller_crop_fraction_looks_at_less() -> None:
    image = Image.new("RGB", (100, 100), "red")
    image.paste("blue", (25, 25, 75, 75))
    spec = PreprocessSpec(width=10, height=10, crop_fraction=0.5)
    assert (to_input(image, spec)[1:-1, 1:-1] == (0, 0, 255)).all()


def test_crop_equals_cropping_and_then_resizing_but_at_the_edge() -> None:
    image = Image.open(BytesIO(photo("cat.jpg"))).convert("RGB").crop((0, 0, 448, 300))
    spec = PreprocessSpec(width=50, height=50, crop_fraction=0.5)
    by_hand = image.crop((149, 75, 299, 225)).resize((50, 50), Image.Resampling.BILINEAR)
    # At the edge the filter sees the pixels beyond it, where a cropped photo would just end.
    inner = slice(1, -1)
    assert (to_input(image, spec)[inner, inner] == np.asarray(by_hand)[inner, inner]).all()


def test_stretch_looks_at_everything_out_of_shape() -> None:
    pixels = to_input(_halves(400, 100), PreprocessSpec(width=8, height=8, resize="stretch"))
    assert (pixels[:, :3] == (255, 0, 0)).all()
    assert (pixels[:, 5:] == (0, 0, 255)).all()


def test_pad_looks_at_everything_in_shape_between_black_bars() -> None:
    pixels = to_input(_halves(400, 100), PreprocessSpec(width=8, height=8, resize="pad"))
    assert (pixels[:3] == 0).all()
    assert (pixels[5:] == 0).all()
    assert (pixels[3:5].sum(axis=2) == 255).all()


def test_channels_can_be_bgr() -> None:
    image = Image.new("RGB", (4, 4), (1, 2, 3))
    pixels = to_input(image, PreprocessSpec(width=2, height=2, channels="bgr"))
    assert pixels[0, 0].tolist() == [3, 2, 1]


def test_shrinking_antialiases() -> None:
    checkers = Image.fromarray((np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8))
    pixels = to_input(checkers.convert("RGB"), PreprocessSpec(width=32, height=32))
    assert np.abs(pixels[2:-2, 2:-2].astype(int) - 127).max() <= 2


def test_decoding_a_jpeg_smaller_hardly_changes_the_input() -> None:
    large = Image.open(BytesIO(photo("espresso.jpg"))).resize(
        (2400, 1600), Image.Resampling.LANCZOS
    )
    data = encode(large, "JPEG", quality=92)
    spec = PreprocessSpec(width=224, height=224, crop_fraction=0.875)
    quick = preprocess(data, spec, Limits()).astype(int)
    full = to_input(Image.open(BytesIO(data)).convert("RGB"), spec).astype(int)
    assert np.abs(quick - full).mean() < 0.5


def test_no_size_of_photo_is_out_of_the_boxs_reach() -> None:
    spec = PreprocessSpec(width=224, height=224)
    for side in range(1, 4097):
        left, top, right, bottom = _central_box((side, side + 7), spec)
        assert 0 <= left <= right <= side
        assert 0 <= top <= bottom <= side + 7
    assert to_input(Image.new("RGB", (464, 464)), spec).shape == (224, 224, 3)


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    wanted=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    resize=st.sampled_from(["crop", "stretch", "pad"]),
    interpolation=st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]),
    fraction=st.floats(0.05, 1),
)
def test_any_photo_gets_the_shape_that_was_asked_for(
    size: tuple[int, int],
    wanted: tuple[int, int],
    resize: str,
    interpolation: str,
    fraction: float,
) -> None:
    spec = PreprocessSpec.model_validate(
        {
            "width": wanted[0],
            "height": wanted[1],
            "resize": resize,
            "interpolation": interpolation,
            "crop_fraction": fraction,
        }
    )
    pixels = to_input(Image.new("RGB", size, (9, 9, 9)), spec)
    assert pixels.shape == (wanted[1], wanted[0], 3)
    assert pixels.dtype == np.uint8
    if resize != "pad":
        assert (pixels == 9).all()


@pytest.mark.parametrize("wrong", [{"width": 0}, {"crop_fraction": 0}, {"resize": "x"}, {"y": 1}])
def test_a_specification_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PreprocessSpec.model_validate({"width": 1, "height": 1, **wrong})


def test_the_seen_box_of_a_crop_is_the_central_part() -> None:
    spec = PreprocessSpec(width=10, height=10, crop_fraction=0.5)
    assert seen_box((400, 200), spec) == Box(0.375, 0.25, 0.25, 0.5)


def test_the_seen_box_of_a_stretch_is_everything() -> None:
    spec = PreprocessSpec(width=10, height=20, resize="stretch")
    assert seen_box((400, 200), spec) == Box(0, 0, 1, 1)


def test_the_seen_box_of_a_padded_photo_reaches_beyond_it() -> None:
    spec = PreprocessSpec(width=10, height=10, resize="pad")
    assert seen_box((400, 200), spec) == Box(0, -0.4, 1, 2)
    # Rows 2 to 6 of ten are the photo, so that the bars are two fifths and three fifths of it.
    assert seen_box((200, 400), spec) == Box(-0.4, 0, 2, 1)


@given(
    width=st.integers(20, 200),
    height=st.integers(20, 200),
    resize=st.sampled_from(["crop", "stretch", "pad"]),
    fraction=st.floats(0.3, 1),
)
def test_what_lies_in_the_middle_of_a_place_of_the_input_lies_there_in_the_photo(
    width: int, height: int, resize: str, fraction: float
) -> None:
    spec = PreprocessSpec(width=40, height=30, resize=resize, crop_fraction=fraction)
    down, across = np.mgrid[0:height, 0:width]
    # Each pixel says where it is, a red of 0-255 from the left and a green from the top.
    red, green = (across + 0.5) / width * 255, (down + 0.5) / height * 255
    blue = np.full((height, width), 255)
    image = Image.fromarray(np.stack([red, green, blue], axis=2).round().astype(np.uint8))
    box, pixels = seen_box(image.size, spec), to_input(image, spec)
    for y, x in ((15, 20), (10, 12), (20, 30)):
        if pixels[y, x, 2] < 255:
            continue  # a bar
        assert pixels[y, x, 0] / 255 == pytest.approx(box.x + (x + 0.5) / 40 * box.width, abs=0.05)
        assert pixels[y, x, 1] / 255 == pytest.approx(box.y + (y + 0.5) / 30 * box.height, abs=0.05)
