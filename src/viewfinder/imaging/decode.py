"""Bytes to upright RGB, within limits that are checked before a pixel is decoded."""

import contextlib
import re
from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image

from viewfinder.errors import (
    ImageTooLargeError,
    InvalidImageError,
    UnsupportedMediaTypeError,
    ViewfinderError,
)
from viewfinder.settings import Limits

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
ACCEPTED: Final = "JPEG, PNG, WebP, GIF or BMP"
_BACKGROUND = (255, 255, 255)


def decode(data: bytes, *, limits: Limits, enough: tuple[int, int] | None = None) -> Image.Image:
    """Decode the first frame of a photo.

    Colour: grey, 1-bit, 16-bit, palette, CMYK and YCCK become RGB; transparency is laid on white;
    a colour profile is ignored. Orientation: as EXIF says; a broken EXIF block counts as none.

    Args:
        data: The file's bytes. The format is read from them, never from a name or a header.
        limits: The most pixels and the longest side that will be decoded.
        enough: Width and height that suffice. A larger JPEG is decoded at 1/2, 1/4 or 1/8 of its
            size as long as both stay at least this, which is up to eight times quicker.

    Returns:
        An image of mode RGB.

    Raises:
        UnsupportedMediaTypeError: Not one of `FORMATS`.
        ImageTooLargeError: Over a limit.
        InvalidImageError: One of the formats, but damaged.
    """
    found = recognise(data)
    if found == "JPEG":
        _check_segments(data)
    try:
        with Image.open(BytesIO(data), formats=(found,)) as image:
            _check_size(image, limits.jpeg_pixels if found == "JPEG" else limits.pixels, limits)
            orientation = _orientation(image)
            if enough is not None:
                image.draft(None, enough[::-1] if orientation in _ON_ITS_SIDE else enough)
            image.load()
            return _to_rgb(image.transpose(_TURNS[orientation]) if orientation > 1 else image)
    except ViewfinderError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLargeError("The image declares more pixels than the limit.") from error
    except Exception as error:  # a decoder raises whatever a damaged file leads it into
        raise InvalidImageError(f"The {found} image is damaged and cannot be decoded.") from error


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
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    # "BM" alone is two letters that any text may begin with: look at the header's length as well.
    if data[:2] == b"BM" and data[14:18] in _BMP_HEADERS:
        return "BMP"
    return None


_BMP_HEADERS = {length.to_bytes(4, "little") for length in (12, 16, 40, 52, 56, 64, 108, 124)}


def _check_segments(data: bytes) -> None:
    """Refuse a JPEG that is cheap to send and dear to decode, whatever its size in pixels.

    A scan takes 75 bytes and costs a pass over all pixels; encoders write ten or so. Segments and
    fill bytes before the first scan are read one by one in Python. What follows the end of the
    image (another photo, a film, an archive) is not looked at.
    """
    place, scans, started = 2, 0, False
    for _ in range(_MOST_SEGMENTS):
        marker = _MARKER.search(data, place)
        if marker is None or marker[1] == _END_OF_IMAGE:
            return
        if marker.end() - marker.start() > _MOST_FILL:
            break
        if marker[1] == _START_OF_SCAN:
            scans += 1
            # Searching through a scan is slow, and the lock is held: where there are few of what
            # could be one, counting those is enough.
            if not started and data.count(b"\xff\xda", marker.start()) <= _MOST_SCANS:
                return
            started = True
        if scans > _MOST_SCANS:
            break
        place = marker.end()
        if marker[1] not in _WITHOUT_LENGTH:
            place += int.from_bytes(data[place : place + 2])
    raise InvalidImageError("The JPEG image has more scans or segments than any encoder writes.")


# Inside a scan, FF 00 is a byte of data and FF D0-D7 a restart: neither ends it.
_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
_START_OF_SCAN, _END_OF_IMAGE = b"\xda", b"\xd9"
_WITHOUT_LENGTH = {b"\x01", b"\xd8"}
_MOST_SCANS, _MOST_SEGMENTS, _MOST_FILL = 100, 2000, 4096


def _check_size(image: Image.Image, most_pixels: int, limits: Limits) -> None:
    width, height = image.size
    if max(width, height) > limits.side:
        raise ImageTooLargeError(
            f"The image is {width} x {height}; its longer side may be {limits.side} pixels."
        )
    if width * height > most_pixels:
        raise ImageTooLargeError(
            f"The image is {width} x {height}; a {image.format} may have {most_pixels:,} pixels."
        )


def _orientation(image: Image.Image) -> int:
    """As EXIF says, 1-8; 1 is upright."""
    # Whatever is broken in it: EXIF is an ornament, the photo is what counts.
    with contextlib.suppress(Exception):
        found = image.getexif().get(_ORIENTATION)
        return found if isinstance(found, int) and found in range(1, 9) else 1
    return 1


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


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip at 255
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        flat = Image.new("RGB", rgba.size, _BACKGROUND)
        flat.paste(rgba, mask=rgba)
        return flat
    return image if image.mode == "RGB" else image.convert("RGB")
