"""What of a JPEG reaches the decoder."""

import pytest
from PIL import Image
from tests.robustness import images
from tests.support import encode, same_pixels

from viewfinder.errors import InvalidImageError
from viewfinder.imaging.decode import decode
from viewfinder.imaging.formats.jpeg import plain
from viewfinder.settings import Limits

PICTURE = images.picture("cat.jpg")


def test_profile_comment_exif_and_junk_are_left_out_and_the_colours_stay() -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    bare = encode(PICTURE, "JPEG")
    full = encode(PICTURE, "JPEG", exif=exif, icc_profile=bytes(200_000), comment=b"a comment")
    found = plain(images.jpeg_with(full, b"junk", images.jpeg_segment(0xED, b"Photoshop 3.0\0")))
    assert found.data == bare
    assert found.size == PICTURE.size
    assert found.orientation == 8
    cmyk = encode(PICTURE.convert("CMYK"), "JPEG")
    assert plain(cmyk).data == cmyk
    assert b"Adobe" in cmyk


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_the_scans_of_a_large_photo_are_few(options: dict[str, bool]) -> None:
    small, large = Image.new("RGB", (600, 400)), Image.new("RGB", (8000, 6000))
    assert plain(encode(large, "JPEG", **options)).size == (8000, 6000)
    assert plain(images.many_scans(small, 60)).size == (600, 400)
    with pytest.raises(InvalidImageError, match="scans"):
        plain(images.many_scans(large, 60))


def test_a_sequential_photo_of_several_scans_is_counted_too() -> None:
    # One scan for each colour, as cameras do not write it but jpegtran can.
    data = encode(PICTURE.resize((64, 64)), "JPEG", subsampling=0)
    scan = data.index(images.SCAN)
    one = images.jpeg_segment(0xDA, bytes((1, 1, 0, 0, 63, 0))) + b"\x00" * 40
    with pytest.raises(InvalidImageError, match="scans"):
        plain(data[:scan] + one * 200 + images.EOI)


@pytest.mark.parametrize("kind", [0xC3, 0xC5, 0xC7, 0xCB, 0xCF])
def test_a_frame_that_is_lossless_or_hierarchical_is_refused(kind: int) -> None:
    data = bytearray(encode(PICTURE, "JPEG"))
    data[data.index(b"\xff\xc0") + 1] = kind
    with pytest.raises(InvalidImageError, match="lossless"):
        plain(bytes(data))


def test_without_a_frame_or_a_scan_it_is_damaged() -> None:
    data = encode(PICTURE, "JPEG")
    for end in (3, 30, data.index(images.SCAN)):
        with pytest.raises(InvalidImageError, match="damaged"):
            plain(data[:end] + images.EOI)


def test_a_photo_is_the_same_without_its_ornaments() -> None:
    data = encode(PICTURE, "JPEG", quality=95)
    full = images.jpeg_with(data, *images.jpeg_profile(b"broken"))
    limits = Limits()
    assert same_pixels(decode(data, limits=limits), decode(full, limits=limits))
