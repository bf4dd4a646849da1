"""The whole way from bytes to a model's input. Training, evaluation and serving all come here."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from viewfinder.imaging.decode import Decoded, as_decoded, decode_sized
from viewfinder.imaging.geometry import PreprocessSpec, to_input
from viewfinder.settings import Limits


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A photo in the model's shape.

    Attributes:
        pixels: uint8 `[height, width, 3]`, 0-255.
        size: Width and height of the photo as it was sent.
        upright: The same of what the pixels were made from: turned, perhaps at a smaller scale.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    upright: tuple[int, int]


def prepare(photo: bytes | Image.Image, spec: PreprocessSpec, limits: Limits) -> Prepared:
    """Bring a photo into the model's shape.

    Args:
        photo: The bytes of an image file, or an image of any mode that somebody has decoded, which
            is turned as its EXIF block says.
        spec: The model's geometry.
        limits: What will be decoded.

    Raises:
        UnsupportedMediaTypeError: Not an accepted format.
        ImageTooLargeError: Over a limit.
        InvalidImageError: Damaged.
    """
    if isinstance(photo, Image.Image):
        decoded = Decoded(as_decoded(photo, limits=limits, enough=spec.enough), photo.size)
    else:
        decoded = decode_sized(photo, limits=limits, enough=spec.enough)
    return Prepared(to_input(decoded.image, spec), decoded.size, decoded.image.size)


def preprocess(data: bytes, spec: PreprocessSpec, limits: Limits) -> NDArray[np.uint8]:
    """The pixels alone: see `prepare`.

    Args:
        data: The bytes of an image file.
        spec: The model's geometry.
        limits: What will be decoded.

    Returns:
        uint8 `[height, width, 3]`, 0-255.

    Raises:
        UnsupportedMediaTypeError: Not an accepted format.
        ImageTooLargeError: Over a limit.
        InvalidImageError: Damaged.
    """
    return prepare(data, spec, limits).pixels
