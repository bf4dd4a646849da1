"""Bytes to upright RGB, within limits that are checked before a pixel is decoded."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from PIL import Image

from viewfinder.errors import (
    ImageTooLargeError,
    InvalidImageError,
    UnsupportedMediaTypeError,
    ViewfinderError,
)
from viewfinder.imaging.colour import to_rgb
from viewfinder.imaging.formats import bmp, gif, heif, jpeg, png, webp
from viewfinder.imaging.formats.plain import Plain
from viewfinder.settings import Limits

ACCEPTED: Final = "JPEG, PNG, WebP, HEIC, GIF or BMP"
_PLAIN: Final[Mapping[str, Callable[[bytes], Plain]]] = {
    "JPEG": jpeg.plain,
    "PNG": png.plain,
    "WEBP": webp.plain,
    "HEIC": heif.plain,
    "GIF": gif.plain,
    "BMP": bmp.plain,
}
FORMATS: Final = tuple(_PLAIN)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A photo.

    Attributes:
        image: Upright, of mode RGB, perhaps at a smaller scale.
        size: Width and height of the photo as it was sent, before it was turned.
    """

    image: Image.Image
    size: tuple[int, int]


def decode(data: bytes, *, limits: Limits, enough: tuple[int, int] | None = None) -> Image.Image:
    """Decode the first frame of a photo: see `decode_sized`.

    Returns:
        An image of mode RGB.
    """
    return decode_sized(data, limits=limits, enough=enough).image


def decode_sized(data: bytes, *, limits: Limits, enough: tuple[int, int] | None = None) -> Decoded:
    """Decode the first frame of a photo, and say how large it is.

    Colour: grey, 1-bit, 16-bit, palette, CMYK and YCCK become RGB; transparency is laid on white;
    a colour profile is ignored. Orientation: as EXIF says; a broken EXIF block counts as none.

    Args:
        data: The file's bytes. The format is read from them, never from a name or a header.
        limits: The most pixels and the longest side that will be decoded.
        enough: Width and height that suffice. A larger JPEG is decoded at 1/2, 1/4 or 1/8 of its
            size as long as both stay at least this, which is up to eight times quicker; a larger
            image with transparency is averaged down likewise.

    Raises:
        UnsupportedMediaTypeError: Not one of `FORMATS`, or HEIC, and the extra `heif` is missing.
        ImageTooLargeError: Over a limit.
        InvalidImageError: One of the formats, but damaged.
    """
    found = recognise(data)
    try:
        plain = _PLAIN[found](data)
        _check_size(found, plain.size, limits)
        if enough is not None and plain.orientation in _ON_ITS_SIDE:
            enough = enough[::-1]
        with _open(found, plain.data) as image:
            _check_size(found, image.size, limits)  # what the decoder understood
            if enough is not None:
                image.draft(None, enough)
            image.load()
            rgb = to_rgb(image, enough)
        if plain.orientation > 1:
            rgb = rgb.transpose(_TURNS[plain.orientation])
        return Decoded(rgb, plain.size)
    except ViewfinderError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLargeError("The image declares more pixels than the limit.") from error
    except Exception as error:  # a decoder raises whatever a damaged file leads it into
        raise InvalidImageError(f"The {found} image is damaged and cannot be decoded.") from error


def upright_size(data: bytes) -> tuple[int, int]:
    """Width and height of a photo that `decode` takes, the right way up, from its header."""
    plain = _PLAIN[recognise(data)](data)
    return plain.size[::-1] if plain.orientation in _ON_ITS_SIDE else plain.size


def as_decoded(
    image: Image.Image, *, limits: Limits, enough: tuple[int, int] | None = None
) -> Image.Image:
    """What `decode` gives, of an image that Pillow has opened or somebody has made.

    Nothing is known of how it was decoded, so that the pixels of a large JPEG are not quite those
    that `decode` finds.

    Args:
        image: Of any mode. Turned as its EXIF block says, if it has one.
        limits: The most pixels and the longest side.
        enough: Width and height that suffice for an image with transparency.

    Returns:
        An image of mode RGB.

    Raises:
        ImageTooLargeError: Over a limit.
        InvalidImageError: It has no pixels, or they are still in a file, which is damaged.
    """
    _check_size("JPEG" if image.format == "JPEG" else "photo", image.size, limits)
    if not all(image.size):
        raise InvalidImageError("The image has no pixels.")
    try:
        turn = _turn_of(image)
        image.load()
        if enough is not None and turn in _ON_ITS_SIDE:
            enough = enough[::-1]
        rgb = to_rgb(image, enough)
    except Exception as error:  # a decoder raises whatever a damaged file leads it into
        raise InvalidImageError("The image is damaged and cannot be decoded.") from error
    return rgb.transpose(_TURNS[turn]) if turn > 1 else rgb


def recognise(data: bytes) -> str:
    """Name the accepted format that the first bytes announce; 18 of them are enough.

    Raises:
        UnsupportedMediaTypeError: Not one of `FORMATS`.
    """
    found = sniff(data)
    if found is None:
        raise UnsupportedMediaTypeError(f"The image is not {ACCEPTED}.")
    return found


def sniff(data: bytes) -> str | None:
    """Name the accepted format that the first bytes announce, else None."""
    for start, found in _STARTS.items():
        if data.startswith(start):
            return found
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if heif.is_heif(data):
        return "HEIC"
    # "BM" alone is two letters that any text may begin with: look at the header's length as well.
    if data[:2] == b"BM" and data[14:18] in _BMP_HEADERS:
        return "BMP"
    return None


_STARTS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
}
_BMP_HEADERS = {length.to_bytes(4, "little") for length in (12, 16, 40, 52, 56, 64, 108, 124)}


def _open(found: str, data: bytes) -> Image.Image:
    if found == "PNG":
        return png.CheckedPng(BytesIO(data))
    if found == "HEIC":
        return heif.open_image(data)
    return Image.open(BytesIO(data), formats=(found,))


def _turn_of(image: Image.Image) -> int:
    """As EXIF says, 1-8; whatever is broken counts as 1, upright."""
    with contextlib.suppress(Exception):  # Pillow's reader raises what a broken block leads it into
        turn = image.getexif().get(_ORIENTATION)
        return turn if turn in _TURNS else 1
    return 1


def _check_size(found: str, size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    most = limits.jpeg_pixels if found == "JPEG" else limits.pixels
    if max(size) > limits.side:
        raise ImageTooLargeError(
            f"The image is {width} x {height}; the limit of a side is {limits.side} pixels."
        )
    if width * height > most:
        raise ImageTooLargeError(
            f"The image is {width} x {height}; a {found} may have {most:,} pixels."
        )


_ORIENTATION = 0x0112
_ON_ITS_SIDE = range(5, 9)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
