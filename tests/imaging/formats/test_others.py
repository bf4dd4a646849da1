"""What WebP, GIF and BMP announce, and what of them is refused."""

import numpy as np
import pytest
from PIL import Image
from tests.robustness import images
from tests.support import encode, same_pixels

from viewfinder.errors import ImageTooLargeError, InvalidImageError
from viewfinder.imaging.decode import decode
from viewfinder.imaging.formats import bmp, gif, webp
from viewfinder.settings import Limits

PICTURE = images.picture("cat.jpg")
ANIMATION = {"save_all": True, "append_images": [PICTURE.rotate(90)], "duration": 10}


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (300, 7)])
def test_the_size_is_read_from_every_kind_of_header(size: tuple[int, int]) -> None:
    image = PICTURE.resize(size)
    clear = image.convert("RGBA")
    assert webp.plain(encode(image, "WEBP")).size == size
    assert webp.plain(encode(image, "WEBP", lossless=True)).size == size
    assert webp.plain(encode(clear, "WEBP", exif=b"x")).size == size
    assert gif.plain(encode(image, "GIF")).size == size
    for mode in ("1", "P", "RGB", "RGBA"):
        assert bmp.plain(encode(clear.convert(mode), "BMP")).size == size


def test_a_webp_after_its_frames_says_how_it_is_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    assert webp.plain(encode(PICTURE, "WEBP", exif=exif)).orientation == 3
    assert webp.plain(encode(PICTURE, "WEBP", exif=exif, **ANIMATION)).orientation == 3
    assert webp.plain(encode(PICTURE, "WEBP")).orientation == 1


def test_before_the_first_frame_of_a_gif_only_its_transparent_colour_is_kept() -> None:
    palette = PICTURE.convert("P")
    data = encode(palette, "GIF", transparency=3, comment=b"a comment" * 50, loop=0, **ANIMATION)
    found = gif.plain(data)
    assert b"a comment" not in found.data
    assert b"NETSCAPE" not in found.data
    assert same_pixels(decode(data, limits=Limits()), decode(found.data, limits=Limits()))
    corner = np.asarray(decode(data, limits=Limits()))[np.asarray(palette) == 3]
    assert (corner == 255).all()


def test_a_gif_whose_frame_lies_beyond_its_screen_is_as_large_as_both() -> None:
    data = bytearray(encode(PICTURE, "GIF"))
    frame = data.index(b"\x2c\0\0\0\0", 13 + 768)
    data[frame + 1 : frame + 3] = (1000).to_bytes(2, "little")
    assert gif.plain(bytes(data)).size == (1000 + PICTURE.width, PICTURE.height)


def test_a_large_bmp_of_runs_is_refused_and_one_of_pixels_is_not() -> None:
    assert decode(images.bmp_of_runs(PICTURE), limits=Limits()).size == PICTURE.size
    for data in (images.bmp_runs((1500, 1500), b""), images.bmp_runs((9, 9), bytes(2 << 20))):
        with pytest.raises(ImageTooLargeError, match="run-length"):
            bmp.plain(data)
    large = Image.new("RGB", (1500, 1500))
    assert decode(encode(large, "BMP"), limits=Limits()).size == large.size


def test_a_file_that_ends_in_its_header_is_damaged() -> None:
    for kind in ("GIF", "BMP", "WEBP", "PNG"):
        data = encode(PICTURE, kind)
        for end in range(20, 60):
            with pytest.raises(InvalidImageError):
                decode(data[:end], limits=Limits())
