"""Any mode to RGB, in strips that nobody sees."""

import numpy as np
import pytest
from PIL import Image
from tests.robustness import images
from tests.support import encode, same_pixels

from viewfinder.imaging import colour
from viewfinder.imaging.colour import to_rgb
from viewfinder.imaging.decode import decode
from viewfinder.settings import Limits

PICTURE = images.picture("cat.jpg")
CLEAR = PICTURE.convert("RGBA")
CLEAR.putalpha(PICTURE.convert("L"))


@pytest.mark.parametrize("strip", [1, 450, 1000, 10_000])
@pytest.mark.parametrize("enough", [None, (100, 100), (30, 30)])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_strips_leave_no_trace(
    monkeypatch: pytest.MonkeyPatch, mode: str, enough: tuple[int, int] | None, strip: int
) -> None:
    image = CLEAR.convert(mode)
    if mode == "P":
        image.info["transparency"] = 3
    whole = to_rgb(image, enough)
    monkeypatch.setattr(colour, "_STRIP", strip)
    assert same_pixels(to_rgb(image, enough), whole)


def test_a_large_image_is_averaged_down_but_never_under_what_is_needed() -> None:
    size = CLEAR.size
    assert to_rgb(CLEAR, (size[0] // 3, 1)).size == (-(-size[0] // 3), -(-size[1] // 3))
    assert to_rgb(CLEAR, (size[0], 1)).size == size
    assert to_rgb(CLEAR).size == size
    means = (np.asarray(to_rgb(CLEAR, enough)).mean() for enough in ((100, 100), None))
    assert abs(next(means) - next(means)) < 1


def test_a_transparent_photo_on_its_side_is_as_large_as_it_must_be() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.new("RGBA", (1200, 300)), exif=exif)
    assert decode(data, limits=Limits(), enough=(100, 400)).size == (100, 400)


def test_a_transparent_value_of_16_bits_is_white() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    ramp[10:20] = 300
    ramp[20:30] = 301  # the same in 8 bits
    got = np.asarray(decode(encode(Image.fromarray(ramp), transparency=300), limits=Limits()))
    assert (got[10:20] == 255).all()
    assert (got[20:30] == 1).all()
