"""Photos made smaller before they are sent: a model looks at few of their pixels."""

import contextlib
from io import BytesIO
from typing import Any

from PIL import Image

from viewfinder.errors import RequestError
from viewfinder.imaging.arrays import image_of
from viewfinder.imaging.decode import as_decoded, decode, sniff, upright_size
from viewfinder.imaging.thumbnail import small_jpeg
from viewfinder.settings import Limits

_QUALITY = 90
# From twice the size on, a JPEG decoded at a smaller scale and then antialiased looks as if it had
# been decoded in full: see `PreprocessSpec.enough`.
_ENOUGH = 2
_LIMITS = Limits()
_MOVING = {"GIF", "PNG", "WEBP"}


def shrink(data: bytes, shorter: int) -> bytes:
    """A photo as a JPEG whose shorter side has so many pixels, upright and without metadata.

    What is no larger than that, moves, cannot be decoded within the usual limits, or would not take
    fewer bytes is returned as it is.

    Args:
        data: The bytes of an image file.
        shorter: Pixels of the shorter side.
    """
    with contextlib.suppress(Exception):  # whatever is wrong with its head, `decode` says so
        if min(upright_size(data)) <= shorter:
            return data
    try:
        enough = _ENOUGH * shorter
        image = decode(data, limits=_LIMITS, enough=(enough, enough))
    except RequestError:  # the server says what is wrong with it
        return data
    if min(image.size) <= shorter or _moves(data):
        return data
    small = _small(image, shorter)
    return small if len(small) < len(data) else data


def encode(photo: Any, shorter: int | None) -> bytes:
    """The file of an image, or an array, that somebody has decoded.

    As PNG nothing of it is lost; made smaller, it is a JPEG, as `shrink` makes one.

    Raises:
        ImageTooLargeError: Over the usual limits.
        InvalidImageError: Its pixels are still in a file, which is damaged.
        ValueError: An array is not uint8 `[H, W, 3]`.
    """
    image = as_decoded(photo if isinstance(photo, Image.Image) else image_of(photo), limits=_LIMITS)
    if shorter is not None and min(image.size) > shorter:
        return _small(image, shorter)
    bare = Image.new("RGB", image.size)
    bare.paste(image)
    file = BytesIO()
    bare.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _small(image: Image.Image, shorter: int) -> bytes:
    longer = max(shorter, round(shorter * max(image.size) / min(image.size)))
    return small_jpeg(image, longer, quality=_QUALITY)[0]


def _moves(data: bytes) -> bool:
    """Whether it has more than one frame; `decode` has looked at its size before."""
    if sniff(data) not in _MOVING:
        return False
    with Image.open(BytesIO(data)) as image:
        return bool(getattr(image, "is_animated", False))
